"""What uvicorn's WebSocket leaves to its user: Pings that are reckoned fairly, slow readers, and orderly ends."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from .limits import Limits

#: How many frames a client may send at once, and in a second more [LIMIT-14]; how many beyond that end the connection.
FRAMES_AT_ONCE, FRAMES_PER_S, FRAMES_TOO_MANY = 2000.0, 200.0, 1000.0

THROTTLED = {"type": "error", "code": "rate_limited", "data": "too many frames", "retryable": True}


class CountingTransport:
    """A transport that knows how many bytes the peer's socket has taken."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._given = 0

    def write(self, data: bytes) -> None:
        """Write, and count."""
        self._given += len(data)
        self._transport.write(data)

    @property
    def waiting(self) -> int:
        """Bytes that were given and not taken."""
        return self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes that the socket took."""
        return self._given - self.waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the keep-alive of chapter 8; the application finds it in its scope as `wire`."""

    limits = Limits()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.app_state = {**self.app_state, "wire": self}
        self._ticker: asyncio.TimerHandle | None = None
        self._discarding = False
        self.arrived_at = 0.0
        self._frames_left, self._counted_at = FRAMES_AT_ONCE, self.loop.time()
        self._is_told = False
        self._take, self.conn.recv_frame = self.conn.recv_frame, self._count  # type: ignore[method-assign]

    def _count(self, frame: Frame) -> None:
        """Take a frame, unless there were too many [LIMIT-15]: then tell the client, and at last send it away."""
        now = self.loop.time()
        gained = (now - self._counted_at) * FRAMES_PER_S
        self._frames_left, self._counted_at = min(FRAMES_AT_ONCE, self._frames_left + gained) - 1, now
        if self._frames_left < -FRAMES_TOO_MANY:
            self.conn.fail(4429, "too many frames")
            return
        if self._frames_left < 0 and not self._is_told:
            self._is_told = True
            self.conn.send_text(json.dumps(THROTTLED).encode())
        self._take(frame)

    def data_received(self, data: bytes) -> None:
        """Act on what came, and end the connection when it was too much."""
        super().data_received(data)
        if self.conn.reader.buffer:  # a frame that is not whole
            self.arrived_at = time.monotonic()
        if self._frames_left < -FRAMES_TOO_MANY:
            self.handle_parser_exception()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count what is written."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(CountingTransport(transport))  # type: ignore[arg-type]

    @property
    def closed_by_server(self) -> bool:
        """Whether the server decided on the close: it sent its Close frame before it had the peer's."""
        return self.conn.close_sent is not None and not self.conn.close_rcvd_then_sent

    def handle_connect(self, event: Any) -> None:
        """Refuse a malformed handshake with a problem body [AUTH-3]."""
        response = self.conn.accept(event)
        if response.status_code == 101:
            super().handle_connect(event)
            return
        code = "unsupported" if response.status_code == HTTPStatus.UPGRADE_REQUIRED else "bad_request"
        title = HTTPStatus(response.status_code).phrase
        problem = {"title": title, "status": response.status_code, "code": code, "retryable": False}
        response = self.conn.reject(response.status_code, json.dumps(problem))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/problem+json"
        self.handshake_complete = self.close_sent = True
        self.conn.send_response(response)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def start_keepalive(self) -> None:
        """Begin to look after the peer."""
        now = self.loop.time()
        self._ping_at = self._progress_at = now
        self._asked_at: float | None = None
        self._taken = self._unread = 0
        self._tick()

    def stop_keepalive(self) -> None:
        """Stop looking after the peer."""
        if self._ticker:
            self._ticker.cancel()
            self._ticker = None

    def handle_pong(self, event: Frame) -> None:  # noqa: ARG002
        """Any Pong says that the peer is there."""
        self._asked_at = None

    def _tick(self) -> None:
        """Send Pings [BEAT-6], and drop a peer that answers none [BEAT-7] or takes nothing [FLOW-5]."""
        transport: Any = self.transport
        now, patience = self.loop.time(), self.limits.pong_timeout_s
        if transport.taken > self._taken or not transport.waiting:
            if transport.waiting and self._asked_at is not None:
                self._asked_at = now
            self._taken, self._progress_at = transport.taken, now
        # A frame that is still arriving leaves no room for a Pong [BEAT-12].
        unread, self._unread = self._unread, len(self.conn.reader.buffer)
        if self._unread > unread and self._asked_at is not None:
            self._asked_at = now
        if now - self._progress_at > patience:
            self.conn.fail(4001, "takes no byte")
            self._drop()
            return
        if self._asked_at is not None and now - self._asked_at > patience:
            self.conn.fail(1011, "no Pong")
            self._drop()
            return
        if now - self._ping_at >= 0.7 * self.limits.heartbeat_s and not self.close_sent:
            self.conn.send_ping(b"")
            transport.write(b"".join(self.conn.data_to_send()))
            self._ping_at = now
            if self._asked_at is None:
                self._asked_at = now
        self._ticker = self.loop.call_later(min(self.limits.heartbeat_s, patience) / 10, self._tick)

    def _drop(self) -> None:
        """End the connection, with a Close frame if the socket still takes it."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(0.2, self.transport.abort)

    def shutdown(self) -> None:
        """End with the process; a connection that is closing already is cut off."""
        if self.conn.state in {State.CLOSING, State.CLOSED}:
            self.transport.abort()
            return
        super().shutdown()

    def handle_parser_exception(self) -> None:
        """Send the Close frame, then read on for a moment, so that a reset does not overtake it [CLOSE-2]."""
        if self._discarding:
            return
        self._discarding = True
        assert self.conn.close_sent is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(1, self.transport.close)

    def eof_received(self) -> None:
        """Close when the peer has closed its side."""
        self.transport.close()


#: Bytes of a request that are read in one turn of the event loop.
PIECE_BYTES = 8192


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP with short buffers: a stream notices a reader that takes nothing, and others get their turn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread = bytearray()
        self._reading: asyncio.Handle | None = None

    def data_received(self, data: bytes) -> None:
        """Read a piece, and the rest in later turns of the loop [LIMIT-17]."""
        self._unread += data
        if self._reading is None:
            self._read_piece()

    def _read_piece(self) -> None:
        self._reading = None
        piece, self._unread = bytes(self._unread[:PIECE_BYTES]), self._unread[PIECE_BYTES:]
        super().data_received(piece)
        protocol: Any = self.transport.get_protocol()
        if self.transport.is_closing():
            self._unread.clear()
        elif protocol is not self:
            if self._unread:
                protocol.data_received(bytes(self._unread))
        elif self._unread:
            self.transport.pause_reading()
            self._reading = self.loop.call_soon(self._read_piece)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep little unsent."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=16_384)
