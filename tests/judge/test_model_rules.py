"""The rules of the model, one by one: what a script says, what may end a run, and which sentence a deviation breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwire_conformance.fuzz.model import (
    ModelVerdict,
    RunHistory,
    asks,
    duration_ms,
    expected_log,
    judged,
    merged,
    place_of_request,
    reachable,
)
from runwire_conformance.rules import RuleContext
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from tests.support.plans import CUT, GOOD, RUN, SCRIPT, THOUGHT, done, reading, token

CONTEXT = RuleContext(Limits({"detach_grace_s": 10}))
ASKING = {"input_request": {"request_id": "q1", "kind": "approval", "prompt": "?"}}


def said(*traces: Trace, told: RunHistory | None = None) -> ModelVerdict | None:
    """Return what the model says of these conversations."""
    return judged([told or RunHistory(SCRIPT, RUN)], traces, CONTEXT)


def failed(seq: int, code: str) -> dict[str, Any]:
    """Return a terminal `error`."""
    return {"type": "error", "seq": seq, "code": code, "retryable": True, "data": "", "trace_id": "1" * 32}


def test_every_step_has_its_event() -> None:
    call = {"call_id": "c", "name": "t", "input": {}}
    beside = {"agent": "helper", "parent_call_id": "c"}
    steps = (
        {"token": "a"},
        {"replace": "b"},
        {"thinking": "c", **beside},
        {"tool_delta": {"call_id": "c", "data": "{}"}},
        {"tool_call": call, "agent": "helper"},
        {"observation": {"call_id": "c", "content": 1}},
        {"wait_ms": 5},
        {"block_ms": 5},
        ASKING,
        {"echo_input": "q1"},
    )

    assert expected_log(steps) == [
        {"type": "token", "data": "a"},
        {"type": "replace", "data": "b"},
        {"type": "thinking", "content": "c", **beside},
        {"type": "tool_delta", "call_id": "c", "data": "{}"},
        {"type": "tool_call", **call, "agent": "helper"},
        {"type": "observation", "call_id": "c", "content": 1},
        {"type": "input_request", **ASKING["input_request"]},
        {"type": "input_closed", "request_id": "q1", "outcome": "answered"},
        {"type": "token", "data": "true"},
        {"type": "done", "status": "completed"},
    ]
    assert expected_log(({"fail": {"code": "x"}}, {"token": "a"})) == [{"type": "error", "code": "x"}]


def test_the_time_of_a_script_is_that_of_its_waits() -> None:
    script = ({"wait_ms": 5}, {"repeat": 3, "steps": [{"block_ms": 10}]}, {"token": "a"})

    assert duration_ms(script) == 35.0
    assert duration_ms(script, "block_ms") == 30.0


def test_a_script_that_asks_stands_still_until_it_is_answered() -> None:
    script = ({"token": "a"}, {"repeat": 1, "steps": [ASKING]}, {"token": "b"})

    assert asks(script)
    assert not asks(SCRIPT)
    assert place_of_request(script) == 2
    assert reachable(script, answered=False) == 2
    assert reachable(script, answered=True) == 5


def test_what_comes_in_time_is_what_stands_before_the_waits() -> None:
    script = ({"token": "a"}, {"wait_ms": 600}, {"token": "b"}, {"block_ms": 400}, {"token": "c"})

    assert reachable(script, answered=False) == 2
    assert reachable(script, answered=False, patience_ms=1001) == 4
    assert reachable(({"wait_ms": 600}, {"token": "a"}, {"fail": {"code": "x"}}), answered=False) == 2
    patient = ({"wait_ms": 998}, {"token": "a"}, {"token": "b"}, {"token": "c"})
    assert reachable(patient, answered=False) == 4
    blocked = ({"block_ms": 998}, {"token": "a"}, {"token": "b"}, {"token": "c"})
    assert reachable(blocked, answered=False) == 4
    failing = ({"token": "a"}, {"fail": {"code": "x"}}, {"wait_ms": 2000}, {"token": "b"})
    assert reachable(failing, answered=False) == 2


@pytest.mark.parametrize(
    ("events", "one"),
    [
        ([], None),
        ([{"type": "done"}], {"type": "done"}),
        ([{"type": "thinking", "content": "a"}] * 2, {"type": "thinking", "content": "aa"}),
        ([{"type": "tool_delta", "data": "a", "call_id": "c"}] * 2,
         {"type": "tool_delta", "data": "aa", "call_id": "c"}),
        ([{"type": "tool_delta", "data": "a", "call_id": "c"},
          {"type": "tool_delta", "data": "a", "call_id": "d"}], None),
        ([{"type": "observation", "content": "a", "partial": True}] * 2,
         {"type": "observation", "content": "aa", "partial": True}),
        ([{"type": "observation", "content": "a"}] * 2, None),
        ([{"type": "replace", "data": "a"}] * 2, None),
        ([{"type": "token", "data": letter} for letter in "abc"], {"type": "token", "data": "abc"}),
        ([{"type": "tool_delta", "data": "a", "call_id": call} for call in "ccd"], None),
        ([{"type": "token", "data": "a"}, {"type": "done"}], None),
    ],
)  # fmt: skip
def test_adjacent_texts_of_one_kind_merge(events: list[dict[str, Any]], one: dict[str, Any] | None) -> None:
    assert merged(events) == one


@pytest.mark.parametrize(
    ("end", "told", "may"),
    [
        (failed(1, "timeout"), {"may_have_timed_out": True}, True),
        (failed(1, "timeout"), {}, False),
        (failed(1, "internal"), {"may_have_timed_out": True}, False),
        (done(1), {"cancelled_at": 1.0}, False),
        (done(1, "cancelled", reason="user"), {"cancelled_at": 0.0}, True),
        (done(1, "cancelled", reason="user"), {"was_unread": True, "unread_s": 60}, False),
        (done(1, "cancelled", reason="disconnected"), {"was_unread": True, "unread_s": 10}, True),
        (done(1, "cancelled", reason="disconnected"), {"was_unread": True, "unread_s": 9.9}, False),
        (done(1, "cancelled", reason="disconnected"), {"unread_s": 60}, False),
        (done(1, "cancelled", reason="disconnected"), {"on_disconnect": "cancel", "was_unread": True}, True),
        (done(1, "cancelled", reason="disconnected"),
         {"on_disconnect": "continue", "was_unread": True, "unread_s": 60}, False),
        (done(1, "cancelled", reason="vendor:x"), {"was_unread": True, "unread_s": 60}, False),
        ({"type": "notice", "code": "timeout"}, {"may_have_timed_out": True}, False),
        ({"type": "error", "status": "cancelled", "reason": "user"}, {"cancelled_at": 1.0}, False),
    ],
)  # fmt: skip
def test_what_may_end_a_run_from_outside(end: dict[str, Any], told: dict[str, Any], may: bool) -> None:
    assert RunHistory(SCRIPT, RUN, **told).may_end_as(end, 10) is may
    assert RunHistory(SCRIPT, RUN, **told).may_be_cut is bool(
        {"cancelled_at", "was_unread", "may_have_timed_out"} & told.keys()
    )


TOKENS = (token(1, "a"), token(2, "b"))


@pytest.mark.parametrize(
    ("event", "told", "blame"),
    [
        (done(3, "cancelled", reason="vendor:x"), {"cancelled_at": 1.0}, "CANCEL-1"),
        (done(3, "cancelled", reason="disconnected"), {"cancelled_at": 1.0, "on_disconnect": "continue"}, "CANCEL-1"),
        (done(3), {"cancelled_at": 1.0}, "CANCEL-1"),
        (done(3, "cancelled", reason="disconnected"), {"on_disconnect": "continue"}, "RESUME-5"),
        (done(3, "cancelled", reason="disconnected"), {}, "RESUME-6"),
        (done(3, "cancelled", reason="disconnected"), {"was_unread": True}, "RESUME-1"),
        (done(3), {}, "SCRIPT-2"),
        (failed(3, "internal"), {}, "SCRIPT-2"),
        ({"type": "input_closed", "seq": 3, "request_id": "q1", "outcome": "expired"}, {}, "INPUT-4"),
        ({"type": "input_closed", "seq": 3, "request_id": "q1", "outcome": "answered"}, {"cancelled_at": 1.0},
         "INPUT-4"),
        ({"type": "replace", "seq": 3, "data": "x"}, {}, "SCRIPT-1"),
        ({"type": "replace", "seq": 3, "data": "x"}, {"cancelled_at": 1.0}, "SCRIPT-1"),
        ({"type": "replace", "seq": 3, "data": "x", "ts": "2030-01-01T00:00:00Z"}, {}, "SCRIPT-1"),
        ({"type": "tool_delta", "seq": 3, "call_id": "c", "name": "t", "data": "x"}, {}, "SCRIPT-1"),
    ],
)  # fmt: skip
def test_a_deviation_that_everyone_saw_breaks_a_sentence_about_the_run(
    event: dict[str, Any], told: dict[str, Any], blame: str
) -> None:
    rest = () if event["type"] in {"done", "error"} else (done(4),)

    verdict = said(reading("started", *TOKENS, event, *rest), told=RunHistory(SCRIPT, RUN, **told))

    assert verdict is not None
    assert verdict.requirement == blame
    kept = {name: value for name, value in event.items() if name not in {"seq", "trace_id", "ts"}}
    assert verdict.text == f"expected {{'type': 'thinking', 'content': 'c'}} at seq 3; got {kept}"
    assert verdict.trace is not None
    assert [record.message for record in verdict.trace.records][4]["seq"] == 3  # type: ignore[index]


def test_a_tool_step_that_came_otherwise_is_the_script_agent_s_fault() -> None:
    script = (
        {"tool_call": {"call_id": "c", "name": "t", "input": {}}},
        {"observation": {"call_id": "c", "content": 1}},
    )
    call = {"type": "tool_call", "seq": 1, "call_id": "c", "name": "other", "input": {}}
    observed = {"type": "observation", "seq": 2, "call_id": "c", "content": 1}

    verdict = said(reading("started", call, observed, done(3)), told=RunHistory(script, RUN))

    assert verdict is not None
    assert verdict.requirement == "SCRIPT-12"


def test_a_failure_that_did_not_come_is_the_script_agent_s_fault() -> None:
    script = ({"token": "a"}, {"fail": {"code": "x", "retryable": False, "data": ""}})

    verdict = said(reading("started", token(1, "a"), done(2)), told=RunHistory(script, RUN))

    assert verdict is not None
    assert verdict.requirement == "SCRIPT-3"


def test_what_is_too_many_is_shown_as_that_and_long_texts_are_cut() -> None:
    whole = (token(1, "a"), token(2, "b"), THOUGHT)
    more = said(reading("started", *whole, token(4, "x" * 500), token(5, "y"), done(6)))

    assert more is not None
    shown = str({"type": "token", "data": "x" * 500})
    assert more.text == f"expected {{'type': 'done', 'status': 'completed'}} at seq 4; got {shown[:160]}…"
    late = said(reading("resumed", token(6, "y"), done(7), after=5))
    assert late is not None
    assert late.text.startswith("expected nothing further at seq 6; got {'type': 'token', 'data': 'y'}")


@pytest.mark.parametrize(("length", "shown"), [(160, "{0}"), (161, "{0:.160}…")])
def test_an_event_is_shown_whole_up_to_a_length(length: int, shown: str) -> None:
    short = len(str({"type": "token", "data": ""}))
    text = "x" * (length - short)
    verdict = said(reading("started", *TOKENS, token(3, text), done(4)))

    assert verdict is not None
    event = str({"type": "token", "data": text})
    assert verdict.text.endswith(f"at seq 3; got {shown.format(event)}")


def test_what_every_reader_saw_is_nobody_s_way_to_read() -> None:
    wrong = reading("started", token(1, "A"), token(2, "b"), THOUGHT, done(4))
    also = reading("resumed", token(1, "A"), token(2, "b"), THOUGHT, done(4))
    text = "expected {'type': 'token', 'data': 'a'} at seq 1; got {'type': 'token', 'data': 'A'}"

    assert said(wrong, also) == ModelVerdict("SCRIPT-1", text, wrong)
    assert said(reading("resumed", token(2, "b"), THOUGHT, done(4), after=1), wrong) == ModelVerdict(
        "SCRIPT-1", text, wrong
    )
    assert said(GOOD, wrong) == ModelVerdict(
        "RUN-30", f"{text}, which another reader saw as it should be", wrong
    )


def test_what_came_otherwise_is_told_before_what_is_missing() -> None:
    wrong = reading("started", token(1, "A"))

    verdict = said(wrong)

    assert verdict is not None
    assert verdict.requirement == "SCRIPT-1"


def test_a_reading_that_was_moved_need_not_show_the_end() -> None:
    moved = {"type": "resumed", "next_seq": 2, "status": "running", "epoch": "e", "trace_id": "1" * 32}
    rest = (token(2, "b"), THOUGHT, done(4))

    assert said(reading("started", token(1, "a"), moved, *rest)) is None
    cut = reading("started", token(1, "a"), moved, *rest[:2])
    assert said(cut) == ModelVerdict("RUN-4", "the reading has no terminal", cut)


def test_a_run_may_be_cut_up_to_its_last_event() -> None:
    told = RunHistory(SCRIPT, RUN, cancelled_at=1.0)
    last = reading("resumed", done(4, "cancelled", reason="user"), after=3)
    beyond = reading("resumed", done(5, "cancelled", reason="user"), after=4)

    assert said(last, told=told) is None
    verdict = said(beyond, told=told)
    assert verdict is not None
    assert verdict.requirement == "CANCEL-1"
    assert verdict.text.startswith("expected nothing further at seq 5; got {'type': 'done'")


def test_what_comes_after_a_withdrawal_is_judged() -> None:
    request = {
        "type": "input_request",
        "seq": 1,
        **ASKING["input_request"],
        "expires_at": "2030-01-01T00:00:00Z",
    }
    closed = {"type": "input_closed", "seq": 2, "request_id": "q1", "outcome": "withdrawn"}
    told = RunHistory((ASKING, {"token": "a"}), RUN, cancelled_at=1.0)

    verdict = said(reading("started", request, closed, token(3, "A"), done(4)), told=told)

    assert verdict is not None
    assert verdict.requirement == "SCRIPT-1"
    assert verdict.text.startswith("expected {'type': 'token', 'data': 'a'} at seq 3;")


def test_every_run_and_every_conversation_is_judged() -> None:
    wrong = reading("started", token(1, "a"), token(3, "b"), done(4))
    runs = [RunHistory((), "other" * 5), RunHistory(({"token": "z"},), RUN)]

    assert said(GOOD, wrong) == ModelVerdict("RUN-28", "expected seq 2, got 3", wrong)
    verdict = judged(runs, [GOOD], CONTEXT)
    assert verdict is not None
    assert verdict.requirement == "SCRIPT-1"


@pytest.mark.parametrize(
    ("opening", "transport", "blame"),
    [("started", "websocket", "RUN-30"), ("started", "sse", "SSE-5"),
     ("resumed", "websocket", "RESUME-10"), ("resumed", "sse", "SSE-21")],
)  # fmt: skip
def test_what_one_reader_alone_saw_or_misses_is_blamed_on_its_way_to_read(
    opening: str, transport: str, blame: str
) -> None:
    events: list[Any] = [token(1, "A"), token(2, "b"), THOUGHT, done(4)]
    if transport == "sse":
        wrong = streamed(opening, *events)
        short = streamed(opening, *events[1:3], first=token(1, "a"))
    else:
        wrong, short = reading(opening, *events), reading(opening, token(1, "a"), *events[1:3])

    verdict, missing = said(wrong, GOOD), said(GOOD, short)

    assert verdict is not None
    assert verdict == ModelVerdict(
        blame,
        "expected {'type': 'token', 'data': 'a'} at seq 1; got {'type': 'token', 'data': 'A'}"
        ", which another reader saw as it should be",
        wrong,
    )
    assert missing == ModelVerdict(blame, "the reading has no terminal", short)


def streamed(opening: str, *events: dict[str, Any], first: dict[str, Any] | None = None) -> Trace:
    """Return a stream of a run, framed as it must be."""
    whole = reading(opening, *([first] if first else []), *events, transport="sse")
    framed = Trace("sse", whole.title, whole.began)
    framed.add("server", "block", "retry: 2000\nid: e.0")
    for record in whole.records:
        assert record.message is not None
        seq = record.message.get("seq")
        cursor = f"id: e.{seq}\n" if seq is not None else ""
        framed.add("server", "block", f"{cursor}data: {record.payload}", record.message)
    return framed


def test_a_run_that_was_cancelled_and_has_no_end_is_cancelled_too_late() -> None:
    open_ = reading("started", token(1, "a"))

    assert said(open_) == ModelVerdict("RUN-4", "the reading has no terminal", open_)
    assert said(open_, told=RunHistory(SCRIPT, RUN, cancelled_at=1.0)) == ModelVerdict(
        "CANCEL-2", "the reading has no terminal", open_
    )


def test_a_conversation_that_was_left_need_not_show_the_end() -> None:
    open_ = reading("started", token(1, "a"))

    assert said(open_, told=RunHistory(SCRIPT, RUN, left={id(open_)})) is None
    assert said(GOOD, reading("resumed", after=4)) is None


def test_a_run_ends_at_one_place_for_all() -> None:
    first, second = (
        reading("started", token(1, "a"), CUT),
        reading("resumed", token(1, "a"), token(2, "b"), done(3, "cancelled", reason="user")),
    )

    verdict = said(first, second, told=RunHistory(SCRIPT, RUN, cancelled_at=1.0))

    assert verdict == ModelVerdict("RESUME-10", "the run ends at seq 2 and 3, reader by reader", second)


def test_an_invariant_speaks_first() -> None:
    wrong = reading("started", token(1, "A"), token(3, "b"), done(4))

    assert said(wrong) == ModelVerdict("RUN-28", "expected seq 2, got 3", wrong)


def test_a_request_may_be_withdrawn_when_the_run_is_cut() -> None:
    request = ASKING["input_request"]
    closed = {"type": "input_closed", "seq": 2, "request_id": "q1", "outcome": "withdrawn"}
    expires = {"expires_at": "2030-01-01T00:00:00Z"}
    events = (
        {"type": "input_request", "seq": 1, **request, **expires},
        closed,
        done(3, "cancelled", reason="user"),
    )
    asked = reading("started", *events)

    assert said(asked, told=RunHistory((ASKING,), RUN, cancelled_at=1.0)) is None
    verdict = said(asked, told=RunHistory((ASKING,), RUN))
    assert verdict is not None
    assert verdict.requirement == "INPUT-4"


def test_only_the_runs_that_were_told_are_judged() -> None:
    assert judged([RunHistory(SCRIPT, "other" * 5)], [GOOD], CONTEXT) is None
    assert judged([], [GOOD], CONTEXT) is None


@pytest.mark.parametrize(
    ("event", "blamed", "late"),
    [(token(1, "a"), "CANCEL-3", True), (token(7, "a"), "RUN-28", False), (done(1), None, None)],
    ids=["late", "wrong", "good"],
)
def test_a_verdict_tells_when_the_clock_alone_shows_it(
    event: dict[str, Any], blamed: str | None, late: bool | None
) -> None:
    trace = reading("started")
    began = trace.records[-1].at
    for seconds, side, message in ((0, "client", {"type": "cancel"}), (9, "server", event)):
        message = {**message, "run_id": RUN}
        trace.records.append(Record(began + seconds, side, "text", json.dumps(message), Message(message)))

    verdict = judged([], [trace], CONTEXT)

    assert (verdict and verdict.requirement, verdict and verdict.late) == (blamed, late)


def test_no_end_lies_beyond_the_log_that_it_cuts() -> None:
    told = RunHistory(SCRIPT, RUN, cancelled_at=1.0)

    assert said(reading("resumed", done(4, "cancelled", reason="user"), after=3), told=told) is None
    assert said(reading("resumed", done(5, "cancelled", reason="user"), after=4), told=told) is not None
