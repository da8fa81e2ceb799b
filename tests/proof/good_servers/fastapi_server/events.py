"""Makes events fit to be sent: valid Unicode, finite numbers, no larger and no deeper than advertised."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from .limits import Limits
from .messages import deeper_than

#: The member of each event whose text can be cut, or carried on in a further event.
TEXT = {"token": "data", "replace": "data", "thinking": "content", "tool_delta": "data"}

#: Room for `run_id`, `seq`, `first_seq` and `trace_id`, which are added when the event is appended.
ENVELOPE = 256


#: Bytes of the longest character in a JSON text, such as U+0001.
MOST_PER_CHARACTER = 6


class Unfit(Exception):
    """An event that cannot be made to fit."""


def encoded(value: Any) -> str:
    """Return a value as JSON text on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def size(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text.encode())


def clean(value: Any) -> Any:
    """Return a value that can be sent: surrogates without a partner replaced, numbers that overflow as `null`.

    An integer that a double may not hold becomes the string of its digits [MSG-35].
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(2**53) < value < 2**53:
        return str(value)
    if isinstance(value, dict):
        return {clean(name): clean(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def cut(text: str, room: int) -> str:
    """Return the longest beginning of a text whose JSON form, without quotes, has at most `room` bytes."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if size(encoded(text[:middle])) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def fitted(event: dict[str, Any], limits: Limits) -> Iterator[dict[str, Any]]:
    """Yield the event, or the events that mean the same, in sizes that can be sent.

    Raises `Unfit` for what is too large and not cut: the arguments of a call, and what stands beside a text [EVENT-27].
    """
    kind = event["type"]
    room = limits.max_event_bytes - ENVELOPE
    member = "content" if event.get("partial") else TEXT.get(kind)
    deep = deeper_than(event, limits.json_depth)
    if not deep and size(encoded(event)) <= room:
        yield event
    elif member:
        yield from _pieces(event, member, room)
    elif kind == "observation":
        text = encoded(event["content"])
        rest = {**event, "content": "", "truncated": True}
        yield {**rest, "content": cut(text, _left(room, rest))}
    elif kind == "error" or kind == "done":
        rest = {**event, "data": ""}
        yield {**rest, "data": cut(event["data"], _left(room, rest))}
    else:
        raise Unfit(f"a {kind} of this size is not sent")


class Halves:
    """Holds back the first half of a surrogate pair until the agent goes on with that text [EVENT-31, EVENT-32]."""

    def __init__(self) -> None:
        self._held: dict[object, dict[str, Any]] = {}

    def joined(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what can be appended now that this event has come."""
        member = "content" if event.get("partial") else TEXT.get(event["type"])
        replaces = event["type"] == "replace"
        if replaces:
            yield from self.rest(lambda held: held["type"] == "token")
        if not member:
            yield from self.rest(lambda held: held.get("call_id") == event.get("call_id"))
            yield event
            return
        beside = event | {member: ""} | ({"type": "token"} if replaces else {})
        key = frozenset(beside.items())
        text = self._held.pop(key, beside)[member] + event[member]
        if "\ud800" <= text[-1:] <= "\udbff":
            self._held[key] = beside | {member: text[-1]}
            text = text[:-1]
            if not text and not replaces:
                return
        yield event | {member: text}

    def rest(self, concerned: Callable[[dict[str, Any]], bool] = bool) -> Iterator[dict[str, Any]]:
        """Yield the halves whose other half can no longer come."""
        for key, held in tuple(self._held.items()):
            if concerned(held):
                del self._held[key]
                yield held


def _left(room: int, rest: dict[str, Any]) -> int:
    """Return the bytes that an event leaves for its text; raises `Unfit` when no character fits."""
    left = room - size(encoded(rest))
    if left < MOST_PER_CHARACTER:
        raise Unfit("what stands beside the text is too large")
    return left


def _pieces(event: dict[str, Any], member: str, room: int) -> Iterator[dict[str, Any]]:
    rest = {**event, member: ""}
    text = event[member]
    room = _left(room, rest)
    while text:
        piece = cut(text, room)
        yield {**rest, member: piece}
        text = text[len(piece) :]
        if rest["type"] == "replace":
            rest["type"] = "token"
