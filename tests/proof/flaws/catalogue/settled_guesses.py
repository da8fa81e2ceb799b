"""Flaws of what a second implementation had to guess: orders of checks, who ended a reader, what is use."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import asks, controls, flaw, hears
from tests.proof.flaws.frames import Frame, Opcode, close_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Close,
    Frames,
    Message,
    Rewrite,
    is_refusal,
    is_terminal,
    refusal,
)

from .connection import problem
from .http import is_events
from .leaving import EndsRuns
from .runs import is_start
from .sse import CURSOR, cursor_of

#: More than any log of a case holds.
BEYOND = 100_000


@flaw("RESUME-4", clause="a Pong", limits={"heartbeat_s": 1, "pong_timeout_s": 1, "detach_grace_s": 5})
class SilentReadersEndTheirRuns(EndsRuns):
    """A run of policy cancel ends at once when its last reader was dropped because it owes a Pong."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        link.notes["owes"] = link.notes.get("owes", 0) + (frame.opcode == Opcode.PING)
        yield Frames((frame,))

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        link.notes["owes"] = 0 if frame.opcode == Opcode.PONG else link.notes.get("owes", 0)
        yield Frames((frame,))

    async def server_left(self, link: Link) -> None:
        if link.notes.get("owes"):
            await self.end(link, "cancel")


@controls("BEAT-13", limits={"heartbeat_s": 1, "pong_timeout_s": 1})
def silent_peers_are_sent_away_for_good(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A peer that owes a Pong is closed with 1008, after which it does not come back."""
    yield Frames((close_frame(1008) if frame.close_code == 1011 else frame,))


@controls("BEAT-13", limits={"heartbeat_s": 1, "pong_timeout_s": 1})
def silent_peers_are_called_back_at_once(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A peer that owes a Pong is closed with 4001, after which it resumes without back-off."""
    yield Frames((close_frame(4001) if frame.close_code == 1011 else frame,))


@hears("RESUME-12", clause="whatever its `after`")
def cursors_of_other_logs_are_compared(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cursor of another epoch that lies beyond the log is a bad request."""
    beyond = message.get("type") == "resume" and "epoch" in message and message.get("after", 0) > BEYOND
    yield Answer(refusal("bad_request", message)) if beyond else message


@asks("HTTP-19", clause="the epoch before the place")
def cursors_of_other_logs_are_compared_over_http(flaw: Rewrite, request: Request) -> Request | Response:
    """A cursor of another epoch that lies beyond the log is answered with 400."""
    found = CURSOR.match(cursor_of(request) or "") if is_events(request) else None
    beyond = found and found["epoch"] == "another" and int(found["seq"]) > BEYOND
    return problem(400, "bad_request") if beyond else request


class FullConnections(Rewrite):
    """Looks at the room of a connection first."""

    kind = ""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        full = len(link.followed) >= self.limits["runs_per_connection"] and run_id not in link.followed
        further = message.get("type") == self.kind and run_id not in link.proxy.book.finished
        yield Answer(refusal("busy", message, retryable=True)) if full and further else message


@flaw("ERR-10", clause="run and epoch, cursor")
class FullConnectionsLookNothingUp(FullConnections):
    """On a connection that follows as many runs as it may every further resume is busy, of unknown runs too."""

    kind = "resume"


@flaw("ERR-10", clause="what the identifier stands for")
class FullConnectionsKnowNoConflict(FullConnections):
    """On a connection that follows as many runs as it may every further start is busy, with a used run_id too."""

    kind = "start"


@flaw("RUN-6", clause="after the run before it has ended")
class ReplaysKeepStartsAway(Rewrite):
    """While a finished run is replayed on a connection, a start without run_id is busy."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if message.get("type") == "resume" and run_id in link.proxy.book.finished:
            link.notes["replayed"] = run_id
        busy = is_start(message) and run_id is None and link.notes.get("replayed")
        yield Answer(refusal("busy", message, retryable=True)) if busy else message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_terminal(message) and link.notes.get("replayed") == message.get("run_id"):
            link.notes["replayed"] = None
        yield message


@flaw("LIMIT-5", clause="follows no unfinished run", limits={"idle_s": 2})
class ReadersAtTheEndStay(Rewrite):
    """A connection that resumed a finished run at its terminal follows that run for ever."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        log = link.proxy.book.logs[str(message.get("run_id"))] if message.get("type") == "resume" else {}
        if log and message.get("after", 0) >= max(log) and message.get("run_id") in link.proxy.book.finished:
            link.notes["stays"] = True
        yield message

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if not (frame.close_code == 1000 and link.notes.get("stays")):
            yield Frames((frame,))

    async def server_left(self, link: Link) -> None:
        if link.notes.get("stays"):
            await asyncio.sleep(10)


class PickyAboutUse(Rewrite):
    """Closes a connection with 1000 that said nothing worth an answer for `idle_s`."""

    def is_use(self, message: Message) -> bool:
        """Tell whether the client's message that led to this one counts."""
        raise NotImplementedError

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "heartbeat" and self.is_use(message):
            link.notes["used"] = time.monotonic()
        yield message

    async def watch(self, link: Link) -> None:
        if link.is_stream:
            return
        link.notes["used"] = time.monotonic()
        while link.followed or time.monotonic() - link.notes["used"] < self.seconds("idle_s"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await link.send([Close(1000)])


@flaw("LIMIT-5", clause="a refused message", limits={"idle_s": 2})
class RefusedMessagesAreNoUse(PickyAboutUse):
    """A message that is refused does not count as use of a connection."""

    def is_use(self, message: Message) -> bool:
        return not is_refusal(message)


@flaw("LIMIT-5", clause="an unknown type", limits={"idle_s": 2})
class UnknownMessagesAreNoUse(PickyAboutUse):
    """A message of an unknown type does not count as use of a connection."""

    def is_use(self, message: Message) -> bool:
        return message.get("code") != "unknown_type"


@hears("MSG-14", clause="the `id` of an unknown type")
def bad_ids_of_unknown_types_pass(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of an unknown type gets its notice although its id is a number."""
    passes = ":" in str(message.get("type")) and isinstance(message.get("id"), int)
    notice = {"type": "notice", "code": "unknown_type", "data": "what is this?"}
    yield Answer(notice) if passes else message


@flaw("INPUT-7", clause="of another kind")
class AnswersToClosedRequestsAreValidated(Rewrite):
    """An answer to a request that is closed is a bad request when it does not fit the kind of the request."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        events = link.proxy.book.logs[str(message.get("run_id"))].values() if _is_input(message) else ()
        named = [event for event in events if event.get("request_id") == message.get("request_id")]
        kinds = [event["kind"] for event in named if event["type"] == "input_request"]
        closed = any(event["type"] == "input_closed" for event in named)
        unfit = kinds == ["approval"] and closed and not isinstance(message.get("data"), bool)
        yield Answer(refusal("bad_request", message)) if unfit else message


def _is_input(message: Message) -> bool:
    return message.get("type") == "input"
