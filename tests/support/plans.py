"""Plans and messages of a model's run."""

from __future__ import annotations

import json

from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace

RUN = "r" * 22


SCRIPT = ({"token": "a"}, {"token": "b"}, {"thinking": "c"})


READY = {
    "type": "ready", "protocol": "runwire", "version": 1, "connection_id": "c-1", "features": [],
    "trace_id": "2" * 32, "limits": {"heartbeat_s": 1},
}  # fmt: skip


def reading(opening: str, *events: dict[str, object], transport: str = "websocket", after: int = 0) -> Trace:
    """Return a conversation in which one run is read."""
    trace = Trace("sse" if transport == "sse" else "websocket", "POST" if opening == "started" else "GET")
    first = {"type": opening, "run_id": RUN, "status": "running", "epoch": "e", "trace_id": "1" * 32}
    first |= {"next_seq": after + 1} if opening == "resumed" else {"session_id": RUN}
    ready = () if transport == "sse" else (READY,)
    for message in (*ready, first, *({"run_id": RUN, **event} for event in events)):
        trace.add("server", "text", json.dumps(message), Message(message))
    return trace


def token(seq: int, text: str, **more: object) -> dict[str, object]:
    return {"type": "token", "seq": seq, "data": text, **more}


def done(seq: int, status: str = "completed", **more: object) -> dict[str, object]:
    return {"type": "done", "seq": seq, "status": status, "data": "", "trace_id": "1" * 32, **more}


THOUGHT = {"type": "thinking", "seq": 3, "content": "c"}


GOOD = reading("started", token(1, "a"), token(2, "b"), THOUGHT, done(4))


CUT = done(2, "cancelled", reason="user")
