"""WebSocket peer that sees every frame and can misbehave on demand (RFC 6455)."""

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass

import h11
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader as FrameReader

from runwire_conformance.client.wire.http import (
    RESPONSE_S,
    Address,
    Headers,
    Response,
    Unanswered,
    open_socket,
)
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.limits import Limits

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_BODY = 64 * 1024

#: Seconds to wait for the body of a refused handshake, which a server may leave open.
BODY_S = 2.0

#: The largest message the judge is willing to hold, whatever is advertised; and the least that it holds.
MAX_MESSAGE, LEAST_MESSAGE = 32 * 1024 * 1024, 4 * 1024 * 1024

#: How many times `max_event_bytes` it holds of one message, so that it can tell by how much one is too large.
TIMES = 16

#: Frames after which others have their turn, as a flood would stop the judge's clock.
TURN = 256

#: Fragments of one message that it reads; one of the default `max_event_bytes` in pieces of four bytes has as many.
MOST_FRAGMENTS = 65_536


def most_message_bytes(limits: Limits) -> int:
    """Return how many bytes of one message are held of a server with these limits."""
    return int(min(MAX_MESSAGE, max(LEAST_MESSAGE, TIMES * limits["max_event_bytes"])))


#: Seconds by which a slow reader may be late, as its machine stalled, and still make it good.
MADE_GOOD_S = 2.0


@dataclass(slots=True)
class Pace:
    """How a reader that is slow but steady takes what there is: bytes at once at the most, and bytes a second.

    What came in smaller pieces, or too late as the judge's own machine stalled, changes nothing of the average.
    """

    most: int
    per_second: float
    _rests_until: float | None = None

    def rest(self, taken: int, moment: float) -> float:
        """Return the seconds to rest for so many bytes that were taken at a moment."""
        began = moment if self._rests_until is None else max(self._rests_until, moment - MADE_GOOD_S)
        self._rests_until = began + taken / self.per_second
        return max(0.0, self._rests_until - moment)


class BadFrame(Exception):
    """The server sent bytes that are no frame of RFC 6455."""


class MessageTooLarge(Exception):
    """More came of one message than the judge holds: the requirement that this breaks, and what it was."""

    def __init__(self, requirement: str, text: str) -> None:
        super().__init__(text)
        self.requirement = requirement


@dataclass(slots=True)
class MessageSize:
    """What has come of the message that is under way: its bytes and its fragments."""

    most_bytes: int = MAX_MESSAGE
    bytes: int = 0
    fragments: int = 0

    def take(self, frame: Frame) -> None:
        """Reckon one frame more; raises MessageTooLarge."""
        if frame.opcode in {Opcode.CLOSE, Opcode.PING, Opcode.PONG}:
            return
        self.bytes += len(frame.data)
        self.fragments += 1
        if self.bytes > self.most_bytes:
            raise self.too_large()
        if self.fragments > MOST_FRAGMENTS:
            raise MessageTooLarge(
                "FLOW-8", f"fragments of one message arrived without end: {self.fragments} of them"
            )
        if frame.fin:
            self.bytes = self.fragments = 0

    def too_large(self) -> MessageTooLarge:
        """Return what says that a message is larger than is held."""
        return MessageTooLarge("EVENT-20", f"a message of more than {self.most_bytes} bytes")


