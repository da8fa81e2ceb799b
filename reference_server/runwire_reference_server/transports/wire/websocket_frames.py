"""WebSocket layer of uvicorn, with the socket behaviour that the protocol adds to RFC 6455.

Pings keep their own clock ([BEAT-6]); a peer is dropped for a missing Pong only while its socket takes nothing
([BEAT-7], [BEAT-8], [FLOW-5]); a close code reaches a peer that is still sending.
"""

import asyncio
import logging
import math
from asyncio.transports import BaseTransport
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.protocol import State

from runwire_reference_server.run_log.events import Entry
from runwire_reference_server.transports.intake import Intake
from runwire_reference_server.transports.wire.http_wire import SLICE_BYTES, bound_kernel_buffer, nobody

#: Seconds a peer has to answer a Close frame before the socket is cut.
CLOSE_TIMEOUT_S = 2.0


#: Hears nothing of requests and frames, which hold credentials and prompts ([AUTH-8]).
_QUIET = logging.getLogger(__name__)
_QUIET.setLevel(logging.WARNING)


class WireProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection at the level of frames and bytes; its scope's state has it as `wire`.

    Frames are written here: `room` tells whether they may be, and `on_room` is called when they may be again, or when
    the peer is gone.
    """

    #: uvicorn's own attributes are as many as a small dictionary holds.
    __slots__ = (
        "_failed", "_heard_out", "_intake", "_planned", "_received", "_received_before", "_socket", "_taken_before",
        "_unread", "_written", "arrived_at", "on_room", "room",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT_S
        self.conn = self._intake = Intake(max_size=self.config.ws_max_size, logger=_QUIET)
        self._intake.takes = self.writable.is_set
        self._intake.warn = self._warn
        self._unread = bytearray()
        self._planned = False
        self.app_state = {**self.app_state, "wire": self}
        self.on_room: Callable[[], None] = nobody
        self.room = True
        self._written = 0
        self._taken_before = 0
        self._heard_out = False
        self._failed = False
        self._received = self._received_before = 0
        #: When bytes of a message that is not whole last came.
        self.arrived_at = -math.inf

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound the kernel's share of unsent data."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits()  # frames are written one by one, and their bytes are counted
        bound_kernel_buffer(self.transport)
        self._socket = self.transport
        self.transport = cast(asyncio.Transport, _CountingTransport(self._socket, self))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever writes that the peer is gone."""
        super().connection_lost(exc)
        self.room = False
        self.on_room()

    def pause_writing(self) -> None:
        """Have nothing more written."""
        super().pause_writing()
        self.room = False

    def resume_writing(self) -> None:
        """Answer a Ping that came while the peer took nothing, and let whoever writes go on."""
        super().resume_writing()
        self._intake.send_pong_that_waits()
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.room = True
        self.on_room()

    @property
    def lost(self) -> bool:
        """Whether nothing written now would reach the peer."""
        return self.close_sent or self._socket.is_closing()

    def write_frames(self, data: bytes) -> None:
        """Write whole frames to a connection that is not lost."""
        self._written += len(data)
        self._socket.write(data)

    def say_close(self, code: int) -> None:
        """Send a Close frame; the socket is cut if the peer does not answer it."""
        if self.lost:
            return
        with suppress(InvalidState):
            self.conn.send_close(code)
        self._say_goodbye(code)

    def shutdown(self) -> None:
        """End with the process; whoever said goodbye, or was told it, and takes nothing is cut off without a word."""
        if self.conn.state in {State.CLOSING, State.CLOSED}:
            self.transport.abort()
            return
        super().shutdown()

    def wrote(self, count: int) -> None:
        """Note that `count` bytes were handed to the transport."""
        self._written += count

    @property
    def _taken(self) -> int:
        return self._written - self.transport.get_write_buffer_size()

    @property
    def _is_amid_a_message(self) -> bool:
        """Whether the peer has begun a frame or a message that has not ended."""
        return bool(self.conn.reader.buffer) or self.conn.current_size is not None

    def schedule_ping(self) -> None:
        """Plan the next Ping a little before it is due."""
        assert self.ping_interval is not None
        delay = max(0.05, self.ping_interval * 0.8 - self.last_ping_rtt)
        self.ping_timer = self.loop.call_later(delay, self.send_keepalive_ping)

    def send_keepalive_ping(self) -> None:
        """Send a Ping and begin to count the time for its Pong."""
        self._taken_before = self._taken
        self._received_before = self._received
        self._heard_out = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """Drop the peer, unless its socket takes what waits in front of the Ping ([BEAT-8]), or it sends ([BEAT-12]).

        A server that is behind with its reading listens once more: the Pong may stand in what it has not read.
        """
        taken, behind = self._taken, self.read_paused and not self._heard_out
        arriving = self._received > self._received_before and self._is_amid_a_message
        taking = self.transport.get_write_buffer_size() and taken > self._taken_before
        if behind or taking or arriving:
            self._taken_before, self._received_before = taken, self._received
            self._heard_out = self._heard_out or behind
            assert self.ping_timeout is not None
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        blocked = bool(self.transport.get_write_buffer_size())
        super().keepalive_timeout()
        self._tell_ended(4001 if blocked else 1011)
        self.loop.call_later(min(self.close_timeout, self.ping_timeout or 1), self.transport.abort)

    def _tell_ended(self, code: int) -> None:
        """Have the application know that it was the server that ended the connection (chapter 7)."""
        event = {"type": "websocket.disconnect", "code": code, "by_server": True}
        self.queue.put_nowait(cast(Any, event))

    def _say_goodbye(self, code: int) -> None:
        """Write the Close frame, and drain what the peer still sends so that it arrives ([MSG-13])."""
        self._tell_ended(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # run_asgi must not close the socket under the Close frame; the timer does, if the peer does not answer.
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the frame parser, in slices; after a frame error they are only drained."""
        self._received += len(data)
        self._unread += data
        if not self.read_paused:
            self._parse_slice()

    def resume_reading(self) -> None:
        """Go on with what was read already, and then with the socket."""
        if not self._unread:
            self._socket.resume_reading()
        elif not self._planned:
            self._planned = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._planned = False
        if not self.read_paused:
            self._parse_slice()

    def _parse_slice(self) -> None:
        piece = bytes(self._unread[:SLICE_BYTES])
        del self._unread[:SLICE_BYTES]
        if piece and not self._failed:
            self._parse(piece)
            if self._is_amid_a_message:
                self.arrived_at = self.loop.time()
        if self._failed or self._socket.is_closing():
            self._unread.clear()
        if self._unread:
            self._socket.pause_reading()
        if not self.read_paused and not self._socket.is_closing():
            self.resume_reading()

    def _warn(self) -> None:
        """Have the application tell the client that it sends too much, before anything more is read ([LIMIT-9])."""
        self.queue.put_nowait(cast(Any, {"type": "websocket.receive", "too_many": True}))
        self.read_paused = True
        self._socket.pause_reading()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self._intake.abused and not self._failed:
            self.handle_parser_exception()
            return
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # Refused before there was a request to look at, such as one with a header that is too long.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_parser_exception(self) -> None:
        """Send the close code of a peer whose frames are wrong, of which no more are looked at."""
        self._failed = True
        assert self.conn.close_sent is not None
        self._say_goodbye(self.conn.close_sent.code)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def send_receive_event_to_app(self) -> None:
        """Check the text before it is queued: bad UTF-8 ends the connection with 1007 and no noise ([MSG-10])."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


def text_frame(data: bytes) -> bytes:
    """Return a whole, unmasked text frame, as servers send them."""
    size = len(data)
    if size < 126:
        return b"\x81%c%b" % (size, data)
    if size < 65_536:
        return b"\x81\x7e%c%c%b" % (size >> 8, size & 0xFF, data)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), data)


def websocket_frames(entries: Sequence[Entry], _epoch: bytes) -> bytes:
    """Return a frame for each entry."""
    if len(entries) == 1:
        return text_frame(entries[0].data)
    return b"".join([text_frame(item.data) for item in entries])


class _CountingTransport:
    """A transport that tells its protocol how many bytes were written, and leaves to it when reading goes on."""

    def __init__(self, transport: asyncio.Transport, protocol: WireProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.wrote(len(data))
        self._transport.write(data)

    def resume_reading(self) -> None:
        self._protocol.resume_reading()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
