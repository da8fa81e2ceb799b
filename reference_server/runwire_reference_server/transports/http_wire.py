"""uvicorn's HTTP layer, with a bound on what waits for a caller who takes it slowly ([FLOW-2])."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from runwire_reference_server.observability import descriptors

#: Bytes the kernel may hold for one reader; without a bound a Ping would wait behind megabytes.
KERNEL_BUFFER_BYTES = 128 * 1024

#: Bytes that are parsed in one turn of the event loop: others get their turn between.
SLICE_BYTES = 8192

#: How much of that may be unsent; where the kernel knows this bound, it asks for more as soon as a little was taken,
#: and not only when a third is free: a reader that takes little is then seen to take it.
UNSENT_BYTES = 16 * 1024


class HttpProtocol(H11Protocol):
    """One connection that speaks HTTP, until it is upgraded; streams find it in their scope's state as `wire`.

    A stream writes its body here: `room` tells whether it may, and `on_room` is called when it may again, or when the
    caller is gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "wire": self}
        self.on_room: Callable[[], None] = _nobody
        self._written = 0
        self._unread = bytearray()
        self._planned = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound what waits in the kernel."""
        super().connection_made(transport)
        descriptors.watch(transport)
        bound_kernel_buffer(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stream that its caller is gone."""
        super().connection_lost(exc)
        self.on_room()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser in slices: a body of very small chunks leaves others their turn ([LIMIT-17])."""
        self._unread += data
        if not self._planned:
            self._parse_slice()

    def _parse_slice(self) -> None:
        self._planned = False
        piece = bytes(self._unread[:SLICE_BYTES])
        del self._unread[:SLICE_BYTES]
        super().data_received(piece)
        if self.transport.is_closing():
            self._unread.clear()
        elif (successor := self.transport.get_protocol()) is not self:  # it was upgraded
            self.app_state = {}  # which names this protocol: nobody else does any more
            if self._unread:
                cast(asyncio.Protocol, successor).data_received(bytes(self._unread))
        elif self._unread:
            self._planned = True
            self.transport.pause_reading()
            self.loop.call_soon(self._parse_slice)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def resume_writing(self) -> None:
        """Let the stream go on."""
        super().resume_writing()
        self.on_room()

    @property
    def lost(self) -> bool:
        """Whether the caller is gone."""
        return self.transport.is_closing()

    @property
    def room(self) -> bool:
        """Whether the caller takes what is written."""
        return not self.flow.write_paused and not self.transport.is_closing()

    @property
    def waiting(self) -> int:
        """Bytes that the caller has not taken."""
        return self.transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes of streams that the caller has taken."""
        return self._written - self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write a part of the body of the response that was begun."""
        self._written += len(data)
        self.transport.write(data)

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()


def _nobody() -> None:
    """Nobody writes."""


def bound_kernel_buffer(transport: asyncio.BaseTransport) -> None:
    """Bound the kernel's share of unsent data."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        if hasattr(socket, "TCP_NOTSENT_LOWAT") and raw.family in {socket.AF_INET, socket.AF_INET6}:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
