"""HAR entry, read defensively: a member of the wrong type counts as absent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from urllib.parse import SplitResult, urlsplit

#: A time in a HAR file above this is one in milliseconds: as seconds it would lie in the year 5138.
MOST_SECONDS = 1e11

#: Seconds before its entry began at which a message can stand, and after it.
EARLY_S, LATE_S = 2.0, 7 * 86_400.0

#: Seconds by which a clock may have been set back amid a conversation.
BACK_S = 0.001


@dataclass(frozen=True, slots=True)
class HarEntry:
    """An entry: where it stands, what it is, and what was not understood of it."""

    place: str
    value: Any
    remarks: list[str]

    def remark(self, what: str) -> None:
        """Say of the entry that something was not understood."""
        self.remarks.append(f"{self.place}: {what}")

    def member(self, *path: str) -> Any:
        """Return what stands at a path of member names, None for what does not."""
        return member(self.value, *path)

    def extension(self, name: str) -> Any:
        """Return a member of the entry whose name no standard fixes, however it is written."""
        members = self.value.items() if isinstance(self.value, dict) else ()
        return next((value for key, value in members if str(key).lower() == name.lower()), None)

    @property
    def kind(self) -> str:
        """What a browser calls the entry: `websocket`, `eventsource`, `fetch`."""
        return text(self.extension("_resourceType")).lower()

    @property
    def url(self) -> SplitResult:
        """The URL of the request, an empty one for what is none."""
        try:
            return urlsplit(text(self.member("request", "url")))
        except ValueError:
            return urlsplit("")

    def header(self, of: str, name: str) -> str:
        """Return a header of the `request` or the `response`, an empty text for none."""
        headers = self.member(of, "headers")
        pairs = list(headers.items()) if isinstance(headers, dict) else []
        if isinstance(headers, list):
            pairs = [(member(line, "name"), member(line, "value")) for line in headers]
        return next((text(value) for key, value in pairs if text(key).lower() == name), "")


def member(value: Any, *path: str) -> Any:
    """Return what stands at a path of member names, None for what does not."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any) -> str:
    """Return a text, an empty one for any other value."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """Return a finite number, also one that is written as a text, None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def moment(value: Any) -> float | None:
    """Return a time of ISO 8601 in seconds since 1970, None for any other value."""
    try:
        return datetime.fromisoformat(text(value)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def clock_of(times: Sequence[Any], began: float | None) -> list[float] | None:
    """Return the times of messages in seconds since 1970; None when they are not understood.

    Understood are seconds and milliseconds since 1970, finer than a second, in order, and near the entry's beginning.
    """
    found = [number(time) for time in times]
    if began is None or any(time is None for time in found):
        return None
    seconds = [time / 1000 if time > MOST_SECONDS else time for time in found if time is not None]
    if any(not began - EARLY_S <= time <= began + LATE_S for time in seconds):
        return None
    if any(later < earlier - BACK_S for earlier, later in pairwise(seconds)):
        return None
    coarse = len(seconds) > 1 and all(time == int(time) for time in seconds)
    return None if coarse else seconds
