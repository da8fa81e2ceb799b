"""A first look at the server: is it there, is it Runwire, and what can it be judged on at all."""

import json
import time
from dataclasses import replace
from urllib.parse import urljoin, urlsplit, urlunsplit

from runwire_conformance.bounds import Clock
from runwire_conformance.case import Broken
from runwire_conformance.target import Options, Profile, Target
from runwire_conformance.wire.http import Response, Unanswered, Unreachable, fetch

WELL_KNOWN = "/.well-known/runwire"
DEFAULT_WEBSOCKET = "/ws/generate"

#: Seconds to wait for a `ready`, and for answers that another case will ask for again.
READY_S = 3.0


class NoRunwireServer(Exception):
    """There is nothing to judge; the message is one line that says what to do."""


class Mute(Exception):
    """The server takes connections and says nothing; `requirement` is the one accusation, `text` its reason."""

    def __init__(self, requirement: str, text: str) -> None:
        super().__init__(text)
        self.requirement = requirement


async def probe(url: str, options: Options, clock: Clock) -> Profile:
    """Return what can be learned about the server at `url`; raises NoRunwireServer or Mute."""
    profile = await _locate(url, options)
    target = Target(profile, options, clock)
    try:
        return await _listen(target, profile, options, clock)
    except Unreachable as problem:
        raise NoRunwireServer(_unreachable(problem)) from None
    except Unanswered as problem:
        raise Mute("CONN-6", f"the WebSocket handshake was taken and not answered: {problem}") from None
    finally:
        await target.end()


async def _locate(url: str, options: Options) -> Profile:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        raise NoRunwireServer(f"{url!r} is no URL of a server; write http://host:port or ws://host:port/path")
    bare = parts.scheme in {"ws", "wss"}
    origin = urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, "", "", ""))
    places = [origin + WELL_KNOWN] if bare or parts.path in {"", "/"} else [url, origin + WELL_KNOWN]
    response: Response | None = None
    for place in places:
        try:
            response = await fetch(place, options.tls, headers=options.sent_headers)
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
        raise NoRunwireServer(
            f"{places[0]} answered {response.status}; give a credential with --token or --header"
        )
    guess = url if bare else _as_websocket(origin + DEFAULT_WEBSOCKET)
    return Profile(guess, origin + WELL_KNOWN)


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
        if response.status in {401, 403}:
            raise NoRunwireServer(f"{asked}; give a credential with --token or --header")
        raise Mute("CONN-6", asked)
    client = await target.connect(ready=False)
    missing: dict[str, str] = {}
    try:
        await client.message(lambda message: message.type == "ready", "ready", seconds=READY_S)
    except Broken:
        missing["CONN-15"] = f"no ready came within {READY_S:g} s of the handshake"
    if client.ready is not None:
        profile = replace(profile, ready=dict(client.ready))
    after = len(client.messages) - 1
    await client.send({"prompt": target.short})
    try:
        await client.message(
            lambda message: message.type != "heartbeat", "a message", after, options.patience_s
        )
    except Broken:
        if not client.messages and not client.ended:
            raise Mute(
                "RUN-2", f"the connection was accepted; then nothing came for {options.patience_s:g} s"
            ) from None
    try:
        await client.message(lambda message: message.type == "started", "started", after, READY_S)
    except Broken:
        missing["RUN-3"] = "a prompt was not answered with started"
    try:
        event = await client.message(lambda message: message.is_event, "an event", after, READY_S)
        if "run_id" not in event or "seq" not in event:
            missing["RUN-27"] = f"a {event.type} came without run_id or seq"
    except Broken:
        pass  # an agent may take its time
    asker = await target.connect(ready=False)
    await asker.send({"type": "heartbeat", "id": "probe"})
    try:
        await asker.message(lambda message: message.type == "heartbeat", "a heartbeat", seconds=READY_S)
        await asker.message(lambda message: message.get("re") == "probe", "an answer", seconds=READY_S)
    except Broken:
        heard = any(message.type == "heartbeat" for message in asker.messages)
        missing["MSG-28"] = "a heartbeat with an id was not answered with its re"
        if not heard:
            missing["BEAT-5"] = "a heartbeat was not answered with a heartbeat"
    return replace(profile, broken=missing)


def _unreachable(problem: Unreachable) -> str:
    return f"cannot connect to {problem}; is the server running there?"
