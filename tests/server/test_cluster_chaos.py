"""Two hundred runs over three nodes that are killed at random: every run ends once for every reader, and nothing stays.

RUNWIRE_CHAOS_SEED repeats what clients do, and which nodes are killed; what of it a kill meets is up to the machine.
"""

import asyncio
import json
import os
import random
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.cluster_stand import Cluster, Message, Node, within
from tests.support.patience import patience

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

RUNS = 200
AT_ONCE = 25
KILLS = 4

#: How many runs end from one kill to the next, and how many of them at most are under way at a kill.
BETWEEN = RUNS // (KILLS + 1)
UNDER_WAY = 20

#: Bytes by which the memory of a node that was never killed may have grown: less than the logs of all runs.
GROWTH = 24 * 2**20

LOST = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, asyncio.IncompleteReadError)


@dataclass
class Reader:
    """What one reader of a run has seen."""

    cursor: int = 0
    text: str = ""
    terminals: list[Message] = field(default_factory=list)

    def take(self, event: Message) -> bool:
        """Note an event; True when it ends the run."""
        assert not self.terminals, "an event after the terminal"
        assert event.get("first_seq", event["seq"]) == self.cursor + 1, (self.cursor, event)
        self.cursor = event["seq"]
        if event["type"] == "token":
            self.text += event["data"]
        if event["type"] in {"done", "error"}:
            self.terminals.append(event)
        return bool(self.terminals)


class Run:
    """One run, started again until it is there, with readers that drop off and come back wherever they like."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.random = random.Random(seed)
        self.cluster = cluster
        self.id = f"{self.random.getrandbits(132):033x}"
        count, pause = self.random.randint(3, 60), self.random.choice([0, 5, 20, 60])
        self.expected = "".join(f"{number}." for number in range(count))
        steps = [step for number in range(count) for step in ({"token": f"{number}."}, {"wait_ms": pause})]
        self.start = {
            "type": "start",
            "run_id": self.id,
            "prompt": json.dumps({"runwire_script": steps}),
            "on_disconnect": self.random.choice(["grace", "continue"]),
        }
        self.cancels = self.random.random() < 0.2
        self.readers = [Reader(), Reader()]
        self.there = asyncio.Event()

    async def play(self) -> None:
        """See the run to its end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.until_done(self.first))
            group.create_task(self.until_done(self.second))
            if self.cancels:
                group.create_task(self.until_done(self.cancel))

    async def until_done(self, attempt: Callable[[Node], Awaitable[bool]]) -> None:
        """Try on one node after another."""
        while True:
            try:
                async with asyncio.timeout(patience(10)):
                    if await attempt(self.random.choice(self.cluster.nodes)):
                        return
            except LOST:
                pass
            await asyncio.sleep(self.random.uniform(0, 0.3))

    async def first(self, node: Node) -> bool:
        """Start the run, or come back to it, by WebSocket."""
        reader = self.readers[0]
        if not self.there.is_set():
            return await self.follow(node, reader, self.start)
        return await self.follow(node, reader, self.resume(reader))

    async def second(self, node: Node) -> bool:
        """Read the run by WebSocket or as a stream."""
        await self.there.wait()
        reader = self.readers[1]
        if self.random.random() < 0.5:
            return await self.stream(node, reader)
        return await self.follow(node, reader, self.resume(reader))

    def resume(self, reader: Reader) -> Message:
        return {"type": "resume", "run_id": self.id, "after": reader.cursor}

    async def follow(self, node: Node, reader: Reader, opening: Message) -> bool:
        patience = self.patience()
        async with connect(node.url.replace("http", "ws") + "/ws/generate", close_timeout=0.5) as socket:
            await socket.send(json.dumps(opening))
            while True:
                message = json.loads(await socket.recv())
                if "seq" in message:
                    if reader.take(message):
                        return True
                    patience -= 1
                    if not patience:
                        if self.random.random() < 0.5:
                            socket.transport.abort()
                        return False
                elif message["type"] in {"started", "resumed"}:
                    self.there.set()
                elif message["type"] == "error":
                    assert message["code"] in {"unavailable", "busy"}, message
                    return False

    async def stream(self, node: Node, reader: Reader) -> bool:
        host, port = node.url.removeprefix("http://").split(":")
        patience = self.patience()
        incoming, outgoing = await asyncio.open_connection(host, int(port))
        try:
            path = f"/v1/runs/{self.id}/events?after={reader.cursor}"
            outgoing.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            status = (await incoming.readline()).split()
            if status[1:2] != [b"200"]:
                assert status[1:2] in ([], [b"503"], [b"429"]), status
                return False
            while line := await incoming.readline():
                if line.startswith(b"data: "):
                    message = json.loads(line[6:])
                    if "seq" in message and reader.take(message):
                        return True
                    patience -= 1
                    if not patience:
                        return False
            return False
        finally:
            outgoing.close()

    def patience(self) -> int:
        """After how many messages a reader drops off."""
        return self.random.choice([1, 5, 20, 1000, 1000, 1000])

    async def cancel(self, node: Node) -> bool:
        await self.there.wait()
        await asyncio.sleep(self.random.uniform(0, 1))
        async with connect(node.url.replace("http", "ws") + "/ws/generate", close_timeout=0.5) as socket:
            await socket.send(json.dumps({"type": "cancel", "run_id": self.id}))
            await socket.send(json.dumps({"type": "heartbeat", "id": "after"}))
            while json.loads(await socket.recv()).get("re") != "after":
                pass
        return True

    def judge(self) -> str:
        """Hold what both readers saw against the script; return how the run ended."""
        one, two = self.readers
        assert len(one.terminals) == len(two.terminals) == 1
        assert (one.cursor, one.text, one.terminals) == (two.cursor, two.text, two.terminals)
        end = one.terminals[0]
        assert self.expected.startswith(one.text)
        if end["type"] == "error":
            assert end["code"] == "worker_lost"
            return "worker_lost"
        if end["status"] == "completed":
            assert one.text == self.expected
        elif end["reason"] == "user":
            assert self.cancels
        return f"{end['status']} {end.get('reason', '')}".strip()


