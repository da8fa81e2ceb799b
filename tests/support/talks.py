"""Conversations of records, message by message, and what the rules find in them."""

from __future__ import annotations

import json
from typing import Any

from runwire_conformance.rules import Finding, findings
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Side, Trace
from tests.support.conversations import (
    BEGIN,
    CONTEXT,
    ready,
)


def message(value: dict[str, Any], at: float = 0.0, side: Side = "server", text: str | None = None) -> Record:
    """Return a message on a WebSocket, with another text than its own if `text` is given."""
    return Record(at, side, "text", json.dumps(value) if text is None else text, Message(value))


def sign(
    kind: str, payload: str = "", at: float = 0.0, side: Side = "server", code: int | None = None
) -> Record:
    """Return something that is no message."""
    return Record(at, side, kind, payload, code=code)


def talk(*records: Record, transport: str = "websocket", title: str = "a talk", **more: Any) -> Trace:
    """Return a conversation of these records."""
    trace = Trace(transport, title, 0.0, list(records))  # type: ignore[arg-type]
    for name, value in more.items():
        setattr(trace, name, value)
    return trace


def said(*records: Record, **more: Any) -> list[Finding]:
    """Return what is found in a conversation of these records."""
    return findings(talk(*records, **more), CONTEXT)


READY = message(ready()[1])  # type: ignore[arg-type]


BEAT = {"type": "heartbeat"}


STARTED = message(BEGIN[1][1])  # type: ignore[arg-type]
