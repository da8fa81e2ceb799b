"""Flaws of chapter 12: limits and slow readers."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import answers, flaw, misstates, says
from tests.proof.flaws.frames import Frame, Opcode, close_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link, Socket
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Close,
    Frames,
    Hold,
    Message,
    Rewrite,
    is_terminal,
    refusal,
)

from .connection import problem
from .heartbeat import STUCK
from .runs import is_start

misstates(
    "one_connection_more",
    "LIMIT-1",
    {"connections_per_principal": 7},
    "A principal gets one connection more than connections_per_principal.",
    limits={"connections_per_principal": 8},
)
misstates(
    "one_connection_fewer",
    "LIMIT-2",
    {"connections_per_principal": 9},
    "A principal gets one connection fewer than connections_per_principal.",
    limits={"connections_per_principal": 8},
)


@flaw("LIMIT-1", limits={"connections_per_principal": 8})
class StreamsNotCounted(Rewrite):
    """A WebSocket connection more is admitted for every open stream."""

    def response(self, request: Request, response: Response) -> Response:
        return problem(503, "unavailable") if response.status == 429 else response


@answers("LIMIT-1", limits={"connections_per_principal": 8})
def full_is_forbidden(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A connection beyond connections_per_principal gets 403."""
    return problem(403, "forbidden") if response.status == 429 else response


@flaw("LIMIT-14")
class FewFramesTaken(Rewrite):
    """A connection is closed with 4429 for five hundred control frames."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if self.nth(link.number) == 500 and isinstance(link, Socket):
            link.start(link.send([Close(4429)]))
        yield Frames((frame,))


misstates(
    "one_run_more",
    "LIMIT-3",
    {"runs_per_principal": 11},
    "A principal gets one unfinished run more than runs_per_principal.",
    limits={"runs_per_principal": 12},
)


@says("LIMIT-3", limits={"runs_per_principal": 12})
def too_many_runs_are_unavailable(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run beyond runs_per_principal is refused with unavailable."""
    yield {**message, "code": "unavailable"} if message.get("code") == "busy" else message


@flaw("RUN-19", clause="whatever the limits", limits={"runs_per_principal": 12})
class RepeatedStartsNeedAPlace(Rewrite):
    """A repeated start is refused with busy while its principal has as many runs as it may."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        book = link.proxy.book
        unfinished = [run_id for run_id in book.starts if run_id not in book.finished]
        full = len(unfinished) >= self.limits["runs_per_principal"]
        again = is_start(message) and message.get("run_id") in unfinished
        yield Answer(refusal("busy", message, retryable=True)) if full and again else message


@flaw("LIMIT-4", limits={"connections_per_principal": 8})
class ConnectionsNotGivenBack(Rewrite):
    """The places of closed connections become free only after five seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.full_until = 0.0

    def request(self, request: Request) -> Request | Response:
        refused = time.monotonic() < self.full_until and (request.is_upgrade or "/events" in request.target)
        return problem(429, "busy").with_header("retry-after", "1") if refused else request

    def response(self, request: Request, response: Response) -> Response:
        if response.status == 429 and time.monotonic() >= self.full_until:
            self.full_until = time.monotonic() + 5
        return response


@flaw("LIMIT-4", limits={"runs_per_principal": 12})
class RunsNotGivenBack(Rewrite):
    """Once a principal had all its runs, a start is refused for five seconds."""

    full_until = 0.0

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("code") == "busy" and time.monotonic() >= self.full_until:
            self.full_until = time.monotonic() + 5
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        refused = is_start(message) and time.monotonic() < self.full_until
        yield Answer(refusal("busy", message, retryable=True)) if refused else message


misstates(
    "idle_connections_stay",
    "LIMIT-5",
    {"idle_s": 2},
    "An idle connection is not closed.",
    limits={"idle_s": 3600},
)