class FramePeer:
    """One connection at the level of frames."""

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None, receive_buffer: int | None = None
    ) -> None:
        self._address = address
        self._tls = tls
        self._receive_buffer = receive_buffer
        self._frames = FrameReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.measure = MessageSize()
        self._came = 0
        self.pace: Pace | None = None

    async def handshake(self, target: str, headers: Headers, subprotocols: Sequence[str]) -> Response:
        """Send the opening handshake and return the answer, with its body unless it is 101; raises Unanswered."""
        self._reader, self._writer = await open_socket(self._address, self._tls, self._receive_buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        named = {name.lower() for name, _ in headers}
        lines = [] if "host" in named else [("Host", self._address.authority)]
        usual = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        lines += [line for line in usual if line[0].lower() not in named]
        lines += [("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
        if subprotocols:
            lines.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        http = h11.Connection(h11.CLIENT)
        self._writer.write(
            http.send(h11.Request(method="GET", target=target, headers=[*lines, *headers])) or b""
        )
        http.send(h11.EndOfMessage())
        try:
            async with asyncio.timeout(RESPONSE_S):
                head = await self._head(http)
        except (OSError, TimeoutError, h11.RemoteProtocolError) as problem:
            self.abort()
            timed_out = isinstance(problem, TimeoutError)
            reason = f"nothing within {RESPONSE_S:g} s" if timed_out else "no HTTP answer"
            raise Unanswered(f"the handshake got {reason}", broke_off=not timed_out) from None
        headers = tuple((name.decode().lower(), value.decode("latin-1")) for name, value in head.headers)
        if head.status_code != 101:
            return Response(head.status_code, headers, await self._body(http))
        response = Response(101, headers)
        self._came = len(http.trailing_data[0])
        self._frames.feed_data(http.trailing_data[0])
        wanted = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        if response.header("sec-websocket-accept") != wanted:
            raise Unanswered("the handshake's Sec-WebSocket-Accept is wrong")
        return response

    async def _head(self, http: h11.Connection) -> h11.Response | h11.InformationalResponse:
        while True:
            event = await self._event(http)
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == 101
            ):
                return event
            if isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed without an answer")

    async def _body(self, http: h11.Connection) -> bytes:
        """Return the body of a refusal, as much of it as comes soon: the status alone says what has to be known."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while isinstance(event := await self._event(http), h11.Data) and len(body) < _MAX_BODY:
                    body += event.data
        except (OSError, TimeoutError, h11.RemoteProtocolError):
            pass
        return bytes(body)

    async def _event(self, http: h11.Connection) -> object:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await self._reader.read(65536))
        return event

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield frames until the connection ends; raises BadFrame and TooMuch."""
        taken = 0
        try:
            while True:
                while (frame := self._next_frame()) is not None:
                    self._came = 0
                    self.measure.take(frame)
                    yield frame
                    taken += 1
                    if taken % TURN == 0:
                        await asyncio.sleep(0)
                await self.may_read.wait()
                pace = self.pace
                data = await self._reader.read(pace.most if pace else 65536)
                if pace is not None:
                    await asyncio.sleep(pace.rest(len(data), now()))
                if not data:
                    return
                self._came += len(data)
                self._frames.feed_data(data)
        except OSError:
            return
        except PayloadTooBig:
            raise self.measure.too_large() from None
        except ProtocolError as problem:
            raise BadFrame(str(problem)) from None

    @property
    def unfinished(self) -> int:
        """How many bytes have come of a message that is not whole yet."""
        return self.measure.bytes + self._came

    def _next_frame(self) -> Frame | None:
        if self._parsing is None:
            self._parsing = Frame.parse(self._frames.read_exact, mask=False, max_size=self.measure.most_bytes)
        try:
            next(self._parsing)
        except StopIteration as parsed:
            self._parsing = None
            frame: Frame = parsed.value
            return frame
        return None

    def send_frame(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        """Send a masked frame."""
        self.send_bytes(self.frame(opcode, data, fin=fin))

    @staticmethod
    def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
        """Return the bytes of a masked frame."""
        return Frame(opcode, data, fin).serialize(mask=True, extensions=[])

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the transport took what was sent."""
        try:
            await self._writer.drain()
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket."""
        self._writer.close()

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """Cut the connection so that the peer gets a reset, as when a network has lost it (RFC 9293)."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()


def close_payload(code: int) -> bytes:
    """Return the payload of a Close frame."""
    return code.to_bytes(2, "big")
