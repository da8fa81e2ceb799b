"""Flaws of chapter 7: leaving a run."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from tests.proof.flaws.flaw import flaw, hears, misstates, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_terminal

from .cancel import is_cancelled
from .runs import is_start


class EndsRuns(Rewrite):
    """Ends runs itself and calls that the end by their policy."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: set[str] = set()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        by_policy = is_cancelled(message) and message["run_id"] in self.ended
        yield {**message, "reason": "disconnected"} if by_policy else message

    async def end(self, link: Link, *policies: str) -> None:
        """End what `link` follows, as far as it has one of `policies`."""
        for run_id in tuple(link.followed):
            if link.proxy.book.policy(run_id) in policies:
                self.ended.add(run_id)
                await link.proxy.send_aside({"type": "cancel", "run_id": run_id})


@flaw("RESUME-1")
class NoGrace(EndsRuns):
    """A run of policy grace ends as soon as its reader has left."""

    async def client_left(self, link: Link) -> None:
        await self.end(link, "grace")


misstates(
    "grace_cut_short",
    "RESUME-1",
    {"detach_grace_s": 3},
    "A run of policy grace ends after a third of detach_grace_s.",
    limits={"detach_grace_s": 1},
)
misstates(
    "grace_without_end",
    "RESUME-2",
    {"detach_grace_s": 1},
    "A run of policy grace goes on long after detach_grace_s.",
    limits={"detach_grace_s": 60},
)


@says("RESUME-2")
def left_runs_end_by_the_user(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that ends for want of readers gives the reason user."""
    yield {**message, "reason": "user"} if message.get("reason") == "disconnected" else message


@says("RESUME-2")
def left_runs_are_incomplete(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that ends for want of readers ends as incomplete."""
    left = is_terminal(message) and message.get("reason") == "disconnected"
    yield {**message, "status": "incomplete"} if left else message


@hears("RESUME-3")
def policy_cancel_is_grace(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The policy cancel is treated like grace."""
    yield {**message, "on_disconnect": "grace"} if message.get("on_disconnect") == "cancel" else message


@hears("RESUME-3")
def policy_cancel_is_continue(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The policy cancel is treated like continue."""
    yield {**message, "on_disconnect": "continue"} if message.get("on_disconnect") == "cancel" else message


@flaw("RESUME-3")
class EndedByTheUser(Rewrite):
    """A run of policy cancel that ends for want of readers gives the reason user."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id", "")
        left = is_cancelled(message) and link.proxy.book.policy(run_id) == "cancel"
        yield {**message, "reason": "user"} if left else message


@flaw("RESUME-4")
class SentAwayForGood(EndsRuns):
    """A run of policy cancel ends at once when the server closed its last reader."""

    async def server_left(self, link: Link) -> None:
        if not link.is_stream:
            await self.end(link, "cancel")


@hears("RESUME-5")
def policy_continue_is_grace(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The policy continue is treated like grace."""
    yield {**message, "on_disconnect": "grace"} if message.get("on_disconnect") == "continue" else message


@flaw("RESUME-5")
class ContinueEndsAtOnce(EndsRuns):
    """A run of policy continue ends when its reader has left."""

    async def client_left(self, link: Link) -> None:
        await self.end(link, "continue")


@flaw("RESUME-6")
class OneOfTwoReadersLeavingEndsTheRun(EndsRuns):
    """A run of policy cancel ends when one of its readers leaves, though another is there."""

    async def client_left(self, link: Link) -> None:
        await self.end(link, "cancel")


@flaw("RESUME-6")
class SecondReaderNotCounted(EndsRuns):
    """A run ends under its policy when the reader that started it leaves, though another is there."""

    async def client_left(self, link: Link) -> None:
        if not link.is_stream:
            await self.end(link, "cancel", "grace")


@flaw("RESUME-8", features=())
class LeftRunsGoOn(Rewrite):
    """Without the feature resume, a run of policy grace goes on after its reader has left."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        grace = is_start(message) and message.get("on_disconnect", "grace") == "grace"
        yield {**message, "on_disconnect": "continue"} if grace else message


@flaw("SSE-22")
class StreamsKeepNoRun(EndsRuns):
    """A run ends under its policy when its WebSocket reader leaves, though a stream reads it."""

    async def client_left(self, link: Link) -> None:
        others = [other for other in link.proxy.links if other.is_stream]
        if others and not link.is_stream:
            await self.end(link, "cancel", "grace")


@flaw("SSE-22")
class StreamsArmNoPolicy(Rewrite):
    """A run that was started by POST and left goes on whatever its policy."""

    def request(self, request: Request) -> Request | Response:
        if request.method != "POST" or not request.path.endswith("/runs"):
            return request
        try:
            body = json.loads(request.body)
        except ValueError:
            return request
        if not isinstance(body, dict) or body.get("on_disconnect", "grace") not in ("grace", "cancel"):
            return request
        text = json.dumps({**body, "on_disconnect": "continue"}).encode()
        return replace(request.with_header("content-length", str(len(text))), body=text)


@flaw("FLOW-7", limits={"pong_timeout_s": 1, "heartbeat_s": 1, "detach_grace_s": 20})
class DroppedReadersEndTheirRuns(EndsRuns):
    """A run ends when its reader is dropped for taking no byte."""

    async def server_left(self, link: Link) -> None:
        if not link.is_stream:
            await self.end(link, "grace", "continue", "cancel")

    async def watch(self, link: Link) -> None:
        if not link.is_stream:
            await link.judge.stuck_for(self.seconds("pong_timeout_s"))
            await self.end(link, "grace", "continue", "cancel")
