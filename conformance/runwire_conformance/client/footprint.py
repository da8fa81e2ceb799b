"""Bookkeeping of the judge's own unfinished runs, on every transport.

What an earlier case left behind takes the server's places and its answers are no proof: a case that counts them has to
know how many are the judge's own.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from runwire_conformance.trace.clock import Interval, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.trace import Trace

#: Statuses of a run that is not over (chapter 4).
UNFINISHED = frozenset({"queued", "running", "waiting"})

#: How often, and how many seconds apart, a run is looked at that was cancelled.
LOOKS, LOOK_S = 3, 0.05

#: Seconds that the cancelling of what was left may take beside the server's own deadline.
CANCEL_S = 2.0


class CancellingCaller(Protocol):
    """One caller of the server, who can have its runs cancelled."""

    clock: Interval

    @property
    def limits(self) -> Limits:
        """The limits that the server advertises."""

    async def cancels(self, run_id: str) -> str | None:
        """Have a run cancelled by a request; return its status, None when the server did not take it."""


AnyCaller = TypeVar("AnyCaller", bound=CancellingCaller)


class Footprint:
    """The account of one judging."""

    def __init__(self) -> None:
        #: By its id: the run that may still be unfinished, and when it certainly is over.
        self._left: dict[str, float] = {}
        #: When the last run is certainly over whose id nobody told.
        self._unseen_until = 0.0

    @property
    def runs_left(self) -> int:
        """How many runs of cases that have ended may still be unfinished, of those whose ids are known."""
        self._left = {run_id: until for run_id, until in self._left.items() if until > now()}
        return len(self._left)

    @property
    def seconds_left(self) -> float:
        """After how many seconds the last run, known by its id or not, certainly is over; 0.0 when none is left."""
        return max(0.0, max([self._unseen_until, *self._left.values()]) - now())

    async def cancel_left(
        self, conversations: Sequence[tuple[Trace, CancellingCaller]], caller: CancellingCaller
    ) -> None:
        """Cancel the runs that a case began and did not see end, over whichever transport it began them.

        `conversations` are the case's, each with the view of the server, as one caller has it, that it was held in.
        """
        limits = caller.limits
        longest = limits["run_s"] + limits["detach_grace_s"]
        if any(begins_unseen(trace) for trace, _ in conversations):
            # Its agent may wait for an answer, which is not running.
            self._unseen_until = now() + longest + limits["input_s"]
        left = unfinished(conversations)
        if not left:
            return
        cancelled_s = limits.seconds("cancel_deadline_ms") + caller.clock.tolerance
        followed = {run_id for trace, _ in conversations if trace.cancelled_all for run_id in begun_in(trace)}
        asked = {run_id: view for run_id, view in left.items() if run_id not in followed}
        self._left |= dict.fromkeys(followed & left.keys(), now() + cancelled_s)
        self._left |= dict.fromkeys(asked, now() + longest)
        bound = limits.seconds("cancel_deadline_ms") + CANCEL_S
        statuses = await asyncio.gather(*(_cancelled(run_id, view, bound) for run_id, view in asked.items()))
        for run_id, status in zip(asked, statuses, strict=True):
            if status in UNFINISHED:
                self._left[run_id] = now() + cancelled_s
            elif status is not None:
                del self._left[run_id]


def unfinished(conversations: Sequence[tuple[Trace, AnyCaller]]) -> dict[str, AnyCaller]:
    """Return the runs that were begun and not seen to end, each with the view of the server that began it."""
    ended = {run_id for trace, _ in conversations for run_id in ended_in(trace)}
    return {
        run_id: view
        for trace, view in conversations
        if not trace.peer_killed
        for run_id in begun_in(trace)
        if run_id not in ended
    }


async def _cancelled(run_id: str, caller: CancellingCaller, seconds: float) -> str | None:
    """Have a run cancelled by a request; return its status after a moment, None when the server did not take it."""
    status = None
    with suppress(Exception):
        async with asyncio.timeout(seconds):
            for _ in range(LOOKS):
                status = await caller.cancels(run_id)
                if status not in UNFINISHED:
                    break
                await asyncio.sleep(LOOK_S)
    return status


def begun_in(trace: Trace) -> Iterator[str]:
    """Yield the ids of the runs that were begun or joined in a conversation."""
    if trace.begun_by_request:
        yield trace.begun_by_request
    for message in trace.messages("server"):
        run_id = message.get("run_id")
        if message.type in {"started", "resumed"} and isinstance(run_id, str):
            yield run_id


def begins_unseen(trace: Trace) -> bool:
    """Whether a stream was asked for a run whose `started` never came, so that nobody knows its id."""
    if trace.transport != "sse" or trace.request is None or trace.request.method != "POST":
        return False
    refused = any(record.kind == "response" and record.code != 200 for record in trace.records)
    return not refused and not any(begun_in(trace))


def ended_in(trace: Trace) -> Iterator[str]:
    """Yield the ids of the runs whose terminal was seen in a conversation."""
    for message in trace.messages("server"):
        run_id = message.get("run_id")
        if message.is_terminal and isinstance(run_id, str):
            yield run_id
