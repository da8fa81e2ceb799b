"""What is measured: each load returns figures by name, of servers that run side by side and are asked by turns."""

import json
import resource
import secrets
import selectors
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.client import Connection, Way, connected, frame, play, read_all
from benchmarks.servers import RUNWIRE, SERVERS, Running, redis, running

Figures = dict[str, float]


class Stand:
    """Servers that run, each command once, whichever ways it is asked."""

    def __init__(self, stack: ExitStack, names: Sequence[str]) -> None:
        self._stack = stack
        self._running: dict[tuple[str, ...], Running] = {}
        self.names = names
        for name in names:
            self[name]

    def __getitem__(self, name: str) -> Running:
        """Return a server, started when it is asked for first."""
        command = SERVERS[name].command
        if command not in self._running:
            self._running[command] = self._stack.enter_context(running(command))
        return self._running[command]

    def cpu_us(self, name: str, prompts: Sequence[str], events: int) -> float:
        """Return the CPU time, in microseconds for an event, of playing prompts at once."""
        server = self[name]
        before = server.cpu_s
        play(server.address, SERVERS[name].way, prompts)
        return (server.cpu_s - before) / events * 1e6


@contextmanager
def stand(*names: str) -> Iterator[Stand]:
    """Run servers, and warm them up."""
    with ExitStack() as stack:
        result = Stand(stack, names)
        for name in names:
            play(result[name].address, SERVERS[name].way, ["100 turn"])
        yield result


