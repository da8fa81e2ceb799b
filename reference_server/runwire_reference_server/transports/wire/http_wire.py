"""HTTP layer of uvicorn, with parsing by h11 and bounds on data waiting for slow readers ([FLOW-2])."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runwire_reference_server.observability import descriptors

#: Bytes the kernel may hold for one reader; without a bound a Ping would wait behind megabytes.
KERNEL_BUFFER_BYTES = 128 * 1024

#: Bytes that are parsed in one turn of the event loop: others get their turn between.
SLICE_BYTES = 8192

#: Seconds within which the head of a request is there, from the beginning of its connection or its first byte, and
#: within which its body is: a megabyte takes a minute at 140 kbit/s.
HEAD_S = 15.0
BODY_S = 60.0

#: Seconds for which a server that is behind listens once more: the rest may stand in what it has not read.
ONCE_MORE_S = 1.0

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
        self.on_room: Callable[[], None] = nobody
        self._written = 0
        self._unread = bytearray()
        self._planned = False
        self._awaited: object = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound what waits in the kernel, and for how long a request is awaited."""
        super().connection_made(transport)
        self._await_rest()
        descriptors.watch(transport)
        bound_kernel_buffer(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stream that its caller is gone."""
        super().connection_lost(exc)
        self._stop_awaiting()
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
        if (
            self.conn.their_state is h11.MUST_CLOSE
        ):  # after its last request, which is why it is none (RFC 9112, 9.6)
            self._unread.clear()
            self.transport.resume_reading()
            return
        super().data_received(piece)
        self._await_rest()
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

    def _await_rest(self) -> None:
        """Have a request end the connection that does not come to its end ([LIMIT-17])."""
        state = self.conn.their_state
        awaits = state is h11.SEND_BODY or (state is h11.IDLE and self.timeout_keep_alive_task is None)
        if not awaits or self.transport.get_protocol() is not self:
            self._stop_awaiting()
        elif self._awaited is not state:
            self._stop_awaiting()
            self._awaited = state
            seconds = BODY_S if state is h11.SEND_BODY else HEAD_S
            self._deadline = self.loop.call_later(seconds, self._listen_once_more)

    def _listen_once_more(self) -> None:
        self._deadline = self.loop.call_later(ONCE_MORE_S, self.transport.abort)

    def _stop_awaiting(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end; amid a response, which ends with it, nothing can be said of it."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # whatever else it has to say comes too late
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.abort()
        self.on_room()

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


def nobody() -> None:
    """Do nothing: nobody writes."""


def bound_kernel_buffer(transport: asyncio.BaseTransport) -> None:
    """Bound the kernel's share of unsent data."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        if hasattr(socket, "TCP_NOTSENT_LOWAT") and raw.family in {socket.AF_INET, socket.AF_INET6}:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
