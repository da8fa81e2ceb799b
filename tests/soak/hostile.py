"""Clients that mean harm: each does its worst on a connection of its own and goes, and the node is there afterwards."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from websockets.frames import Frame, Opcode

from tests.support.patience import patience

#: How many bytes of answers a hostile client reads before it has had enough.
ENOUGH = 200_000

Attack = Callable[["Line"], Awaitable[None]]


class Line:
    """A TCP connection to a node."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: str, chance: random.Random
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.place = place
        self.chance = chance

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def upgrade(self) -> None:
        """Make it a WebSocket connection."""
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        head = f"GET /ws/generate HTTP/1.1\r\nHost: {self.place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        await self.send(f"{head}{key}\r\n\r\n".encode())
        await self.reader.readuntil(b"\r\n\r\n")

    async def text(self, text: str) -> None:
        """Send a text message."""
        await self.send(frame(Opcode.TEXT, text.encode()))

    async def answers(self, seconds: float = 1.0) -> None:
        """Read what comes, until it ends, there is enough of it, or nothing comes for a moment."""
        left = ENOUGH
        with suppress(TimeoutError):
            while left > 0:
                async with asyncio.timeout(seconds):
                    data = await self.reader.read(65536)
                if not data:
                    return
                left -= len(data)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    return Frame(opcode, data, fin=fin).serialize(mask=True, extensions=[])


async def noise(line: Line) -> None:
    """Send bytes of no protocol."""
    await line.send(line.chance.randbytes(3000))


async def half_a_request(line: Line) -> None:
    """Send half of a request and go on only much later, or never."""
    await line.send(f"POST /v1/runs HTTP/1.1\r\nHost: {line.place}\r\nContent-Length: 100\r\n".encode())
    await asyncio.sleep(line.chance.uniform(0, 3))


async def many_headers(line: Line) -> None:
    """Send a header without end."""
    with suppress(OSError):
        await line.send(f"GET / HTTP/1.1\r\nHost: {line.place}\r\n".encode() + b"X-A: b\r\n" * 20_000)


async def noise_in_frames(line: Line) -> None:
    """Send bytes that are no frames."""
    await line.upgrade()
    await line.send(line.chance.randbytes(500))


async def unclosed_quotes(line: Line) -> None:
    """Send a text whose quotes never close."""
    await line.upgrade()
    await line.text('{"type":"start","prompt":[[[[[[[[[ ' + '\\"' * 30_000)


async def deep(line: Line) -> None:
    """Send arrays within arrays."""
    await line.upgrade()
    await line.text('{"prompt":"x","inputs":{"a":' + "[" * 30_000 + "]" * 30_000 + "}}")


async def wide(line: Line) -> None:
    """Send an object of many members."""
    await line.upgrade()
    await line.text(
        json.dumps({"prompt": "x", "run_id": "short", "inputs": {f"m{n}": n for n in range(20_000)}})
    )


async def too_large(line: Line) -> None:
    """Send a message that is larger than any may be."""
    await line.upgrade()
    await line.text("x" * 1_200_000)


async def pings(line: Line) -> None:
    """Send Pings as fast as they go."""
    await line.upgrade()
    await line.send(frame(Opcode.PING) * line.chance.choice([1000, 10_000]))


async def fragments(line: Line) -> None:
    """Send a message of empty fragments that has no end."""
    await line.upgrade()
    await line.send(frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.CONT, fin=False) * 8000)


async def heartbeats(line: Line) -> None:
    """Ask for answers as fast as it goes."""
    await line.upgrade()
    await line.send(frame(Opcode.TEXT, b'{"type":"heartbeat","id":"x"}') * 5000)


async def no_utf8(line: Line) -> None:
    """Send what is no text."""
    await line.upgrade()
    await line.send(frame(Opcode.TEXT, b'{"prompt":"\xff\xfe"}'))


async def starts_that_leave(line: Line) -> None:
    """Start runs and cut the line before anything was answered."""
    await line.upgrade()
    steps = [{"token": "x" * 1000}, {"wait_ms": 200}]
    for _ in range(3):
        prompt = json.dumps({"runwire_script": [{"repeat": 100, "steps": steps}]})
        await line.text(json.dumps({"type": "start", "prompt": prompt, "run_id": os.urandom(17).hex()}))
    line.writer.transport.abort()


ATTACKS: tuple[Attack, ...] = (
    noise,
    half_a_request,
    many_headers,
    noise_in_frames,
    unclosed_quotes,
    deep,
    wide,
    too_large,
    pings,
    fragments,
    heartbeats,
    no_utf8,
    starts_that_leave,
)


@asynccontextmanager
async def line_to(url: str, chance: random.Random) -> AsyncIterator[Line]:
    """Open a connection to a node; raises OSError."""
    place = url.removeprefix("http://")
    host, port = place.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(reader, writer, place, chance)
    finally:
        writer.close()


async def attack(url: str, chance: random.Random) -> str:
    """Do one of ATTACKS; return its name. How the server ends the connection is its own choice here."""
    chosen = chance.choice(ATTACKS)
    with suppress(OSError, EOFError, asyncio.IncompleteReadError):
        async with asyncio.timeout(patience(20)), line_to(url, chance) as line:
            await chosen(line)
            await line.answers()
    return chosen.__name__
