"""What an event costs: this server beside a bare ASGI loop on the same uvicorn. Prints ratios; asserts nothing.

    python tests/bench_events.py [EVENTS]

Both send the same texts to one reader, one event at a time; what is compared is the CPU time of the server's process,
which other work on the machine disturbs less than the clock on the wall. The parts are played in turns, and the median
counts.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auth_stand import Stand
from check_reference_server import command, listening
from patience import patience
from websockets.exceptions import ConnectionClosed

ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")

#: The least that a server can do: the same bytes, from a loop, on the same layer.
BARE = """
import asyncio, socket, sys, uvicorn

async def app(scope, receive, send):
    event = {events}
    await receive()
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        await send({{"type": "websocket.send", "text": '{{"type":"ready"}}'}})
        await receive()
        for seq in range({count}):
            await send({{"type": "websocket.send", "text": event % seq}})
            await asyncio.sleep(0)
        await send({{"type": "websocket.send", "text": '{{"type":"done"}}'}})
        await send({{"type": "websocket.close", "code": 1000}})

bound = socket.socket()
bound.bind(("127.0.0.1", 0))
print(f"listening at http://127.0.0.1:{{bound.getsockname()[1]}}", flush=True)
config = uvicorn.Config(app, ws="websockets-sansio", ws_per_message_deflate=False, log_level="error", lifespan="off")
uvicorn.Server(config).run(sockets=[bound])
"""
EVENT = json.dumps(
    {"type": "token", "data": "some words", "run_id": "r" * 22, "seq": 0, "ts": "2026-01-01T00:00:00.000Z"}
).replace('"seq": 0', '"seq": %d')


@contextmanager
def process(call: list[str]) -> Iterator[tuple[Stand, int]]:
    """Run a server; yields how to reach it, and its process id."""
    server = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    try:
        yield Stand(listening(server), Path(os.devnull)), server.pid
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def over_websocket(stand: Stand, pid: int, prompt: str) -> float:
    """Play a run for a WebSocket reader; return the CPU time it took."""
    before = cpu_s(pid)
    with stand.connection(max_size=None, compression=None) as socket:
        socket.send(json.dumps({"prompt": prompt}))
        try:
            while '"type":"done"' not in str(socket.recv(timeout=patience(60))):
                pass
        except ConnectionClosed:
            pass
    return cpu_s(pid) - before


def over_sse(stand: Stand, pid: int, prompt: str) -> float:
    """Play a run for a reader of server-sent events; return the CPU time it took."""
    before = cpu_s(pid)
    stand.ask("POST", "/v1/runs", ("Accept", "text/event-stream"), body=json.dumps({"prompt": prompt}))
    return cpu_s(pid) - before


def main() -> None:
    """Measure, and print microseconds for an event and ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    # A pause of nothing after each event lets the reader run, so that every event is sent by itself.
    steps = [{"repeat": count, "steps": [{"token": "some words"}, {"wait_ms": 0}]}]
    prompt = json.dumps({"runwire_script": steps})
    bare = [sys.executable, "-c", BARE.format(events=repr(EVENT), count=count)]
    found: dict[str, list[float]] = {
        "bare ASGI loop": [],
        "this server, WebSocket": [],
        "this server, SSE": [],
    }
    limits = {"log_bytes": 64_000_000, "run_s": 120}
    with process(bare) as (loop, loop_pid), process(command(**limits)) as (server, server_pid):
        for _ in range(ROUNDS):
            found["bare ASGI loop"].append(over_websocket(loop, loop_pid, prompt))
            found["this server, WebSocket"].append(over_websocket(server, server_pid, prompt))
            found["this server, SSE"].append(over_sse(server, server_pid, prompt))
    least = statistics.median(found["bare ASGI loop"])
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        print(
            f"{name:24} {middle / count * 1e6:6.1f} µs an event   {middle / least:4.1f} times the bare loop"
        )


if __name__ == "__main__":
    main()
