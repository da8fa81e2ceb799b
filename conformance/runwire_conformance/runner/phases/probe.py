"""Probe: locates the server and takes a first look at it."""

from collections.abc import Collection
from urllib.parse import urljoin

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.discovery.diagnosis import (
    CredentialRequired,
    NoRunwireServer,
    not_http,
    unreachable,
)
from runwire_conformance.client.discovery.locate import (
    DEFAULT_WEBSOCKET,
    DiscoveryRefused,
    ServerUnusable,
    _as_websocket,
    locate,
)
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.runner.phases.preflight import preflight
from runwire_conformance.trace.clock import Clock
from runwire_conformance.verdict.proxies.signs import host_advice


async def probe(
    url: str, options: Options, clock: Clock, asked: Collection[str] | None = None
) -> ServerProfile:
    """Return what can be learned about the server at `url`, of which requirements are `asked`, None for all; raises
    NoRunwireServer or ServerUnusable.
    """
    try:
        profile = await _located(url, options)
    except DiscoveryRefused as problem:
        raise ServerUnusable("CONN-1", str(problem)) from None
    except CredentialRequired as problem:
        if options.sent_headers or not await _is_open(url, options, clock):
            raise
        raise ServerUnusable(
            "CONN-1", f"discovery requires a credential, but the WebSocket does not: {problem}"
        ) from None
    try:
        return await preflight(profile, options, clock, asked)
    except Unreachable as problem:
        raise await unreachable(profile.websocket_url, problem) from None
    except Unanswered as problem:
        if profile.discovery is None:
            raise await not_http(profile.websocket_url, str(problem)) from None
        raise ServerUnusable("CONN-6", f"the WebSocket handshake got no answer: {problem}") from None


async def _located(url: str, options: Options) -> ServerProfile:
    """Return where a server is; what a proxy with a `Host` of its own may have brought about is held against nobody."""
    try:
        return await locate(url, options)
    except NoRunwireServer as problem:
        advice = host_advice(problem.response.headers) if problem.response is not None else None
        if advice is None:
            raise
        raise NoRunwireServer(f"{problem}; {advice}") from None


async def _is_open(url: str, options: Options, clock: Clock) -> bool:
    """Return whether there is a Runwire WebSocket at the usual place, which wants no credential."""
    target = Target(ServerProfile(_as_websocket(urljoin(url, DEFAULT_WEBSOCKET))), options, clock)
    try:
        await target.connect()
    except (Broken, Blocked, Unanswered, Unreachable):
        return False
    finally:
        await target.end()
    return True
