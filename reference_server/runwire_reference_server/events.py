"""Events as they stand in a log: encoded once, merged for readers that lag (chapters 5 and 7)."""

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

Event = dict[str, Any]

_encoder = msgspec.json.Encoder()

#: Which member of which event is text that can be concatenated.
TEXT_MEMBERS: Mapping[str, str] = {
    "token": "data",
    "thinking": "content",
    "tool_delta": "data",
    "observation": "content",
}


def encode(message: Mapping[str, Any]) -> str:
    """Return the JSON text of a message."""
    return encoded(message).decode()


def encoded(message: Mapping[str, Any]) -> bytes:
    """Return the JSON text of a message in UTF-8."""
    return _encoder.encode(message)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in a log: its place, its members and its JSON text in UTF-8, whose bytes every reader shares.

    `at` is when this process first had it, on the monotonic clock.
    """

    seq: int
    event: Event
    data: bytes
    at: float

    @property
    def terminal(self) -> bool:
        """Whether the event ends its run."""
        return self.event["type"] in {"done", "error"}


def entry(event: Event) -> Entry:
    """Make the log entry of an event that has its `seq`."""
    return Entry(event["seq"], event, encoded(event), time.monotonic())


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has no place in a log yet, and its JSON text in UTF-8."""

    event: Event
    data: bytes


def draft(event: Event) -> Draft:
    """Make the draft of an event."""
    return Draft(event, encoded(event))


@lru_cache(maxsize=16)
def _timestamp(at_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def placed(drafted: Draft, run_id: str, seq: int, at_ms: int) -> Entry:
    """Make the log entry of a draft that was appended `at_ms` milliseconds after the epoch.

    Its place is written into the text that is there: no event is encoded twice.
    """
    ts = _timestamp(at_ms)
    data = drafted.data[:-1] + f',"run_id":"{run_id}","seq":{seq},"ts":"{ts}"}}'.encode()
    return Entry(seq, {**drafted.event, "run_id": run_id, "seq": seq, "ts": ts}, data, time.monotonic())


def mergeable(left: Event, right: Event) -> bool:
    """Whether two adjacent events may be sent as one ([RESUME-23], [RESUME-26])."""
    kind = left["type"]
    text = TEXT_MEMBERS.get(kind)
    if text is None or right["type"] != kind:
        return False
    if kind == "observation" and not (left.get("partial") and right.get("partial")):
        return False
    varying = {"seq", "first_seq", "ts", text}
    return {k: v for k, v in left.items() if k not in varying} == {
        k: v for k, v in right.items() if k not in varying
    }


def merged(entries: Sequence[Entry], max_bytes: int) -> Iterator[Entry]:
    """Yield `entries` with adjacent ones merged wherever that is allowed, up to `max_bytes` of JSON text."""
    group: list[Entry] = []
    size = 0
    for item in entries:
        if group and mergeable(group[0].event, item.event) and size + len(item.data) <= max_bytes:
            group.append(item)
            size += len(item.data)
            continue
        if group:
            yield _joined(group)
        group, size = [item], len(item.data) + 32
    if group:
        yield _joined(group)


def _joined(group: Sequence[Entry]) -> Entry:
    if len(group) == 1:
        return group[0]
    text = TEXT_MEMBERS[group[0].event["type"]]
    event = dict(group[-1].event)
    event["first_seq"] = group[0].seq
    event[text] = "".join(item.event[text] for item in group)
    return replace(entry(event), at=group[-1].at)


def answer_text(entries: Sequence[Entry]) -> str:
    """Return the answer text of a log: the last `replace`, if any, and every `token` after it."""
    parts: list[str] = []
    for item in entries:
        kind = item.event["type"]
        if kind == "replace":
            parts = [item.event["data"]]
        elif kind == "token":
            parts.append(item.event["data"])
    return "".join(parts)
