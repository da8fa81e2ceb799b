"""Relays that stand before a good server and spoil it as a whole: they reset, flood, or never close."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.proof.flaws.frames import BadFrameError, Frame, FrameReader, Opcode, text_frame

#: What a flood writes at once, in messages.
WAVE = 200


class Relay:
    """Forwards every connection to `upstream`, unspoiled. Each kind of relay spoils what passes, or the end."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._place = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve inside the context on a free port, whose URL it gives; break off what is open in the end."""
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._place)
        carried = Carried(reader, writer, up_reader, up_writer)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self.up(carried))
                ways.create_task(self.down(carried))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            up_writer.close()

    async def up(self, carried: Carried) -> None:
        """Carry what the judge says."""
        while data := await carried.reader.read(65536):
            carried.up_writer.write(data)
            await carried.up_writer.drain()
        carried.up_writer.close()

    async def down(self, carried: Carried) -> None:
        """Carry what the server says."""
        while data := await carried.up_reader.read(65536):
            carried.writer.write(data)
            await carried.writer.drain()
        carried.writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break off a connection with a RST."""
    handle: socket.socket = writer.get_extra_info("socket")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Carried:
    """One connection through a relay."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self.reader, self.writer = reader, writer
        self.up_reader, self.up_writer = up_reader, up_writer
        self.is_websocket = asyncio.get_running_loop().create_future()

    def send_up(self, data: bytes) -> None:
        """Say something to the server if it is still there."""
        if not self.up_writer.is_closing():
            self.up_writer.write(data)

    def reset(self) -> None:
        """Break off towards the judge with a RST."""
        reset(self.writer)

    async def frames(self) -> AsyncIterator[tuple[Frame, bytes]]:
        """Pass on the head of the server's response; if it opened a WebSocket yield its frames, else pass on all."""
        head = await self.up_reader.readuntil(b"\r\n\r\n")
        self.writer.write(head)
        self.is_websocket.set_result(head.startswith(b"HTTP/1.1 101"))
        if self.is_websocket.result():
            reader = FrameReader(False, bytearray())
            while data := await self.up_reader.read(65536):
                for frame, raw in reader.frames(data):
                    yield frame, raw
        else:
            while data := await self.up_reader.read(65536):
                self.writer.write(data)
                await self.writer.drain()


class RandomResets(Relay):
    """One connection in four is reset at a random byte of what the server says."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._chance = random.Random(7)

    async def down(self, carried: Carried) -> None:
        left = self._chance.randrange(1500) if self._chance.random() < 0.25 else None
        while data := await carried.up_reader.read(65536):
            if left is not None and len(data) >= left:
                carried.writer.write(data[:left])
                await asyncio.sleep(0)
                carried.reset()
                raise ConnectionResetError
            left = None if left is None else left - len(data)
            carried.writer.write(data)
            await carried.writer.drain()
        carried.writer.close()


class FloodsNotices(Relay):
    """After `ready` notices come without end, as fast as they are taken."""

    wave = b"".join(
        text_frame(json.dumps({"type": "notice", "code": "vendor:tip", "data": f"tip {number}"})).encode()
        for number in range(WAVE)
    )

    async def down(self, carried: Carried) -> None:
        flood: asyncio.Task[None] | None = None
        try:
            async for _, raw in carried.frames():
                carried.writer.write(raw)
                flood = flood or asyncio.create_task(self._flood(carried))
        finally:
            if flood:
                flood.cancel()
        carried.writer.close()

    async def _flood(self, carried: Carried) -> None:
        while not carried.writer.is_closing():
            carried.writer.write(self.wave)
            await carried.writer.drain()
            await asyncio.sleep(0)


class FloodsTokens(Relay):
    """Each run goes on for ever: instead of its own events come tokens, as fast as they are taken."""

    async def down(self, carried: Carried) -> None:
        floods: dict[str, asyncio.Task[None]] = {}
        try:
            async for frame, raw in carried.frames():
                message = json.loads(frame.payload) if frame.opcode == Opcode.TEXT else {}
                run_id = message.get("run_id")
                if run_id not in floods or "seq" not in message:
                    carried.writer.write(raw)
                if message.get("type") == "started" and run_id not in floods:
                    floods[run_id] = asyncio.create_task(self._flood(carried, run_id))
        finally:
            for flood in floods.values():
                flood.cancel()
        carried.writer.close()

    async def _flood(self, carried: Carried, run_id: str) -> None:
        seq = 0
        while not carried.writer.is_closing():
            carried.writer.write(b"".join(tokens(run_id, range(seq + 1, seq + WAVE + 1))))
            seq += WAVE
            await carried.writer.drain()
            await asyncio.sleep(0)


def tokens(run_id: str, numbers: Iterable[int]) -> Iterable[bytes]:
    """Yield tokens of a run as frames."""
    for seq in numbers:
        event = {"type": "token", "run_id": run_id, "seq": seq, "data": "on and on "}
        yield text_frame(json.dumps(event)).encode()


class NeverCloses(Relay):
    """No connection is ever closed: no Close frame passes either way, and heartbeats go on when the server has left."""

    async def up(self, carried: Carried) -> None:
        frames = FrameReader(True, bytearray())
        while data := await carried.reader.read(65536):
            if not carried.is_websocket.done() or not carried.is_websocket.result():
                carried.send_up(data)
                continue
            try:
                for frame, raw in frames.frames(data):
                    if frame.opcode != Opcode.CLOSE:
                        carried.send_up(raw)
            except BadFrameError:
                carried.send_up(bytes(frames.pending))
                frames = FrameReader(True, bytearray())
        carried.up_writer.close()

    async def down(self, carried: Carried) -> None:
        async for frame, raw in carried.frames():
            if frame.opcode != Opcode.CLOSE:
                carried.writer.write(raw)
                await carried.writer.drain()
        while carried.is_websocket.result() and not carried.reader.at_eof():
            carried.writer.write(text_frame(json.dumps({"type": "heartbeat"})).encode())
            await asyncio.sleep(1)
