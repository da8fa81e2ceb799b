"""HTTP responses of the server of a play, with their traces."""

import json
from collections.abc import Mapping
from typing import Any

from runwire_conformance.tools.check_client.server.peers import PeerConnection, Request
from runwire_conformance.tools.check_client.server.scenario_run import problem
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.message import parsed
from runwire_conformance.trace.trace import Trace, Transport


def opened(log: WireLog, transport: Transport, request: Request) -> Trace:
    """Begin the conversation that a request opens."""
    trace = Trace(transport, f"{request.method} {request.path}")
    cursor = request.header("last-event-id")
    shown = f"{request.method} {request.path}" + (f"  Last-Event-ID: {cursor}" if cursor else "")
    trace.add("client", "request", shown)
    if request.body:
        body = request.body.decode("utf-8", "replace")
        trace.add("client", "text", body, parsed(body))
    log.traces.append(trace)
    return trace


def answer_json(
    wire: PeerConnection,
    status: int,
    value: Mapping[str, Any],
    trace: Trace | None = None,
    media: str = "application/json",
    headers: Any = (),
) -> None:
    """Answer with a JSON text."""
    text = json.dumps(value, ensure_ascii=False)
    if trace is not None:
        trace.add("server", "response", f"{status} {text}", code=status)
    wire.answer(status, media, text.encode(), headers)


def answer_problem(wire: PeerConnection, told: Mapping[str, Any]) -> None:
    """Answer with what refuses a request."""
    status, body = problem(told)
    headers = [("WWW-Authenticate", "Bearer")] if status == 401 else []
    answer_json(wire, status, body, None, "application/problem+json", headers)
