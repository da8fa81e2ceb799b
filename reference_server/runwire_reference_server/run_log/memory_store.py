"""In-memory run store of a single process, whose methods never wait."""

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runwire_reference_server.observability.tally import Tally
from runwire_reference_server.run_log.events import Draft, Entry, Event, answer_text, draft
from runwire_reference_server.run_log.feed import Feed, Owner
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import (
    Principal,
    RunKey,
    RunRequest,
    Status,
    after_event,
    new_identifier,
    new_trace_id,
)
from runwire_reference_server.run_log.store import (
    BEYOND_END,
    CONFLICT,
    REMEMBERED_BYTES,
    REMEMBERED_EXCHANGES,
    RUN_BYTES,
    TOO_MANY_RUNS,
    TOO_MUCH_KEPT,
    Created,
    Exchange,
    InputState,
    Snapshot,
)


@dataclass(slots=True, eq=False)
class _Run:
    feed: Feed
    owner: Owner
    request: RunRequest
    session_id: str
    trace_id: str
    lease: str | None
    accepted_at: float
    body: str
    kept: int
    status: Status = Status.QUEUED
    readers: set[str] = field(default_factory=set)
    grace_until: float | None = None
    withdrawn: Callable[[], None] | None = None
    inputs: dict[str, InputState] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        feed = self.feed
        return Snapshot(
            feed.key,
            feed.epoch.decode(),
            self.status,
            feed.seq,
            self.session_id,
            self.trace_id,
            self.request,
        )


@dataclass(slots=True)
class _Session:
    last_run: RunKey | None = None
    exchanges: deque[Exchange] = field(default_factory=deque)
    kept: int = 0
    expiry: asyncio.TimerHandle | None = None


