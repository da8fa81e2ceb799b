"""Flaws of chapter 14: a node that does not know what the others do, or that one of them died.

The nodes are one server that says it is a cluster, and the flaw stands before the second of them; where one has to
die they are two servers on a Redis, and the flaw stands before the one that is left.
"""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from tests.proof.flaws.flaw import flaw, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.node import Node
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Later,
    Message,
    Pause,
    Rewrite,
    is_event,
    is_refusal,
    less,
    refusal,
)

from .connection import problem
from .http import is_cancel, is_events, is_status

#: Dying is noticed soon, and a run has the time to show that it was.
DYING = MappingProxyType({"worker_lost_s": 2, "run_s": 8})


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


@says("NODE-4", killable=True, limits=DYING)
def runs_of_dead_nodes_stay_open(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose worker died gets no terminal."""
    if message.get("code") != "worker_lost":
        yield message


@says("NODE-4", killable=True, limits=DYING)
def runs_of_dead_nodes_fail_otherwise(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose worker died ends with another code."""
    yield {**message, "code": "internal"} if message.get("code") == "worker_lost" else message


@says("NODE-4", killable=True, limits=DYING)
def runs_of_dead_nodes_are_completed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose worker died ends as if its agent had said everything."""
    lost = message.get("code") == "worker_lost"
    yield {**less(message, "code", "retryable"), "type": "done", "status": "completed"} if lost else message


@says("NODE-4", killable=True, limits=DYING)
def dead_nodes_are_noticed_late(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose worker died ends after `worker_lost_s`."""
    late = Later(flaw.seconds("worker_lost_s") + 1, message)
    yield late if message.get("code") == "worker_lost" else message


@says("NODE-6", killable=True, limits=DYING)
def runs_of_dead_readers_stay_open(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose only reader died with its node gets no terminal."""
    if message.get("reason") != "disconnected":
        yield message


@flaw("NODE-6", killable=True, limits=DYING)
class ReadersOfDeadNodesCount(Rewrite):
    """A reader that died with its node counts on, so that its run goes on without one."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if message.get("type") == "started":
            self.runs.append(message["run_id"])
        elif message.get("type") == "resumed":
            for run_id in self.runs:
                link.start(link.proxy.read_aside(run_id))
