"""Flaws of chapter 15: traces."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import re
from collections.abc import Iterable

from tests.proof.flaws.flaw import asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_terminal, less

TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def _without_trace(kind: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        own = message.get("type") == kind and (kind not in {"done", "error"} or "seq" in message)
        yield less(message, "trace_id") if own else message

    server_message.__name__ = f"{kind}_without_trace"
    server_message.__doc__ = f"`{kind}` has no trace_id."
    says("OBS-1")(server_message)


for _kind in ("ready", "started", "resumed", "done", "error"):
    _without_trace(_kind)


@hears("OBS-2")
def traceparent_of_a_start_ignored(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The traceparent of a start is not looked at."""
    yield less(message, "traceparent") if "traceparent" in message else message


@flaw("OBS-2")
class HandshakeTraceWins(Rewrite):
    """The traceparent of the handshake wins over that of a start."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        wins = link.request.headers.get("traceparent") and "traceparent" in message
        yield less(message, "traceparent") if wins else message


@asks("OBS-3")
def traceparent_of_a_handshake_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """The traceparent of the handshake is not looked at."""
    return request.without_header("traceparent")


@flaw("OBS-3")
class HandshakeTraceOnlyInReady(Rewrite):
    """The traceparent of the handshake is taken over into ready alone."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        starts = message.get("type", "start") == "start" and "traceparent" not in message
        trace = f"{self.nth():032x}"
        yield {**message, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if starts else message


@flaw("OBS-4")
class InvalidTracesTakenOver(Rewrite):
    """The second field of a traceparent is taken over even if it is all zeros or too short."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        header = link.request.headers.get("traceparent") or ""
        fields = header.split("-")
        invalid = header and (not TRACEPARENT.match(header) or fields[1] == "0" * 32)
        taken = fields[1] if len(fields) > 1 else header
        yield {**message, "trace_id": taken} if invalid and message.get("type") == "ready" else message


@asks("OBS-4", clause="given twice")
def first_of_two_traces(flaw: Rewrite, request: Request) -> Request | Response:
    """Of two traceparent headers the first is taken."""
    header = request.headers.get("traceparent")
    return request.with_header("traceparent", header) if header is not None else request


@asks("OBS-4")
def invalid_traces_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake with an invalid traceparent is refused."""
    header = request.headers.get("traceparent")
    bad = header is not None and (not TRACEPARENT.match(header) or "-" + "0" * 32 in header)
    return request.with_header("sec-websocket-protocol", "vendor.none") if bad else request


@says("OBS-5")
def another_trace_at_the_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The terminal of a run has a trace_id of its own."""
    yield {**message, "trace_id": message["trace_id"][::-1]} if is_terminal(message) else message


@says("OBS-5")
def another_trace_when_resumed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`resumed` has a trace_id of its own."""
    resumed = message.get("type") == "resumed"
    yield {**message, "trace_id": message["trace_id"][::-1]} if resumed else message
