"""What a finding says and where it points, and the edges at which a log is still good or already broken."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import Finding, findings
from runwire_conformance.trace.trace import Record
from tests.support.conversations import (
    BAD,
    BEGIN,
    CONTEXT,
    RESUMED,
    RUN,
    STARTED,
    TRACE,
    Line,
    call,
    client,
    done,
    error,
    event,
    found,
    observation,
    ready,
    server,
    token,
    trace_of,
)

OTHER, OTHER_TRACE = "run-abcdefghij-abcdefghij", "1" * 32

#: By the name of a broken conversation: the record that shows it, and the words.
SAID: dict[str, tuple[int, str]] = {
    "an array": (1, "the JSON text is not an object"),
    "no type": (1, "type is null"),
    "another schema": (2, "token/data: must be of type string, not integer"),
    "a name twice": (1, "a member name is repeated"),
    "not a number": (1, "NaN is no JSON"),
    "null": (3, "agent of thinking is null"),
    "an answer to nobody": (1, 'heartbeat with re "a", which nobody asked'),
    "two answers": (3, 'a second answer with re "a"'),
    "no ready": (0, "the first message is heartbeat, not ready"),
    "another version": (0, "ready names 'runwire' 2"),
    "ready twice": (1, "a second ready"),
    "an event before its run": (1, f"token of run {RUN} before its started or resumed"),
    "a second terminal": (3, "done with seq 2 in a run, after the done with seq 1 had ended it"),
    "a token after the end": (3, "token with seq 2 in a run, after the done with seq 1 had ended it"),
    "no seq": (2, "token has no seq"),
    "a hole": (3, "expected seq 2, got 3"),
    "a repetition": (3, "expected seq 2, got 1"),
    "the wrong order": (3, "seq 1 arrived after seq 2"),
    "a hole at the seam": (2, "expected seq 3, got 4"),
    "merged with what was read": (2, "a merged event begins at 2; the reader had 2"),
    "first_seq of one event": (2, "first_seq 1 with seq 1"),
    "a merged call": (2, "a merged tool_call"),
    "half a pair": (2, "a string holds half a surrogate pair"),
    "a token of a sub-agent": (2, "token has agent"),
    "an empty token": (2, "a token with empty data"),
    "a call without a name": (2, "tool_call has no call_id"),
    "the same call again": (3, "a second tool_call c1"),
    "nothing was called": (2, "an observation of c1, which was not called"),
    "observed twice": (4, "a further observation of c1"),
    "partial at last": (4, "a further observation of c1"),
    "never observed": (3, "completed without the observation of c1"),
    "partial and no text": (3, "the content of a partial observation is {}"),
    "too large": (2, "a token of 578 bytes"),
    "no status": (2, "done has no status"),
    "no code": (2, "error has no code and no retryable"),
    "no reason": (2, "done with status cancelled has no reason"),
    "no trace": (2, "done has no trace_id"),
    "two traces": (2, "done names another trace_id than the message before"),
    "a code of nobody's": (1, "oops is neither registered nor a vendor's"),
    "a bad request for ever": (1, "bad_request with retryable true"),
    "a stack trace": (1, "data holds a stack trace"),
    "a numbered heartbeat": (1, "a heartbeat has seq"),
    "silence": (1, "nothing arrived for 3.4 s"),
    "text long after a cancel": (3, "a token 0.40 s after the cancel"),
    "a code of no registry": (1, "closed with code 4999"),
    "a normal end in mid-run": (3, "closed with code 1000 before the terminal of a run that it follows"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_finding_says_what_is_wrong_and_where(name: str) -> None:
    requirement, lines = BAD[name]
    place, words = SAID[name]

    assert findings(trace_of(lines), CONTEXT) == [Finding(requirement, words, place)]


def opened(kind: str = "started", run_id: str = OTHER, trace_id: str = OTHER_TRACE, **members: Any) -> Line:
    """Return a further `started` or `resumed`."""
    return server({**STARTED[1], "type": kind, "run_id": run_id, "trace_id": trace_id, **members})  # type: ignore[dict-item]


def cancel(at: float = 0.0, **members: Any) -> Line:
    """Return a cancel."""
    return client({"type": "cancel", **members}, at)


TWO_RUNS = (*BEGIN, opened())

GOOD: dict[str, tuple[Line, ...]] = {
    "a start that a run was waiting for": (ready(), opened(run_id=RUN, trace_id=TRACE, next_seq=4), token(1)),
    "a trace for each run": (*TWO_RUNS, done(1), done(1, run_id=OTHER, trace_id=OTHER_TRACE)),
    "text at the last moment": (*BEGIN, cancel(run_id=RUN), token(1, 0.35)),
    "text of a run that was not cancelled": (*TWO_RUNS, cancel(run_id=OTHER), token(1, 0.9)),
    "text after a cancel that was refused": (*BEGIN, cancel(run_id=7, id="c"), error("bad_request", re="c"),
                                             token(1, 0.9)),
    "text after a cancel of no right": (*BEGIN, cancel(run_id=RUN, id="c"), error("not_found", re="c"), token(1, 0.9)),
    "text after another request": (*BEGIN, client({"type": "heartbeat", "run_id": RUN}), token(1, 0.9)),
    "text that is repeated": (*BEGIN, token(1), cancel(run_id=RUN),
                              opened("resumed", RUN, TRACE, next_seq=1), token(1, 0.9)),
    "a client that says what servers say": (*BEGIN, cancel(run_id=RUN),
                                            client({"type": "token", "run_id": RUN, "data": "x"}, 0.9)),
    "a client that numbers nothing": (*BEGIN, client({"type": "token"}), token(1)),
}  # fmt: skip

BROKEN: dict[str, tuple[set[str], tuple[Line, ...]]] = {
    "an error of a run without its number": (
        {"EVENT-24"}, (*BEGIN, token(1), error("not_found", run_id=RUN), token(2))),
    "merged events in the wrong order": ({"RUN-29"}, (*BEGIN, token(4, first_seq=3), token(2, first_seq=1))),
    "the wrong order with a hole": ({"RUN-28"}, (*BEGIN, token(3), token(1))),
    "the wrong order and not the first": ({"RUN-28"}, (*BEGIN, token(3), token(2))),
    "a hole in a second run": (
        {"RUN-3", "RUN-28"}, (ready(), token(1), STARTED, token(2), opened(), token(2, run_id=OTHER))),
    "a hole in each of two runs": ({"RUN-28", "RESUME-10"},
                                   (*BEGIN, token(2), opened("resumed", next_seq=3), token(5, run_id=OTHER))),
    "a token without its number, which leaves a hole": (
        {"RUN-27"}, (*BEGIN, server({"type": "token", "data": "x", "run_id": RUN}), token(2))),
    "a first number that is none": ({"MSG-3"}, (*BEGIN, token(1, first_seq="1"))),
    "a call left open beside a replay": (
        {"EVENT-13"}, (ready(), RESUMED, opened(),
                       event("tool_call", 1, run_id=OTHER, call_id="c1", name="t", input={}),
                       done(2, run_id=OTHER, trace_id=OTHER_TRACE))),
    "an observation of nothing, and one twice": (
        {"EVENT-7"}, (*BEGIN, call(1), event("observation", 2, content="c"), observation(3), observation(4))),
    "calls of nobody's": (
        {"EVENT-7"}, (*BEGIN, *(event("tool_call", n, name="t", input={}) for n in (1, 2)), observation(3), done(4))),
    "two traces, the client between": ({"OBS-5"}, (*BEGIN, client({"type": "heartbeat"}), done(1, trace_id="1" * 32))),
    "text long after a cancel of everything": ({"CANCEL-3"}, (*BEGIN, cancel(), token(1, 0.4))),
    "text of a resumed run after a cancel of everything": ({"CANCEL-3"}, (ready(), RESUMED, cancel(), token(3, 0.4))),
    "thoughts long after a cancel": (
        {"CANCEL-3"}, (*BEGIN, cancel(run_id=RUN), event("thinking", 1, 0.4, content="x"))),
    "text of an ended run after a cancel of everything": ({"RUN-5"}, (*BEGIN, done(1), cancel(), token(2, 0.4))),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_the_edge_of_what_is_good(name: str) -> None:
    assert found(*GOOD[name]) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_the_edge_of_what_is_broken(name: str) -> None:
    requirements, lines = BROKEN[name]

    assert found(*lines) == requirements


def test_the_delay_is_reckoned_from_the_cancel() -> None:
    lines = (*BEGIN, server({"type": "heartbeat"}, 2.0), cancel(2.0, run_id=RUN), token(1, 2.5))

    assert [finding.text for finding in findings(trace_of(lines), CONTEXT)] == [
        "a token 0.50 s after the cancel"
    ]


@pytest.mark.parametrize("name", ["two answers", "two traces", "text long after a cancel"])
def test_what_holds_no_message_is_passed_over(name: str) -> None:
    requirement, lines = BAD[name]
    trace = trace_of(lines)
    trace.records.insert(0, Record(0.0, "client", "ping"))

    assert [finding.requirement for finding in findings(trace, CONTEXT)] == [requirement]


@pytest.mark.parametrize(
    ("title", "requirement", "wanted"),
    [("POST /v1/runs", "SSE-3", "started"), ("GET /v1/runs/x/events", "SSE-4", "resumed")],
)
def test_a_stream_begins_as_its_request_says(title: str, requirement: str, wanted: str) -> None:
    trace = trace_of((token(1), STARTED), "sse", title)

    assert Finding(requirement, f"the first message is token, not {wanted}", 0) in findings(trace, CONTEXT)
