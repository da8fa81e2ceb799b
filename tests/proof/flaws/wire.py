"""One TCP socket whose unread and unsent bytes are bounded, so that back-pressure passes through."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import cast

from tests.support.patience import patience

UNREAD_BYTES = 64 * 1024
UNSENT_BYTES = 16 * 1024
KERNEL_BYTES = 64 * 1024


class Wire(asyncio.Protocol):
    """A socket as a pair of byte streams.

    Unlike `asyncio.StreamReader` it gives out what arrived before a reset, and it knows for how long the
    peer has taken nothing.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ended = False
        """The peer will send nothing more."""
        self.was_reset = False
        """The connection broke with an error rather than with a FIN."""
        self.lost = False
        self.finished = False
        """This side has sent its last byte."""
        self.bytes_written = 0
        self.cut: Callable[[bytes], Sequence[bytes]] = lambda data: (data,)
        """How data is divided into the segments that travel."""
        self._blocked_since: float | None = None
        self._readable = asyncio.Event()
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES)
        handle = self._transport.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > UNREAD_BYTES:
            self._transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._readable.set()
        self._gone.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.lost = True
        self.was_reset = self.was_reset or exc is not None
        self._readable.set()
        self._writable.set()
        self._gone.set()

    def pause_writing(self) -> None:
        self._blocked_since = time.monotonic()
        self._writable.clear()

    def resume_writing(self) -> None:
        self._blocked_since = None
        self._writable.set()

    @property
    def blocked_for(self) -> float:
        """Seconds since the buffer towards the peer filled up, 0 while there is room."""
        return 0.0 if self._blocked_since is None else time.monotonic() - self._blocked_since

    async def stuck_for(self, seconds: float) -> None:
        """Wait until the peer has taken nothing for `seconds` while bytes wait for it."""
        while self.blocked_for < seconds:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    @property
    def unsent(self) -> int:
        """Bytes that the peer's socket has not taken yet."""
        return 0 if self.lost else self._transport.get_write_buffer_size()

    async def gone(self) -> None:
        """Wait until the peer has ended its side; unread bytes can hide that."""
        await self._gone.wait()

    async def more(self) -> bool:
        """Wait until bytes arrive; false when none will."""
        size = len(self.buffer)
        while len(self.buffer) == size and not self.ended:
            self._readable.clear()
            if not self.lost:
                self._transport.resume_reading()
            await self._readable.wait()
        return len(self.buffer) > size

    async def read(self) -> bytes:
        """Return what arrived, `b""` at the end."""
        if not self.buffer:
            await self.more()
        return self.take(len(self.buffer))

    def take(self, size: int) -> bytes:
        """Remove and return the first `size` bytes of what arrived."""
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        if not self.lost and len(self.buffer) <= UNREAD_BYTES:
            self._transport.resume_reading()
        return data

    async def read_until(self, separator: bytes, limit: int) -> bytes | None:
        """Return the bytes up to and with `separator`; `None` when it does not come within `limit` bytes."""
        while (index := self.buffer.find(separator)) < 0:
            if len(self.buffer) > limit or not await self.more():
                return None
        return self.take(index + len(separator))

    async def write(self, data: bytes) -> None:
        """Send `data` and wait while the peer's socket is full; a lost peer swallows it."""
        if self.lost or self.finished or not data:
            return
        for piece in self.cut(data):
            if self._transport.is_closing():
                return
            self._transport.write(piece)
            self.bytes_written += len(piece)
            await self._writable.wait()
            if piece is not data:
                await asyncio.sleep(0)

    def finish(self) -> None:
        """Send a FIN after what was written."""
        if not self.lost and not self.finished and not self._transport.is_closing():
            self.finished = True
            try:
                self._transport.write_eof()
            except OSError:
                self._transport.abort()

    async def linger(self) -> None:
        """End this side and read on for a moment: unread bytes would turn the end into a reset."""
        self.finish()
        try:
            async with asyncio.timeout(patience(1)):
                while not self.ended and await self.read():
                    pass
        except TimeoutError:
            pass

    def close(self) -> None:
        """Close both directions after what was written."""
        if not self.lost:
            self._transport.close()

    def abort(self) -> None:
        """Close both directions and forget what was not sent."""
        if not self.lost:
            self._transport.abort()

    def reset(self) -> None:
        """Break the connection off with a RST."""
        if not self.lost:
            handle = self._transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


async def connect(host: str, port: int) -> Wire:
    """Open a connection to the server behind the proxy, with a small receive buffer.

    Raises OSError when nobody listens.
    """
    handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(handle, (host, port))
    except OSError:
        handle.close()
        raise
    _, wire = await loop.create_connection(Wire, sock=handle)
    return wire
