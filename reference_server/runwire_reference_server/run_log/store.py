"""Interface of the append-only run store.

Every method is one atomic step ([RUN-18], [RUN-31], [RESUME-7]). Wake-ups are hints: whoever is woken, or has
waited for LOOK_S, reads the log again ([NODE-8]).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from runwire_reference_server.observability.tally import Tally
from runwire_reference_server.run_log.events import Draft, Entry, Event
from runwire_reference_server.run_log.feed import Feed
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import Principal, RunKey, RunRequest, Status

#: How many turns of a session are remembered, and bytes of them unless the last has more.
REMEMBERED_EXCHANGES = 100
REMEMBERED_BYTES = 1_048_576

#: Bytes that a run costs beside what was asked and said.
RUN_BYTES = 1024

#: Seconds after which a log is looked at without a hint.
LOOK_S = 1.0


#: Why a store creates no run, or counts no reader: what a Refusal is made of.
CONFLICT = ("conflict", "this run_id was started with another body")
TOO_MANY_RUNS = ("busy", "too many unfinished runs", 1)
TOO_MUCH_KEPT = ("busy", "the memory for logs is full; try again when older logs have expired", 5)
BEYOND_END = ("bad_request", "after lies beyond the end of the log")


class StoreGone(Refusal):
    """The store cannot be reached, or has given up on this node; what was asked of it may have happened or not."""

    def __init__(self) -> None:
        super().__init__("unavailable", "this server cannot reach its store", 1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as of one moment."""

    key: RunKey
    epoch: str
    status: Status
    seq: int
    session_id: str
    trace_id: str
    request: RunRequest


@dataclass(frozen=True, slots=True)
class Created:
    """What `create` made, or found: then there is no `lease`."""

    run: Snapshot
    lease: str | None
    predecessor: RunKey | None = None

    @property
    def existed(self) -> bool:
        """Whether the run was there already."""
        return self.lease is None


@dataclass(frozen=True, slots=True)
class InputState:
    """An input request of a run: the event that opened it, and how it was closed, if it was.

    `outcome` is `answered`, `expired`, `withdrawn`, or None while nothing has closed it; `answer` is what an
    `answered` one was closed with, and never stands in the log ([INPUT-12]).
    """

    request: Event
    outcome: str | None = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn of a session: what was asked, and the answer text of its run."""

    prompt: str
    answer: str

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.prompt.encode("utf-8", "surrogatepass")) + len(self.answer.encode())


class Appender(Protocol):
    """The end of one run's log, for the worker that holds its lease.

    A store that is far away is told together what was said in a few milliseconds; whoever says it never waits for a
    store that keeps up.
    """

    @property
    def crowded(self) -> bool:
        """Whether so much is on its way that `room` is to be awaited before more is said."""

    def append(self, drafted: Draft) -> int:
        """Append an event, a terminal as the last; returns the size of the log, with what is on its way to it.

        It is 0, which a far store tells later, and nothing is written unless the log exists, has no terminal and the
        lease is current ([RUN-31]). A terminal gets the `trace_id` of its run. Raises StoreGone.
        """

    async def room(self) -> None:
        """Wait until less is on its way; raises StoreGone."""

    async def settled(self) -> bool:
        """Wait until everything is appended; False when the run is over. Raises StoreGone."""

    def close(self) -> None:
        """Append nothing more."""


class Store(Protocol):
    """Keeps the logs of runs, their input requests, and what the sessions remember.

    Whatever a store shares with other nodes can raise StoreGone. `reachable` tells whether it would just now.
    """

    tally: Tally

    @property
    def reachable(self) -> bool:
        """Whether the store answers."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of logs, prompts and sessions that are kept in this process."""

    async def create(self, principal: Principal, request: RunRequest, max_unfinished: int) -> Created:
        """Create a run, or find the one with the same id and body ([RUN-18]).

        `predecessor` names the unfinished run of the same session that comes before it ([RUN-16]).
        Raises Refusal: CONFLICT, and TOO_MANY_RUNS and TOO_MUCH_KEPT before anything is kept.
        """

    async def get(self, key: RunKey) -> Snapshot:
        """Return the run as it stands; raises RunNotFound."""

    async def begin(self, key: RunKey, lease: str) -> bool:
        """Move a queued run to running; False when the lease is lost or the run is finished."""

    def appender(self, key: RunKey, lease: str) -> Appender:
        """Return the end of a run's log, for whoever holds its lease."""

    def hold(self, key: RunKey, withdrawn: Callable[[], None]) -> Callable[[], None]:
        """Call `withdrawn` when a terminal that the worker did not append has ended its run ([RUN-32]).

        Returns what ends that.
        """

    async def finish(self, key: RunKey, terminal: Event) -> bool:
        """Withdraw the lease and append `terminal`; False when the run is finished already."""

    async def input_state(self, key: RunKey, request_id: str) -> InputState | None:
        """Return an input request of a run, None when the log has none of that id; raises RunNotFound.

        Appending an `input_request` opens it.
        """

    async def close_input(self, key: RunKey, request_id: str, outcome: str, answer: Any = None) -> bool:
        """Append `input_closed`; False unless the request is open and the run unfinished ([INPUT-4])."""

    async def history(self, principal: Principal, session_id: str) -> tuple[Exchange, ...]:
        """Return what a session remembers, oldest first.

        A run that ends with `done` is remembered by the append of its terminal, if its client named the session.
        Failed ones are not: they are tried again. A session is forgotten when no run of it has ended for `session_s`.
        """

    async def read(self, key: RunKey, after: int, most: int) -> Sequence[Entry]:
        """Return up to `most` entries above `after`; raises RunNotFound."""

    async def bytes_after(self, key: RunKey, after: int) -> int:
        """Return the size of the log above `after`; raises RunNotFound."""

    async def attach(self, key: RunKey, reader: str, after: int, epoch: str | None) -> Snapshot:
        """Count `reader`, once however often; raises RunNotFound, or BEYOND_END ([RESUME-9] to [RESUME-13]).

        A reader ends the grace, and counts as long as its node lives ([NODE-6]).
        """

    async def detach(self, key: RunKey, reader: str, grace_s: float | None) -> bool:
        """Uncount `reader`; True when it was the last one of an unfinished run, whose grace of `grace_s` then begins.

        Without `grace_s` no grace begins. The store of several nodes ends the run itself when nobody else does.
        """

    async def finish_unread(self, key: RunKey, terminal: Event) -> bool:
        """Like `finish`, but only if the run has no reader and its grace is over ([RESUME-7])."""

    def watch(self, key: RunKey, wake: Callable[[], None], epoch: str = "") -> Feed:
        """Return the log as this node has it, which calls `wake` whenever it may have grown; raises RunNotFound.

        Whoever reads it names its `epoch`.
        """

    async def fill(self, feed: Feed, after: int) -> Sequence[Entry]:
        """Return entries above `after` that the feed does not have, which may be none; raises RunNotFound."""


async def follow(
    store: Store, key: RunKey, woken: asyncio.Event, over: Callable[[], Awaitable[bool]]
) -> None:
    """Ask `over` now, and whenever the log of a run may have grown or `woken` is set, until it is or the log gone."""
    with suppress(RunNotFound):
        feed = store.watch(key, woken.set)
        try:
            while not await over():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await woken.wait()
                woken.clear()
        finally:
            feed.leave(woken.set)
