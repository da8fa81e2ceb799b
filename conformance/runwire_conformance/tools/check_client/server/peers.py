"""Server side of the wire: HTTP/1.1 requests and WebSocket frames, byte by byte."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame
from websockets.streams import StreamReader as FrameReader

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: The largest request, and the largest message, that is taken from a client.
MOST_BYTES = 1024 * 1024

#: What lets a page of any origin ask, and read the answers.
CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Last-Event-ID, Cache-Control"),
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate"),
    ("Vary", "Origin"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read whole; header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the value of a header, an empty string when it is absent."""
        return self.headers.get(name, "")

    @property
    def token(self) -> str | None:
        """The bearer token, in the header or among the offered subprotocols (chapter 11)."""
        scheme, _, token = self.header("authorization").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        for offered in self.header("sec-websocket-protocol").split(","):
            name, _, value = offered.strip().partition(".")
            if name == "bearer" and value:
                return _decoded(value)
        return None

    @property
    def upgrades(self) -> bool:
        """Whether it is the opening handshake of a WebSocket."""
        return self.header("upgrade").lower() == "websocket"


def _decoded(value: str) -> str:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


class PeerConnection:
    """One TCP connection of a client, with its one request and what answers it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader = reader
        self._writer = writer
        self.number = number
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_BYTES)

    async def request(self) -> Request | None:
        """Return the request, None when there is none that can be read."""
        try:
            head = await self._event()
            if not isinstance(head, h11.Request):
                return None
            headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
            parts = urlsplit(head.target.decode("latin-1"))
            body = bytearray()
            if headers.get("upgrade", "").lower() != "websocket":
                while isinstance(event := await self._event(), h11.Data):
                    body += event.data
                    if len(body) > MOST_BYTES:
                        return None
            return Request(head.method.decode(), parts.path, parse_qs(parts.query), headers, bytes(body))
        except (OSError, h11.RemoteProtocolError, ValueError):
            return None

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(65536))
        return event

    def answer(self, status: int, media: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send a whole answer."""
        lines = [
            *CORS,
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
        ]
        lines += [("Content-Type", media)] if media else []
        self.send(self._http.send(h11.Response(status_code=status, headers=[*lines, *headers])))
        if body:
            self.send(self._http.send(h11.Data(data=body)))
        self.send(self._http.send(h11.EndOfMessage()))

    def open_stream(self, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send the head of a stream."""
        lines = [
            *CORS,
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store, no-transform"),
            ("X-Accel-Buffering", "no"),
            ("Connection", "close"),
            *headers,
        ]
        self.send(self._http.send(h11.Response(status_code=200, headers=lines)))

    def stream(self, data: bytes) -> None:
        """Send a piece of a body."""
        self.send(self._http.send(h11.Data(data=data)))

    def end_stream(self) -> None:
        """End a body in order."""
        self.send(self._http.send(h11.EndOfMessage()))

    def upgrade(self, request: Request) -> bytes:
        """Accept a handshake, and return what came behind it; `runwire.v1` is selected where it is offered."""
        key = request.header("sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        offered = [name.strip() for name in request.header("sec-websocket-protocol").split(",")]
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept}"]
        lines += ["Sec-WebSocket-Protocol: runwire.v1"] if "runwire.v1" in offered else []
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        return bytes(self._http.trailing_data[0])

    def send(self, data: bytes | None) -> None:
        """Send bytes as they are."""
        if data and not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the transport took what was sent."""
        try:
            await self._writer.drain()
        except OSError:
            pass

    async def read(self) -> bytes:
        """Return what comes next, nothing at the end."""
        try:
            return await self._reader.read(65536)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def cut(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()


class ClientFrameReader:
    """Reads the frames of a client."""

    def __init__(self, first: bytes) -> None:
        self._reader = FrameReader()
        self._reader.feed_data(first)
        self._parsing: Generator[None, None, Frame] | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._reader.feed_data(data)

    def next(self) -> Frame | None:
        """Return the next frame, None when it has not all come; raises ProtocolError and PayloadTooBig."""
        if self._parsing is None:
            self._parsing = Frame.parse(self._reader.read_exact, mask=True, max_size=MOST_BYTES)
        try:
            next(self._parsing)
        except StopIteration as done:
            self._parsing = None
            frame: Frame = done.value
            return frame
        return None


#: What bytes that are no frames of RFC 6455 raise.
BAD_FRAMES = (ProtocolError, PayloadTooBig)
