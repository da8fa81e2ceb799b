"""Every invariant is silent on a good conversation and fires on the smallest one that breaks its rule."""

from __future__ import annotations

import json

import pytest

from runwire_conformance.rules import findings
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from tests.support.conversations import (
    BAD,
    BEGIN,
    CONTEXT,
    GOOD,
    RESUMED,
    Line,
    client,
    done,
    found,
    ready,
    server,
    token,
    trace_of,
)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_conversation_is_accused_of_nothing(name: str) -> None:
    assert found(*GOOD[name]) == set()


@pytest.mark.parametrize("name", BAD)
def test_a_broken_rule_is_found(name: str) -> None:
    requirement, lines = BAD[name]

    assert found(*lines) == {requirement}


def test_a_finding_names_its_record_and_each_requirement_once() -> None:
    trace = trace_of((*BEGIN, token(1), token(3), done(4), token(5), token(6)))

    places = [(finding.requirement, finding.record) for finding in findings(trace, CONTEXT)]

    assert sorted(places) == [("RUN-28", 3), ("RUN-5", 5)]


def test_a_reader_that_stopped_blames_nobody_for_silence() -> None:
    trace = trace_of((ready(), server({"type": "heartbeat"}, 60.0)))
    trace.not_reading = True

    assert findings(trace, CONTEXT) == []


def test_only_a_server_that_was_killed_on_purpose_ends_without_a_close_frame() -> None:
    trace = trace_of(BEGIN)
    trace.records.append(Record(1.0, "server", "lost"))

    assert {finding.requirement for finding in findings(trace, CONTEXT)} == {"CLOSE-2"}
    trace.peer_killed = True
    assert findings(trace, CONTEXT) == []


def test_the_client_is_never_judged() -> None:
    assert found(ready(), client({"type": 7}), client({"type": "token", "data": None})) == set()


def stream(*blocks: str) -> set[str]:
    """Return the requirements found broken in a stream of these blocks."""
    trace = Trace("sse", "GET events", 0.0)
    for block in blocks:
        data = "\n".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
        message = Message(json.loads(data)) if data else None
        trace.records.append(Record(0.0, "server", "block", block, message))
    return {finding.requirement for finding in findings(trace, CONTEXT)}


def framed(line: Line, *more: str) -> str:
    """Return a message as the block of a stream, below further fields."""
    return "\n".join([*more, f"data: {json.dumps(line[1])}"])


FIRST = "retry: 2000\nid: e1.0"
OPENING = (FIRST, framed(RESUMED))


def test_a_good_stream_is_accused_of_nothing() -> None:
    beat = framed(server({"type": "heartbeat"}))

    assert stream(*OPENING, framed(token(3), "id: e1.3"), beat, framed(done(4), "id: e1.4")) == set()


@pytest.mark.parametrize(
    ("requirement", "blocks"),
    [
        ("SSE-2", ("retry: 2000", framed(RESUMED))),
        ("SSE-2", ("id: e1.0\nretry: 10", framed(RESUMED))),
        ("SSE-4", (FIRST, framed(token(1), "id: e1.1"))),
        ("SSE-7", (*OPENING, framed(token(3), "id: e1.4"))),
        ("SSE-7", (*OPENING, framed(token(3)))),
        ("SSE-8", (*OPENING, framed(token(3), "event: token", "id: e1.3"))),
        ("SSE-11", (FIRST, framed(ready()))),
        ("SSE-13", (*OPENING, framed(server({"type": "heartbeat"}), "id: e1.3"))),
    ],
)
def test_a_broken_stream_is_found(requirement: str, blocks: tuple[str, ...]) -> None:
    assert stream(*blocks) == {requirement}
