"""Server profile: the user's options, and what the probe learned."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from runwire_conformance.case import Blocked
from runwire_conformance.client.discovery.endpoints import BadEndpoint, endpoint_url
from runwire_conformance.client.options.search_options import Search
from runwire_conformance.trace.http_request import WITH_PATHS, Endpoint
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.observed import Observed
from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.redaction import Redaction
from runwire_conformance.trace.trace import Trace

#: Headers that carry a credential.
CREDENTIAL_HEADERS = frozenset({"authorization", "cookie"})

#: Headers that a user may add and whose values are no secrets.
PLAIN_HEADERS = frozenset({"accept", "accept-language", "origin", "host", "user-agent"})


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the server beside its URL."""

    token: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, str] = field(default_factory=dict)
    #: Base URLs of further nodes of the same service.
    urls: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    #: The longest time that the judge waits for any one thing, in seconds.
    patience_s: float = 30.0
    #: Seconds after which the judge begins no further case; None for as long as it takes.
    time_limit_s: float | None = None
    #: Whether to leave out what waits long.
    quick: bool = False
    search: Search = field(default_factory=Search)
    #: What is recorded of the server and not judged.
    observed: Observed = field(default_factory=Observed, compare=False)

    @property
    def sent_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that go with every request."""
        bearer = (("Authorization", f"Bearer {self.token}"),) if self.token else ()
        return (*bearer, *self.headers)

    @property
    def redaction(self) -> Redaction:
        """What must not be told of all this."""
        tokens = [self.token, self.hooks.get("other_token"), self.hooks.get("forbidden_token")]
        values = [value.rpartition(" ")[2] for name, value in self.headers if name.lower() == "authorization"]
        values += [value for name, value in self.headers if name.lower() not in PLAIN_HEADERS]
        cookies = [self.hooks.get("cookie"), *(v for n, v in self.headers if n.lower() == "cookie")]
        pairs = [pair for cookie in cookies if cookie for pair in cookie.split(";")]
        values += [pair.partition("=")[2].strip() for pair in pairs]
        return Redaction(filter(None, [*tokens, *values]))

    def as_caller(self, token: str | None, *headers: tuple[str, str]) -> "Options":
        """Return the same for another caller: with this token or none, and no other credential."""
        kept = [header for header in self.headers if header[0].lower() not in CREDENTIAL_HEADERS]
        return replace(self, token=token, headers=(*kept, *headers))


@dataclass(slots=True)
class ServerProfile:
    """What the probe learned about the server."""

    websocket_url: str
    discovery_url: str | None = None
    discovery: Mapping[str, Any] | None = None
    ready: Mapping[str, Any] | None = None
    #: Requirements that were found broken, and that others cannot be judged without, with what showed it.
    broken: Mapping[str, str] = field(default_factory=dict)
    #: By the same requirements: the conversations in which it showed.
    shown: Mapping[str, Sequence[Trace]] = field(default_factory=dict)

    @property
    def said(self) -> Mapping[str, Any]:
        """What the server says about itself: discovery, or else `ready`."""
        return self.discovery or self.ready or {}

    @property
    def features(self) -> frozenset[str]:
        """The features it claims."""
        features = self.said.get("features")
        return (
            frozenset(name for name in features if isinstance(name, str))
            if isinstance(features, list)
            else frozenset()
        )

    @property
    def limits(self) -> Limits:
        """The limits it advertises."""
        limits = self.said.get("limits")
        return Limits(limits if isinstance(limits, dict) else {})

    @property
    def has_script_agent(self) -> bool:
        """Whether it announces the script agent."""
        return self.said.get("script_agent") is True

    @property
    def name(self) -> str:
        """What it calls itself."""
        server = self.said.get("server")
        parts = [server.get("name"), server.get("version")] if isinstance(server, dict) else []
        return printable(" ".join(part for part in parts if isinstance(part, str))) or "unnamed server"

    @property
    def ways(self) -> frozenset[str]:
        """The ways to authenticate that it lists."""
        ways = self.said.get("auth")
        return (
            frozenset(way for way in ways if isinstance(way, str)) if isinstance(ways, list) else frozenset()
        )

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint; raises Blocked when discovery names none, BadEndpoint for one elsewhere."""
        endpoints = self.said.get("endpoints")
        place = endpoints.get(name) if isinstance(endpoints, dict) else None
        if not isinstance(place, str) or self.discovery_url is None:
            raise Blocked("CONN-1")
        return endpoint_url(self.discovery_url, name, place)

    @property
    def answering(self) -> dict[Endpoint, str]:
        """The URLs of the discovery document and of the endpoints with paths, as far as they are known."""
        known: dict[Endpoint, str] = {"discovery": self.discovery_url} if self.discovery_url else {}
        for name in WITH_PATHS:
            with suppress(Blocked, BadEndpoint):
                known[name] = self.endpoint(name)
        return known

    def of_node(self, base: str) -> "ServerProfile":
        """Return the profile of another node of the same service: every URL begins with `base` instead."""
        moved = {
            name: moved_to(base, self.endpoint(name))
            for name in self.said.get("endpoints", {})
            if name != "websocket"
        }
        discovery = dict(self.said) | {"endpoints": moved}
        found = moved_to(base, self.discovery_url) if self.discovery_url else None
        return replace(
            self, websocket_url=moved_to(base, self.websocket_url), discovery_url=found, discovery=discovery
        )


def moved_to(base: str, url: str) -> str:
    """Return `url` at the origin of `base`, with its own kind of scheme."""
    own, new = urlsplit(url), urlsplit(base)
    secure = new.scheme in {"https", "wss"}
    scheme = ("wss" if secure else "ws") if own.scheme in {"ws", "wss"} else ("https" if secure else "http")
    return urlunsplit((scheme, new.netloc, own.path, own.query, ""))
