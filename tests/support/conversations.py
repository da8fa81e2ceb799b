"""Conversations in shorthand, and what the rules find in them."""

from __future__ import annotations

import json
from typing import Any

from runwire_conformance.rules import RuleContext, findings
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Side, Trace

RUN, TRACE = "run-0123456789-0123456789", "0af7651916cd43dd8448eb211c80319c"


CONTEXT = RuleContext(
    Limits({"heartbeat_s": 1, "max_event_bytes": 400, "cancel_quiet_ms": 100}), tolerance=0.25
)


Line = tuple[Side, dict[str, Any] | str | int, float]


def server(message: dict[str, Any] | str | int, at: float = 0.0) -> Line:
    """Return something the server sends: a message, a raw text, or a close code."""
    return "server", message, at


def client(message: dict[str, Any], at: float = 0.0) -> Line:
    """Return a message of the client's."""
    return "client", message, at


def ready(**members: Any) -> Line:
    """Return a `ready` that is valid but for `members`."""
    message = {"type": "ready", "protocol": "runwire", "version": 1, "connection_id": RUN, "trace_id": TRACE}
    return server({**message, "features": [], "limits": CONTEXT.limits.advertised, **members})


def error(code: str, **members: Any) -> Line:
    """Return an error that refuses a message."""
    return server({"type": "error", "code": code, "retryable": False, "data": "", **members})


def event(kind: str, seq: int, /, at: float = 0.0, **members: Any) -> Line:
    """Return an event of the run."""
    return server({"type": kind, "run_id": RUN, "seq": seq, **members}, at)


def token(seq: int, at: float = 0.0, **members: Any) -> Line:
    """Return a token."""
    return event("token", seq, at, **{"data": "x", **members})


def done(seq: int, **members: Any) -> Line:
    """Return a terminal that is valid but for `members`."""
    return event("done", seq, **{"data": "x", "status": "completed", "trace_id": TRACE, **members})


def call(seq: int, call_id: str = "c1") -> Line:
    """Return a tool call."""
    return event("tool_call", seq, call_id=call_id, name="t", input={})


def observation(seq: int, call_id: str = "c1", **members: Any) -> Line:
    """Return an observation."""
    return event("observation", seq, call_id=call_id, **{"content": "c", **members})


STARTED = server({"type": "started", "run_id": RUN, "session_id": RUN, "epoch": "e1", "trace_id": TRACE,
                  "status": "running", "next_seq": 1})  # fmt: skip


RESUMED = server({"type": "resumed", "run_id": RUN, "session_id": RUN, "epoch": "e1", "trace_id": TRACE,
                  "status": "running", "next_seq": 3})  # fmt: skip


#: Somebody comes back who has all of a run: its terminal does not come again.
AT_ITS_END = server({"type": "resumed", "run_id": RUN, "session_id": RUN, "epoch": "e1", "trace_id": TRACE,
                     "status": "completed", "next_seq": 3, "last_seq": 2})  # fmt: skip


NOTICE = server({"type": "notice", "code": "vendor:tip", "data": "a word in between"})


BEGIN = (ready(), STARTED)


ASKED = (ready(), client({"type": "heartbeat", "id": "a"}))


def trace_of(lines: tuple[Line, ...], transport: str = "websocket", title: str = "a talk") -> Trace:
    """Return the conversation that these lines are."""
    trace = Trace("sse" if transport == "sse" else "websocket", title, 0.0)
    for side, said, at in lines:
        if isinstance(said, int):
            trace.records.append(Record(at, side, "close", code=said))
        elif isinstance(said, str):
            trace.records.append(Record(at, side, "text", said))
        else:
            trace.records.append(Record(at, side, "text", json.dumps(said), Message(said)))
    return trace


def found(*lines: Line) -> set[str]:
    """Return the requirements found broken in a WebSocket conversation."""
    return {finding.requirement for finding in findings(trace_of(lines), CONTEXT)}


GOOD: dict[str, tuple[Line, ...]] = {
    "a run": (*BEGIN, token(1), call(2), observation(3, partial=True), observation(4), done(5), server(1000)),
    "two calls at once": (*BEGIN, call(1), call(2, "c2"), observation(3, "c2"), observation(4), done(5)),
    "a call left open by a cancel": (*BEGIN, call(1), done(2, status="cancelled", reason="client")),
    "a seam": (ready(), RESUMED, token(3), done(4)),
    "merged tokens": (*BEGIN, token(3, first_seq=1), done(4)),
    "an unknown event": (*BEGIN, event("acme:chart", 1, data=None), done(2)),
    "an answered question": (*ASKED, server({"type": "heartbeat", "re": "a"})),
    "silence within its bound": (ready(), server({"type": "heartbeat"}, 3.2)),
    "text soon after a cancel": (*BEGIN, client({"type": "cancel", "run_id": RUN}), token(1, 0.3)),
    "notices now and then": (ready(), *[NOTICE] * 90),
    "as many answers as questions": (ready(), *[client({"type": "heartbeat"}), server({"type": "heartbeat"})] * 500),
    "an unfinished run and another code": (*BEGIN, token(1), server(1012)),
    "idle behind the end of a run": (ready(), AT_ITS_END, server(1000)),
}  # fmt: skip


