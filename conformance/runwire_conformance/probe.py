"""A first look at the server: is it there, is it Runwire, and what can it be judged on at all."""

import json
import time
from dataclasses import replace
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from runwire_conformance.bounds import Clock
from runwire_conformance.case import Broken
from runwire_conformance.client import Client
from runwire_conformance.profile import Options, Profile
from runwire_conformance.target import Target
from runwire_conformance.trace import Record, Trace
from runwire_conformance.wire.http import Response, Unanswered, Unreachable, fetch

WELL_KNOWN = "/.well-known/runwire"
DEFAULT_WEBSOCKET = "/ws/generate"

#: Seconds to wait for a `ready`, and for answers that another case will ask for again.
READY_S = 3.0

#: Statuses of HTTP that send a GET elsewhere, and how often the judge goes along.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 4


class NoRunwireServer(Exception):
    """There is nothing to judge; the message is one line that says what to do."""


class Mute(Exception):
    """The server takes connections and says nothing; `requirement` is the one accusation, `text` its reason."""

    def __init__(self, requirement: str, text: str) -> None:
        super().__init__(text)
        self.requirement = requirement


async def probe(url: str, options: Options, clock: Clock) -> Profile:
    """Return what can be learned about the server at `url`; raises NoRunwireServer or Mute."""
    profile = await locate(url, options)
    target = Target(profile, options, clock)
    try:
        return await _listen(target, profile, options, clock)
    except Unreachable as problem:
        raise NoRunwireServer(_unreachable(problem)) from None
    except Unanswered as problem:
        raise Mute("CONN-6", f"the WebSocket handshake was taken and not answered: {problem}") from None
    finally:
        await target.end()


async def locate(url: str, options: Options) -> Profile:
    """Return where a server is, by its discovery document if it has one; raises NoRunwireServer and Mute."""
    parts = _parts(url)
    bare = parts.scheme in {"ws", "wss"}
    origin = urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, "", "", ""))
    places = [origin + WELL_KNOWN] if bare or parts.path in {"", "/"} else [url, origin + WELL_KNOWN]
    response: Response | None = None
    for place in places:
        try:
            place, response = await _followed(place, options)
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
        document = json.loads(response.body) if response.status == 200 else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("protocol") == "runwire" else None


def _as_websocket(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme.replace("http", "ws", 1), parts.netloc, parts.path, parts.query, ""))


async def _listen(target: Target, profile: Profile, options: Options, clock: Clock) -> Profile:
    """Open one connection, play one short run, and note what is missing that everything else leans on."""
    begun = time.monotonic()
    peer, response, _ = await target.handshake()
    peer.close()
    clock.round_trip = time.monotonic() - begun
    if response.status != 101:
        asked = f"{profile.websocket_url} answered the WebSocket handshake with {response.status}"
        if profile.discovery is None:
            hint = "there is no Runwire server; check the URL, or name its WebSocket with ws://host:port/path"
            raise NoRunwireServer(f"{asked} and {profile.discovery_url} is no discovery document: {hint}")
        open_to_all = profile.said.get("auth", ["none"]) == ["none"]
        if response.status in {401, 403} and not open_to_all:
            raise NoRunwireServer(f"{asked}; give a credential with --token or --header")
        raise Mute("CONN-6", asked)
    client = await _connected(target)
    missing: dict[str, str] = {}
    try:
        await client.message(lambda message: message.type == "ready", "ready", seconds=READY_S)
    except Broken:
        missing["CONN-15"] = f"no ready came within {READY_S:g} s of the handshake"
    if client.ready is not None:
        profile = replace(profile, ready=dict(client.ready))
    after = len(client.messages) - 1
    await client.send({"prompt": target.plain})
    await _answered(client, after, options.patience_s)
    try:
        await client.message(lambda message: message.type == "started", "started", after, READY_S)
    except Broken:
        if await _starts_by_type(client, target.plain):
            missing["RUN-1"] = "a prompt without type was not answered with started; one with it was"
        else:
            missing["RUN-3"] = "a prompt was not answered with started"
    try:
        event = await client.message(lambda message: message.is_event, "an event", after, READY_S)
        if "run_id" not in event or "seq" not in event:
            missing["RUN-27"] = f"a {event.type} came without run_id or seq"
    except Broken:
        pass  # an agent may take its time
    asker = await _connected(target)
    sent_at = time.monotonic()
    await asker.send({"type": "heartbeat", "id": "probe"})
    try:
        await asker.message(lambda message: message.type == "heartbeat", "a heartbeat", seconds=READY_S)
        await asker.message(lambda message: message.get("re") == "probe", "an answer", seconds=READY_S)
    except Broken:
        soon = sent_at + profile.limits["heartbeat_s"] / 2  # one that comes later is the server's own
        heard = any(message.type == "heartbeat" and message.at < soon for message in asker.messages)
        missing["MSG-28"] = "a heartbeat with an id was not answered with its re"
        if not heard:
            missing["BEAT-5"] = "a heartbeat was not answered with a heartbeat"
    return replace(profile, broken=missing)


async def _starts_by_type(client: Client, prompt: str) -> bool:
    """Return whether a server that did not take a prompt by itself takes it as a `start`."""
    after = len(client.messages) - 1
    try:
        await client.send({"type": "start", "prompt": prompt})
        await client.message(lambda message: message.type == "started", "started", after, READY_S)
    except Broken:
        return False
    return True


async def _connected(target: Target) -> Client:
    """Return a further connection; raises Mute when the server takes no more."""
    try:
        return await target.connect(ready=False)
    except Broken as problem:
        raise Mute("CONN-6", f"after a first handshake was accepted: {problem}") from None


async def _answered(client: Client, after: int, seconds: float) -> None:
    """Wait for the first answer to a prompt; raises Mute when nothing comes, or nothing that can be read."""

    def spoken() -> bool:
        new = client.messages[after + 1 :]
        return any(message.type != "heartbeat" for message in new) or _unreadable(client.trace) is not None

    try:
        await client.wait_until(spoken, seconds, "a message")
    except Broken:
        if not client.messages and not client.ended:
            reason = f"the connection was accepted; then nothing came for {seconds:g} s"
            raise Mute("RUN-2", reason) from None
    if not client.messages and (record := _unreadable(client.trace)) is not None:
        raise Mute("MSG-1", f"what the server sends is no JSON object: {record.payload[:80]!r}")


def _unreadable(trace: Trace) -> Record | None:
    """Return the first thing the server sent that is no message."""
    kinds = {"text", "binary", "raw"}
    sent = (record for record in trace.records if record.side == "server" and record.kind in kinds)
    return next((record for record in sent if record.message is None), None)


def _unreachable(problem: Unreachable) -> str:
    return f"cannot connect to {problem}; is the server running there?"
