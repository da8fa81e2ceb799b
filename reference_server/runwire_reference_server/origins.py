"""Which names a server is known by, and which pages may talk to it (chapter 11)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from runwire_reference_server.addresses import scheme
from runwire_reference_server.settings import LOOPBACK_NAMES, Settings


def host_known(settings: Settings, scope: Mapping[str, object], headers: Headers) -> bool:
    """Whether the `Host` is one the server is known by, where it has to be ([ORIGIN-4])."""
    if not settings.loopback and settings.access.authenticates:
        return True  # a foreign page has no credential here, under whatever name it comes
    host = headers.get("host", "")
    name = _host_name(host)
    server = scope.get("server")
    bound = str(server[0]) if isinstance(server, tuple | list) else settings.host
    known = {settings.host, bound, f"[{bound}]", *settings.allowed_hosts}
    if settings.loopback or bound in {"127.0.0.1", "::1"}:
        known |= LOOPBACK_NAMES
    return name in known or host in settings.allowed_hosts


def origin_listed(settings: Settings, scope: Mapping[str, object], headers: Headers) -> bool:
    """Whether the `Origin` may talk to the server; no `Origin` may, `null` never ([ORIGIN-1] to [ORIGIN-3])."""
    given = headers.getlist("origin")
    if not given:
        return True
    origin = given[0]
    if len(given) > 1 or origin == "null":
        return False
    if origin in settings.allowed_origins:
        return True
    try:
        parts = urlsplit(origin)
        name = _host_name(parts.netloc)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or parts.path or parts.query or parts.fragment or not name:
        return False
    if settings.loopback and name in LOOPBACK_NAMES:
        return True
    own = scheme(scope, headers, settings.access.trusted_proxies)
    return origin == f"{own}://{headers.get('host', '')}"


def _host_name(host: str) -> str:
    """Return the name in `name:port` or `[address]:port`; empty when malformed."""
    if host.startswith("["):
        name, bracket, rest = host.partition("]")
        return name + bracket if bracket and (not rest or _is_port(rest)) else ""
    name, colon, rest = host.partition(":")
    return name.lower() if not colon or rest.isdigit() else ""


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isdigit()
