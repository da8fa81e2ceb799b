"""HTTP/1.1 on raw sockets, with access to the bytes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import h11

from runwire_conformance.trace.message import Message, object_of

Headers = Sequence[tuple[str, str]]

#: Seconds to open a TCP connection, and to get the head of a response.
CONNECT_S = 5.0
RESPONSE_S = 10.0

#: The largest segment of a connection whose reader is slow. A server's kernel sizes its buffer by it: with the 64 KB of
#: a loopback interface it would take four megabytes at once, and a Ping would wait behind them.
SEGMENT_BYTES = 1400

#: A body of more bytes is sent only when the head alone gets no answer in this many seconds (RFC 9110 section 10.1.1).
LARGE_BODY = 65_536
EARLY_S = 0.3

#: What the judge is willing to hold of one response: the text of a log of the default size, and more.
MAX_BODY = 20 * 1024 * 1024


class Unreachable(Exception):
    """No TCP or TLS connection could be made; the message says where, and `reason` why."""

    def __init__(self, address: "Address", reason: str) -> None:
        super().__init__(f"{address.host} port {address.port}: {reason}")
        self.reason = reason


class UnknownHost(Unreachable):
    """The name of the host leads to no address."""


class NoHandshake(Unreachable):
    """A TCP connection was made, and no TLS handshake; `timed_out` tells whether nothing came at all."""

    def __init__(self, address: "Address", reason: str, *, timed_out: bool) -> None:
        super().__init__(address, reason)
        self.timed_out = timed_out


class Unanswered(Exception):
    """The server took the request and did not answer with HTTP; `broke_off` when the connection ended before it did."""

    def __init__(self, reason: str, *, broke_off: bool = False) -> None:
        super().__init__(reason)
        self.broke_off = broke_off


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads: host, port, TLS, and the value of the `Host` header."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The `Host` header: without the port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def address_of(url: str) -> Address:
    """Return where `url` leads; raises ValueError when it names no host."""
    parts = urlsplit(url)
    tls = parts.scheme in {"https", "wss"}
    if not parts.hostname:
        raise ValueError(f"{url} names no host")
    return Address(parts.hostname, parts.port or (443 if tls else 80), tls)


def target_of(url: str) -> str:
    """Return path and query of `url`, as they stand in a request line."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


async def open_socket(
    address: Address, tls: ssl.SSLContext | None, receive_buffer: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection; `receive_buffer` bounds the kernels' share of what is not yet read. Raises Unreachable."""
    connected = False
    try:
        async with asyncio.timeout(CONNECT_S):
            raw = await _connected(await _addresses(address), receive_buffer)
            connected = True
            context = tls if address.tls else None
            return await asyncio.open_connection(
                sock=raw,
                ssl=context,
                server_hostname=address.host if context else None,
                limit=receive_buffer or 1 << 16,
            )
    except (OSError, TimeoutError) as problem:
        timed_out = isinstance(problem, TimeoutError)
        reason = "no answer" if timed_out else connection_error_text(problem)
        if isinstance(problem, socket.gaierror):
            raise UnknownHost(address, reason) from None
        if connected:
            raise NoHandshake(address, reason, timed_out=timed_out) from None
        raise Unreachable(address, reason) from None


#: An address of a host: its family, and what a socket of it connects to.
_ResolvedAddress: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]


async def _addresses(address: Address) -> list[_ResolvedAddress]:
    """Return where a host may be, in the system's order; a numeric host asks nobody. Raises gaierror."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


async def _connected(places: Sequence[_ResolvedAddress], receive_buffer: int | None) -> socket.socket:
    """Return a socket that is connected to the first of the places that accepts one; raises the last one's OSError."""
    *others, last = places
    for place in others:
        with suppress(OSError):
            return await _connected_to(*place, receive_buffer)
    return await _connected_to(*last, receive_buffer)


async def _connected_to(
    family: socket.AddressFamily, place: tuple[Any, ...], receive_buffer: int | None
) -> socket.socket:
    raw = socket.socket(family, socket.SOCK_STREAM)
    raw.setblocking(False)
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        with suppress(OSError, AttributeError):  # not every system lets a client choose it
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    try:
        await asyncio.get_running_loop().sock_connect(raw, place)
    except BaseException:
        raw.close()
        raise
    return raw


