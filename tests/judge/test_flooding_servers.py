"""`runwire check` meets servers that send without end or almost nothing: it ends, says what it is, and holds little."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from runwire_spec import registries
from tests.support.patience import patience

pytestmark = pytest.mark.whole

BIN = Path(sys.executable).parent
MIB = 1 << 20

#: The judge with everything imported takes about 80 MB, and holds some messages of a few MB.
MOST_MEMORY = 500 * MIB

LIMITS = {row["limit"]: float(row["default"]) for row in registries()["limits"]}
READY = {
    "type": "ready",
    "protocol": "runwire",
    "version": 1,
    "connection_id": "c",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "limits": {name: int(value) if value == int(value) else value for name, value in LIMITS.items()},
    "features": ["robust"],
}
DISCOVERY = {
    "protocol": "runwire",
    "versions": [1],
    "endpoints": {"websocket": "/ws"},
    "features": ["robust"],
    "limits": READY["limits"],
    "auth": ["none"],
    "server": {"name": "flooding", "version": "1"},
}

Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame of a server."""
    return Frame(opcode, data, fin).serialize(mask=False, extensions=[])


READY_FRAME = frame(Opcode.TEXT, json.dumps(READY).encode())


async def again_and_again(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send the same as long as it is taken."""
    while True:
        writer.write(data)
        await writer.drain()


async def pings(writer: asyncio.StreamWriter) -> None:
    """Send Pings without end."""
    writer.write(READY_FRAME)
    await again_and_again(writer, frame(Opcode.PING) * 500)


async def pings_at_once(writer: asyncio.StreamWriter) -> None:
    """Send Pings without end and nothing before them."""
    await again_and_again(writer, frame(Opcode.PING, b"x" * 100) * 500)


async def fragments(writer: asyncio.StreamWriter) -> None:
    """Send empty fragments of one message without end."""
    writer.write(READY_FRAME + frame(Opcode.TEXT, fin=False))
    await again_and_again(writer, frame(Opcode.CONT, fin=False) * 500)


async def large_messages(writer: asyncio.StreamWriter) -> None:
    """Send messages of 31 MB without end."""
    writer.write(READY_FRAME)
    await again_and_again(
        writer, frame(Opcode.TEXT, b'{"type":"notice","data":"' + b"x" * (31 * MIB) + b'"}')
    )


async def heartbeats(writer: asyncio.StreamWriter) -> None:
    """Send heartbeats without end."""
    writer.write(READY_FRAME)
    await again_and_again(writer, frame(Opcode.TEXT, b'{"type":"heartbeat"}') * 500)


async def drops(writer: asyncio.StreamWriter) -> None:
    """Send a byte a second."""
    for byte in READY_FRAME * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


def responded(body: bytes) -> bytes:
    """Return a response."""
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


def memory_of(pid: int) -> int:
    """Return the bytes that a process has in memory; raises OSError when it is over."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def judged(serve: Serve, *, discovery: Serve | None = None) -> tuple[int, str, int]:
    """Judge a server that does this after each handshake; return exit code, output and the judge's most bytes."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):
                await serve_one(reader, writer)
        finally:
            writer.transport.abort()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" not in head.lower():
            if discovery is not None:
                await discovery(writer)
            writer.write(responded(json.dumps(DISCOVERY).encode()))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        protocol = ServerProtocol()
        protocol.receive_data(head)
        request = protocol.events_received()[0]
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join(protocol.data_to_send()))
        await serve(writer)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    judge = await asyncio.create_subprocess_exec(
        BIN / "runwire", "check", url, "--patience=2",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    most = 0

    async def measured() -> None:
        nonlocal most
        while judge.returncode is None:
            with suppress(OSError):
                most = max(most, memory_of(judge.pid))
            await asyncio.sleep(0.05)

    measuring = asyncio.create_task(measured())
    try:
        async with asyncio.timeout(patience(100)):
            output, _ = await judge.communicate()
    finally:
        if judge.returncode is None:
            judge.kill()
        await measuring
        listener.close()
    return judge.returncode or 0, output.decode(), most


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (pings, "FLOW-8"),
        (pings_at_once, "FLOW-8"),
        (fragments, "FLOW-8"),
        (large_messages, "EVENT-20"),
        (heartbeats, "FLOW-8"),
        (drops, "CONN-15"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_flooding_server_is_told_as_what_it_is(serve: Serve, said: str) -> None:
    code, output, most = asyncio.run(judged(serve))

    assert code in {1, 2}, output
    assert said in output and "Traceback" not in output, output[-3000:]
    assert most < MOST_MEMORY, most >> 20


def test_a_discovery_that_drips_is_told() -> None:
    code, output, most = asyncio.run(judged(drops, discovery=drops))

    assert code == 2, output
    assert "Traceback" not in output, output[-3000:]
    assert most < MOST_MEMORY, most >> 20