@flaw("LIMIT-5", limits={"idle_s": 2})
class IdleClosedAsGoingAway(Rewrite):
    """An idle connection is closed with another code than 1000."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        idle = frame.close_code == 1000
        yield Frames((close_frame(1001) if idle else frame,))


@flaw("LIMIT-5", limits={"idle_s": 2})
class HeartbeatsAreUse(Rewrite):
    """A connection whose client sends heartbeats does not become idle."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        beats = (
            frame.opcode == Opcode.CLOSE
            and time.monotonic() - link.heard_at < 1.5
            and link.notes.get("beats")
        )
        if beats:
            link.notes["alone"] = True
        else:
            yield Frames((frame,))

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        link.notes["beats"] = message.get("type") == "heartbeat"
        alone = link.notes["beats"] and link.notes.get("alone")
        re = {"re": message["id"]} if "id" in message else {}
        yield Answer({"type": "heartbeat", **re}) if alone else message

    async def server_left(self, link: Link) -> None:
        if link.notes.get("beats"):
            await asyncio.sleep(10)


@flaw("LIMIT-6", limits={"idle_s": 2})
class BusyConnectionsClosed(Rewrite):
    """A connection is closed after idle_s although it follows an unfinished run."""

    async def watch(self, link: Link) -> None:
        while time.monotonic() - link.heard_at < self.seconds("idle_s"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if not link.is_stream:
            await link.send([Close(1000)])


@flaw(
    "LIMIT-6",
    clause="a run that is finished",
    limits={"idle_s": 3, "pong_timeout_s": 1, "log_bytes": 4_000_000},
)
class LaggardsAreIdle(Rewrite):
    """A connection that is still behind the ends of its runs is closed as idle."""

    async def watch(self, link: Link) -> None:
        lagged_at = begun = time.monotonic()
        while lagged_at - begun < self.seconds("idle_s"):
            await asyncio.sleep(0.02)
            if link.judge.unsent:
                lagged_at = time.monotonic()
            elif time.monotonic() - lagged_at > 0.5:
                lagged_at = begun = time.monotonic()
        if not link.is_stream:
            await link.send([Close(1000)])


@answers("LIMIT-10", limits={"connections_per_principal": 8})
def no_retry_after(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A 429 or 503 has no Retry-After."""
    return response.without_header("retry-after") if response.status in {429, 503} else response


@flaw("FLOW-1", limits={"pong_timeout_s": 3, "heartbeat_s": 1, "log_bytes": 8_388_608})
class OneSlowReaderSlowsAll(Rewrite):
    """While one reader takes nothing, the others get nothing."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        others = [other for other in link.proxy.links if other is not link]
        if any(other.judge.blocked_for > 0.1 for other in others):
            yield Hold(lambda: all(other.judge.blocked_for == 0 for other in others))
        yield message


@flaw("FLOW-4", limits={"pong_timeout_s": 3, "heartbeat_s": 1})
class LaggardsSkip(Rewrite):
    """A reader that lags loses tokens."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        lags = link.judge.unsent > 0 and message.get("type") in {"token", "thinking"}
        if not lags or self.nth(link.number) % 2:
            yield message


@flaw("FLOW-5", limits=STUCK)
class StuckReadersKept(Rewrite):
    """A reader that takes no byte is never dropped."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode != Opcode.CLOSE or not link.notes.get("stuck"):
            yield Frames((frame,))

    async def watch(self, link: Link) -> None:
        if isinstance(link, Socket):
            await link.judge.stuck_for(0.5)
            link.notes["stuck"] = True

    async def server_left(self, link: Link) -> None:
        if link.notes.get("stuck"):
            await asyncio.sleep(30)


@flaw("FLOW-4", limits={"pong_timeout_s": 3, "heartbeat_s": 1})
class LaggardsMissThoughts(Rewrite):
    """A reader that lagged once gets nothing more but the terminal."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if link.judge.unsent:
            link.notes["lagged"] = True
        if "seq" not in message or is_terminal(message) or not link.notes.get("lagged"):
            yield message


TIP: Message = {"type": "notice", "code": "vendor:tip", "data": "a word in between"}


@flaw("FLOW-8")
class NoticesWithoutEnd(Rewrite):
    """Notices come as fast as they are taken, from the opening on."""

    async def watch(self, link: Link) -> None:
        while not link.is_stream and not link.over:
            await link.send([TIP] * 100)
            await asyncio.sleep(0.01)


@says("FLOW-8")
def thousand_notices_after_an_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """After the terminal of every run come a thousand notices."""
    yield message
    if is_terminal(message) and not link.is_stream:
        yield from [TIP] * 1000


@says("FLOW-8")
def streams_full_of_heartbeats(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream has hundreds of heartbeats between two events."""
    yield message
    if link.is_stream and message.get("type") == "started":
        yield from [{"type": "heartbeat"}] * 800
