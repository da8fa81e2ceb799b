"""Makes what an agent produced fit the wire: valid Unicode, bounded size, bounded depth ([EVENT-18] to [EVENT-20])."""

import math
from collections.abc import Iterator
from typing import Any

from runwire_reference_server.events import TEXT_MEMBERS, Draft, Event, draft, encode, encoded

#: Room for `run_id`, `seq`, `ts` and the like beside what the agent gave.
ENVELOPE_BYTES = 256


#: Events of which a part may be sent; any other is sent whole or ends its run ([EVENT-19], [EVENT-27]).
DIVISIBLE = frozenset({*TEXT_MEMBERS, "replace", "done", "error"})


class TooLarge(Exception):
    """An event that cannot be sent whole, and of which no part would do."""


class Fitter:
    """Turns one run's raw events into drafts that may be appended.

    A high surrogate at the end of a token waits for the next one, so that no pair is divided ([EVENT-2]).
    """

    def __init__(self, max_event_bytes: int, json_depth: int) -> None:
        self._room = max_event_bytes - ENVELOPE_BYTES
        self._depth = json_depth
        self._held = ""

    def fit(self, event: Event) -> Iterator[Draft]:
        """Yield what to append for `event`; raises TooLarge for what does not fit."""
        kind = event["type"]
        if kind == "token":
            event = event | {"data": self._held + event["data"]}
            self._held = ""
            if event["data"] and "\ud800" <= event["data"][-1] <= "\udbff":
                self._held = event["data"][-1]
                event["data"] = event["data"][:-1]
            if not event["data"]:
                return
        if not all(isinstance(part, str) and part.isascii() for member in event.items() for part in member):
            event = _valid(event)
        whole = draft(event)
        size = len(whole.data)
        if kind not in DIVISIBLE and (size > self._room or _depth(event) > self._depth):
            raise TooLarge
        if kind == "observation" and not isinstance(event["content"], str) and _depth(event) > self._depth:
            event = event | {"content": encode(event["content"]), "truncated": True}
            whole = draft(event)
            size = len(whole.data)
        if size <= self._room:
            yield whole
        elif kind == "observation" and not event.get("partial"):
            yield draft(self._cut(event))
        elif kind == "replace":
            yield from map(draft, self._replace(event))
        elif kind in TEXT_MEMBERS:
            yield from map(draft, self._pieces(event, TEXT_MEMBERS[kind]))
        else:
            yield draft(event | {"data": self._prefix(event, "data", event["data"])})

    def _cut(self, event: Event) -> Event:
        content = event["content"] if isinstance(event["content"], str) else encode(event["content"])
        event = event | {"truncated": True}
        return event | {"content": self._prefix(event, "content", content)}

    def _replace(self, event: Event) -> Iterator[Event]:
        first = self._prefix(event, "data", event["data"])
        yield event | {"data": first}
        rest = event["data"][len(first) :]
        yield from self._pieces({"type": "token", "data": rest}, "data")

    def _pieces(self, event: Event, member: str) -> Iterator[Event]:
        rest = event[member]
        while rest:
            piece = self._prefix(event, member, rest)
            yield event | {member: piece}
            rest = rest[len(piece) :]

    def _prefix(self, event: Event, member: str, text: str) -> str:
        """Return the longest prefix of `text`, found by halving, that fits as `member` of `event`."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if len(encoded(event | {member: text[:middle]})) <= self._room:
                low = middle
            else:
                high = middle - 1
        return text[:low]


def _valid(value: Any) -> Any:
    """Return `value` with only valid Unicode, finite numbers and integers that a double holds ([MSG-5], [MSG-35])."""
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int) and not -(2**53) < value < 2**53:
        return str(value)
    if isinstance(value, dict):
        return {str(_valid(key)): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value


def _depth(value: Any) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, dict):
            todo.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            todo.extend((child, depth + 1) for child in item)
        else:
            continue
        deepest = max(deepest, depth)
    return deepest
