"""The edges of what a single message and a connection may be: the last that is good, and the first that is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwire_conformance.rules import Finding, findings
from runwire_conformance.rules.messages import faults_of, has_lone_surrogate
from runwire_conformance.rules.wire import is_unasked
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Side, Trace
from tests.support.conversations import (
    BEGIN,
    CONTEXT,
    RESUMED,
    RUN,
    TRACE,
    Line,
    call,
    client,
    done,
    error,
    event,
    ready,
    server,
    token,
    trace_of,
)
from tests.support.talks import BEAT, READY, STARTED, message, said, sign, talk

HALF = "\ud83d"


B = "run-9876543210-9876543210"
BEGUN_B = (server({**BEGIN[1][1], "run_id": B}), event("token", 1, run_id=B, data="x"),  # type: ignore[dict-item]
           event("token", 2, run_id=B, data="x"))  # fmt: skip


def request(seq: int, **members: Any) -> Line:
    """Return a request for an approval."""
    asked = {"request_id": "q", "kind": "approval", "data": "?", "expires_at": "2026-01-01T00:00:00Z"}
    return event("input_request", seq, **{**asked, **members})


def asked(after: int, **members: Any) -> Line:
    """Return a resume of the run."""
    return client({"type": "resume", "run_id": RUN, "after": after, **members})


def given(**members: Any) -> Line:
    """Return an answer of the client's."""
    return client({"type": "input", "run_id": RUN, "request_id": "q", "data": 7, **members})


def closed(**members: Any) -> Line:
    """Return the end of the request."""
    return event("input_closed", 2, request_id="q", outcome="answered", **members)


def after(*lines: Any) -> Trace:
    """Return the conversation of a run that says this."""
    return trace_of((*BEGIN, *lines))


