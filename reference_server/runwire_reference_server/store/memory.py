"""The store of a single process: dictionaries, and methods that never wait."""

import asyncio
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runwire_reference_server.events import Entry, Event, entry
from runwire_reference_server.runs import (
    Principal,
    RunKey,
    RunRequest,
    Status,
    after_event,
    new_identifier,
    new_trace_id,
)
from runwire_reference_server.store import BeyondEnd, Conflict, Created, RunNotFound, Snapshot, TooManyRuns


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
    readers: int = 0
    watchers: set[Callable[[], None]] = field(default_factory=set)

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

    def append(self, event: Event) -> Entry:
        self.status = after_event(self.status, event)
        item = entry(event | {"run_id": self.key.run_id, "seq": len(self.log) + 1, "ts": _now()})
        self.log.append(item)
        self.ends_at.append((self.ends_at[-1] if self.ends_at else 0) + len(item.text))
        for wake in tuple(self.watchers):
            wake()
        return item


class MemoryStore:
    """Keeps logs in memory, finished ones for `resume_window_s` after their end ([RUN-33])."""

    def __init__(self, resume_window_s: float) -> None:
        self._window = resume_window_s
        self._runs: dict[RunKey, _Run] = {}
        self._unfinished: dict[Principal, dict[RunKey, None]] = {}
        self._sessions: dict[tuple[Principal, str], RunKey] = {}

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
        predecessor = self._sessions.get((principal, session_id))
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
        self._sessions[principal, session_id] = key
        if predecessor is None:
            run.status = Status.RUNNING
        return Created(run.snapshot(), lease, predecessor)

    async def get(self, key: RunKey) -> Snapshot:
        return self._run(key).snapshot()

    async def begin(self, key: RunKey, lease: str) -> bool:
        run = self._runs.get(key)
        if run is None or run.lease != lease or run.status.finished:
            return False
        run.status = Status.RUNNING
        return True

    async def append(self, key: RunKey, lease: str, expected_seq: int, event: Event) -> Entry | None:
        run = self._runs.get(key)
        if run is None or run.status.finished or run.lease != lease or len(run.log) != expected_seq - 1:
            return None
        item = run.append(event)
        if run.status.finished:
            self._settle(run)
        return item

    async def finish(self, key: RunKey, terminal: Event) -> Entry | None:
        run = self._runs.get(key)
        if run is None or run.status.finished:
            return None
        item = run.append(terminal)
        self._settle(run)
        return item

    async def read(self, key: RunKey, after: int, most: int) -> list[Entry]:
        return self._run(key).log[after : after + most]

    async def bytes_after(self, key: RunKey, after: int) -> int:
        ends = self._run(key).ends_at
        return (ends[-1] if ends else 0) - (ends[after - 1] if 0 < after <= len(ends) else 0)

    async def attach(self, key: RunKey, after: int, epoch: str | None) -> Snapshot:
        run = self._run(key)
        if epoch is not None and epoch != run.epoch:
            raise RunNotFound
        if after > len(run.log):
            raise BeyondEnd
        run.readers += 1
        return run.snapshot()

    async def detach(self, key: RunKey) -> int:
        run = self._runs.get(key)
        if run is None:
            return 0
        run.readers -= 1
        return run.readers

    async def finish_unread(self, key: RunKey, terminal: Event) -> Entry | None:
        run = self._runs.get(key)
        return None if run is None or run.readers else await self.finish(key, terminal)

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
        if self._sessions.get((principal, run.session_id)) == run.key:
            del self._sessions[principal, run.session_id]
        asyncio.get_running_loop().call_later(self._window, self._runs.pop, run.key, None)


def _now() -> str:
    moment = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