class Killer:
    """Kills nodes but the first, one at a time and each while runs are under way, and starts them again.

    How many runs have ended says when, and no run begins that a kill has to come before, however slow the machine is.
    """

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self._ended = 0
        self._moved = asyncio.Event()
        self.kills = [asyncio.Event() for _ in range(KILLS)]

    async def turn_of(self, number: int) -> None:
        """Wait until the run of this number may begin."""
        for kill in self.kills[: number // BETWEEN]:
            await kill.wait()

    def ended(self) -> None:
        """Note that a run has ended."""
        self._ended += 1
        self._moved.set()

    async def work(self) -> None:
        """Do all kills."""
        for number, kill in enumerate(self.kills, start=1):
            while self._ended < number * BETWEEN - UNDER_WAY:
                await self._moved.wait()
                self._moved.clear()
            node = self._chance.choice(self._cluster.nodes[1:])
            node.process.kill()
            kill.set()
            await asyncio.to_thread(node.end)
            await asyncio.to_thread(node.start)


def memory(node: Node) -> int:
    """Return the bytes that a node's process has in memory."""
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(node: Node) -> int:
    """Return how many files and sockets a node's process has open."""
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def gauges(node: Node) -> dict[str, float]:
    """Return what a node has open, as its metrics say."""
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=patience(20)) as response:
        lines = response.read().decode().splitlines()
    told = [
        line.rsplit(" ", 1)
        for line in lines
        if line.startswith(("runwire_connections", "runwire_runs_active"))
    ]
    return {name: float(value) for name, value in told}


def kept_for_ever(cluster: Cluster) -> list[str]:
    """Return the keys that do not expire."""
    script = (
        "local kept = {} "
        "for _, name in ipairs(redis.call('KEYS', '*')) do "
        "  if redis.call('PTTL', name) < 0 then table.insert(kept, name) end "
        "end "
        "return kept"
    )
    return sorted(cluster.redis.command("EVAL", script, "0").split("\n"))


async def test_every_run_ends_once_for_every_reader_whatever_dies(tmp_path: Path) -> None:
    seed = int(os.environ.get("RUNWIRE_CHAOS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RUNWIRE_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    limits: dict[str, Any] = {
        "connections_per_principal": 500,
        "runs_per_principal": 500,
        "detach_grace_s": 3,
        "run_s": 60,
    }
    cluster = Cluster(tmp_path, 3, **limits)
    try:
        await plays([Run(cluster, chance.getrandbits(32)) for _ in range(10)])
        survivor = cluster.nodes[0]
        await within(20, lambda: set(gauges(survivor).values()) == {0})
        before, files = memory(survivor), open_files(survivor)
        runs, killer = [Run(cluster, chance.getrandbits(32)) for _ in range(RUNS)], Killer(cluster, chance)
        async with asyncio.TaskGroup() as group:
            group.create_task(killer.work())
            group.create_task(plays(runs, killer))

        ends = Counter(run.judge() for run in runs)
        print(dict(ends))
        assert all(kill.is_set() for kill in killer.kills)
        assert ends.total() == RUNS
        for node in cluster.nodes:
            await within(20, lambda node=node: set(gauges(node).values()) == {0})
        await within(20, lambda: len(kept_for_ever(cluster)) == 1)
        assert kept_for_ever(cluster) == ["runwire:nodes"]
        await within(20, lambda: cluster.redis.command("ZCARD", "runwire:nodes") == "3")
        await within(20, lambda: open_files(survivor) <= files + 2)
        assert memory(survivor) - before < GROWTH
    finally:
        cluster.end()


async def plays(runs: list[Run], killer: Killer | None = None) -> None:
    """Play runs, so many at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, run: Run) -> None:
        if killer is not None:
            await killer.turn_of(number)
        async with slots, asyncio.timeout(patience(60)):
            await run.play()
        if killer is not None:
            killer.ended()

    await asyncio.gather(*(one(number, run) for number, run in enumerate(runs)))
