"""A WebSocket peer that sees every frame and can be told to misbehave (RFC 6455)."""

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Generator, Sequence

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader as FrameReader

from runwire_conformance.wire.http import (
    RESPONSE_S,
    Headers,
    Place,
    Response,
    Unanswered,
    open_socket,
)

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_HEAD = 64 * 1024

#: The largest frame the judge is willing to hold.
MAX_FRAME = 32 * 1024 * 1024


class BadFrame(Exception):
    """The server sent bytes that are no frame of RFC 6455."""


class FramePeer:
    """One connection at the level of frames."""

    def __init__(self, place: Place, tls: ssl.SSLContext | None, receive_buffer: int | None = None) -> None:
        self._place = place
        self._tls = tls
        self._receive_buffer = receive_buffer
        self._frames = FrameReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.may_read = asyncio.Event()
        self.may_read.set()
        #: Bytes to take at once and seconds to rest after each, for a reader that is slow but steady.
        self.pace: tuple[int, float] | None = None

    async def handshake(self, target: str, headers: Headers, subprotocols: Sequence[str]) -> Response:
        """Send the opening handshake and return the answer, with its body unless it is 101."""
        self._reader, self._writer = await open_socket(self._place, self._tls, self._receive_buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        named = {name.lower() for name, _ in headers}
        lines = [f"GET {target} HTTP/1.1"]
        if "host" not in named:
            lines.append(f"Host: {self._place.authority}")
        lines += [
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        if subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        lines += [f"{name}: {value}" for name, value in headers]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        try:
            async with asyncio.timeout(RESPONSE_S):
                response = await self._response()
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError) as problem:
            self.abort()
            reason = (
                f"nothing within {RESPONSE_S:g} s" if isinstance(problem, TimeoutError) else "no HTTP answer"
            )
            raise Unanswered(f"the handshake got {reason}") from None
        if response.status == 101:
            wanted = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
            if response.header("sec-websocket-accept") != wanted:
                raise Unanswered("the handshake's Sec-WebSocket-Accept is wrong")
        return response

    async def _response(self) -> Response:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await self._reader.read(4096)
            if not data or len(head) > _MAX_HEAD:
                raise ValueError("no head")
            head += data
        text, _, rest = head.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        if status == 101:
            self._frames.feed_data(rest)
            return Response(status, headers)
        length = int(dict(headers).get("content-length", "0"))
        while len(rest) < min(length, _MAX_HEAD) and (data := await self._reader.read(4096)):
            rest += data
        return Response(status, headers, rest)

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield frames until the connection ends; raises BadFrame."""
        try:
            while True:
                while (frame := self._next_frame()) is not None:
                    yield frame
                await self.may_read.wait()
                most, rest_s = self.pace or (65536, 0.0)
                data = await self._reader.read(most)
                if rest_s:
                    await asyncio.sleep(rest_s)
                if not data:
                    return
                self._frames.feed_data(data)
        except OSError:
            return
        except (ProtocolError, PayloadTooBig) as problem:
            raise BadFrame(str(problem)) from None

    def _next_frame(self) -> Frame | None:
        if self._parsing is None:
            self._parsing = Frame.parse(self._frames.read_exact, mask=False, max_size=MAX_FRAME)
        try:
            next(self._parsing)
        except StopIteration as parsed:
            self._parsing = None
            frame: Frame = parsed.value
            return frame
        return None

    def send_frame(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        """Send a masked frame."""
        self.send_bytes(Frame(opcode, data, fin).serialize(mask=True, extensions=[]))

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


def close_payload(code: int) -> bytes:
    """Return the payload of a Close frame."""
    return code.to_bytes(2, "big")
