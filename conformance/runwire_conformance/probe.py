"""Finding the server: is it there, is it Runwire, and what does it say about itself."""

import time
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from runwire_conformance.bounds import Clock
from runwire_conformance.first_look import READY_S, TRIES, Mute, NoRunwireServer, first_look
from runwire_conformance.json_reading import read_json
from runwire_conformance.profile import Options, Profile
from runwire_conformance.wire.http import Response, Unanswered, Unreachable, fetch

WELL_KNOWN = "/.well-known/runwire"
DEFAULT_WEBSOCKET = "/ws/generate"

#: Statuses of HTTP that send a GET elsewhere, and how often the judge goes along.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 4


async def probe(url: str, options: Options, clock: Clock) -> Profile:
    """Return what can be learned about the server at `url`; raises NoRunwireServer or Mute."""
    profile = await locate(url, options)
    try:
        return await first_look(profile, options, clock)
    except Unreachable as problem:
        raise NoRunwireServer(_unreachable(problem)) from None
    except Unanswered as problem:
        raise Mute("CONN-6", f"the WebSocket handshake was taken and not answered: {problem}") from None


async def locate(url: str, options: Options) -> Profile:
    """Return where a server is, by its discovery document if it has one; raises NoRunwireServer and Mute."""
    parts = _parts(url)
    bare = parts.scheme in {"ws", "wss"}
    origin = urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, "", "", ""))
    places = [origin + WELL_KNOWN] if bare or parts.path in {"", "/"} else [url, origin + WELL_KNOWN]
    response: Response | None = None
    for place in places:
        try:
            place, response = await _answered(place, options)
        except Unreachable as problem:
            raise NoRunwireServer(_unreachable(problem)) from None
        except Unanswered as problem:
            if not bare:
                raise Mute(
                    "CONN-1", f"the request for the discovery document got no answer: {problem}"
                ) from None
            continue
        if document := _discovery(response):
            endpoints = document.get("endpoints")
            path = endpoints.get("websocket") if isinstance(endpoints, dict) else None
            found = urljoin(place, path if isinstance(path, str) else DEFAULT_WEBSOCKET)
            return Profile(url if bare else _as_websocket(found), place, document)
    if response is not None and response.status in {401, 403}:
        if options.sent_headers:
            raise NoRunwireServer(f"{places[0]} answered {response.status}; is the credential right?")
        raise Mute("CONN-1", f"{places[0]} answered {response.status} to a request without credentials")
    guess = url if bare else _as_websocket(origin + DEFAULT_WEBSOCKET)
    return Profile(guess, origin + WELL_KNOWN)


def _parts(url: str) -> SplitResult:
    """Return the parts of a URL that names a server; raises NoRunwireServer."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise NoRunwireServer(f"{url!r} is no URL of a server; write http://host:port or ws://host:port/path")
    return parts


async def _answered(place: str, options: Options) -> tuple[str, Response]:
    """Return the answer to a GET and its URL, asked for again when a connection broke off; raises as `fetch` does."""
    for _ in range(TRIES - 1):
        begun = time.monotonic()
        try:
            return await _followed(place, options)
        except Unanswered:
            if time.monotonic() - begun > READY_S:
                raise  # it does not break off: it says nothing
    return await _followed(place, options)


async def _followed(place: str, options: Options) -> tuple[str, Response]:
    """Return the answer to a GET and its URL after redirects, which keep the credentials at their origin ([CONN-5])."""
    origin = urlsplit(place).netloc
    for _ in range(MOST_REDIRECTS):
        own = urlsplit(place).netloc == origin
        response = await fetch(place, options.tls, headers=options.sent_headers if own else ())
        target = response.header("location")
        if response.status not in REDIRECTS or target is None:
            break
        place = urljoin(place, target)
        _parts(place)
    return place, response


def _discovery(response: Response) -> dict[str, object] | None:
    try:
        document = read_json(response.body) if response.status == 200 else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("protocol") == "runwire" else None


def _as_websocket(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.replace("http", "ws", 1), parts.netloc, parts.path, parts.query, ""))


def _unreachable(problem: Unreachable) -> str:
    return f"cannot connect to {problem}; is the server running there?"
