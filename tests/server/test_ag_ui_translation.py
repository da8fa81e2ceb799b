"""A log as the events of AG-UI: what an agent of AG-UI said comes out as it came in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwire_reference_server.integrations.ag_ui_endpoint.events import Translation
from runwire_reference_server.integrations.ag_ui_endpoint.interrupts import asked_by
from runwire_reference_server.run_log.events import Event
from tests.support.ag_ui_stand import EVENT, faults
from tests.support.patience import examples

RUN = "r" * 22


def logged(*events: dict[str, Any]) -> list[Event]:
    """Return events as they stand in a log."""
    at = "2026-01-01T00:00:00.000Z"
    return [{**event, "run_id": RUN, "seq": place, "ts": at} for place, event in enumerate(events, 1)]


def translated(*events: dict[str, Any], translation: Translation | None = None) -> list[dict[str, Any]]:
    """Return what a log amounts to, each event looked at by the protocol's package."""
    translation = translation or Translation("t", "r")
    told = [one for event in logged(*events) for one in translation.read(event)]
    for one in told:
        EVENT.validate_python(one)
    return told


DONE = {"type": "done", "data": "x", "status": "completed"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "success"}}


def test_what_an_agent_of_ag_ui_sent_is_restored() -> None:
    sent = [
        {"type": "STEP_STARTED", "stepName": "plan"},
        {"type": "STATE_SNAPSHOT", "snapshot": {"a": None}},
        {"type": "STATE_DELTA", "delta": [{"op": "remove", "path": "/a"}]},
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "p", "activityType": "PLAN", "content": {}},
        {"type": "SUBAGENT_STARTED", "subagentRunId": "s", "name": "helper"},
        {"type": "STEP_STARTED", "stepName": "plan", "subagentRunId": "s"},
        {"type": "STEP_FINISHED", "stepName": "plan", "subagentRunId": "s"},
        {"type": "SUBAGENT_ERROR", "subagentRunId": "s", "message": "no"},
        {"type": "CUSTOM", "name": "weather", "value": None},
        {"type": "RAW", "event": 7},
        {"type": "STEP_FINISHED", "stepName": "plan"},
    ]
    vendors = [{**event, "type": f"ag-ui:{event['type'].lower()}"} for event in sent]
    result = {"type": "ag-ui:result", "result": [1]}

    assert translated(*vendors, result, DONE) == [*sent, FINISHED | {"result": [1]}]


def test_what_is_open_is_closed_before_a_question_and_not_twice() -> None:
    step = {"type": "ag-ui:step_started", "stepName": "plan"}
    asking = {
        "type": "input_request",
        "request_id": "q",
        "kind": "question",
        "expires_at": "2026-01-01T00:00:00Z",
    }
    closed = {"type": "ag-ui:step_finished", "stepName": "plan"}

    told = translated(step, {"type": "token", "data": "x"}, asking)
    settled = translated(step, asking, closed, DONE, translation=Translation("t", "r", {"q"}))

    assert [one["type"] for one in told] == [
        "STEP_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_FINISHED",
        "RUN_FINISHED",
    ]
    assert [one["type"] for one in settled] == ["STEP_STARTED", "STEP_FINISHED", "RUN_FINISHED"]


def test_a_vendors_event_is_custom() -> None:
    told = translated({"type": "acme:mood", "mood": "good"}, DONE)

    assert told[0] == {"type": "CUSTOM", "name": "acme:mood", "value": {"mood": "good"}}


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert translated({"type": "unheard_of"}, DONE) == [FINISHED]


def test_usage_is_told_as_ag_ui_counts() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 2}
    failed = {
        "type": "error",
        "data": "x",
        "code": "ag-ui:BUDGET",
        "retryable": False,
        "usage": {"input_tokens": 1},
    }

    (finished,), (error,) = translated({**DONE, "usage": usage}), translated(failed)

    assert finished["usage"] == [
        {"inputTokens": 10, "outputTokens": 5, "reasoningTokens": 2, "totalTokens": 15}
    ]
    assert (error["code"], error["usage"]) == ("BUDGET", [{"inputTokens": 1}])


def test_calls_that_were_left_to_the_page_are_left_to_it() -> None:
    call = {"type": "tool_call", "call_id": "c1", "name": "pick", "input": {}}
    cut = {"type": "done", "data": "x", "status": "incomplete", "reason": "ag-ui:pending_tool_calls"}

    *_, custom, finished = translated(call, cut)

    assert custom["value"]["reason"] == "ag-ui:pending_tool_calls"
    assert finished["outcome"] == {"type": "success", "pendingToolCallIds": [f"{RUN}.c1"]}


def test_a_run_that_was_cut_is_no_success() -> None:
    cut = {"type": "done", "data": "x", "status": "incomplete", "reason": "length"}

    custom, finished = translated(cut)

    assert custom["value"] == {"data": "x", "status": "incomplete", "reason": "length"}
    assert finished["outcome"] == {"type": "cancelled"}


@pytest.mark.parametrize("name", ["", "x", "x.y", "x.1", "x.1.", ".1.q", "x.²1.q", "x.99999999999999999.q"])
def test_an_id_that_is_none_of_ours_names_nothing(name: str) -> None:
    assert asked_by(name) is None


def test_an_id_names_a_question() -> None:
    assert asked_by("run.7.q.1") == ("run", 7, "q.1")


NAME = st.sampled_from(["a", "b"])
OWNED = st.fixed_dictionaries({}, optional={"agent": NAME})
STEPS = st.one_of(
    st.just({"type": "token", "data": "x"}),
    st.just({"type": "replace", "data": "y"}),
    OWNED.map(lambda owner: {"type": "thinking", "content": "z", **owner}),
    st.builds(
        lambda call, owner: {"type": "tool_call", "call_id": call, "name": "t", "input": {}, **owner},
        NAME,
        OWNED,
    ),
    st.builds(lambda call: {"type": "observation", "call_id": call, "content": 1}, NAME),
    st.builds(
        lambda name: {
            "type": "input_request",
            "request_id": name,
            "kind": "question",
            "expires_at": "2026-01-01T00:00:00Z",
        },
        NAME,
    ),
    st.builds(
        lambda kind, name, owner: {"type": f"ag-ui:step_{kind}", "stepName": name, **owner},
        st.sampled_from(["started", "finished"]),
        NAME,
        st.fixed_dictionaries({}, optional={"subagentRunId": NAME}),
    ),
)
ENDS = st.sampled_from(
    [
        DONE,
        {"type": "done", "data": "x", "status": "cancelled", "reason": "user"},
        {"type": "error", "data": "x", "code": "timeout", "retryable": True},
    ]
)


@pytest.mark.property
@settings(max_examples=examples(200))
@given(st.lists(STEPS, max_size=12), ENDS)
def test_every_log_is_a_sound_stream_from_every_question_on(
    steps: list[dict[str, Any]], end: dict[str, Any]
) -> None:
    called: set[str] = set()
    steps = [  # [EVENT-8]
        step
        for step in steps
        if step["type"] != "tool_call" or not (step["call_id"] in called or called.add(step["call_id"]))
    ]
    events = logged(*steps, end)
    questions = [place for place, event in enumerate(events, 1) if event["type"] == "input_request"]
    for start in (0, *questions):
        translation = Translation("t", "r", {"a", "b"})
        for event in events[:start]:
            translation.read(event)

        told = [translation.started(), *(one for event in events[start:] for one in translation.read(event))]

        assert faults(told) == []
