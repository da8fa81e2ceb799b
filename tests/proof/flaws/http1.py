"""HTTP/1.1 as the proxy needs it: heads that keep their bytes, bodies in every framing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlsplit

from .wire import Wire

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines in their order; names compare without case."""

    lines: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of the first header `name`."""
        return next((value for key, value in self.lines if key.lower() == name.lower()), None)

    def has(self, name: str, value: str) -> bool:
        """Tell whether one of the comma-separated values of `name` equals `value` without case."""
        return value.lower() in (part.strip().lower() for part in (self.get(name) or "").split(","))

    def without(self, *names: str) -> Headers:
        """Return these headers less every header with one of `names`."""
        gone = {name.lower() for name in names}
        return Headers(tuple(line for line in self.lines if line[0].lower() not in gone))

    def with_(self, name: str, value: str) -> Headers:
        """Return these headers with `name` set once, in its old place if it had one."""
        if self.get(name) is None:
            return Headers((*self.lines, (name, value)))
        first = next(i for i, (key, _) in enumerate(self.lines) if key.lower() == name.lower())
        before, after = Headers(self.lines[:first]), Headers(self.lines[first + 1 :])
        return Headers((*before.lines, (name, value), *after.without(name).lines))

    def encode(self) -> bytes:
        """Return the header lines as they go on the wire."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the judge. `body` is empty until a rewrite asked to see it."""

    method: str
    target: str
    version: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def is_upgrade(self) -> bool:
        """Whether this opens a WebSocket."""
        return self.headers.has("upgrade", "websocket")

    def with_header(self, name: str, value: str) -> Request:
        """Return this request with one header set."""
        return replace(self, headers=self.headers.with_(name, value))

    def without_header(self, *names: str) -> Request:
        """Return this request without these headers."""
        return replace(self, headers=self.headers.without(*names))

    def head(self) -> bytes:
        """Return the request line and headers as they go on the wire."""
        line = f"{self.method} {self.target} {self.version}\r\n".encode("latin-1")
        return line + self.headers.encode() + b"\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the server; `body` is `None` for a stream and for an accepted handshake."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = b""
    version: str = "HTTP/1.1"
    reason: str = ""
    trailing: bytes = b""
    """Raw bytes to send after it; the connection is closed behind them."""

    @classmethod
    def of_an_endpoint(cls, status: int) -> Response:
        """Return one with the headers that such a response of an endpoint has ([HTTP-13], [HTTP-21], [LIMIT-10])."""
        again = [("retry-after", "1")] if status in {429, 503} else []
        return cls(status, Headers((("cache-control", "no-store"), ("vary", "Origin"), *again)))

    @property
    def is_stream(self) -> bool:
        """Whether this carries server-sent events."""
        return (self.headers.get("content-type") or "").startswith("text/event-stream")

    def with_status(self, status: int) -> Response:
        """Return this response with another status."""
        return replace(self, status=status, reason="")

    def with_header(self, name: str, value: str) -> Response:
        """Return this response with one header set."""
        return replace(self, headers=self.headers.with_(name, value))

    def without_header(self, *names: str) -> Response:
        """Return this response without these headers."""
        return replace(self, headers=self.headers.without(*names))

    def with_body(self, body: bytes) -> Response:
        """Return this response with another body and its length."""
        headers = self.headers.without("transfer-encoding").with_("content-length", str(len(body)))
        return replace(self, body=body, headers=headers)

    def head(self) -> bytes:
        """Return the status line and headers as they go on the wire."""
        reason = self.reason or HTTPStatus(self.status).phrase
        line = f"{self.version} {self.status} {reason}\r\n".encode("latin-1")
        return line + self.headers.encode() + b"\r\n"


def parse_headers(lines: list[bytes]) -> Headers:
    """Read header lines; raises ValueError on a line without a colon."""
    parsed = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or name != name.strip():
            raise ValueError(f"no header: {line!r}")
        parsed.append((name, value.strip(" \t")))
    return Headers(tuple(parsed))


def parse_request(head: bytes) -> Request:
    """Read the head of a request; raises ValueError when it is none."""
    first, *lines = head[:-4].split(b"\r\n")
    method, target, version = first.decode("latin-1").split(" ")
    return Request(method, target, version, parse_headers(lines))


def parse_response(head: bytes) -> Response:
    """Read the head of a response; raises ValueError when it is none."""
    first, *lines = head[:-4].split(b"\r\n")
    version, status, *reason = first.decode("latin-1").split(" ", 2)
    return Response(int(status), parse_headers(lines), None, version, "".join(reason))


def has_body(request: Request, response: Response) -> bool:
    """Tell whether `response` to `request` has a body (RFC 9112, section 6.3)."""
    return not (request.method == "HEAD" or response.status < 200 or response.status in (204, 304))


async def body_pieces(wire: Wire, headers: Headers, *, until_close: bool) -> AsyncIterator[bytes]:
    """Yield the content of a body as it arrives, freed of its framing.

    Without a length the body is empty or, if `until_close`, what comes until the peer ends. A body that
    breaks off ends the iteration; `wire.ended` tells.
    """
    if headers.has("transfer-encoding", "chunked"):
        async for piece in _chunks(wire):
            yield piece
        return
    length = headers.get("content-length")
    if length is None:
        while until_close and (data := await wire.read()):
            yield data
        return
    missing = int(length)
    while missing:
        if not wire.buffer and not await wire.more():
            return
        piece = wire.take(min(missing, len(wire.buffer)))
        missing -= len(piece)
        yield piece


async def _chunks(wire: Wire) -> AsyncIterator[bytes]:
    while True:
        line = await wire.read_until(b"\r\n", HEAD_BYTES)
        if line is None:
            return
        size = int(line.split(b";")[0], 16)
        if not size:
            while await wire.read_until(b"\r\n", HEAD_BYTES) not in (b"\r\n", None):
                pass
            return
        while size:
            if not wire.buffer and not await wire.more():
                return
            piece = wire.take(min(size, len(wire.buffer)))
            size -= len(piece)
            yield piece
        await wire.read_until(b"\r\n", 2)


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk of the chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
