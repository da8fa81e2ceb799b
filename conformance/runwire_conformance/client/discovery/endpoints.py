"""Endpoint URLs from the discovery document, all of the same origin ([CONN-5])."""

import re
from urllib.parse import urljoin, urlsplit, urlunsplit

from runwire_conformance.trace.printing import printable

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_URL = re.compile(r"[!-~]{1,2048}")

Origin = tuple[bool, str, int]


class BadEndpoint(ValueError):
    """A URL that no credential may be sent to; the message is one line that is fit to print."""


def origin_of(url: str) -> Origin:
    """Return whether a URL is of TLS, its host and its port; raises ValueError when it has no such origin."""
    parts = urlsplit(url)
    if parts.scheme not in _SECURE or not parts.hostname or parts.username is not None or parts.port == 0:
        raise ValueError("not the URL of a server")
    secure = _SECURE[parts.scheme]
    return secure, parts.hostname, parts.port or (443 if secure else 80)


def endpoint_url(discovery_url: str, name: str, place: str) -> str:
    """Return the URL of the endpoint `name`, which discovery gives as `place`; raises BadEndpoint.

    The scheme is `ws` or `wss` for the endpoint `websocket` and `http` or `https` for any other.
    """
    said = f"the discovery document at {discovery_url} gives the endpoint {name} as {place[:100]!a}"
    try:
        url = resolved(discovery_url, place) if _URL.fullmatch(place) else ""
        origin = origin_of(url)
    except ValueError:
        raise BadEndpoint(f"{said}, which is not the URL of a server") from None
    parts = urlsplit(url)
    if origin != origin_of(discovery_url):
        there = printable(urlunsplit(("https" if origin[0] else "http", parts.netloc, "", "", "")))
        raise BadEndpoint(
            f"{said}, which has another origin; the judge contacts only the origin that its user named, and no "
            f"credential may be sent elsewhere (CONN-5); if {there} is the same server, judge that, or use a path"
        )
    scheme = ("ws" if name == "websocket" else "http") + ("s" if origin[0] else "")
    return urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))


def resolved(base: str, reference: str) -> str:
    """Return the URL that `reference` is at `base` (RFC 3986, 5.2.2); raises ValueError when it is none.

    `urljoin` leaves `.` and `..` in the path of a reference that names its host; they are removed here too (5.2.4).
    """
    parts = urlsplit(urljoin(base, reference))
    path = urlsplit(urljoin("http://host/", f"/.{parts.path}")).path if parts.path else ""
    return urlunsplit(parts._replace(path=path))


def joined(url: str, place: str) -> str:
    """Return the URL that an answer at `url` gives as `place`, to be compared; empty when it is none."""
    try:
        return resolved(url, place)
    except ValueError:
        return ""
