"""HTTP header parsing: media types, cursors, trace contexts."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers

_CURSOR = re.compile(r"(?:([A-Za-z0-9_-]{1,64})\.)?(0|[1-9][0-9]{0,15})")
_FIELDS = r"-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rf"00{_FIELDS}|(?!00|ff)[0-9a-f]{{2}}{_FIELDS}(?:-.*)?")

_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")

EVENT_STREAM = "text/event-stream"


def accept_of(headers: Headers) -> str | None:
    """Return the `Accept` of a request as one list, None without one."""
    return ",".join(headers.getlist("accept")) or None


def accepts_event_stream(accept: str | None) -> bool:
    """Whether an `Accept` header admits an event stream; an absent one admits everything (RFC 9110 12.5.1)."""
    weights = _weights(accept)
    ranges = [media for media in (EVENT_STREAM, "text/*", "*/*") if media in weights]
    return not weights or (bool(ranges) and weights[ranges[0]] > 0)


def names_event_stream(accept: str | None) -> bool:
    """Whether an `Accept` header names the event stream itself ([HTTP-2])."""
    return _weights(accept).get(EVENT_STREAM, 0) > 0


def names_json_alone(accept: str | None) -> bool:
    """Whether an `Accept` header asks for JSON and not for the event stream, as a poll does."""
    return _weights(accept).get("application/json", 0) > 0 and not names_event_stream(accept)


def read_wait(query: Sequence[str], most_s: float) -> float | None:
    """Return for how many seconds a poll may wait, at most `most_s`; None when malformed ([POLL-4], [POLL-6])."""
    if not query:
        return 0.0
    found = re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", query[0]) if len(query) == 1 else None
    return min(float(found[0]), most_s) if found else None


def matches_etag(if_none_match: Sequence[str], etag: str) -> bool:
    """Whether the `If-None-Match` headers hold `etag` (RFC 9110 13.1.2)."""
    named = [name.strip().removeprefix("W/") for name in ",".join(if_none_match).split(",")]
    return etag in named or named == ["*"]


def is_json(content_type: str | None) -> bool:
    """Whether a `Content-Type` is `application/json`, with whatever parameters."""
    return content_type is not None and content_type.partition(";")[0].strip().lower() == "application/json"


def read_cursor(header: Sequence[str], query: Sequence[str]) -> tuple[str | None, int] | None:
    """Return epoch and seq of `<epoch>.<seq>` or `<seq>`; None when malformed ([SSE-14] to [SSE-16]).

    `header` and `query` are what was given as `Last-Event-ID` and as `after`; an empty one is none.
    """
    given = [text for text in header if text] or [text for text in query if text] or ["0"]
    found = _CURSOR.fullmatch(given[0]) if len(given) == 1 else None
    return (found[1], int(found[2])) if found and int(found[2]) < 2**53 else None


def trace_id(given: Sequence[str]) -> str | None:
    """Return the trace id of a `traceparent`; None when it is absent, not valid or given twice ([OBS-4])."""
    found = _TRACEPARENT.fullmatch(given[0].strip()) if len(given) == 1 else None
    return found[1] or found[2] if found else None


def _weights(accept: str | None) -> dict[str, float]:
    """Return the weight of each media range of an `Accept` header (RFC 9110 12.4.2)."""
    weights = {}
    for part in (accept or "").split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        given = [found[1] for name in parameters if (found := _WEIGHT.fullmatch(name))]
        if media:
            weights[media] = float(given[0]) if given else 1.0
    return weights
