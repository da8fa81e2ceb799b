"""URLs of a server's endpoints, from what its discovery document says: none leads to another origin ([CONN-5])."""

import re
from urllib.parse import urljoin, urlsplit, urlunsplit

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_URL = re.compile(r"[!-~]{1,2048}")

Origin = tuple[bool, str, int]


class BadEndpoint(ValueError):
    """A URL that no credential may be sent to; the message is one line that is fit to print."""


def origin_of(url: str) -> Origin:
    """Return whether a URL is of TLS, its host and its port; raises ValueError when it has no such origin."""
    parts = urlsplit(url)
    if parts.scheme not in _SECURE or not parts.hostname or parts.username is not None or parts.port == 0:
        raise ValueError("no URL of a server")
    secure = _SECURE[parts.scheme]
    return secure, parts.hostname, parts.port or (443 if secure else 80)


def endpoint_url(discovery_url: str, name: str, place: str) -> str:
    """Return the URL of the endpoint `name`, which discovery gives as `place`; raises BadEndpoint.

    The scheme is `ws` or `wss` for the endpoint `websocket` and `http` or `https` for any other.
    """
    said = f"the discovery document at {discovery_url} gives its endpoint {name} as {place[:100]!a}"
    try:
        url = urljoin(discovery_url, place) if _URL.fullmatch(place) else ""
        origin = origin_of(url)
    except ValueError:
        raise BadEndpoint(f"{said}, which is no URL of a server") from None
    if origin != origin_of(discovery_url):
        raise BadEndpoint(
            f"{said}, which is of another origin, where no credential may go (CONN-5); make it a path"
        )
    parts = urlsplit(url)
    scheme = ("ws" if name == "websocket" else "http") + ("s" if origin[0] else "")
    return urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))


def joined(url: str, place: str) -> str:
    """Return the URL that an answer at `url` gives as `place`, to be compared; empty when it is none."""
    try:
        return urljoin(url, place)
    except ValueError:
        return ""