def by_turns(names: Sequence[str], rounds: int, measure: Callable[[str], float]) -> Figures:
    """Measure each in each round; return medians."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(measure(name))
    return {name: statistics.median(values) for name, values in found.items()}


def events_of(
    names: Sequence[str],
    rounds: int,
    runs: int,
    events: int,
    pace: str,
    slower: Mapping[str, int] | None = None,
) -> Figures:
    """Microseconds of CPU for an event, of `runs` runs at once; those in `slower` play so many events."""

    def measure(name: str) -> float:
        count = (slower or {}).get(name, events)
        return servers.cpu_us(name, [f"{count} {pace}"] * runs, count * runs)

    with stand(*names) as servers:
        return by_turns(names, rounds, measure)


def growth(rounds: int, small: int, large: int) -> Figures:
    """An event's cost in a long run against that in a short one, of this server."""
    with stand("runwire WS", "runwire SSE") as servers:
        found = {}
        for name in servers.names:
            repeated = max(1, large // small // 10)
            costs = by_turns(
                ["short", "long"],
                rounds,
                lambda length, name=name, repeated=repeated: (
                    servers.cpu_us(name, [f"{large} turn"], large)
                    if length == "long"
                    else statistics.mean(
                        servers.cpu_us(name, [f"{small} turn"], small) for _ in range(repeated)
                    )
                ),
            )
            found[name] = costs["long"] / costs["short"]
        return found


def further_readers(rounds: int, events: int) -> Figures:
    """What each further reader of a run costs for an event, beside a send of the floor."""
    with stand("floor WS", "runwire WS") as servers:
        server, way = servers["runwire WS"], SERVERS["runwire WS"].way

        def cost(readers: int) -> float:
            before = server.cpu_s
            watched(server, way, f"{events} 1", readers)
            return (server.cpu_s - before) / events * 1e6

        costs = by_turns(["1", "10", "100"], rounds, lambda readers: cost(int(readers)))
        floor = by_turns(
            ["floor WS"], rounds, lambda name: servers.cpu_us(name, [f"{events} 1"] * 10, events * 10)
        )
    each = {f"{count} readers": (costs[str(count)] - costs["1"]) / (count - 1) for count in (10, 100)}
    return {"1 reader": costs["1"], **each, "floor": floor["floor WS"]}


def watched(server: Running, way: Way, prompt: str, readers: int) -> list[Connection]:
    """Play a run for several WebSocket readers at once."""
    run_id = secrets.token_urlsafe(16)
    connections = [connected(server.address, way) for _ in range(readers)]
    start = {"type": "start", "prompt": prompt, "run_id": run_id, "on_disconnect": "continue"}
    connections[0].socket.sendall(frame(json.dumps(start).encode()))
    time.sleep(0.01)
    for connection in connections[1:]:
        connection.socket.sendall(
            frame(json.dumps({"type": "resume", "run_id": run_id, "after": 0}).encode())
        )
    until_the_end(connections)
    return connections


def until_the_end(connections: Sequence[Connection]) -> None:
    """Read all answers to their ends, and close."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        read_all(selector, connections, 120)
    for connection in connections:
        connection.socket.close()


def first_event(names: Sequence[str], rounds: int, connections: int) -> Figures:
    """Milliseconds from asking to the first event, asked at once on so many open connections."""
    found: Figures = {}
    with stand(*names) as servers:
        for name in names:
            times: list[float] = []
            for _ in range(rounds):
                played = play(servers[name].address, SERVERS[name].way, ["3 turn"] * connections)
                times += [((one.first_at or 1e9) - one.asked_at) * 1000 for one in played]
            found[f"{name} p50"], found[f"{name} p99"] = percentiles(times)
    return found


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the 50th and the 99th."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def resume(rounds: int, events: int) -> Figures:
    """Microseconds of CPU for an event of a finished run that is resumed from its beginning."""
    with stand("runwire WS") as servers:
        server, way = servers["runwire WS"], SERVERS["runwire WS"].way
        start = {"prompt": f"{events} turn", "run_id": secrets.token_urlsafe(16)}
        first = connected(server.address, way)
        first.socket.sendall(frame(json.dumps(start).encode()))
        until_the_end([first])

        def again(_: str) -> float:
            before, one = server.cpu_s, connected(server.address, way)
            asked = {"type": "resume", "run_id": start["run_id"], "after": 0}
            one.socket.sendall(frame(json.dumps(asked).encode()))
            until_the_end([one])
            return (server.cpu_s - before) / events * 1e6

        return by_turns(["resume"], rounds, again)


def cancel(runs: int) -> Figures:
    """Milliseconds from a cancel to the terminal, while so many runs are active."""
    with stand("runwire WS") as servers:
        server, way = servers["runwire WS"], SERVERS["runwire WS"].way
        connections = [connected(server.address, way) for _ in range(runs)]
        for connection in connections:
            connection.socket.sendall(way.request("100000 100", 0))
        time.sleep(1)
        times = []
        for connection in connections[:: max(1, runs // 100)]:
            connection.socket.sendall(frame(b'{"type":"cancel"}'))
            asked_at = time.perf_counter()
            until_the_end([connection])
            times.append(((connection.ended_at or 1e9) - asked_at) * 1000)
        for connection in connections:
            connection.socket.close()
    return dict(zip(("p50", "p99"), percentiles(times), strict=True))


def idle(connections: int) -> Figures:
    """KiB of memory for an idle WebSocket connection, heartbeats on; fewer where the system allows no more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = min(connections, most - 200)
    found = {}
    for name in ("floor WS", "runwire WS"):
        with stand(name) as servers:
            server, way = servers[name], SERVERS[name].way
            before = server.resident_bytes
            held = [connected(server.address, way) for _ in range(connections)]
            time.sleep(3)
            found[name] = (server.resident_bytes - before) / connections / 1024
            for connection in held:
                connection.socket.close()
    return found


def stores(rounds: int, events: int) -> Figures:
    """Microseconds of CPU of this server for an event, with the log in memory and on Redis; nothing without one."""
    way = SERVERS["runwire WS"].way
    with redis() as url, running(tuple(RUNWIRE)) as memory:
        if url is None:
            return {}
        return _stores(rounds, events, way, memory, url)


def _stores(rounds: int, events: int, way: Way, memory: Running, url: str) -> Figures:
    with running((*RUNWIRE, f"--redis={url}")) as far:

        def measure(name: str) -> float:
            server = memory if name == "memory" else far
            before = server.cpu_s
            play(server.address, way, [f"{events} 1"])
            return (server.cpu_s - before) / events * 1e6

        for name in ("memory", "redis"):
            measure(name)
        return by_turns(["memory", "redis"], rounds, measure)
