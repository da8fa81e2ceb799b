"""HTTP requests of the judge, as far as they affect the response headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Endpoint = Literal["discovery", "runs", "tickets"]

#: The endpoints that have paths below them.
WITH_PATHS: tuple[Endpoint, ...] = ("runs", "tickets")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: its method, the endpoint that it goes to or below, and the listed origin of the page that sends it.

    `endpoint` is None for a URL that chapter 9 gives no meaning, `origin` empty for a request of no listed page.
    """

    method: str
    endpoint: Endpoint | None = None
    origin: str = ""


def endpoint_of(url: str, endpoints: Mapping[Endpoint, str]) -> Endpoint | None:
    """Return the endpoint whose URL this is or, of those with paths, lies below; None where a segment is empty."""
    parts = urlsplit(url)
    for name, known in ((name, urlsplit(place)) for name, place in endpoints.items()):
        if (parts.scheme, parts.netloc) != (known.scheme, known.netloc):
            continue
        if parts.path == known.path:
            return name
        base = known.path.rstrip("/") + "/"
        if name in WITH_PATHS and parts.path.startswith(base) and is_plain(parts.path.removeprefix(base)):
            return name
    return None


def is_plain(path: str) -> bool:
    """Whether a relative path has no segment that is empty, and none that two readers could take for another."""
    return all(segment and segment.strip(".") and "%" not in segment for segment in path.split("/"))
