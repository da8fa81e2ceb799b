"""What an agent says is made to fit, or ends its run: halves of characters, events of any size or shape."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_reference_server.agents import (
    done,
    error,
    observation,
    replace,
    thinking,
    token,
    tool_call,
    tool_delta,
)
from runwire_reference_server.run_log.event_sizes import CUTS, Fitter, Malformed, TooLarge, cut
from runwire_reference_server.run_log.events import Draft, Event, encoded, place_of, placed, stamp
from runwire_schemas import server_message_violations

SIZE = 1024
PLACE = place_of("r" * 22)
HIGH, LOW = "\ud83d", "\ude00"

#: Every type of event with all its members, and which of them may be absent.
WHOLE: dict[str, tuple[Event, frozenset[str]]] = {
    "token": ({"data": "x"}, frozenset()),
    "replace": ({"data": "x"}, frozenset()),
    "thinking": (
        {"content": "x", "agent": "a", "parent_call_id": "p"},
        frozenset({"agent", "parent_call_id"}),
    ),
    "tool_delta": (
        {"call_id": "c", "name": "n", "data": "x", "agent": "a", "parent_call_id": "p"},
        frozenset({"agent", "parent_call_id"}),
    ),
    "tool_call": (
        {"call_id": "c", "name": "n", "input": {"q": "x"}, "agent": "a", "parent_call_id": "p"},
        frozenset({"agent", "parent_call_id"}),
    ),
    "observation": (
        {
            "call_id": "c",
            "content": "x",
            "is_error": True,
            "partial": True,
            "agent": "a",
            "parent_call_id": "p",
        },
        frozenset({"is_error", "partial", "agent", "parent_call_id"}),
    ),
    "input_request": (
        {
            "request_id": "q",
            "kind": "form",
            "data": "x",
            "schema": {"title": "x"},
            "call_id": "c",
            "expires_at": "2026-01-01T00:00:00.000Z",
            "agent": "a",
            "parent_call_id": "p",
        },
        frozenset({"data", "call_id", "agent", "parent_call_id"}),
    ),
    "done": (
        {"data": "x", "status": "incomplete", "reason": "length", "usage": {"input_tokens": 1}},
        frozenset({"usage"}),
    ),
    "error": ({"data": "x", "code": "agent_error", "retryable": False}, frozenset()),
    "vendor:chart": ({"points": [1, "x"], "data": "x"}, frozenset({"points", "data"})),
}


def events() -> Iterator[Event]:
    """Yield each type with each choice of optional members."""
    for kind, (members, optional) in WHOLE.items():
        for count in range(len(optional) + 1):
            for absent in itertools.combinations(sorted(optional), count):
                yield {"type": kind} | {name: value for name, value in members.items() if name not in absent}


def enlarged(value: Any, text: str) -> Iterator[Any]:
    """Yield `value` with one of the texts in it replaced."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"type", "kind", "status", "expires_at"}:
                continue
            yield from (value | {name: other} for other in enlarged(item, text))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in enlarged(item, text))
    elif isinstance(value, str):
        yield text


def said(drafts: list[Draft]) -> list[Event]:
    """Return the events as they would stand in a log."""
    return [placed(drafted, PLACE, seq, stamp(0)).event for seq, drafted in enumerate(drafts, 1)]


def fitted(*given_events: Event, size: int = SIZE) -> list[Event]:
    """Return what a fitter makes of events."""
    fitter = Fitter(size, 8)
    return said([drafted for event in given_events for drafted in fitter.fit(event)])


CASES = [(event, large) for event in events() for large in enlarged(event, "ü\n" * SIZE)]


@pytest.mark.parametrize(("event", "large"), CASES, ids=lambda event: event["type"])
def test_whatever_is_large_is_sent_in_bounds_or_ends_the_run(event: Event, large: Event) -> None:
    assert len(fitted(event)) == 1
    try:
        drafts = list(Fitter(SIZE, 8).fit(large))
    except TooLarge:
        kind = event["type"]
        assert kind not in CUTS or large.get(CUTS[kind]) == event.get(CUTS[kind]), "what may be cut was not"
        return
    except Malformed:
        return  # its schema has a bound of its own
    entries = [placed(drafted, PLACE, seq, stamp(0)) for seq, drafted in enumerate(drafts, 1)]
    assert max(len(entry.data) for entry in entries) <= SIZE
    for entry in entries:
        traced = {"trace_id": "1" * 32} if entry.terminal else {}
        assert server_message_violations(entry.event | traced) == []


@pytest.mark.parametrize("make", [token, thinking, lambda text: tool_delta("c", "n", text), replace])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3000))
def test_texts_of_any_length_are_whole_in_the_end(make: Any, text: str) -> None:
    parts = fitted(make(text))

    assert "".join(part.get("data", part.get("content")) for part in parts) == text


@given(text=st.text(st.sampled_from('a"\\\n\0ü€\U0001f600'), max_size=60), most=st.integers(6, 40))
def test_a_cut_divides_neither_characters_nor_escapes(text: str, most: int) -> None:
    inside, parts = encoded(text)[1:-1], []
    while inside:
        stop = cut(inside, most)
        assert 0 < stop <= most
        parts.append(json.loads(b'"%b"' % inside[:stop]))
        inside = inside[stop:]

    assert "".join(parts) == text


