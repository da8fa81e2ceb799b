"""Normalisation of agent output: valid Unicode and numbers, schema, bounded size and depth."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runwire_reference_server.run_log.events import TEXT_MEMBERS, Draft, Event, draft, encoded, text_member
from runwire_schemas import server_message_violations

#: Room for `run_id`, `seq`, `ts` and the like beside what the agent gave.
ENVELOPE_BYTES = 256

#: Bytes of the longest character in a JSON text, such as U+0001.
_MOST_PER_CHARACTER = 6

#: How many beginnings of texts are known to be valid for one run.
_MOST_KNOWN = 64


class TooLarge(Exception):
    """An event that may not be cut and cannot be sent whole."""


class Malformed(Exception):
    """An event that its schema refuses."""


#: What of which event may be cut; every other event is sent whole or ends its run ([EVENT-18] to [EVENT-20]). Texts are
#: divided: into several events of their kind, a `replace` into itself and tokens with the rest. A terminal keeps the
#: beginning of its text, an observation the beginning of its content as JSON text, and `truncated`.
CUTS: Mapping[str, str] = {**TEXT_MEMBERS, "replace": "data", "done": "data", "error": "data"}

#: What the log writes itself.
_RESERVED = frozenset({"run_id", "seq", "first_seq", "ts", "trace_id"})

#: What a terminal has beside what its schema asks of every server; a completed run needs no reason ([EVENT-21] to
#: [EVENT-23]).
_ENDS = {"done": frozenset({"status", "reason"}), "error": frozenset({"code", "retryable"})}
_ENVELOPE = {"run_id": "r" * 22, "seq": 1, "ts": "2026-01-01T00:00:00.000Z"}

_PLAIN = {
    kind: (TEXT_MEMBERS[kind], draft({"type": kind, TEXT_MEMBERS[kind]: ""}).head)
    for kind in ("token", "thinking")
}


class Fitter:
    """Turns one run's raw events into drafts that may be appended.

    A high surrogate at the end of a text waits for the text that goes on from it, so that no pair is divided
    ([EVENT-2]). What ends that text ends the waiting.
    """

    def __init__(self, max_event_bytes: int, json_depth: int) -> None:
        self._room = max_event_bytes - ENVELOPE_BYTES
        self._plain_room = self._room - max(len(head) for _, head in _PLAIN.values())
        self._depth = json_depth
        self._held: dict[bytes, tuple[Event, str]] = {}
        self._known: set[bytes] = set()

    def plain(self, event: Event) -> Draft | None:
        """Return the draft of a text without anything beside it that fits as it is, which most events are."""
        kind = event["type"]
        plain = _PLAIN.get(kind)
        if plain is None or len(event) != 2 or self._held:
            return None
        text = event.get(plain[0])
        if type(text) is not str or not text:
            return None
        try:
            quoted = encoded(text)
        except UnicodeEncodeError:
            return None
        return Draft(kind, plain[1], quoted) if len(quoted) < self._plain_room else None

    def fit(self, event: Event) -> Sequence[Draft]:
        """Return what to append for `event`; raises TooLarge and Malformed."""
        drafted = self.plain(event)
        return list(self._fitted(event)) if drafted is None else (drafted,)

    def _fitted(self, event: Event) -> Iterator[Draft]:
        kind = event["type"]
        if kind in {"replace", "done", "error"}:
            yield from self._let_go(lambda held: kind != "replace" or held["type"] == "token")
        elif kind == "tool_call" or (kind == "observation" and not event.get("partial")):
            yield from self._let_go(lambda held: held.get("call_id") == event.get("call_id"))
        if text_member(event) is not None:
            yield from self._text(event)
        else:
            yield self._whole(event)

    def _let_go(self, concerned: Any) -> Iterator[Draft]:
        """Yield the halves whose other half can no longer come: each is a character of its own."""
        for beside, (event, half) in tuple(self._held.items()):
            if concerned(event):
                del self._held[beside]
                yield from self._pieces(event, half)

    def _text(self, event: Event) -> Iterator[Draft]:
        member = CUTS[event["type"]]
        text = event.get(member)
        if not isinstance(text, str):
            raise Malformed(f"{member} must be a string")
        beside = _valid({name: value for name, value in event.items() if name != member})
        stream = beside if event["type"] != "replace" else beside | {"type": "token"}
        key = encoded(stream)
        text = self._held.pop(key, (stream, ""))[1] + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[key] = (stream, text[-1])
            text = text[:-1]
            if not text and event["type"] != "replace":
                return
        if text or event["type"] != "token":
            yield from self._pieces(beside, text)

    def _pieces(self, beside: Event, text: str) -> Iterator[Draft]:
        """Yield drafts for a text of any length; `beside` is all of the event but its text."""
        kind = beside["type"]
        member = CUTS[kind]
        head = draft(beside | {member: ""}).head
        self._check(head, beside | {member: "x"})
        rest = encoded(_valid(text))[1:-1]
        room = self._room - len(head) - 2
        if room < _MOST_PER_CHARACTER:
            raise TooLarge
        while True:
            stop = cut(rest, room)
            yield Draft(kind, head, b'"%b"' % rest[:stop])
            rest = rest[stop:]
            if not rest:
                return
            if kind == "replace":
                yield from self._pieces({"type": "token"}, msgspec.json.decode(b'"%b"' % rest))
                return

    def _whole(self, event: Event) -> Draft:
        event = _valid(event)
        kind = event["type"]
        deep = deeper_than(event, self._depth)
        is_text = deep and kind == "observation" and not isinstance(event.get("content"), str)
        if is_text:
            event = event | {"content": encoded(event["content"]).decode(), "truncated": True}
            deep = deeper_than(event, self._depth)
        if deep:
            raise TooLarge
        self._check(None, event)
        drafted = draft(event)
        if drafted.size <= self._room:
            return drafted
        member = CUTS.get(kind, "")
        value = event.get(member)
        if kind == "observation":
            event = event | {"truncated": True}
            value = value if is_text else encoded(value).decode()  # that of a string has its quotation mark
        if not isinstance(value, str):
            raise TooLarge
        event = event | {member: ""}
        room = self._room - draft(event).size
        if room < _MOST_PER_CHARACTER:
            raise TooLarge
        text = encoded(value)[1:-1]
        return draft(event | {member: msgspec.json.decode(b'"%b"' % text[: cut(text, room)])})

    def _check(self, head: bytes | None, event: Event) -> None:
        """Raise Malformed for an event that its schema refuses; a `head` is looked at once."""
        if head in self._known:
            return
        if reserved := _RESERVED & event.keys():
            raise Malformed(f"{min(reserved)} is the log's own")
        if event["type"] in {"token", "replace"} and {"agent", "parent_call_id"} & event.keys():
            raise Malformed("the answer has no agent")  # [EVENT-3]
        missing = _ENDS.get(event["type"], frozenset()) - event.keys()
        if missing - ({"reason"} if event.get("status") == "completed" else set()):
            raise Malformed(f"{min(missing)} is missing")
        if found := server_message_violations(event | _ENVELOPE | _traced(event)):
            raise Malformed(f"{found[0].pointer or '/'} breaks {found[0].keyword}")
        if head is not None and len(self._known) < _MOST_KNOWN:
            self._known.add(head)


def cut(text: bytes, most: int) -> int:
    """Return where the inside of a JSON string may be cut to `most` bytes at most: not in a character or an escape."""
    if len(text) <= most:
        return len(text)
    stop = most
    while text[stop] & 0xC0 == 0x80:
        stop -= 1
    slash = text.rfind(b"\\", max(0, stop - 5), stop)
    slashes = slash + 1 - len(text[: slash + 1].rstrip(b"\\"))
    if slashes % 2:  # an escape begins here, unless it is the second half of one
        escape = 6 if text[slash + 1 : slash + 2] == b"u" else 2
        if slash + escape > stop:
            return slash
    return stop


def _traced(event: Event) -> Event:
    return {"trace_id": "1" * 32} if event["type"] in {"done", "error"} else {}


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
    if value is None or isinstance(value, int):
        return value
    return _valid(msgspec.to_builtins(value, str_keys=True))  # such as a set, a date or a dataclass


def deeper_than(value: Any, most: int) -> bool:
    """Whether objects and arrays nest deeper than `most`, `value` itself being 1."""
    level = [value]
    while level and most:
        most -= 1
        inner = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
        level = [item for item in inner if isinstance(item, dict | list)]
    return bool(level)