class MemoryStore:
    """Keeps logs in memory, finished ones for `resume_window_s` after their end ([RUN-33])."""

    reachable = True

    def __init__(
        self,
        resume_window_s: float,
        session_s: float = 3600.0,
        kept_each: float = math.inf,
        kept_in_all: float = math.inf,
    ) -> None:
        """`kept_each` and `kept_in_all` bound what is kept for a principal and for all when a run is created."""
        self._kept_each, self._kept_in_all = kept_each, kept_in_all
        self.tally = Tally()
        self._window = resume_window_s
        self._session_s = session_s
        self._runs: dict[RunKey, _Run] = {}
        self._owners: dict[Principal, Owner] = {}
        self._sessions: dict[tuple[Principal, str], _Session] = {}

    async def create(self, principal: Principal, request: RunRequest, max_unfinished: int) -> Created:
        key = RunKey(principal, request.run_id or new_identifier())
        existing = self._runs.get(key)
        if existing is not None:
            if existing.body != request.body():
                raise Refusal(*CONFLICT)
            return Created(existing.snapshot(), None)
        owner = self._owners.get(principal) or Owner()
        if owner.unfinished >= max_unfinished:
            raise Refusal(*TOO_MANY_RUNS)
        cost = request.size + RUN_BYTES
        if owner.kept + cost > self._kept_each or self.kept_bytes + cost > self._kept_in_all:
            raise Refusal(*TOO_MUCH_KEPT)
        self._owners[principal] = owner
        owner.kept += cost
        session_id = request.session_id or new_identifier()
        session = self._sessions.setdefault((principal, session_id), _Session())
        if session.expiry:
            session.expiry.cancel()
        predecessor = session.last_run
        lease = new_identifier()
        run = _Run(
            feed=Feed(key, new_identifier(), owner),
            owner=owner,
            request=replace(request, run_id=key.run_id),
            session_id=session_id,
            trace_id=request.trace_id or new_trace_id(),
            lease=lease,
            accepted_at=asyncio.get_running_loop().time(),
            body=request.body(),
            kept=cost,
        )
        self._runs[key] = run
        owner.unfinished += 1
        session.last_run = key
        if predecessor is None:
            run.status = Status.RUNNING
        return Created(run.snapshot(), lease, predecessor)

    @property
    def kept_bytes(self) -> int:
        """What is kept for all principals."""
        return sum(owner.kept for owner in self._owners.values())

    async def get(self, key: RunKey) -> Snapshot:
        return self._run(key).snapshot()

    async def begin(self, key: RunKey, lease: str) -> bool:
        run = self._runs.get(key)
        if run is None or run.lease != lease or run.status.finished:
            return False
        if run.status is Status.QUEUED:
            run.status = Status.RUNNING
        return True

    def appender(self, key: RunKey, lease: str) -> "_Appender":
        return _Appender(self, self._runs.get(key), lease)

    async def finish(self, key: RunKey, terminal: Event) -> bool:
        run = self._runs.get(key)
        if run is None or run.status.finished:
            return False
        self.append(run, draft(terminal))
        if run.withdrawn is not None:
            run.withdrawn()
        return True

    def hold(self, key: RunKey, withdrawn: Callable[[], None]) -> Callable[[], None]:
        run = self._runs[key]
        run.withdrawn = withdrawn

        def release() -> None:
            run.withdrawn = None

        return release

    async def input_state(self, key: RunKey, request_id: str) -> InputState | None:
        return self._run(key).inputs.get(request_id)

    async def close_input(self, key: RunKey, request_id: str, outcome: str, answer: Any = None) -> bool:
        run = self._runs.get(key)
        state = run.inputs.get(request_id) if run else None
        if run is None or run.status.finished or state is None or state.outcome is not None:
            return False
        run.inputs[request_id] = InputState(state.request, outcome, answer)
        size = len(json.dumps(answer))
        run.kept += size
        run.owner.kept += size
        self.append(run, draft({"type": "input_closed", "request_id": request_id, "outcome": outcome}))
        return True

    async def history(self, principal: Principal, session_id: str) -> tuple[Exchange, ...]:
        session = self._sessions.get((principal, session_id))
        return tuple(session.exchanges) if session else ()

    async def read(self, key: RunKey, after: int, most: int) -> Sequence[Entry]:
        return self._run(key).feed.entries[after : after + most]

    async def bytes_after(self, key: RunKey, after: int) -> int:
        return self._run(key).feed.size_after(after)

    async def attach(self, key: RunKey, reader: str, after: int, epoch: str | None) -> Snapshot:
        run = self._run(key)
        if epoch is not None and epoch.encode() != run.feed.epoch:
            raise RunNotFound
        if after > run.feed.seq:
            raise Refusal(*BEYOND_END)
        run.readers.add(reader)
        run.grace_until = None
        return run.snapshot()

    async def detach(self, key: RunKey, reader: str, grace_s: float | None) -> bool:
        run = self._runs.get(key)
        if run is None or reader not in run.readers:
            return False
        run.readers.discard(reader)
        if run.readers or run.status.finished or grace_s is None:
            return False
        run.grace_until = asyncio.get_running_loop().time() + grace_s
        return True

    async def finish_unread(self, key: RunKey, terminal: Event) -> bool:
        run = self._runs.get(key)
        now = asyncio.get_running_loop().time()
        if run is None or run.grace_until is None or run.grace_until > now:
            return False
        return await self.finish(key, terminal)

    def watch(self, key: RunKey, wake: Callable[[], None], epoch: str = "") -> Feed:  # noqa: ARG002 - it has one
        feed = self._run(key).feed
        feed.watch(wake)
        return feed

    async def fill(self, feed: Feed, after: int) -> Sequence[Entry]:
        return feed.entries[after - feed.first :]

    def append(self, run: _Run, drafted: Draft) -> int:
        """Append an event, and do what it does beside standing in the log; returns the size of the log."""
        event = drafted.event
        if event is not None:
            if drafted.kind == "input_request":
                run.inputs[event["request_id"]] = InputState(event)
            still_open = sum(state.outcome is None for state in run.inputs.values())
            run.status = after_event(run.status, event, still_open)
            if run.status.finished:
                event = event | {"trace_id": run.trace_id}
                drafted = draft(event)
        size = run.feed.append(drafted)
        self.tally.appended(drafted.kind)
        if run.feed.seq == 1:
            self.tally.first_event.add(asyncio.get_running_loop().time() - run.accepted_at)
        if event is not None and run.status.finished:
            self.tally.ended(event, asyncio.get_running_loop().time() - run.accepted_at)
            self._settle(run)
        return size

    def _run(self, key: RunKey) -> _Run:
        try:
            return self._runs[key]
        except KeyError:
            raise RunNotFound from None

    def _settle(self, run: _Run) -> None:
        run.lease = None
        key = run.feed.key
        run.owner.unfinished -= 1
        loop = asyncio.get_running_loop()
        session = self._sessions[key.principal, run.session_id]
        named = run.request.session_id is not None
        if named and run.status is not Status.FAILED:
            _remember(run.owner, session, Exchange(run.request.prompt, answer_text(run.feed.entries)))
        if session.last_run == key:
            session.last_run = None
            after_s = self._session_s if named else 0
            session.expiry = loop.call_later(after_s, self._forget, key.principal, run.session_id)
        run.kept -= run.request.size
        run.owner.kept -= run.request.size
        run.request = run.request.forgotten()
        loop.call_later(self._window, self._drop, run)

    def _forget(self, principal: Principal, session_id: str) -> None:
        self._pay_back(principal, self._sessions.pop((principal, session_id)).kept)

    def _drop(self, run: _Run) -> None:
        del self._runs[run.feed.key]
        run.feed.end()
        self._pay_back(run.feed.key.principal, run.kept + run.feed.size)

    def _pay_back(self, principal: Principal, size: int) -> None:
        owner = self._owners.get(principal)  # None when nothing was left to pay back
        if owner is not None:
            owner.kept -= size
            if not owner.kept:
                del self._owners[principal]


def _remember(owner: Owner, session: _Session, turn: Exchange) -> None:
    kept = session.kept
    session.exchanges.append(turn)
    session.kept += turn.size
    while len(session.exchanges) > REMEMBERED_EXCHANGES or (
        session.kept > REMEMBERED_BYTES and len(session.exchanges) > 1
    ):
        session.kept -= session.exchanges.popleft().size
    owner.kept += session.kept - kept


class _Appender:
    """The end of one log; nothing ever waits."""

    crowded = False

    def __init__(self, store: MemoryStore, run: _Run | None, lease: str) -> None:
        self._store = store
        self._run = run
        self._lease = lease

    def append(self, drafted: Draft) -> int:
        run, store = self._run, self._store
        if run is None or run.lease != self._lease:
            store.tally.refused_appends += 1
            return 0
        if drafted.event is not None or not run.feed.seq:
            return store.append(run, drafted)
        store.tally.events[drafted.kind] += 1
        return run.feed.append(drafted)

    async def room(self) -> None:
        """There is always some."""

    async def settled(self) -> bool:
        return self._run is not None and self._run.lease == self._lease

    def close(self) -> None:
        self._run = None