def connection_error_text(problem: OSError | h11.RemoteProtocolError) -> str:
    """Return what the system says of a connection that ended, in words."""
    if isinstance(problem, OSError):
        return problem.strerror or str(problem) or "the connection was closed"
    return str(problem)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; header names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the value of a header, several joined by commas; None when absent."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    def json(self) -> Message:
        """Return the JSON object in the body; raises Broken when there is none."""
        return object_of(self.body, f"the body of the {self.status}")

    @property
    def media_type(self) -> str:
        """The media type without parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


class HttpExchange:
    """One request and its response, read as it comes."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._is_over = False

    async def request(
        self, method: str, target: str, headers: Headers, body: bytes | None, seconds: float = RESPONSE_S
    ) -> Response:
        """Send a request and return the head of its response; raises Unreachable and, after `seconds`, Unanswered."""
        self._reader, self._writer = await self._opened()
        named = {name.lower() for name, _ in headers}
        lines = [] if "host" in named else [("Host", self._address.authority)]
        lines += [("Connection", "close"), *headers]
        if body is not None and "content-length" not in named:
            lines.append(("Content-Length", str(len(body))))
        try:
            async with asyncio.timeout(seconds):
                head = h11.Request(method=method, target=target, headers=lines)
                self._write(self._http.send(head))
                if body and len(body) > LARGE_BODY:
                    await self._refused_early()
                if body:
                    self._write(self._http.send(h11.Data(data=body)))
                self._write(self._http.send(h11.EndOfMessage()))
                event = await self._next()
                while isinstance(event, h11.InformationalResponse):
                    event = await self._next()
        except (OSError, TimeoutError, h11.RemoteProtocolError) as problem:
            self.close()
            if isinstance(problem, TimeoutError):
                reason = f"nothing within {seconds:g} s"
            else:
                reason = (
                    "the connection was closed without an answer"
                    if self._is_over
                    else connection_error_text(problem)
                )
            broke_off = not isinstance(problem, TimeoutError)
            raise Unanswered(f"{method} {target}: {reason}", broke_off=broke_off) from None
        if not isinstance(event, h11.Response):
            self.close()
            raise Unanswered(
                f"{method} {target}: the connection was closed without an answer", broke_off=True
            )
        found = tuple((name.decode().lower(), value.decode("latin-1")) for name, value in event.headers)
        return Response(event.status_code, found)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the connection that the request goes out on; raises Unreachable."""
        return await open_socket(self._address, self._tls)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises Unanswered when it breaks off."""
        try:
            while not isinstance(event := await self._next(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.ConnectionClosed):
                    return
        except (OSError, h11.RemoteProtocolError) as problem:
            raise Unanswered(f"the body broke off: {problem}", broke_off=True) from None

    def close(self) -> None:
        """Close the socket."""
        self._writer.close()

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        self._writer.transport.abort()

    async def _refused_early(self) -> None:
        """Give the server a moment to answer by the head alone.

        One that closes with a body on its way resets the connection, and its answer may be lost with that.
        """
        reading = asyncio.create_task(self._reader.read(65536))
        await asyncio.wait({reading}, timeout=EARLY_S)
        if reading.done():
            self._http.receive_data(reading.result())
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    def _write(self, data: bytes | None) -> None:
        self._writer.write(data or b"")

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(65536)
            self._is_over = not data
            self._http.receive_data(data)
        return event


async def fetch(
    url: str,
    tls: ssl.SSLContext | None,
    method: str = "GET",
    headers: Headers = (),
    body: bytes | None = None,
    waits_s: float = 0.0,
) -> Response:
    """Return a whole response, which the server may hold back for `waits_s`; raises Unreachable and Unanswered."""
    exchange = HttpExchange(address_of(url), tls)
    response = await exchange.request(method, target_of(url), headers, body, RESPONSE_S + waits_s)
    content = bytearray()
    try:
        async with asyncio.timeout(RESPONSE_S):
            async for chunk in exchange.chunks():
                content += chunk
                if len(content) > MAX_BODY:
                    raise Unanswered(f"{method} {url}: a body of more than {MAX_BODY} bytes")
    except TimeoutError:
        raise Unanswered(f"{method} {url}: the body did not end within {RESPONSE_S:g} s") from None
    finally:
        exchange.close()
    return Response(response.status, response.headers, bytes(content))
