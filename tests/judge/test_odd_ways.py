"""Odd ways that the text leaves to a server, and what the judge itself is late for, are no faults."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from runwire_conformance.case import TooSlow
from runwire_conformance.cases.c09_every_place import story
from runwire_conformance.client.expectations import expect_back_in_time
from runwire_conformance.trace.message import Message, WrittenAsFraction, parsed
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.trace.transcript import begin_of, transcript

CALL = {"type": "tool_call", "call_id": "c1"}
CLOSING = {"type": "observation", "call_id": "c1", "is_error": True}
END = {"type": "done", "status": "cancelled", "reason": "user"}


@pytest.mark.parametrize(
    ("written", "read"), [("1", 1), ("1.0", 1), ("1e0", 1), ("1.5", 1.5), ("true", True)]
)
def test_a_place_in_a_log_counts_by_its_value(written: str, read: object) -> None:
    message = parsed(f'{{"type": "token", "seq": {written}, "data": 1.0}}')

    assert message is not None
    assert message["seq"] == read and isinstance(message["seq"], type(read))
    assert isinstance(message["seq"], WrittenAsFraction) is (written in {"1.0", "1e0"})
    assert type(message["data"]) is float


@pytest.mark.parametrize(
    ("events", "types"),
    [
        ([CALL, END], ["tool_call", "done"]),
        ([CALL, CLOSING, END], ["tool_call", "done"]),
        ([CALL, {**CLOSING, "partial": True}, END], ["tool_call", "observation", "done"]),
        ([CALL, {"type": "token"}, END], ["tool_call", "token", "done"]),
        ([CLOSING, CALL, END], ["observation", "tool_call", "done"]),
    ],
)
def test_a_call_may_be_closed_after_a_cancel(events: list[dict[str, Any]], types: list[str]) -> None:
    run: Any = SimpleNamespace(events=[Message(event) for event in events])

    assert story(run, 1) == (types, "cancelled", "user")


@pytest.mark.parametrize(("back_at", "is_late"), [(0.3, False), (0.7, False), (0.9, True), (1.4, True)])
def test_who_comes_back_late_judges_no_grace(back_at: float, is_late: bool) -> None:
    left: Any = SimpleNamespace(trace=Trace("websocket", "one", records=[Record(100.0, "client", "lost")]))
    opening = Message({"type": "resumed"})
    opening.at = 100.0 + back_at
    again: Any = SimpleNamespace(opening=opening)

    if is_late:
        with pytest.raises(TooSlow, match="detach_grace_s"):
            expect_back_in_time(again, left, 1.0)
    else:
        expect_back_in_time(again, left, 1.0)


def test_the_conversations_of_a_case_share_a_clock_and_show_where_a_log_stands() -> None:
    said = {"type": "resumed", "run_id": "r" * 64, "epoch": "e" * 64, "next_seq": 1, "trace_id": "0" * 32}
    said |= {"session_id": "s" * 64, "last_seq": 9, "status": "running"}
    resumed = Record(103.0, "server", "text", json.dumps(said), Message(said))
    first = Trace("websocket", "one", began=100.0, records=[Record(100.5, "client", "lost", "cut")])
    second = Trace("websocket", "two", began=102.0, records=[resumed])

    shown = [transcript(trace, begin_of([first, second])) for trace in (first, second)]

    assert "0.500 → lost" in shown[0]
    assert "3.000 ← " in shown[1] and shown[1].endswith('"last_seq": 9, "status": "running"}')