ONE: list[tuple[str, Trace, list[Finding]]] = [
    ("bytes", talk(READY, sign("binary", "7 bytes")), [Finding("MSG-1", "a binary message of 7 bytes", 1)]),
    ("no text", talk(READY, sign("raw", "bad frame")), [Finding("MSG-1", "bad frame", 1)]),
    ("a Ping", talk(READY, sign("ping", "{")), []),
    ("no JSON", talk(READY, sign("text", "{x")),
     [Finding("MSG-1", "not a JSON text: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
              1)]),
    ("a name twice, deep down", talk(READY, message(BEAT, text='{"type":"heartbeat","x":[{"a":1,"a":1}]}')),
     [Finding("MSG-5", "a member name is repeated", 1)]),
    ("an endless number", talk(READY, message(BEAT, text='{"type":"heartbeat","x":-Infinity}')),
     [Finding("MSG-5", "-Infinity is no JSON", 1)]),
    ("half a pair in a thought", after(event("thinking", 1, content=HALF)),
     [Finding("EVENT-2", "a string holds half a surrogate pair", 2)]),
    ("half a pair elsewhere", talk(READY, message({**BEAT, "x": [{"a": HALF}]})),
     [Finding("MSG-5", "a string holds half a surrogate pair", 1)]),
    ("half a pair in a name", talk(READY, message({**BEAT, HALF: 1})),
     [Finding("MSG-5", "a string holds half a surrogate pair", 1)]),
    ("a type that is no string", talk(READY, message({"type": 7})), [Finding("MSG-2", "type is 7", 1)]),
    ("nothing as an input", after(event("tool_call", 1, call_id="c", name="t", input=None),
                                  event("observation", 2, call_id="c", content=None)), []),
    ("null for what must be there", after(event("thinking", 1, content=None)),
     [Finding("MSG-3", "thinking/content: must be of type string, not null", 2)]),
    ("null and a wrong type", after(event("thinking", 1, agent=None, content=7)),
     [Finding("MSG-6", "agent of thinking is null", 2),
      Finding("MSG-3", "thinking/content: must be of type string, not integer", 2)]),
    ("a type of nobody's with null", talk(READY, message({"type": "acme:x", "id": None})), []),
    ("neither run nor number", talk(READY, message({"type": "token", "data": "x"})),
     [Finding("RUN-27", "token has no run_id and no seq", 1)]),
    ("a replacement of a sub-agent's", after(event("replace", 1, data="", parent_call_id="c")),
     [Finding("EVENT-3", "replace has parent_call_id", 2)]),
    ("a whole observation that is no text",
     after(call(1), event("observation", 2, call_id="c1", content={}, partial=False)), []),
    ("an error that does not say whether to try again",
     talk(READY, message({"type": "error", "data": "", "code": "a:b"})),
     [Finding("EVENT-22", "error has no retryable", 1)]),
    ("a terminal that answers", after(server({**error("timeout")[1], "seq": 1, "run_id": RUN, "trace_id": TRACE,  # type: ignore[dict-item]
                                              "retryable": True, "re": "a"})),
     [Finding("EVENT-24", "an error that refuses a message has run_id or seq", 2),
      Finding("MSG-29", 'error with re "a", which nobody asked', 2)]),
    ("a failure without a trace", after(event("error", 1, code="a:b", retryable=False, data="")),
     [Finding("OBS-1", "error has no trace_id", 2)]),
    ("a vendor's code", talk(READY, message({"type": "error", "data": "", "code": "a:b", "retryable": True})), []),
    ("a part of a call without a name", after(event("tool_delta", 1, name="t", data="x")),
     [Finding("MSG-3", "tool_delta: 'call_id' is missing", 2), Finding("EVENT-7", "tool_delta has no call_id", 2)]),
    ("much that is no text", after(call(1), event("observation", 2, call_id="c1", partial=True, content=["x" * 99])),
     [Finding("EVENT-14", f'the content of a partial observation is ["{"x" * 58}', 3)]),
    ("a type of nobody's before a wrong one",
     after(("server", {"type": "acme:x"}, 0.0), event("thinking", 1, content=7)),
     [Finding("MSG-3", "thinking/content: must be of type string, not integer", 3)]),
    ("a notice with a code of a log", talk(READY, message({"type": "notice", "code": "agent_error", "data": ""})), []),
    ("busy for as long as nobody says", talk(READY, message({"type": "error", "data": "", "code": "busy"})),
     [Finding("EVENT-22", "error has no retryable", 1)]),
    ("busy for ever, after a vendor's code",
     talk(READY, message({"type": "error", "data": "", "code": "a:b", "retryable": True}),
          message(error("busy")[1])),  # type: ignore[arg-type]
     [Finding("ERR-4", "busy with retryable false", 2)]),
    ("a notice of nobody's", talk(READY, message({"type": "notice", "code": "oops", "data": ""})), []),
    ("a code of nobody's in a log", after(event("error", 1, code="oops", retryable=False, data="", trace_id=TRACE)),
     [Finding("RUN-14", "oops is neither registered nor a vendor's", 2)]),
    ("a code of a log", talk(READY, message(error("agent_error")[1])),  # type: ignore[arg-type]
     [Finding("ERR-1", "agent_error belongs into a log and refuses a message", 1)]),
    ("busy for ever", talk(READY, message(error("busy")[1])),  # type: ignore[arg-type]
     [Finding("ERR-4", "busy with retryable false", 1)]),
    ("a stack trace in a notice",
     talk(READY, message({"type": "notice", "code": "a:b", "data": "Traceback (most recent call last)"})),
     [Finding("ERR-5", "data holds a stack trace", 1)]),
    ("a heartbeat of a run", talk(READY, message({**BEAT, "run_id": RUN})),
     [Finding("BEAT-4", "a heartbeat has run_id", 1)]),
    ("the end of merged thoughts", after(event("thinking", 2, first_seq=1, content="x")), []),
    ("merged backwards", after(token(1, first_seq=2)),
     [Finding("RESUME-24", "first_seq 2 with seq 1", 2), Finding("RUN-28", "expected seq 1, got 2", 2)]),
    ("merged observations", after(call(1), event("observation", 3, first_seq=2, call_id="c1", content="x")),
     [Finding("RESUME-26", "a merged observation", 3)]),
    ("merged parts", after(call(1), event("observation", 3, first_seq=2, call_id="c1", content="x", partial=True)), []),
    ("the late one of several",
     after(("server", BEAT, 0.0), token(1), token(3), token(4), token(2), done(5)),
     [Finding("RUN-29", "seq 2 arrived after seq 4", 6)]),
    ("the same twice and late", after(token(2), token(2), token(1)), [Finding("RUN-28", "expected seq 1, got 2", 2)]),
    ("from the old position",
     after(token(1), token(2), RESUMED, token(3), token(4), RESUMED, token(5)),
     [Finding("RESUME-16", "seq 5 from the old position, before seq 3", 8)]),
    ("the last again, from the old position",
     after(token(1), token(2), RESUMED, token(3), token(4), RESUMED, token(4)),
     [Finding("RESUME-16", "seq 4 from the old position, before seq 3", 8)]),
    ("further than the old position",
     after(token(1), token(2), RESUMED, token(3), token(4), RESUMED, token(6)),
     [Finding("RESUME-10", "expected seq 3, got 6", 8)]),
    ("a resume that its events alone answer", after(token(1), done(2), asked(0), token(1), done(2)),
     [Finding("RESUME-9", f"the events of run {RUN} without resumed", 5)]),
    ("a resume of another run that its events alone answer",
     after(asked(0, run_id=B), token(1, run_id=B), done(2, run_id=B)),
     [Finding("RESUME-9", f"the events of run {B} without resumed", 3)]),
    ("a resume of a live run that its events alone answer",
     after(token(1), token(2), asked(1), token(2), token(3), done(4)),
     [Finding("RESUME-9", f"the events of run {RUN} without resumed", 5)]),
    ("events on their way when a resume is asked for",
     after(token(1), token(2), asked(2), token(3), RESUMED, token(3), done(4)),
     [Finding("RESUME-17", "resumed by a server that does not list resume", 6)]),
    ("an event behind the terminal when a resume is asked for",
     after(token(1), done(2), asked(0), token(3)),
     [Finding("RUN-5", "token with seq 3 in a run, after the done with seq 2 had ended it", 5)]),
    ("a request of the same name in another run", after(request(1), done(2), *BEGUN_B, request(3, run_id=B)), []),
    ("a request of the same name in the same run", after(request(1), request(2)),
     [Finding("INPUT-19", "a second input_request q", 3)]),
    ("an answer that is told", after(request(1), given(), closed(data=7)),
     [Finding("INPUT-12", "input_closed holds the answer", 4)]),
    ("another value that is told", after(request(1), given(), closed(data=8)), []),
    ("an answer of another run", after(request(1), given(run_id=B), closed(data=7)), []),
    ("what was no answer", after(request(1), given(type="acme:x"), closed(data=7)), []),
    ("an answer of nothing, which is not told", after(request(1), given(data=None), closed()), []),
    ("an answer without data", after(request(1), client({"type": "input", "run_id": RUN, "request_id": "q"}),
                                     closed(data=7)), []),
    ("text after a cancel of no run", after(client({"type": "cancel", "run_id": 7}), token(1, 2.0)), []),
    ("text after the first of two cancels",
     after(client({"type": "cancel", "run_id": RUN}), *BEGUN_B, client({"type": "cancel", "run_id": B}), token(1, 2.0)),
     [Finding("CANCEL-3", "a token 2.00 s after the cancel", 7)]),
    ("a refused cancel of a run that is read again",
     after(token(1), token(2), client({"type": "cancel", "run_id": RUN, "id": "c"}), RESUMED,
           server({"type": "error", "re": "c", "code": "not_found", "data": "", "retryable": False}),
           token(3, 2.0)), []),
    ("a call that comes twice in one place",
     after(call(1), call(1), event("observation", 2, call_id="c1", content="c"), done(3)),
     [Finding("RUN-28", "expected seq 2, got 1", 3)]),
    ("a call with the place of another event",
     after(token(1), call(1), event("observation", 2, call_id="c1", content="c"), done(3)),
     [Finding("RUN-28", "expected seq 2, got 1", 3)]),
    ("an observation that comes late",
     after(call(1), token(3), event("observation", 2, call_id="c1", content="c"), done(4)),
     [Finding("RUN-29", "seq 2 arrived after seq 3", 4)]),
    ("a refusal with a place", after(given(id="r"), error("bad_request", re="r", seq=2), done(1)),
     [Finding("EVENT-24", "an error that refuses a message has run_id or seq", 3)]),
    ("two calls never observed", after(call(1, "c2"), call(2), done(3)),
     [Finding("EVENT-13", "completed without the observation of c1, c2", 4)]),
    # The connection.
    ("no type at first", talk(message({"type": ""})),
     [Finding("MSG-2", 'type is ""', 0), Finding("CONN-15", "the first message is without type, not ready", 0)]),
    ("another protocol", talk(message({**ready()[1], "protocol": "other"})),  # type: ignore[dict-item]
     [Finding("CONN-16", "ready names 'other' 1", 0)]),
    ("silence at its bound", talk(READY, message(BEAT, 3.25)), []),
    ("a client that talks alone", talk(READY, message(BEAT, 2.0, "client"), message(BEAT, 3.5), message(BEAT, 9.0)),
     [Finding("BEAT-3", "nothing arrived for 3.5 s", 2)]),
    ("a response that took its time", talk(sign("response", at=5.0), message(STARTED.message or {}, 8.0),
                                           transport="http"), []),
    ("a stream that is silent",
     talk(sign("response", at=1.0), sign("lost", "it ended", 4.5), transport="sse"),
     [Finding("SSE-12", "nothing arrived for 4.5 s", 1)]),
    ("the last before the silence",
     talk(sign("response", at=1.0), sign("lost", "it ended", 3.25), transport="sse"), []),
    ("a slow answer to a request", talk(sign("response", at=1.0), sign("lost", "it ended", 9.0), transport="http"), []),
    ("a hole without a ready", talk(STARTED, *(message(token(seq)[1]) for seq in (1, 3))),  # type: ignore[arg-type]
     [Finding("CONN-15", "the first message is started, not ready", 0),
      Finding("RUN-28", "expected seq 2, got 3", 2)]),
    ("an end without a Close", talk(READY, sign("lost")),
     [Finding("CLOSE-2", "the connection ended without a Close frame", 1)]),
    ("an end before a word", talk(sign("lost")), []),
    ("an end of the judge's making", talk(READY, sign("lost"), peer_killed=True), []),
    ("an end that nobody read", talk(READY, sign("lost"), not_reading=True), []),
    ("a Close that the client began", talk(READY, sign("close", side="client", code=1000), sign("lost")), []),
    ("a client that is gone", talk(READY, sign("lost", side="client"), sign("close", code=4999)), []),
    ("a Close behind which there is nothing", talk(READY, sign("close", code=1000), sign("lost")), []),
    ("a Close that breaks two rules", talk(READY, STARTED, sign("close", code=4999)),
     [Finding("CLOSE-1", "closed with code 4999", 2)]),
    ("sse by itself", talk(message({**ready()[1], "features": ["sse", "tickets"]})),  # type: ignore[dict-item]
     [Finding("CONF-3", "sse is listed without resume", 0)]),
    ("tickets by themselves", talk(message({**ready()[1], "features": ["tickets"]})),  # type: ignore[dict-item]
     [Finding("CONF-3", "tickets is listed without auth", 0)]),
    ("everything together", talk(message({**ready()[1], "features": ["auth", "resume", "sse", "tickets"]})), []),  # type: ignore[dict-item]
]  # fmt: skip


