"""What both transports ask for: start, attach, cancel, look at runs; and what becomes of a run nobody reads."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from runwire_reference_server.agents import Agent, done, error
from runwire_reference_server.events import answer_text
from runwire_reference_server.input_requests import fits
from runwire_reference_server.metrics import Metrics
from runwire_reference_server.runs import Principal, RunKey, RunRequest, equal_as_json
from runwire_reference_server.settings import Settings
from runwire_reference_server.store import (
    BeyondEnd,
    Conflict,
    InputState,
    RunNotFound,
    Snapshot,
    Store,
    TooManyRuns,
)
from runwire_reference_server.store.measured import MeasuredStore
from runwire_reference_server.worker import Worker

#: How many entries a reader takes from the log at once.
PAGE = 512

#: Seconds between two looks at whether connections have ended.
LOOK_S = 0.02


class Refusal(Exception):
    """A message or request that is refused and had no effect, with a registered code and a text for a person."""

    def __init__(self, code: str, data: str, retry_after_s: float | None = None) -> None:
        super().__init__(data)
        self.code = code
        self.data = data
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted start; `existed` when the run was there already."""

    run: Snapshot
    existed: bool


class Connection(Protocol):
    """What a drain has to tell and end."""

    def notify_draining(self) -> None:
        """Say that no new runs are taken on."""

    def close(self, code: int) -> None:
        """Close with `code`."""


