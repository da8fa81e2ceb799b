"""The store of a single process: dictionaries, and methods that never wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runwire_reference_server.events import Draft, Entry, Event, answer_text, draft, placed
from runwire_reference_server.runs import (
    Principal,
    RunKey,
    RunRequest,
    Status,
    after_event,
    new_identifier,
    new_trace_id,
)
from runwire_reference_server.store import (
    REMEMBERED_EXCHANGES,
    BeyondEnd,
    Conflict,
    Created,
    Exchange,
    InputState,
    RunNotFound,
    Snapshot,
    TooManyRuns,
)


@dataclass(slots=True)
class _Run:
    key: RunKey
    request: RunRequest
    session_id: str
    trace_id: str
    epoch: str
    lease: str | None
    status: Status = Status.QUEUED
    log: list[Entry] = field(default_factory=list)
    ends_at: list[int] = field(default_factory=list)  # bytes of the log up to and with each entry
    readers: set[str] = field(default_factory=set)
    grace_until: float | None = None
    withdrawn: Callable[[], None] | None = None
    watchers: set[Callable[[], None]] = field(default_factory=set)
    inputs: dict[str, InputState] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        size = self.ends_at[-1] if self.ends_at else 0
        return Snapshot(
            self.key,
            self.epoch,
            self.status,
            len(self.log),
            self.session_id,
            self.trace_id,
            self.request,
            size,
        )

    def append(self, drafted: Draft) -> Entry:
        event = drafted.event
        if event["type"] == "input_request":
            self.inputs[event["request_id"]] = InputState(event)
        still_open = sum(state.outcome is None for state in self.inputs.values())
        self.status = after_event(self.status, event, still_open)
        if self.status.finished:
            drafted = draft(event | {"trace_id": self.trace_id})
        item = placed(drafted, self.key.run_id, len(self.log) + 1, time.time_ns() // 1_000_000)
        self.log.append(item)
        self.ends_at.append((self.ends_at[-1] if self.ends_at else 0) + len(item.data))
        for wake in tuple(self.watchers):
            wake()
        return item


@dataclass(slots=True)
class _Session:
    last_run: RunKey | None = None
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=REMEMBERED_EXCHANGES))
    expiry: asyncio.TimerHandle | None = None


class MemoryStore:
    """Keeps logs in memory, finished ones for `resume_window_s` after their end ([RUN-33])."""

    reachable = True
    far = False

    def __init__(self, resume_window_s: float, session_s: float = 3600.0) -> None:
        self._window = resume_window_s
        self._session_s = session_s
        self._runs: dict[RunKey, _Run] = {}
        self._unfinished: dict[Principal, dict[RunKey, None]] = {}
        self._sessions: dict[tuple[Principal, str], _Session] = {}

    async def create(self, principal: Principal, request: RunRequest, max_unfinished: int) -> Created:
        key = RunKey(principal, request.run_id or new_identifier())
        existing = self._runs.get(key)
        if existing is not None:
            if not existing.request.same_body(request):
                raise Conflict
            return Created(existing.snapshot(), None)
        unfinished = self._unfinished.setdefault(principal, {})
        if len(unfinished) >= max_unfinished:
            raise TooManyRuns
        session_id = request.session_id or new_identifier()
        session = self._sessions.setdefault((principal, session_id), _Session())
        if session.expiry:
            session.expiry.cancel()
        predecessor = session.last_run
        lease = new_identifier()
        run = _Run(
            key=key,
            request=replace(request, run_id=key.run_id),
            session_id=session_id,
            trace_id=request.trace_id or new_trace_id(),
            epoch=new_identifier(),
            lease=lease,
        )
        self._runs[key] = run
        unfinished[key] = None
        session.last_run = key
        if predecessor is None:
            run.status = Status.RUNNING
        return Created(run.snapshot(), lease, predecessor)

    async def get(self, key: RunKey) -> Snapshot:
        return self._run(key).snapshot()

    async def begin(self, key: RunKey, lease: str) -> bool:
        run = self._runs.get(key)
        if run is None or run.lease != lease or run.status.finished:
            return False
        if run.status is Status.QUEUED:
            run.status = Status.RUNNING
        return True

    async def append(
        self, key: RunKey, lease: str, expected_seq: int, drafts: Sequence[Draft]
    ) -> list[Entry] | None:
        run = self._runs.get(key)
        if run is None or run.status.finished or run.lease != lease or len(run.log) != expected_seq - 1:
            return None
        entries = [run.append(drafted) for drafted in drafts]
        if run.status.finished:
            self._settle(run)
        return entries

    async def finish(self, key: RunKey, terminal: Event) -> Entry | None:
        run = self._runs.get(key)
        if run is None or run.status.finished:
            return None
        item = run.append(draft(terminal))
        self._settle(run)
        if run.withdrawn is not None:
            run.withdrawn()
        return item

    def on_end(self, ended: Callable[[Event], None]) -> None:
        """This store ends no run by itself."""

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
        run.append(draft({"type": "input_closed", "request_id": request_id, "outcome": outcome}))
        return True

    async def history(self, principal: Principal, session_id: str) -> tuple[Exchange, ...]:
        session = self._sessions.get((principal, session_id))
        return tuple(session.exchanges) if session else ()

    async def read(self, key: RunKey, after: int, most: int) -> list[Entry]:
        return self._run(key).log[after : after + most]

    async def follow(self, key: RunKey, after: int, most: int) -> list[Entry]:
        return self._run(key).log[after : after + most]

    async def bytes_after(self, key: RunKey, after: int) -> int:
        ends = self._run(key).ends_at
        return (ends[-1] if ends else 0) - (ends[after - 1] if 0 < after <= len(ends) else 0)

    async def attach(self, key: RunKey, reader: str, after: int, epoch: str | None) -> Snapshot:
        run = self._run(key)
        if epoch is not None and epoch != run.epoch:
            raise RunNotFound
        if after > len(run.log):
            raise BeyondEnd
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
        run.grace_until = time.monotonic() + grace_s
        return True

    async def finish_unread(self, key: RunKey, terminal: Event) -> Entry | None:
        run = self._runs.get(key)
        if run is None or run.grace_until is None or run.grace_until > time.monotonic():
            return None
        return await self.finish(key, terminal)

    async def unfinished(self, principal: Principal | None = None) -> list[RunKey]:
        owners = self._unfinished if principal is None else {principal: self._unfinished.get(principal, {})}
        return (
            [key for runs in owners.values() for key in runs]
            if principal is None
            else list(owners[principal])
        )

    def watch(self, key: RunKey, wake: Callable[[], None]) -> Callable[[], None]:
        run = self._runs.get(key)
        if run is None:
            return lambda: None
        run.watchers.add(wake)
        return lambda: run.watchers.discard(wake)

    def _run(self, key: RunKey) -> _Run:
        try:
            return self._runs[key]
        except KeyError:
            raise RunNotFound from None

    def _settle(self, run: _Run) -> None:
        run.lease = None
        principal = run.key.principal
        unfinished = self._unfinished.get(principal, {})
        unfinished.pop(run.key, None)
        if not unfinished:
            self._unfinished.pop(principal, None)
        loop = asyncio.get_running_loop()
        session = self._sessions[principal, run.session_id]
        if run.status is not Status.FAILED:
            session.exchanges.append(Exchange(run.request.prompt, answer_text(run.log)))
        if session.last_run == run.key:
            session.last_run = None
            session.expiry = loop.call_later(
                self._session_s, self._sessions.pop, (principal, run.session_id), None
            )
        loop.call_later(self._window, self._runs.pop, run.key, None)
