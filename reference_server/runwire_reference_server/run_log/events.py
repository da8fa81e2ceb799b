"""Log events: encoded once, positioned and merged as bytes (chapters 5 and 7)."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

Event = dict[str, Any]

#: Return the JSON text of a value in UTF-8.
encoded = msgspec.json.Encoder().encode

#: Which member of which event is text that goes on in the next one of its kind.
TEXT_MEMBERS: Mapping[str, str] = {
    "token": "data",
    "thinking": "content",
    "tool_delta": "data",
    "observation": "content",
}

#: Types of events that end a run.
TERMINALS = frozenset({"done", "error"})

#: Bytes for what merging adds to an event: `first_seq`.
_MERGING_BYTES = 32


def encode(message: Mapping[str, Any]) -> str:
    """Return the JSON text of a message."""
    return encoded(message).decode()


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that has no place in a log yet, as JSON text without its closing brace.

    What is text stands last: `head` leads up to it, `text` is its JSON string. Any other event is a head alone, and
    `event` holds its members, which a store may have to act on.
    """

    kind: str
    head: bytes
    text: bytes = b""
    event: Event | None = None

    @property
    def size(self) -> int:
        """Bytes of the JSON text before the event has its place."""
        return len(self.head) + len(self.text) + 1


def draft(event: Event) -> Draft:
    """Make the draft of an event."""
    kind = event["type"]
    member = text_member(event)
    if member is None:
        return Draft(kind, encoded(event)[:-1], event=event)
    beside = {name: value for name, value in event.items() if name != member}
    return Draft(kind, b'%b,"%b":' % (encoded(beside)[:-1], member.encode()), encoded(event[member]))


def text_member(event: Event) -> str | None:
    """Return which member of an event is text that may be divided and merged; None when none is."""
    kind = event["type"]
    if kind == "replace":
        return "data"
    return None if kind == "observation" and not event.get("partial") else TEXT_MEMBERS.get(kind)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An event in a log: its place and its JSON text in UTF-8, whose bytes all readers share.

    The event's text, if it has one, is the JSON string between `head` and `end`.
    """

    seq: int
    kind: str
    data: bytes
    head: bytes = b""
    end: int = 0

    @property
    def terminal(self) -> bool:
        """Whether the event ends its run."""
        return self.kind in TERMINALS

    @property
    def event(self) -> Event:
        """The members of the event."""
        event: Event = msgspec.json.decode(self.data)
        return event


@lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime(',"ts":"%Y-%m-%dT%H:%M:%S.')


@lru_cache(maxsize=16)
def stamp(at_ms: int) -> bytes:
    """Return what ends an event that was appended `at_ms` milliseconds after the epoch: its `ts`."""
    return b'%b%03dZ"}' % (_second(at_ms // 1000).encode(), at_ms % 1000)


def place_of(run_id: str) -> bytes:
    """Return what stands in every event of a run between what its agent said and its `seq`."""
    return b',"run_id":"%b","seq":' % run_id.encode()


def placed(drafted: Draft, place: bytes, seq: int, at: bytes) -> Entry:
    """Make the log entry of a draft, given what `place_of` and `stamp` return.

    Its place is written behind the text that is there: no event is encoded twice.
    """
    head, text = drafted.head, drafted.text
    data = b"".join((head, text, place, b"%d" % seq, at))
    if text:
        return Entry(seq, drafted.kind, data, head, len(head) + len(text))
    return Entry(seq, drafted.kind, data)


def merged(entries: Iterable[Entry], max_bytes: int) -> Iterator[Entry]:
    """Yield `entries` with adjacent ones merged wherever that is allowed, up to `max_bytes` of JSON text.

    Texts with the same head differ in nothing else ([RESUME-23], [RESUME-26]).
    """
    group: list[Entry] = []
    size = 0
    for item in entries:
        text = item.end - len(item.head)
        if group and item.head and item.head == group[0].head and size + text <= max_bytes:
            group.append(item)
            size += text
            continue
        if group:
            yield _joined(group)
        group, size = [item], len(item.data) + _MERGING_BYTES
        if item.kind == "replace":
            yield item
            group = []
    if group:
        yield _joined(group)


def _joined(group: Sequence[Entry]) -> Entry:
    if len(group) == 1:
        return group[0]
    first, last = group[0], group[-1]
    head, rest = first.head, last.data[last.end :]
    data = b'%b"%b","first_seq":%d%b' % (head, b"".join(map(_text, group)), first.seq, rest)
    return Entry(last.seq, last.kind, data)


def _text(item: Entry) -> bytes:
    return item.data[len(item.head) + 1 : item.end - 1]


def answer_text(entries: Iterable[Entry]) -> str:
    """Return the answer text of a log: the last `replace`, if any, and every `token` after it."""
    parts: list[bytes] = []
    for item in entries:
        if item.kind == "replace":
            parts = [_text(item)]
        elif item.kind == "token":
            parts.append(_text(item))
    return str(msgspec.json.decode(b'"%b"' % b"".join(parts)))