@pytest.mark.parametrize(
    ("given_events", "texts"),
    [
        ([token("a" + HIGH), token(LOW + "b")], ["a", "\U0001f600b"]),
        ([thinking(HIGH), thinking(LOW)], ["\U0001f600"]),
        ([thinking("a" + HIGH), token("x"), thinking(LOW)], ["a", "x", "\U0001f600"]),
        ([token(HIGH), thinking(LOW), token(LOW)], ["\ufffd", "\U0001f600"]),
        (
            [tool_delta("c", "n", HIGH), tool_delta("d", "n", LOW), tool_delta("c", "n", LOW)],
            ["\ufffd", "\U0001f600"],
        ),
        (
            [observation("c", "a" + HIGH, partial=True), observation("c", LOW, partial=True)],
            ["a", "\U0001f600"],
        ),
        ([observation("c", HIGH, partial=True), observation("c", "ok")], ["\ufffd", "ok"]),
        ([tool_delta("c", "n", HIGH), tool_call("c", "n", {})], ["\ufffd", None]),
        ([token("a" + HIGH), replace("b"), token(LOW)], ["a", "\ufffd", "b", "\ufffd"]),
        ([replace("b" + HIGH), token(LOW)], ["b", "\U0001f600"]),
        ([replace(HIGH), token(LOW)], ["", "\U0001f600"]),
        ([token("a" + HIGH), token("b")], ["a", "\ufffdb"]),
        ([token("a" + HIGH), done("end")], ["a", "\ufffd", "end"]),
        ([thinking(HIGH), token(HIGH), error("agent_error", "x", False)], ["\ufffd", "\ufffd", "x"]),
    ],
)
def test_a_half_waits_for_what_goes_on_from_it_and_for_no_longer(
    given_events: list[Event], texts: list[str | None]
) -> None:
    assert [event.get("data", event.get("content")) for event in fitted(*given_events)] == texts


@pytest.mark.parametrize(
    "event",
    [
        {"type": "token", "data": 5},
        {"type": "token"},
        {"type": "token", "data": "x", "seq": 7},
        {"type": "token", "data": "x", "agent": "a"},
        {"type": "thinking", "content": None},
        {"type": "replace", "data": ["x"]},
        {"type": "tool_call", "call_id": "c", "input": {}},
        {"type": "tool_call", "call_id": 5, "name": "n", "input": {}},
        {"type": "observation", "call_id": "c", "content": {"a": 1}, "partial": True},
        {"type": "observation", "call_id": "c"},
        {"type": "observation", "call_id": "c", "content": "x", "is_error": "yes"},
        {"type": "tool_delta", "call_id": "c", "name": None, "data": "x"},
        {
            "type": "input_request",
            "request_id": "q",
            "kind": "guess",
            "expires_at": "2026-01-01T00:00:00.000Z",
        },
        {
            "type": "input_request",
            "request_id": "q",
            "kind": "form",
            "expires_at": "2026-01-01T00:00:00.000Z",
        },
        {"type": "done", "data": "x", "status": "finished"},
        {"type": "done", "data": "x", "status": "incomplete"},
        {"type": "done", "data": "x", "status": "completed", "usage": {"input_tokens": -1}},
        {"type": "done", "data": "x"},
        {"type": "error", "data": "x", "code": 5, "retryable": False},
        {"type": "error", "data": "x", "retryable": False},
        {"type": "error", "data": "x", "code": "agent_error"},
        {"type": "error", "data": "x", "code": "agent_error", "retryable": "no"},
        {"type": "vendor:chart", "run_id": "another"},
    ],
    ids=lambda event: "-".join(map(str, event.values()))[:40],
)
def test_an_event_that_its_schema_refuses_never_reaches_the_log(event: Event) -> None:
    with pytest.raises(Malformed):
        fitted(event)


@dataclass
class Row:
    """What an agent may hold that JSON does not know."""

    value: Any


@pytest.mark.parametrize("value", [Row(2**70), {2**60}, Row(float("inf")), Row({1: Row(-(2**53))})])
def test_what_json_does_not_know_holds_numbers_that_doubles_hold(value: Any) -> None:
    (told,) = fitted({"type": "vendor:chart", "points": value})

    numbers = re.findall(r"\d+", re.sub(r'"[^"]*"', "", json.dumps(told)))
    assert all(int(number) < 2**53 for number in numbers)
    assert "null" not in json.dumps(told)


def test_what_is_nested_too_deeply_is_told_as_text_or_ends_the_run() -> None:
    deep: Any = 1
    for _ in range(10):
        deep = [deep]

    (told,) = fitted(observation("c", deep))
    assert (json.loads(told["content"]), told["truncated"]) == (deep, True)
    for event in (tool_call("c", "n", deep), {"type": "vendor:chart", "points": deep}):
        with pytest.raises(TooLarge):
            fitted(event)


def test_a_long_text_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        "runwire_reference_server.run_log.event_sizes.cut",
        lambda text, most: calls.append(1) or cut(text, most),
    )

    assert len(fitted(thinking("x" * 100_000))) == len(calls) < 200