@dataclass(slots=True)
class Service:
    """The runs of one server process."""

    store: Store
    agent: Agent
    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)
    draining: bool = False
    connections: set[Connection] = field(default_factory=set)
    _workers: dict[RunKey, Worker] = field(default_factory=dict)
    _graces: dict[RunKey, asyncio.TimerHandle] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """A server begins without a run."""
        self.store = cast(Store, MeasuredStore(self.store, self.metrics))
        self.metrics.runs_active.set_function(lambda: len(self._workers))
        self._idle.set()

    async def start(self, principal: Principal, request: RunRequest) -> Accepted:
        """Start a run or find the one that was started with the same id and body; raises Refusal."""
        if self.draining and not await self._knows(principal, request):
            raise Refusal("unavailable", "the server is draining", 1)
        try:
            created = await self.store.create(principal, request, self.settings.number("runs_per_principal"))
        except Conflict:
            raise Refusal("conflict", "this run_id was started with another body") from None
        except TooManyRuns:
            raise Refusal("busy", "too many unfinished runs", 1) from None
        if created.lease is None:
            if not self.settings.serves("resume"):
                raise Refusal("conflict", "this run_id was used before")  # [RUN-21]
            return Accepted(created.run, existed=True)
        worker = Worker(self.store, self.agent, self.settings, created.run, created.lease)
        self._workers[created.run.key] = worker
        self._idle.clear()
        worker.start(created.predecessor, lambda: self._forget(created.run.key))
        return Accepted(created.run, existed=False)

    async def resume(self, key: RunKey, after: int, epoch: str | None = None) -> Snapshot:
        """Like `attach`, for somebody who comes back."""
        try:
            run = await self.attach(key, after, epoch)
        except Refusal as reason:
            self.metrics.resumed(reason.code)
            raise
        self.metrics.resumed("resumed")
        return run

    async def attach(self, key: RunKey, after: int, epoch: str | None = None) -> Snapshot:
        """Count a reader of a run from `after`; raises Refusal ([RESUME-9] to [RESUME-13])."""
        try:
            run = await self.store.attach(key, after, epoch)
        except RunNotFound:
            raise Refusal("not_found", "no such run") from None
        except BeyondEnd:
            raise Refusal("bad_request", "after lies beyond the end of the log") from None
        if grace := self._graces.pop(key, None):
            grace.cancel()
        return run

    async def detach(self, key: RunKey, *, by_server: bool) -> None:
        """Uncount a reader and apply the run's policy when it was the last ([RESUME-1] to [RESUME-5])."""
        if await self.store.detach(key) > 0:
            return
        try:
            run = await self.store.get(key)
        except RunNotFound:
            return
        policy = run.request.on_disconnect
        if policy == "grace" and not self.settings.serves("resume"):
            policy = "cancel"  # [RESUME-8] nobody can come back
        if run.status.finished or policy == "continue":
            return
        if policy == "cancel" and (not by_server or not self.settings.serves("resume")):
            await self._end_unread(key)
            return
        delay = self.settings.seconds("detach_grace_s")
        loop = asyncio.get_running_loop()
        self._graces[key] = loop.call_later(delay, lambda: self._spawn(self._end_unread(key)))

    async def cancel(self, key: RunKey) -> bool:
        """End a run for its user; False when it is unknown or finished ([CANCEL-1], [CANCEL-10])."""
        with self.metrics.cancel.time():
            return await self._end(key, done("cancelled", "cancelled", "user"))

    async def input(self, key: RunKey, request_id: str, answer: Any) -> None:
        """Answer an input request; raises Refusal ([INPUT-4] to [INPUT-11])."""
        if not self.settings.serves("input"):
            raise Refusal("unsupported", "this server does not serve input")  # [INPUT-18]
        await self.get(key)
        state = await self._input_state(key, request_id)
        if state.outcome is None:
            if not fits(state.request, answer):
                raise Refusal(
                    "bad_request", f"this is no answer to a request of kind {state.request['kind']}"
                )
            if await self.store.close_input(key, request_id, "answered", answer):
                return
            state = await self._input_state(key, request_id)  # somebody was faster
        if state.outcome == "answered" and equal_as_json(state.answer, answer):
            return
        if state.outcome == "answered" and not (await self.get(key)).status.finished:
            raise Refusal("conflict", "the request was answered otherwise")
        raise Refusal("input_expired", "the request is no longer open")

    async def _input_state(self, key: RunKey, request_id: str) -> InputState:
        try:
            state = await self.store.input_state(key, request_id)
        except RunNotFound:
            state = None
        if state is None:
            raise Refusal("not_found", "no such input request")
        return state

    async def get(self, key: RunKey) -> Snapshot:
        """Return a run as it stands; raises Refusal."""
        try:
            return await self.store.get(key)
        except RunNotFound:
            raise Refusal("not_found", "no such run") from None

    async def text(self, run: Snapshot) -> str:
        """Return the answer text as of `run.seq` ([HTTP-5])."""
        return answer_text(await self.store.read(run.key, 0, run.seq))

    async def drain(self) -> None:
        """Take on no new runs, let the others end, end what is left, close connections (chapter 14)."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.notify_draining()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.seconds("drain_s")):
                await self._idle.wait()
        for key in await self.store.unfinished():
            await self._end(key, error("worker_lost", "the server stopped", True))
        for connection in tuple(self.connections):
            connection.close(4000)

    async def left_alone(self, seconds: float) -> None:
        """Wait until every connection has ended, for `seconds` at most."""
        for _ in range(int(seconds / LOOK_S)):
            if not self.connections:
                return
            await asyncio.sleep(LOOK_S)

    async def _knows(self, principal: Principal, request: RunRequest) -> bool:
        if request.run_id is None:
            return False
        try:
            await self.store.get(RunKey(principal, request.run_id))
        except RunNotFound:
            return False
        return True

    async def _end(self, key: RunKey, terminal: dict[str, Any]) -> bool:
        worker = self._workers.get(key)
        if worker is not None:
            return await worker.end(terminal) is not None
        return await self.store.finish(key, terminal) is not None

    async def _end_unread(self, key: RunKey) -> None:
        self._graces.pop(key, None)
        trace_id = (await self.get(key)).trace_id
        terminal = done("nobody was reading", "cancelled", "disconnected") | {"trace_id": trace_id}
        if await self.store.finish_unread(key, terminal) and (worker := self._workers.get(key)):
            worker.stop()

    def _forget(self, key: RunKey) -> None:
        self._workers.pop(key, None)
        if not self._workers:
            self._idle.set()
        if grace := self._graces.pop(key, None):
            grace.cancel()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