BAD: dict[str, tuple[str, tuple[Line, ...]]] = {
    "no json": ("MSG-1", (ready(), server("{"))),
    "an array": ("MSG-1", (ready(), server("[]"))),
    "no type": ("MSG-2", (ready(), server({}))),
    "another schema": ("MSG-3", (*BEGIN, token(1, data=7))),
    "a name twice": ("MSG-5", (ready(), server('{"type":"heartbeat","type":"heartbeat"}'))),
    "not a number": ("MSG-5", (ready(), server('{"type":"acme:x","n":NaN}'))),
    "null": ("MSG-6", (*BEGIN, token(1, id=None), event("thinking", 2, content="x", agent=None))),
    "an integer with a fraction": ("MSG-37", (ready(version=1.0),)),
    "an answer to nobody": ("MSG-29", (ready(), server({"type": "heartbeat", "re": "a"}))),
    "two answers": ("MSG-30", (*GOOD["an answered question"], server({"type": "heartbeat", "re": "a"}))),
    "no ready": ("CONN-15", (server({"type": "heartbeat"}),)),
    "another version": ("CONN-16", (ready(version=2),)),
    "ready twice": ("CONN-19", (ready(), ready())),
    "an event before its run": ("RUN-3", (ready(), token(1), STARTED)),
    "a second terminal": ("RUN-4", (*BEGIN, done(1), done(2))),
    "a token after the end": ("RUN-5", (*BEGIN, done(1), token(2))),
    "no seq": ("RUN-27", (*BEGIN, server({"type": "token", "data": "x", "run_id": RUN}))),
    "a hole": ("RUN-28", (*BEGIN, token(1), token(3))),
    "a repetition": ("RUN-28", (*BEGIN, token(1), token(1))),
    "the wrong order": ("RUN-29", (*BEGIN, token(2), token(1), done(3))),
    "a hole at the seam": ("RESUME-10", (ready(), RESUMED, token(4))),
    "merged with what was read": ("RESUME-25", (ready(), RESUMED, token(4, first_seq=2))),
    "first_seq of one event": ("RESUME-24", (*BEGIN, token(1, first_seq=1))),
    "a merged call": ("RESUME-26", (*BEGIN, event("tool_call", 2, first_seq=1, call_id="c", name="t", input={}))),
    "half a pair": ("EVENT-2", (*BEGIN, token(1, data="\ud83d"))),
    "a token of a sub-agent": ("EVENT-3", (*BEGIN, token(1, agent="helper"))),
    "an empty token": ("EVENT-26", (*BEGIN, token(1, data=""))),
    "a call without a name": ("EVENT-7", (*BEGIN, event("tool_call", 1, name="t", input={}))),
    "the same call again": ("EVENT-8", (*BEGIN, call(1), call(2))),
    "nothing was called": ("EVENT-10", (*BEGIN, observation(1))),
    "observed twice": ("EVENT-11", (*BEGIN, call(1), observation(2), observation(3))),
    "partial at last": ("EVENT-12", (*BEGIN, call(1), observation(2), observation(3, partial=True))),
    "never observed": ("EVENT-13", (*BEGIN, call(1), done(2))),
    "partial and no text": ("EVENT-14", (*BEGIN, call(1), observation(2, partial=True, content={}))),
    "too large": ("EVENT-20", (*BEGIN, token(1, data="x" * 500))),
    "no status": ("EVENT-21", (*BEGIN, event("done", 1, data="x", trace_id=TRACE))),
    "no code": ("EVENT-22", (*BEGIN, event("error", 1, data="x", trace_id=TRACE))),
    "no reason": ("EVENT-23", (*BEGIN, done(1, status="cancelled"))),
    "parts beyond their total": ("EVENT-28", (*BEGIN, done(1, usage={"output_tokens": 1, "reasoning_tokens": 2}))),
    "no trace": ("OBS-1", (*BEGIN, event("done", 1, data="x", status="completed"))),
    "two traces": ("OBS-5", (*BEGIN, done(1, trace_id="1" * 32))),
    "a code of nobody's": ("ERR-1", (ready(), error("oops"))),
    "a bad request for ever": ("ERR-4", (ready(), error("bad_request", retryable=True))),
    "a stack trace": ("ERR-5", (ready(), error("a:b", data="Traceback (most recent call last)"))),
    "a numbered heartbeat": ("BEAT-4", (ready(), server({"type": "heartbeat", "seq": 1}))),
    "silence": ("BEAT-3", (ready(), server({"type": "heartbeat"}, 3.4))),
    "text long after a cancel": ("CANCEL-3", (*BEGIN, client({"type": "cancel", "run_id": RUN}), token(1, 0.4))),
    "a code of no registry": ("CLOSE-1", (ready(), server(4999))),
    "a flood of notices": ("FLOW-8", (ready(), *[NOTICE] * 500)),
    "a normal end in mid-run": ("LIMIT-6", (*BEGIN, token(1), server(1000))),
}  # fmt: skip
