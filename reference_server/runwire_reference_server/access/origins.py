"""Allowed hosts and origins (chapter 11)."""

import re
from collections.abc import Mapping

from starlette.datastructures import Headers

from runwire_reference_server.access.addresses import scheme
from runwire_reference_server.service.settings import Settings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::[0-9]{1,5})?")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

#: The pages that a server on the loopback interface admits ([ORIGIN-1]), names being those of LOOPBACK_NAMES.
_LOOPBACK_PAGE = re.compile(
    rf"https?://(?:{'|'.join(re.escape(name) for name in sorted(LOOPBACK_NAMES))})(?::[0-9]{{1,5}})?"
)


def host_known(settings: Settings, scope: Mapping[str, object], headers: Headers) -> bool:
    """Whether the `Host` is one the server is known by, where it has to be ([ORIGIN-4])."""
    if not settings.loopback and settings.access.authenticates:
        return True  # a foreign page has no credential here, under whatever name it comes
    hosts = headers.getlist("host")
    host = hosts[0] if len(hosts) == 1 else ""
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
    if origin in settings.allowed_origins or (settings.loopback and _LOOPBACK_PAGE.fullmatch(origin)):
        return True
    host = headers.get("host", "")
    own = scheme(scope, headers, settings.access.trusted_proxies)
    return bool(_host_name(host)) and origin == f"{own}://{host}"


def _host_name(host: str) -> str:
    """Return the name in `name:port` or `[address]:port`; empty when malformed."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else ""
