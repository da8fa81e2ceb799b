"""HTTP requests as real clients write them, and reused connections."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from runwire_conformance.client.wire.http import Address, Headers, HttpExchange

Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
_SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Safari/605.1.15"
)
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one client spells its requests.

    `headers` stand in its own order and case; `chunked` bodies have no length; `stream` are the headers that it adds
    when it asks for a stream. One without `host` does not say whom it asks.
    """

    name: str
    headers: tuple[tuple[str, str], ...]
    content_type: str = "application/json"
    chunked: bool = False
    version: str = "1.1"
    host: bool = True
    stream: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"Accept": "text/event-stream"})
    )

    def accepts(self, headers: Iterable[tuple[str, str]] = ()) -> str:
        """Return the media types that it says it takes, `headers` winning over its own."""
        named = {name.lower(): value for name, value in (*self.headers, *headers)}
        return named.get("accept", "(none)")

    def spelled(
        self, method: str, target: str, address: Address, headers: Headers, body: bytes | None
    ) -> bytes:
        """Return the bytes of a request, `headers` winning over the dialect's own."""
        named = {name.lower() for name, _ in headers}
        lines = [
            *([("Host", address.authority)] if self.host else []),
            *(line for line in self.headers if line[0].lower() not in named),
            *headers,
        ]
        content = body or b""
        if body is not None:
            lines.append(("Content-Type", self.content_type))
            if self.chunked:
                lines.append(("Transfer-Encoding", "chunked"))
                half = len(content) // 2
                content = (
                    b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (content[:half], content[half:]) if p)
                    + b"0\r\n\r\n"
                )
            else:
                lines.append(("Content-Length", str(len(content))))
        head = f"{method} {target} HTTP/{self.version}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in lines
        )
        return head.encode("latin-1") + b"\r\n" + content


def _fetch(agent: str, encodings: str, *further: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    lines = (("Connection", "keep-alive"), ("User-Agent", agent), ("Accept", "*/*"))
    return (*lines, *further, ("Accept-Encoding", encodings), ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"))


_SEC = (("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"))

DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "Chrome",
        _fetch(
            _CHROME,
            "gzip, deflate, br, zstd",
            ("sec-ch-ua-platform", '"Linux"'),
            ("sec-ch-ua-mobile", "?0"),
            ("Cookie", "theme=dark; _ga=GA1.1.1234567890.1700000000"),
            *_SEC,
        ),
        stream=MappingProxyType({"Accept": "text/event-stream", "Cache-Control": "no-cache"}),
    ),
    Dialect(
        "Firefox",
        (*_fetch(_FIREFOX, "gzip, deflate, br, zstd", *_SEC), ("Priority", "u=4"), ("Pragma", "no-cache")),
        stream=MappingProxyType({"Accept": "text/event-stream", "Cache-Control": "no-cache"}),
    ),
    Dialect(
        "Safari",
        _fetch(_SAFARI, "gzip, deflate, br", *_SEC),
        stream=MappingProxyType({"Accept": "text/event-stream"}),
    ),
    Dialect("curl", (("User-Agent", "curl/8.14.1"), ("Accept", "*/*"))),
    Dialect(
        "undici",
        (
            ("connection", "keep-alive"),
            ("accept", "*/*"),
            ("accept-language", "*"),
            ("sec-fetch-mode", "cors"),
            ("user-agent", "node"),
            ("accept-encoding", "gzip, deflate"),
        ),
        content_type="application/json; charset=utf-8",
        chunked=True,
    ),
    Dialect(
        "axios",
        (
            ("Accept", "application/json, text/plain, */*"),
            ("User-Agent", "axios/1.13.1"),
            ("Accept-Encoding", "gzip, compress, deflate, br"),
            ("Connection", "keep-alive"),
        ),
        content_type="application/json;charset=utf-8",
        stream=MappingProxyType({"Accept": "text/event-stream;q=0.9, application/json;q=0.5"}),
    ),
    Dialect(
        "okhttp",
        (("Connection", "Keep-Alive"), ("Accept-Encoding", "gzip"), ("User-Agent", "okhttp/5.2.1")),
        content_type='Application/JSON; Charset="UTF-8"',
        chunked=True,
    ),
    Dialect("Go", (("User-Agent", "Go-http-client/1.1"), ("Accept-Encoding", "gzip")), chunked=True),
    Dialect(
        "an EventSource polyfill",
        (
            ("User-Agent", _SAFARI),
            ("Accept-Encoding", "gzip, deflate"),
            ("X-Requested-With", "XMLHttpRequest"),
        ),
        content_type="application/json; charset=UTF-8",
        stream=MappingProxyType(
            {
                "Accept": "text/event-stream,application/json;q=0.1",
                "Cache-Control": "no-cache",
                "Last-Event-ID": "",
            }
        ),
    ),
    Dialect(
        "a proxy of HTTP/1.0",
        (("X-Forwarded-For", "127.0.0.1"), ("Via", "1.0 proxy"), ("Connection", "close"), ("Accept", "*/*")),
        version="1.0",
    ),
)


#: What else stands in the opening handshakes of browsers, of Go and behind a proxy, all of them as RFC 6455 has it.
HANDSHAKES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "Firefox": (
            ("User-Agent", _FIREFOX),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-Fetch-Mode", "websocket"),
            ("Pragma", "no-cache"),
            ("Upgrade", "websocket"),
        ),
        "Chrome": (
            ("User-Agent", _CHROME),
            ("Cookie", "theme=dark; _ga=GA1.1.1234567890.1700000000"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ),
        "an older library": (("upgrade", "WebSocket"), ("connection", "upgrade")),
        "a proxy": (("X-Forwarded-For", "127.0.0.1"), ("Via", "1.1 proxy"), ("X-Forwarded-Proto", "http")),
    }
)


class DialectPeer(HttpExchange):
    """A request in some dialect, on a connection that was used before if there is one."""

    def __init__(
        self, dialect: Dialect, address: Address, tls: ssl.SSLContext | None, used: Connected | None
    ) -> None:
        super().__init__(address, tls)
        self.dialect = dialect
        self._used = used
        self._request = b""

    def says(self, method: str, target: str, headers: Headers, body: bytes | None) -> None:
        """Prepare the bytes that go out in place of the library's."""
        self._request = self.dialect.spelled(method, target, self._address, headers, body)

    async def _opened(self) -> Connected:
        if self._used is not None and not self._used[0].at_eof() and not self._used[1].is_closing():
            return self._used
        return await super()._opened()

    def _write(self, data: bytes | None) -> None:  # noqa: ARG002
        self._writer.write(self._request)
        self._request = b""

    @property
    def connection(self) -> Connected | None:
        """The connection, if a further request can go out on it."""
        kept = self.dialect.version == "1.1" and not self._reader.at_eof() and not self._writer.is_closing()
        return (self._reader, self._writer) if kept else None
