"""Server lookup: the discovery document or a default path, with diagnosis of failures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from runwire_conformance.client.discovery.diagnosis import (
    NoRunwireServer,
    not_http,
    refused_status,
    speaks_runwire,
    unreachable,
)
from runwire_conformance.client.discovery.endpoints import BadEndpoint, endpoint_url, origin_of
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.wire.http import Response, Unanswered, Unreachable, fetch
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.json_reading import read_json
from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.trace import Trace

#: Seconds to wait for a `ready` before a prompt is sent without it, and for what nobody is accused of.
READY_S = 3.0


#: How often a look is taken whose connection broke off before it saw what it looked for.
TRIES = 6


class DiscoveryRefused(NoRunwireServer):
    """A Runwire server refuses the judge, which sent no credential, what is open to all ([CONN-1])."""


class ServerUnusable(Exception):
    """Nothing further can be told of the server: it says nothing, or nothing that can be understood.

    `requirement` is the one accusation, `text` its reason, `traces` the conversations that show it.
    """

    def __init__(self, requirement: str, text: str, traces: Sequence[Trace] = ()) -> None:
        super().__init__(text)
        self.requirement = requirement
        self.traces = tuple(traces)


WELL_KNOWN = "/.well-known/runwire"


DEFAULT_WEBSOCKET = "/ws/generate"


#: Statuses of HTTP that send a GET elsewhere, and how often the judge goes along.
REDIRECTS = frozenset({301, 302, 303, 307, 308})


MOST_REDIRECTS = 4


async def locate(url: str, options: Options) -> ServerProfile:
    """Return where a server is, by its discovery document if it has one; raises NoRunwireServer."""
    parts = _split_server_url(url)
    bare = parts.scheme in {"ws", "wss"}
    origin = urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, "", "", ""))
    named = not bare and parts.path not in {"", "/"}
    places = [url, origin + WELL_KNOWN] if named else [origin + WELL_KNOWN]
    response: Response | None = None
    for place in dict.fromkeys(places):
        try:
            found_at, response = await _fetch_with_retries(place, options)
        except Unreachable as problem:
            raise await unreachable(url, problem) from None
        except NoRunwireServer:  # a redirect, which tells nothing of a WebSocket that the user named
            if not bare:
                raise
            continue
        except Unanswered as problem:
            if not bare:
                raise await not_http(url, str(problem)) from None
            continue
        if document := _discovery(response):
            with _with_response(response):
                websocket = _endpoints(found_at, document, bare).get("websocket", "")
            if place != places[0]:
                raise NoRunwireServer(
                    f"{url} is not a discovery document; use {origin}, whose document names {websocket}, or the latter"
                )
            return ServerProfile(url if bare else websocket, found_at, document)
    status = response.status if response is not None else 0
    if (
        response is not None
        and status in {401, 403}
        and not options.sent_headers
        and speaks_runwire(response)
    ):
        with _with_response(response):
            raise DiscoveryRefused(f"{places[0]} answered {status} to a request without credentials")
    said = None if bare else refused_status(places[0], status, has_credential=bool(options.sent_headers))
    if said is not None:
        said.response = response if status == 403 else None
        raise said
    if named:
        raise NoRunwireServer(
            f"neither {url} nor {places[1]} is a discovery document; if it is a WebSocket, use {_as_websocket(url)}"
        )
    if response is not None and (redirect := redirect_of(found_at, response)) and not bare:
        raise NoRunwireServer(redirect)
    guess = url if bare else _as_websocket(origin + DEFAULT_WEBSOCKET)
    return ServerProfile(guess, origin + WELL_KNOWN)


@contextmanager
def _with_response(response: Response) -> Iterator[None]:
    """Have what is raised inside tell which answer shows it."""
    try:
        yield
    except NoRunwireServer as problem:
        problem.response = response
        raise


def redirect_of(place: str, response: Response) -> str | None:
    """Return what to do about an answer that leads elsewhere and was not followed, or None for another."""
    target = response.header("location")
    if response.status not in REDIRECTS or target is None:
        return None
    advice = "use the URL of the server to judge, or give a credential if that is a sign-in page"
    return f"{place} redirects to {printable(urljoin(place, target))}; {advice}"


def other_websocket(profile: ServerProfile) -> str | None:
    """Return the WebSocket that the discovery document names, if it is another than the one that the user did."""
    if profile.discovery is None or profile.discovery_url is None:
        return None
    named = _endpoints(profile.discovery_url, profile.discovery, False).get("websocket")
    return None if named is None or urlsplit(named).path == urlsplit(profile.websocket_url).path else named


def _endpoints(place: str, document: Mapping[str, object], bare: bool) -> dict[str, str]:
    """Return the URLs of the endpoints that a discovery document names; raises NoRunwireServer for one elsewhere.

    The WebSocket's does not matter where the user named it.
    """
    named = document.get("endpoints")
    places = {"websocket": DEFAULT_WEBSOCKET} | (named if isinstance(named, dict) else {})
    if bare or not isinstance(places["websocket"], str):
        places["websocket"] = DEFAULT_WEBSOCKET
    try:
        return {
            name: endpoint_url(place, name, path) for name, path in places.items() if isinstance(path, str)
        }
    except BadEndpoint as problem:
        raise NoRunwireServer(str(problem)) from None


def _split_server_url(url: str) -> SplitResult:
    """Return the parts of a URL that names a server; raises NoRunwireServer."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise NoRunwireServer(
            f"{url!r} is not the URL of a server; use http://host:port or ws://host:port/path"
        )
    return parts


async def _fetch_with_retries(place: str, options: Options) -> tuple[str, Response]:
    """Return the answer to a GET and its URL, asked for again when a connection broke off; raises as `fetch` does."""
    for _ in range(TRIES - 1):
        begun = now()
        try:
            return await _fetch_following_redirects(place, options)
        except Unanswered:
            if now() - begun > READY_S:
                raise  # it does not break off: it says nothing
    return await _fetch_following_redirects(place, options)


async def _fetch_following_redirects(place: str, options: Options) -> tuple[str, Response]:
    """Return the answer to a GET and its URL after redirects, none of which leaves the host ([CONN-5])."""
    for _ in range(MOST_REDIRECTS):
        response = await fetch(place, options.tls, headers=options.sent_headers)
        target = response.header("location")
        if response.status not in REDIRECTS or target is None:
            break
        place = _redirect_target(place, target)
    return place, response


def _redirect_target(place: str, target: str) -> str:
    """Return where a redirect leads: on the same host, and at most from http to https; raises NoRunwireServer."""
    try:
        further = urljoin(place, target)
        (secure, *here), (stays_secure, *there) = origin_of(place), origin_of(further)
    except ValueError:
        raise NoRunwireServer(
            f"{place} redirects to {target[:100]!a}, which is not the URL of a server"
        ) from None
    upgraded = stays_secure and not secure and here[0] == there[0]
    if (secure, *here) != (stays_secure, *there) and not upgraded:
        to = urlsplit(further)
        its_origin = urlunsplit((to.scheme, to.netloc, "", "", ""))
        raise NoRunwireServer(
            f"{place} redirects to {printable(further)}, another origin; "
            f"to judge the server there, use {printable(its_origin)}"
        )
    return further


def _discovery(response: Response) -> dict[str, object] | None:
    try:
        document = read_json(response.body) if response.status == 200 else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("protocol") == "runwire" else None


def _as_websocket(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.replace("http", "ws", 1), parts.netloc, parts.path, parts.query, ""))
