"""Who gets in, decided before a connection is accepted (chapter 11) and while there is room (chapter 12)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from runwire_reference_server.service import Refusal
from runwire_reference_server.settings import LOOPBACK_NAMES, Settings

Scope = Mapping[str, object]


def check_host_and_origin(settings: Settings, scope: Mapping[str, object], headers: Headers) -> None:
    """Raise Refusal for a `Host` the server is not known by or an `Origin` that is not listed."""
    host = headers.get("host", "")
    if not _host_known(settings, scope, host):
        raise Refusal("forbidden", "this server is not known by that Host; see --allow-host")  # [ORIGIN-4]
    origin = headers.get("origin")
    if origin is not None and not origin_listed(settings, scope, origin, host):
        raise Refusal("forbidden", "this Origin is not listed; see --allow-origin")  # [ORIGIN-1]


def origin_listed(settings: Settings, scope: Mapping[str, object], origin: str, host: str) -> bool:
    """Whether `origin` may talk to the server; `null` never may ([ORIGIN-2])."""
    if origin in settings.allowed_origins:
        return origin != "null"
    try:
        parts = urlsplit(origin)
        name = _host_name(parts.netloc)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or parts.path or parts.query or parts.fragment or not name:
        return False
    if settings.loopback and name in LOOPBACK_NAMES:
        return True
    own = {"ws": "http", "wss": "https"}.get(str(scope["scheme"]), str(scope["scheme"]))
    return origin == f"{own}://{host}"


def _host_known(settings: Settings, scope: Mapping[str, object], host: str) -> bool:
    name = _host_name(host)
    server = scope.get("server")
    bound = str(server[0]) if isinstance(server, tuple | list) else settings.host
    known = {settings.host, bound, f"[{bound}]", *settings.allowed_hosts}
    if settings.loopback or bound in {"127.0.0.1", "::1"}:
        known |= LOOPBACK_NAMES
    return name in known or host in settings.allowed_hosts


def _host_name(host: str) -> str:
    """Return the name in `name:port` or `[address]:port`; empty when malformed."""
    if host.startswith("["):
        name, bracket, rest = host.partition("]")
        return name + bracket if bracket and (not rest or _is_port(rest)) else ""
    name, colon, rest = host.partition(":")
    return name.lower() if not colon or rest.isdigit() else ""


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isdigit()


@dataclass(slots=True)
class Places:
    """Counts the connections and streams of each caller ([LIMIT-1], [LIMIT-2], [LIMIT-4])."""

    most: int
    taken: Counter[str] = field(default_factory=Counter)

    def take(self, caller: str) -> None:
        """Take a place; raises Refusal when there is none."""
        if self.taken[caller] >= self.most:
            raise Refusal("busy", "too many connections", 1)
        self.taken[caller] += 1

    def give_back(self, caller: str) -> None:
        """Free a place."""
        self.taken[caller] -= 1
        if not self.taken[caller]:
            del self.taken[caller]


def caller(scope: Mapping[str, object]) -> str:
    """Return who a connection counts for; without authentication, the client's address."""
    client = scope.get("client")
    return str(client[0]) if isinstance(client, tuple | list) else ""
