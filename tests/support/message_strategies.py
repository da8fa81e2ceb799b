"""Messages drawn at random, valid and invalid: written by hand from chapters 3 to 10, not from the schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

#: Text of every character but half a surrogate pair, which no message holds.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)


def chosen(alphabet: str, least: int, most: int) -> Values:
    """Return texts of these characters."""
    return st.text(alphabet, min_size=least, max_size=most)


SAFE = "ABCXYZabcxyz0189_-"
HEX = "0123456789abcdef"
NO_TEXT = st.none() | st.booleans() | st.integers(-3, 3) | st.lists(TEXT, max_size=1) | st.just({})
NO_BOOLEAN = st.none() | st.integers(0, 1) | st.sampled_from(["true", ""]) | st.just([])
NO_INTEGER = st.none() | st.booleans() | st.sampled_from(["1", 1.5, -1, 2**53, 2**64, -0.5, []])


@dataclass(frozen=True, slots=True)
class Kind:
    """What a member can be, and what it cannot be."""

    good: Values
    bad: Values


def text(least: int = 0, most: int | None = None) -> Kind:
    """Return texts of so many characters."""
    good = st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=most or 12)
    bad: Values = NO_TEXT | st.just("") if least else NO_TEXT
    return Kind(good, bad | st.just("é" * (most + 1)) if most else bad)


def one_of(*words: str) -> Kind:
    """Return some words."""
    return Kind(st.sampled_from(words), NO_TEXT | st.sampled_from(["", words[0].upper(), f"{words[0]} "]))


FLAG = Kind(st.booleans(), NO_BOOLEAN)
ANY = Kind(JSON, st.nothing())
CURSOR = Kind(st.integers(0, 2**53 - 1), NO_INTEGER)
SEQ = Kind(st.integers(1, 2**53 - 1), NO_INTEGER | st.just(0))
LAST_SEQ = Kind(st.integers(0, 2**53 - 1), NO_INTEGER)
CHOSEN_ID = Kind(
    chosen(SAFE, 21, 64),
    NO_TEXT
    | chosen(SAFE, 0, 20)
    | chosen(SAFE, 65, 70)
    | chosen(SAFE, 21, 60).flatmap(
        lambda name: st.sampled_from([f"{name}.", f"é{name}", f"{name}\n", f" {name}"])
    ),
)
EPOCH = Kind(chosen(SAFE, 1, 64), NO_TEXT | st.sampled_from(["", "e.1", "e\n", "x" * 65, "é"]))
TRACE_ID = Kind(
    chosen(HEX, 32, 32).filter(lambda text: set(text) != {"0"}),
    NO_TEXT | st.sampled_from(["", "0" * 32, "a" * 31, "a" * 33, "A" * 32, "a" * 32 + "\n"]),
)
TRACEPARENT = Kind(
    TRACE_ID.good.map(lambda trace: f"00-{trace}-00f067aa0ba902b7-01"),
    NO_TEXT | st.sampled_from(["", "00", f"ff-{'a' * 32}-{'b' * 16}-01", f"00-{'0' * 32}-{'b' * 16}-01"]),
)
TIME = Kind(
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat().replace("+00:00", "Z")),
    NO_TEXT | st.sampled_from(["", "now", "2026-11-27", "2026-11-27T00:00:00+01:00", "2026-13-01T00:00:00Z"]),
)
COUNT = Kind(st.integers(0, 2**53 - 1), NO_INTEGER)
USAGE = Kind(
    st.fixed_dictionaries(
        {},
        optional={
            "input_tokens": COUNT.good,
            "output_tokens": COUNT.good,
            "cached_input_tokens": COUNT.good,
            "cache_write_input_tokens": COUNT.good,
            "reasoning_tokens": COUNT.good,
            "vendor:x": JSON,
        },
    ),
    st.sampled_from(
        [
            None,
            [],
            "12",
            {"input_tokens": -1},
            {"output_tokens": True},
            {"input_tokens": "3"},
            {"reasoning_tokens": 0.5},
        ]
    ),
)
STATUS = one_of("queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed")
MESSAGE_ID, CALL_ID, CODE = text(1, 64), text(1, 256), text(1, 128)

_EVENT = {"run_id?": CHOSEN_ID, "seq?": SEQ, "ts?": TIME}
_OF_AGENT = {**_EVENT, "agent?": CALL_ID, "parent_call_id?": CALL_ID}

Shape = Mapping[str, Kind]

#: Members of each message of the client; a question mark follows the name of an optional one.
CLIENT: Mapping[str, Shape] = {
    "start": {
        "id?": MESSAGE_ID, "prompt": text(), "run_id?": CHOSEN_ID, "session_id?": CHOSEN_ID,
        "inputs?": Kind(OBJECT, st.sampled_from([None, [], "x", 1, True])),
        "on_disconnect?": one_of("grace", "cancel", "continue"), "traceparent?": TRACEPARENT,
    },
    "cancel": {"id?": MESSAGE_ID, "run_id?": CHOSEN_ID},
    "resume": {"id?": MESSAGE_ID, "run_id": CHOSEN_ID, "after": CURSOR, "epoch?": EPOCH},
    "input": {"id?": MESSAGE_ID, "run_id": CHOSEN_ID, "request_id": CALL_ID, "data": ANY},
    "heartbeat": {"id?": MESSAGE_ID},
}  # fmt: skip

#: Members of the messages of the server, but `ready`, whose limits have a document of their own.
SERVER: Mapping[str, Shape] = {
    "started": {
        "run_id": CHOSEN_ID, "epoch": EPOCH, "session_id": CHOSEN_ID, "trace_id": TRACE_ID, "status": STATUS,
        "re?": MESSAGE_ID,
    },
    "resumed": {
        "run_id": CHOSEN_ID, "epoch": EPOCH, "next_seq": SEQ, "last_seq?": LAST_SEQ, "status": STATUS,
        "trace_id": TRACE_ID, "re?": MESSAGE_ID,
    },
    "notice": {"code": CODE, "data": text(), "run_id?": CHOSEN_ID, "re?": MESSAGE_ID},
    "heartbeat": {"re?": MESSAGE_ID},
    "token": {"data": text(), "first_seq?": SEQ, **_EVENT},
    "replace": {"data": text(), **_EVENT},
    "thinking": {"content": text(), "first_seq?": SEQ, **_OF_AGENT},
    "tool_delta": {"call_id": CALL_ID, "name": text(1), "data": text(), "first_seq?": SEQ, **_OF_AGENT},
    "tool_call": {"call_id?": CALL_ID, "name": text(1), "input": ANY, **_OF_AGENT},
    "observation": {
        "call_id?": CALL_ID, "content": ANY, "is_error?": FLAG, "truncated?": FLAG, "partial?": FLAG,
        "first_seq?": SEQ, **_OF_AGENT,
    },
    "input_request": {
        "request_id": CALL_ID, "kind": one_of("approval", "question"), "data?": text(), "call_id?": CALL_ID,
        "expires_at": TIME, **_OF_AGENT,
    },
    "input_closed": {"request_id": CALL_ID, "outcome": one_of("answered", "expired", "withdrawn"), **_OF_AGENT},
    "done": {
        "data": text(), "status?": one_of("completed", "cancelled", "incomplete"), "reason?": text(1),
        "usage?": USAGE, "trace_id?": TRACE_ID, **_OF_AGENT,
    },
    "error": {
        "data": text(), "code?": CODE, "retryable?": FLAG, "retry_after_ms?": COUNT, "re?": MESSAGE_ID,
        "usage?": USAGE, "trace_id?": TRACE_ID, **_OF_AGENT,
    },
}  # fmt: skip


def valid(kind: str, shape: Shape) -> Values:
    """Return valid messages of a type, some with members that nobody knows."""
    required = {name: member.good for name, member in shape.items() if not name.endswith("?")}
    optional = {name[:-1]: member.good for name, member in shape.items() if name.endswith("?")}
    unknown = {"vendor:mood": JSON, "later": JSON}
    return st.fixed_dictionaries({"type": st.just(kind), **required}, optional={**optional, **unknown})


@st.composite
def invalid(draw: st.DrawFn, kind: str, shape: Shape) -> dict[str, Any]:
    """Draw a message of a type with one member missing or wrong."""
    message: dict[str, Any] = draw(valid(kind, shape))
    wrong = [name for name, member in shape.items() if not member.bad.is_empty]
    missing = [name for name in shape if not name.endswith("?")]
    if missing and (not wrong or draw(st.booleans())):
        del message[draw(st.sampled_from(missing))]
    else:
        name = draw(st.sampled_from(wrong))
        message[name.removesuffix("?")] = draw(shape[name].bad)
    return message
