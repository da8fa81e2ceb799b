"""Flaws of chapter 14: a node that does not know what the others do.

The nodes are one server that says it is a cluster; the flaw stands before the second node.
"""

# ruff: noqa: ARG002 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from ..flaw import flaw
from ..http1 import Request, Response
from ..link import Link
from ..node import Node
from ..rewrite import Action, Answer, Message, Pause, is_event, is_refusal, refusal
from .connection import problem
from .http import is_cancel, is_events, is_status


@flaw("NODE-1", nodes=True)
class RunsOfOtherNodesAreUnknown(Node):
    """A node refuses to resume what another one runs."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield Answer(refusal("not_found", message)) if message.get("type") == "resume" else message


@flaw("NODE-1", nodes=True)
class StreamsOfOtherNodesAreUnknown(Node):
    """A node does not stream what another one runs."""

    def request(self, request: Request) -> Request | Response:
        return problem(404, "not_found") if is_events(request) else request


@flaw("NODE-1", nodes=True)
class StatusOfOtherNodesIsUnknown(Node):
    """A node does not tell how a run of another one stands."""

    def request(self, request: Request) -> Request | Response:
        return problem(404, "not_found") if is_status(request) else request


@flaw("NODE-1", nodes=True)
class ReadersOfOtherNodesReadSomethingElse(Node):
    """A node shows another text in the second event of what another one runs."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "token" or message.get("seq", 0) > 2 or "first_seq" in message:
            yield from super().server_message(link, message)
        elif message["seq"] == 2:
            yield {**message, "data": "-"}
        else:
            yield message


@flaw("NODE-2", nodes=True)
class CancelsOfOtherNodesGetLost(Node):
    """A node does not pass on a cancel of what another one runs."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "cancel" or message.get("run_id") in link.followed:
            yield message

    def request(self, request: Request) -> Request | Response:
        return problem(404, "not_found") if is_cancel(request) else request


@flaw("NODE-2", nodes=True)
class InputsOfOtherNodesGetLost(Node):
    """A node does not pass on an answer to what another one runs."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "input":
            yield message


@flaw("NODE-2", nodes=True)
class CancelsOfOtherNodesComeLate(Node):
    """A node passes on a cancel after its deadline."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel" and "run_id" in message:
            yield Pause(self.seconds("cancel_deadline_ms") + 1)
        yield message


@flaw("NODE-3", nodes=True)
class NodesCountForThemselves(Node):
    """A node admits a connection whatever is open on the others."""

    def response(self, request: Request, response: Response) -> Response:
        if request.is_upgrade and response.status == 429:
            return problem(503, "unavailable").with_header("retry-after", "1")
        return super().response(request, response)


@flaw("NODE-3", nodes=True)
class NodesCountRunsForThemselves(Node):
    """A node takes on a run however many the others have."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not (is_refusal(message) and message["code"] == "busy"):
            yield from super().server_message(link, message)
            return
        run = {"run_id": str(link.asked[-1]["run_id"]), "trace_id": "1" * 32}
        started = {"type": "started", **run, "epoch": "e1", "session_id": "s" * 22, "status": "running"}
        yield {**started, **({"re": message["re"]} if "re" in message else {})}
        yield {"type": "done", **run, "seq": 1, "data": "done", "status": "completed"}


@flaw("NODE-7", nodes=True)
class StartsOnTwoNodesAreTwoRuns(Node):
    """A run_id that is started on two nodes is two runs."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        own = str(message.get("run_id", ""))[::-1]
        starts = message.get("type") == "start" and "run_id" in message
        yield {**message, "run_id": own} if starts else message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        mine = "run_id" in message and (is_event(message) or message.get("type") == "started")
        yield {**message, "run_id": message["run_id"][::-1]} if mine else self.described_ready(message)


@flaw("NODE-7", nodes=True)
class SecondNodesRefuseTheRun(Node):
    """A run_id that another node runs is a conflict."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        starts = message.get("type") == "start" and "run_id" in message
        yield Answer(refusal("conflict", message)) if starts else message
