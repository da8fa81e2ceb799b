"""Flaws of chapter 14: draining."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from tests.proof.flaws.flaw import answers, controls, flaw, says
from tests.proof.flaws.frames import Frame, Opcode, close_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Close,
    Drop,
    Frames,
    Message,
    Rewrite,
    is_refusal,
    is_terminal,
    less,
    refusal,
)

from .connection import problem


class Draining(Rewrite):
    """Knows that the server drains."""

    drains = False

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        self.drains = self.drains or message.get("code") == "draining"
        yield from self.during(link, message) if self.drains else (message,)

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        """Rewrite a message of the server while it drains."""
        yield message


@says("DRAIN-1", drains=True)
def new_runs_are_busy(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A draining server refuses new runs with another code."""
    yield {**message, "code": "busy"} if message.get("code") == "unavailable" else message


@answers("DRAIN-1", drains=True)
def new_runs_are_an_internal_error(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A draining server refuses new runs over HTTP with 500."""
    return problem(500, "internal") if response.status == 503 else response


@flaw("DRAIN-1", drains=True)
class NewRunsAreTaken(Draining):
    """A draining server takes on new runs."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        if is_refusal(message) and message["code"] == "unavailable":
            run = {"run_id": f"drained{self.nth():016d}", "trace_id": "1" * 32}
            started = {"type": "started", **run, "epoch": "e1", "session_id": "s" * 22, "status": "running"}
            yield {**started, **({"re": message["re"]} if "re" in message else {})}
            yield {"type": "done", **run, "seq": 1, "data": "done", "status": "completed"}
        else:
            yield message


@says("DRAIN-2", drains=True)
def drains_unannounced(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A draining server does not say so."""
    if message.get("code") != "draining":
        yield message


@flaw("DRAIN-2", drains=True)
class DrainsAnnouncedToReaders(Draining):
    """A draining server tells only the connections that follow a run."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("code") != "draining" or link.followed:
            yield message


@flaw("DRAIN-3", drains=True)
class DrainingServersFallSilent(Draining):
    """A draining server sends no more events but the terminal."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        if "seq" not in message or is_terminal(message):
            yield message


@flaw("DRAIN-3", drains=True)
class RunsCutWhenDraining(Draining):
    """A draining server closes the readers of unfinished runs at once."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if message.get("code") == "draining" and link.followed:
            yield Close(4000)


@flaw("DRAIN-4", drains=True)
class NothingTakenWhileDraining(Draining):
    """A draining server refuses every message."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        refused = self.drains and message.get("type") in {"resume", "cancel"}
        yield Answer(refusal("unavailable", message, retryable=True)) if refused else message

    def request(self, request: Request) -> Request | Response:
        return problem(503, "unavailable").with_header("retry-after", "1") if self.drains else request


@says("DRAIN-5", drains=True)
def unfinished_runs_fail(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that draining ends has another code than worker_lost."""
    yield {**message, "code": "internal"} if message.get("code") == "worker_lost" else message


@says("DRAIN-5", drains=True)
def unfinished_runs_left_open(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that is unfinished after drain_s gets no terminal."""
    if message.get("code") != "worker_lost":
        yield message


@says("DRAIN-5", drains=True)
def unfinished_runs_cancelled(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that is unfinished after drain_s ends as cancelled."""
    if message.get("code") == "worker_lost":
        done = {"type": "done", "status": "cancelled", "reason": "vendor:drained"}
        yield {**less(message, "code", "retryable"), **done}
    else:
        yield message


@controls("DRAIN-6", drains=True)
def drained_is_a_restart(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A drained server closes with 1012."""
    yield Frames((close_frame(1012) if frame.close_code == 4000 else frame,))


@controls("DRAIN-6", drains=True)
def drained_breaks_off(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A drained server breaks its connections off."""
    yield Drop() if frame.opcode == Opcode.CLOSE and frame.close_code == 4000 else Frames((frame,))


@flaw("DRAIN-8", drains=True)
class StartsLostWhileDraining(Draining):
    """A draining server does not answer a start."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        if not (is_refusal(message) and message["code"] == "unavailable"):
            yield message


@flaw("DRAIN-9", drains=True)
class NewcomersAreNotTold(Draining):
    """A connection that is opened while the server drains is not told."""

    def during(self, link: Link, message: Message) -> Iterable[Action]:
        told = message.get("code") == "draining" and link.notes.get("ready") is not None
        if message.get("type") == "ready":
            link.notes["ready"] = message
        if not told:
            yield message
