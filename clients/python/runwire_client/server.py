"""A server as its discovery document describes it: where it is, what it serves, and who may ask it."""

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import httpx2

from runwire_client.options import Options
from runwire_client.problem import RunwireError, json_object, problem_of

#: Seconds for a TCP connection, and for a request that is answered at once.
CONNECT_S = 5.0
ANSWER_S = 15.0

DEFAULT_HEARTBEAT_S = 15.0

#: The most bytes of an answer: the text of a log of the default size, and more.
MOST_BODY = 32 * 1024 * 1024

#: How often a discovery document may have moved.
MOST_REDIRECTS = 4

WELL_KNOWN = "/.well-known/runwire"

#: What goes wrong on the way to a server, and may pass.
FAULTS = (httpx2.TransportError, OSError, TimeoutError)


class Server:
    """The server of a run, asked over HTTP; raises ValueError for options that name none."""

    def __init__(self, options: Options) -> None:
        self._options = options
        parts = urlsplit(options.discovery)
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise ValueError(f"discovery has to be a URL of a server, not {options.discovery!r}")
        self.is_socket = parts.scheme in {"ws", "wss"}
        path = WELL_KNOWN if parts.path in {"", "/"} and not self.is_socket else parts.path
        self.url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
        self.endpoints: dict[str, str] | None = None
        self.features: tuple[str, ...] = ()
        self.limits: Mapping[str, Any] = {}
        self._auth: tuple[str, ...] = ()
        self._token: str | None = None
        self._known = False
        self._client: httpx2.AsyncClient | None = None

    @property
    def tls(self) -> ssl.SSLContext:
        """What a certificate is checked with."""
        return self._options.tls or default_tls()

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine, where no proxy of the environment leads."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    @property
    def wants_token(self) -> bool:
        """Whether nobody comes in as this client is, without a credential."""
        known = bool(self._token) or bool(self._options.headers)
        return not known and bool(self._auth) and not {"none", "cookie"} & set(self._auth)

    @property
    def silence_s(self) -> float:
        """Three intervals without a word ([BEAT-11])."""
        stated = self.limits.get("heartbeat_s")
        good = isinstance(stated, int | float) and 0 < stated < 3600
        return 3 * (float(stated) if good and stated is not None else DEFAULT_HEARTBEAT_S)

    async def discover(self) -> None:
        """Fetch the discovery document, with the same credential as everything else ([FALL-2])."""
        if self.is_socket:
            self.endpoints = {"websocket": self.url}
            return
        base, about = await self._document()
        named, versions = about.get("endpoints"), about.get("versions")
        if about.get("protocol") != "runwire" or not isinstance(versions, list) or 1 not in versions:
            raise RunwireError(f"{self.url} is no Runwire server of version 1", code="unsupported")
        if not isinstance(named, dict) or not isinstance(named.get("websocket"), str):
            raise RunwireError(f"{self.url} names no WebSocket", code="unsupported")
        places = {name: where for name, where in named.items() if isinstance(where, str)}
        self.endpoints = {name: _resolved(base, name, where) for name, where in places.items()}
        self.features = _words(about.get("features"))
        self._auth = _words(about.get("auth"))
        limits = about.get("limits")
        self.limits = limits if isinstance(limits, dict) else {}
        self._known = True

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint; raises RunwireError when the server has none of that name."""
        found = (self.endpoints or {}).get(name)
        if found is None:
            raise RunwireError(f"the server has no endpoint {name}", code="unsupported")
        return found

    def run_url(self, run_id: str, what: str = "") -> str:
        """Return the URL of something that belongs to a run."""
        return f"{self.endpoint('runs').rstrip('/')}/{run_id}{what}"

    def checked(self, text: str) -> str:
        """Return JSON text to send; raises RunwireError when it is larger than the server takes ([MSG-20])."""
        size, most = len(text.encode()), self.limits.get("max_message_bytes")
        if isinstance(most, int | float) and size > most:
            raise RunwireError(
                f"{size} bytes are too many, the server takes {most}", code="payload_too_large"
            )
        return text

    @asynccontextmanager
    async def request(
        self,
        url: str,
        *,
        method: str = "GET",
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request with the credential; raises RunwireError for an answer that is no 2xx, and FAULTS."""
        sent = dict(await self.credentials(url))
        async with self._sent(url, sent, method=method, body=body, headers=headers) as response:
            if not response.is_success:
                raise await self._problem(response, is_here=url != self.url or self._known)
            yield response

    async def json(self, url: str, *, within_s: float = ANSWER_S, **asked: Any) -> dict[str, Any]:
        """Send a request that is answered in time, and return the JSON object of its answer."""
        async with asyncio.timeout(within_s), self.request(url, **asked) as response:
            return _object(url, await _body(response))

    async def credentials(self, url: str) -> tuple[tuple[str, str], ...]:
        """Return the headers that let a request in; they go to the origin of the discovery URL only ([CONN-5])."""
        if self._token is None:
            self._token = await self._asked(None)
        own = (("Authorization", f"Bearer {self._token}"),) if self._token else ()
        headers = (*own, *self._options.headers)
        if headers and origin_of(url) != origin_of(self.url):
            raise RunwireError(f"{url} is of another origin, where no credential may go", code="forbidden")
        return headers

    async def entrance(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the URL of the WebSocket, and the headers that let it in: none where a ticket stands for them."""
        url = self.endpoint("websocket")
        headers = await self.credentials(url)
        tickets = (self.endpoints or {}).get("tickets")
        if not self._options.tickets or tickets is None:
            return url, headers
        issued = await self.json(tickets, method="POST")
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({'ticket': issued.get('ticket')})}", ()

    async def renew(self) -> bool:
        """Get a new credential ([CLOSE-5]); False when there is none."""
        if not callable(self._options.token):
            return False
        fresh = await self._asked(self._token or "")
        if not fresh or fresh == self._token:
            return False
        self._token = fresh
        return True

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _asked(self, refused: str | None) -> str:
        token = self._options.token
        if not callable(token):
            return token or ""
        try:
            given = token(refused)
            return (await given if inspect.isawaitable(given) else given) or ""
        except Exception as problem:
            raise RunwireError(f"no token could be had: {problem!r}", code="unauthorized") from problem

    async def _document(self) -> tuple[str, dict[str, Any]]:
        """Return the discovery document and its URL after redirects; no credential follows to another origin."""
        url = self.url
        async with asyncio.timeout(ANSWER_S):
            credentials = await self.credentials(url)
            for _ in range(MOST_REDIRECTS + 1):
                sent = dict(credentials) if origin_of(url) == origin_of(self.url) else {}
                async with self._sent(url, sent) as response:
                    if response.has_redirect_location:
                        url = _redirected(url, response.headers["Location"])
                        continue
                    if not response.is_success:
                        raise await self._problem(response, is_here=self._known)
                    return url, _object(url, await _body(response))
        raise RunwireError(f"{self.url} has moved more than {MOST_REDIRECTS} times", code="unsupported")

    @asynccontextmanager
    async def _sent(
        self,
        url: str,
        credentials: Mapping[str, str],
        *,
        method: str = "GET",
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        if self._client is None:
            waits = httpx2.Timeout(None, connect=CONNECT_S)
            self._client = httpx2.AsyncClient(
                verify=self.tls, timeout=waits, follow_redirects=False, trust_env=not self.is_here
            )
        own = {"Accept-Encoding": "identity", "Cache-Control": "no-store", **credentials, **(headers or {})}
        if method == "POST":
            own["Content-Type"] = "application/json"  # [HTTP-9]
        async with self._client.stream(method, url, content=body, headers=own) as response:
            yield response

    async def _problem(self, response: httpx2.Response, *, is_here: bool) -> RunwireError:
        after = response.headers.get("Retry-After", "")
        return problem_of(response.status_code, after, await _body(response), is_here=is_here)


@cache
def default_tls() -> ssl.SSLContext:
    """Return what a certificate is checked with where a user says nothing; reading the authorities takes time."""
    return ssl.create_default_context()


def origin_of(url: str) -> tuple[str, str, int]:
    """Return the origin of a URL, `ws` being the same as `http`."""
    parts = urlsplit(url)
    scheme = parts.scheme.replace("ws", "http")
    return scheme, parts.hostname or "", parts.port or (443 if scheme == "https" else 80)


def _joined(base: str, reference: str) -> str:
    """Return the URL that `reference` is at `base` (RFC 3986, 5.2.2); raises ValueError for what is none.

    `urljoin` leaves `.` and `..` in the path of a reference that names its host (5.2.4).
    """
    parts = urlsplit(urljoin(base, reference))
    path = urlsplit(urljoin("http://host/", f"/.{parts.path}")).path if parts.path else ""
    return urlunsplit(parts._replace(path=path))


def _resolved(base: str, name: str, where: str) -> str:
    """Return the URL of an endpoint, `ws` or `wss` for the WebSocket; raises RunwireError for what is none."""
    try:
        url = _joined(base, where)
        origin_of(url)
    except ValueError:
        raise RunwireError(f"{base} names an endpoint {name} that is no URL", code="unsupported") from None
    parts = urlsplit(url)
    scheme = parts.scheme.replace("http", "ws") if name == "websocket" else parts.scheme
    return urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))


def _redirected(base: str, where: str) -> str:
    """Return the URL that a redirect leads to; raises RunwireError for what is none."""
    try:
        url = _joined(base, where)
        scheme, host, _ = origin_of(url)
    except ValueError:
        scheme = host = url = ""
    if scheme not in {"http", "https"} or not host:
        raise RunwireError(f"{base} redirects to what is no URL", code="unsupported")
    return url


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


async def _body(response: httpx2.Response) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        if (size := size + len(piece)) > MOST_BODY:
            raise RunwireError(f"an answer of more than {MOST_BODY} bytes", retryable=True)
    return b"".join(pieces)


def _object(url: str, body: bytes) -> dict[str, Any]:
    value = json_object(body)
    if value is None:
        raise RunwireError(f"{url} did not answer with JSON", retryable=True)
    return value
