"""Conversations of a client in shorthand, and what the rules for clients find in them."""

from __future__ import annotations

from typing import Any

from runwire_conformance.rules import Finding, IndexedFinding, client_findings
from runwire_conformance.tools.formats.recording import RecordingLine, read_recording

RUN, OTHER = "a" * 22, "b" * 22


READY = {"type": "ready", "protocol": "runwire", "version": 1, "limits": {"heartbeat_s": 1}}


STARTED = {"type": "started", "run_id": RUN, "epoch": "e1"}


PROMPT = {"prompt": "x"}


START = {"type": "start", "prompt": "x", "run_id": RUN}


ANOTHER = {**START, "prompt": "y"}


DONE = {"type": "done", "run_id": RUN, "seq": 2, "data": "x", "status": "completed"}


BEAT = {"type": "heartbeat"}


PING = ("ping", "")


def token(seq: Any, **members: Any) -> dict[str, Any]:
    return {"type": "token", "run_id": RUN, "seq": seq, "data": "x", **members}


def resume(after: Any = 1, **members: Any) -> dict[str, Any]:
    return {"type": "resume", "run_id": RUN, "after": after, **members}


def refused(code: str, *, retryable: bool, **members: Any) -> dict[str, Any]:
    return {"type": "error", "code": code, "retryable": retryable, "data": "x", **members}


#: (connection, ms, who, what): `>` is the client, `<` the server; what is a message, a close code, a raw text or a
#: Ping. A connection is a WebSocket, or another transport if it is called `sse 1` or `http 1`.
Step = tuple[int | str, float, str, Any]


def shown(requirement: str, text: str, record: int = 0, on: int = 0) -> list[IndexedFinding]:
    """Return one finding on the connection `on`, the first being 0."""
    return [(on, Finding(requirement, text, record))]


def found(steps: list[Step]) -> list[IndexedFinding]:
    """Return what the client of a conversation breaks."""
    lines = []
    for number, (connection, ms, who, said) in enumerate(steps, start=1):
        kind, content = said if isinstance(said, tuple) else (None, said)
        kind = kind or {dict: "message", int: "close", str: "text"}[type(said)]
        side = "client" if who == ">" else "server"
        transport = "websocket" if isinstance(connection, int) else connection.partition(" ")[0]
        value = {"at_ms": ms, "from": side, "transport": transport, "connection": connection, kind: content}
        lines.append(RecordingLine(f"r:{number}", value, ""))
    return client_findings([one.trace for one in read_recording(lines).connections])


def with_pings(steps: list[Step]) -> list[Step]:
    """Return a conversation with a Ping of either side at the begin of each connection."""
    first = {connection: ms for connection, ms, _, _ in reversed(steps)}
    pinged: set[int | str] = set()
    both: list[Step] = []
    for step in steps:
        if step[0] not in pinged:
            pinged.add(step[0])
            both += [(step[0], first[step[0]], ">", PING), (step[0], first[step[0]], "<", PING)]
        both.append(step)
    return both


SAID = {"type": "notice", "code": "a:b", "data": "x"}


#: What is special, the conversation, and what is found in it.
Row = tuple[str, list[Step], list[IndexedFinding]]