@pytest.mark.parametrize(("trace", "expected"), [row[1:] for row in ONE], ids=[row[0] for row in ONE])
def test_the_edge_of_a_rule(trace: Trace, expected: list[Finding]) -> None:
    assert sorted(findings(trace, CONTEXT), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(("size", "broken"), [(400, False), (401, True)])
def test_an_event_may_be_as_large_as_was_advertised(size: int, broken: bool) -> None:
    small = len(json.dumps(token(1, data="")[1]))
    sized = token(1, data="x" * (size - small))
    text = json.dumps(sized[1])
    block = Record(0.0, "server", "block", f"id: e.1\ndata: {text}", Message(sized[1]))  # type: ignore[arg-type]

    expected = [Finding("EVENT-20", f"a token of {size} bytes", 2)] if broken else []
    assert findings(trace_of((*BEGIN, sized)), CONTEXT) == expected
    assert [f for f in said(block, transport="sse") if f.requirement == "EVENT-20"] == [
        Finding("EVENT-20", f.text, 0) for f in expected
    ]


def test_a_second_has_a_hundred_messages_that_nobody_asked_for() -> None:
    def many(number: int, at: float = 0.0, *before: Record) -> list[Finding]:
        beats = [message(BEAT, at) for _ in range(number - 1)]
        return [f for f in said(READY, *before, *beats) if f.requirement == "FLOW-8"]

    told = "126 messages and Ping frames that nobody asked for in 0.00 s: "
    last = told + "125 heartbeat, 1 ready"
    assert many(125) == []
    assert many(126) == [Finding("FLOW-8", last, 125)]
    assert many(127) == [Finding("FLOW-8", last, 125)]
    assert many(225, 1.0) == []
    assert many(226, 1.0)[0].text.startswith("226 messages and Ping frames that nobody asked for in 1.00 s")
    late = [message(BEAT, 100.0) for _ in range(126)]
    assert [f for f in said(*late, began=100.0) if f.requirement == "FLOW-8"] == [
        Finding("FLOW-8", told + "126 heartbeat", 125)
    ]
    asked = message(BEAT, side="client")
    assert many(127, 0.0, asked, sign("ping", side="client")) == []
    assert many(128, 0.0, asked, sign("ping", side="client"), sign("pong", side="client")) != []
    pings = [sign("ping") for _ in range(125)]
    assert [f for f in said(READY, *pings) if f.requirement == "FLOW-8"] == [
        Finding("FLOW-8", told + "125 Ping frames, 1 ready", 125)
    ]
    assert [f for f in said(*pings, *pings, transport="http") if f.requirement == "FLOW-8"] == []
    events = [message(token(n)[1]) for n in range(1, 200)]  # type: ignore[arg-type]
    assert [f for f in said(READY, STARTED, *events) if f.requirement == "FLOW-8"] == []


@pytest.mark.parametrize(
    ("value", "unasked"),
    [
        ({"type": "heartbeat"}, True),
        ({"type": "acme:x"}, True),
        ({"type": "heartbeat", "re": "1"}, False),
        ({"type": "acme:x", "seq": 1}, False),
        ({"type": "token"}, False),
        ({"type": "started"}, False),
    ],
    ids=str,
)
def test_what_counts_as_unasked(value: dict[str, Any], unasked: bool) -> None:
    assert is_unasked(Message(value)) is unasked


@pytest.mark.parametrize(
    ("kind", "side", "tells"),
    [
        ("text", "server", False),
        ("binary", "server", False),
        ("raw", "server", False),
        ("pong", "server", True),
        ("text", "client", True),
    ],
)
def test_a_hole_is_told_unless_what_fills_it_may_be_unreadable(kind: str, side: Side, tells: bool) -> None:
    first, last = (message(token(seq)[1]) for seq in (1, 3))  # type: ignore[arg-type]

    found = {finding.requirement for finding in said(READY, STARTED, first, sign(kind, "{", side=side), last)}

    assert ("RUN-28" in found) is tells


def test_features_are_looked_at_where_they_are_told_as_a_list() -> None:
    listed = message({**ready()[1], "features": ["sse"]})  # type: ignore[dict-item]
    spelt = message({**ready()[1], "features": "sse"})  # type: ignore[dict-item]
    named = Finding("CONF-3", "sse is listed without resume", 1)

    assert named in said(message(BEAT, side="client"), listed)
    assert "CONF-3" not in {finding.requirement for finding in said(spelt)}


@pytest.mark.parametrize(
    ("value", "half"),
    [("a", False), ("🚀", False), (HALF, True), (["a", HALF], True), ({"a": {"b": HALF}}, True), ({HALF: 1}, True),
     (["a"], False), ({"a": "b"}, False), (None, False), (7, False)],
)  # fmt: skip
def test_half_a_pair_is_found_wherever_it_stands(value: object, half: bool) -> None:
    assert has_lone_surrogate(value) is half


def test_the_faults_of_a_text_are_all_told() -> None:
    assert faults_of('{"a":1,"a":NaN}') == ["NaN is no JSON", "a member name is repeated"]
    assert faults_of('{"a":1,"b":[1e400]}') == []
