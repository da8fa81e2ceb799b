"""The judge before servers that reset, flood, die or never close: it ends in time, bounds its memory, says it once."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from runwire_conformance.runner.phases.liveness import GONE
from tests.proof.flaws.flaw import Stand
from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.stand import start_server
from tests.proof.relays import FloodsNotices, FloodsTokens, NeverCloses, RandomResets, Relay
from tests.support.basic_servers import DONE_S, PATIENCE_S, Serve, port_of
from tests.support.check_reference_server import CHECK_LIMITS
from tests.support.patience import patience

pytestmark = pytest.mark.whole

READY = {
    "type": "ready", "protocol": "runwire", "version": 1, "connection_id": "c-1", "features": [],
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "limits": {"heartbeat_s": 1},
}  # fmt: skip

#: What the judge may hold at most, in bytes: far below what the floods below send.
MOST_MEMORY = 1_000_000_000


async def shaken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a WebSocket handshake, or anything else with 404."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"upgrade: websocket" not in head.lower():
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        raise ConnectionError
    protocol = ServerProtocol(select_subprotocol=lambda _, offered: offered[0] if offered else None)
    protocol.receive_data(head)
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    writer.write(b"".join(protocol.data_to_send()) + framed(json.dumps(READY).encode()))
    await writer.drain()


def framed(data: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """Return a frame as a server sends it."""
    return Frame(opcode, data).serialize(mask=False, extensions=[])


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset every connection after its `ready`."""
    await shaken(reader, writer)
    writer.transport.abort()


async def sends_huge_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send frames of 100 MB."""
    await shaken(reader, writer)
    piece = b"x" * 1_000_000
    while True:
        writer.write(b"\x81\x7f" + (100_000_000).to_bytes(8, "big"))
        for _ in range(100):
            writer.write(piece)
            await writer.drain()


def dies_after(connections: int) -> Callable[[], Serve]:
    """Return a maker of servers that serve so many connections, and reset all others before a word."""

    def made() -> Serve:
        served = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            served += 1
            if served > connections:
                writer.transport.abort()
                return
            await shaken(reader, writer)

        return serve

    return made


SERVERS: dict[str, Callable[[], Serve]] = {
    "resets": lambda: resets,
    "sends huge frames": lambda: sends_huge_frames,
    "dies in mid-suite": dies_after(10),
}


def met(name: str) -> Verdicts:
    """Have the judge meet one of the servers."""

    async def run() -> Verdicts:
        async with port_of(SERVERS[name]()) as port:
            return await judge(f"ws://127.0.0.1:{port}/ws/generate", [f"--patience={PATIENCE_S}"])

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["resets", "sends huge frames"])
def test_the_judge_survives(name: str) -> None:
    verdicts = met(name)

    assert verdicts.exit_code == 1, verdicts.output[-3000:]
    assert "Traceback" not in verdicts.output
    assert "judge error" not in verdicts.by_requirement.values()
    assert verdicts.seconds < DONE_S
    # The largest child so far: the judges are the only large ones.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY


def test_a_death_is_said_once() -> None:
    verdicts = met("dies in mid-suite")

    blame = verdicts.blame("CONN-6")
    assert blame is not None
    assert any("stopped responding" in reason for reason in blame.reasons)
    blocked = [name for name, reasons in verdicts.reasons.items() if GONE in reasons]
    assert len(blocked) > len(verdicts.blames)


#: What is accused of each relay before a good server, and the seconds after which a judge is held to be stuck.
SPOILED: dict[type[Relay], str] = {
    RandomResets: "CLOSE-2",
    FloodsNotices: "FLOW-8",
    FloodsTokens: "RUN-4",
    NeverCloses: "CONN-22",
}
ENDS_S = patience(300)

#: The server behind is quick, but patient with a busy judge: a drop could not be told from the relay's doing.
LIMITS = {**CHECK_LIMITS, "pong_timeout_s": PATIENCE_S}

#: Requirements that may be accused when a server is spoiled as a whole.
MOST_ACCUSED = 3


def held_by_judge(children: Path) -> int:
    """Return the most memory, in bytes, that the judge among the children of a thread held so far."""
    held = 0
    for child in children.read_text().split():
        try:
            is_judge = b"\0check\0" in Path(f"/proc/{child}/cmdline").read_bytes()
            lines = Path(f"/proc/{child}/status").read_text().splitlines() if is_judge else []
        except OSError:
            continue  # it has just ended
        held = max([held, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))])
    return held


async def peak_of(judging: asyncio.Task[Verdicts]) -> int:
    """Return the most memory, in bytes, that the judge held until it ended, as the kernel reckons it."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    peak = 0
    while not judging.done():
        peak = max(peak, held_by_judge(children))
        await asyncio.sleep(0.1)
    return peak


@pytest.mark.parametrize("relay", SPOILED, ids=lambda relay: relay.__name__)
def test_what_ails_the_whole_server_is_said_once(relay: type[Relay]) -> None:
    async def run() -> tuple[Verdicts, int]:
        server = await start_server(Stand(limits=LIMITS))
        try:
            async with relay(server.url).listening() as url:
                judging = asyncio.create_task(judge(url, [f"--patience={PATIENCE_S}"], deadline_s=ENDS_S))
                peak = await peak_of(judging)
                return await judging, peak
        finally:
            await server.stop()

    verdicts, peak = asyncio.run(run())

    assert verdicts.exit_code == 1, verdicts.output[-3000:]
    assert SPOILED[relay] in verdicts.blamed, verdicts.output[-3000:]
    assert len(verdicts.blames) <= MOST_ACCUSED, verdicts.blamed
    assert "Traceback" not in verdicts.output
    assert "judge error" not in verdicts.by_requirement.values()
    assert 0 < peak < MOST_MEMORY
