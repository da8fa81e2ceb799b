"""Finding the server: is it there, is it Runwire, and what does it say about itself."""

import json
import time
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from runwire_conformance.bounds import Clock
from runwire_conformance.case import Broken, Moot
from runwire_conformance.first_look import READY_S, TRIES, Mute, first_look
from runwire_conformance.profile import Options, Profile
from runwire_conformance.reach import (
    Guarded,
    NoRunwireServer,
    refused,
    speaks_runwire,
    speechless,
    unreachable,
)
from runwire_conformance.target import Target
from runwire_conformance.wire.http import Response, Unanswered, Unreachable, fetch

WELL_KNOWN = "/.well-known/runwire"
DEFAULT_WEBSOCKET = "/ws/generate"

#: Statuses of HTTP that send a GET elsewhere, and how often the judge goes along.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 4


async def probe(url: str, options: Options, clock: Clock) -> Profile:
    """Return what can be learned about the server at `url`; raises NoRunwireServer or Mute."""
    try:
        profile = await locate(url, options)
    except Guarded as problem:
        if options.sent_headers or not await _is_open(url, options, clock):
            raise
        raise Mute("CONN-1", f"discovery wants a credential, and the WebSocket does not: {problem}") from None
    try:
        return await first_look(profile, options, clock)
    except Unreachable as problem:
        raise await unreachable(profile.websocket_url, problem) from None
    except Unanswered as problem:
        if profile.discovery is None:
            raise await speechless(profile.websocket_url, str(problem)) from None
        raise Mute("CONN-6", f"the WebSocket handshake was taken and not answered: {problem}") from None


async def _is_open(url: str, options: Options, clock: Clock) -> bool:
    """Return whether there is a Runwire WebSocket at the usual place, which wants no credential."""
    target = Target(Profile(_as_websocket(urljoin(url, DEFAULT_WEBSOCKET))), options, clock)
    try:
        await target.connect()
    except (Broken, Moot, Unanswered, Unreachable):
        return False
    finally:
        await target.end()
    return True


async def locate(url: str, options: Options) -> Profile:
    """Return where a server is, by its discovery document if it has one; raises NoRunwireServer."""
    parts = _parts(url)
    bare = parts.scheme in {"ws", "wss"}
    origin = urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, "", "", ""))
    named = not bare and parts.path not in {"", "/"}
    places = [url, origin + WELL_KNOWN] if named else [origin + WELL_KNOWN]
    response: Response | None = None
    for place in dict.fromkeys(places):
        try:
            found_at, response = await _answered(place, options)
        except Unreachable as problem:
            raise await unreachable(url, problem) from None
        except Unanswered as problem:
            if not bare:
                raise await speechless(url, str(problem)) from None
            continue
        if document := _discovery(response):
            endpoints = document.get("endpoints")
            path = endpoints.get("websocket") if isinstance(endpoints, dict) else None
            found = _as_websocket(urljoin(found_at, path if isinstance(path, str) else DEFAULT_WEBSOCKET))
            if place != places[0]:
                raise NoRunwireServer(
                    f"{url} is no discovery document; write {origin}, whose document names {found}, or that itself"
                )
            return Profile(url if bare else found, found_at, document)
    status = response.status if response is not None else 0
    if (
        response is not None
        and status in {401, 403}
        and not options.sent_headers
        and speaks_runwire(response)
    ):
        raise Mute("CONN-1", f"{places[0]} answered {status} to a request without credentials")
    if (
        not bare
        and (said := refused(places[0], status, has_credential=bool(options.sent_headers))) is not None
    ):
        raise said
    if named:
        raise NoRunwireServer(
            f"neither {url} nor {places[1]} is a discovery document; is it a WebSocket? then write {_as_websocket(url)}"
        )
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
    """Return the answer to a GET and its URL after redirects within its origin; raises NoRunwireServer for others."""
    for _ in range(MOST_REDIRECTS):
        response = await fetch(place, options.tls, headers=options.sent_headers)
        location = response.header("location")
        if response.status not in REDIRECTS or location is None:
            break
        origin, place = urlsplit(place)[:2], urljoin(place, location)
        to = urlsplit(place)
        if (to.scheme, to.netloc) != origin:
            there = urlunsplit((to.scheme, to.netloc, "", "", ""))
            raise NoRunwireServer(
                f"{origin[0]}://{origin[1]} redirects to {place}; to judge what is there, write {there}"
            )
    return place, response


def _discovery(response: Response) -> dict[str, object] | None:
    try:
        document = json.loads(response.body) if response.status == 200 else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("protocol") == "runwire" else None


def _as_websocket(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.replace("http", "ws", 1), parts.netloc, parts.path, parts.query, ""))
