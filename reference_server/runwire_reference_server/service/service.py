"""Run service of both transports: start, attach, cancel, list, and the policy for runs without readers."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from runwire_reference_server.agents import Agent, done, error
from runwire_reference_server.observability.logs import LIFE
from runwire_reference_server.observability.metrics import Metrics
from runwire_reference_server.run_log.events import answer_text
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import Principal, RunKey, RunRequest, equal_as_json
from runwire_reference_server.run_log.store import Created, InputState, Snapshot, Store, StoreGone
from runwire_reference_server.service.clock import Clock
from runwire_reference_server.service.input_requests import fits
from runwire_reference_server.service.rations import Rations
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.service.worker import Worker

life = logging.getLogger(LIFE)

#: Seconds by which a grace is awaited longer, lest the store's clock finds it not quite over.
ROUNDING_S = 0.005

#: Seconds between two looks at whether connections have ended.
LOOK_S = 0.02


class Connection(Protocol):
    """A connection or stream: what a drain has to tell and end."""

    def notify_draining(self) -> None:
        """Say that no new runs are taken on."""

    def close(self, code: int) -> None:
        """Close with `code`, a stream just so, after what is in the logs was sent."""


class Service:
    """The runs of one server process."""

    def __init__(self, store: Store, agent: Agent, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.metrics = Metrics(store.tally)
        self.metrics.kept_bytes.set_function(lambda: store.kept_bytes)
        self.metrics.runs_active.set_function(lambda: len(self._workers))
        self.rations = Rations(settings.number("log_bytes"))
        self.clock = Clock()
        self.connections: set[Connection] = set()
        self.draining = self.drained = False
        self._agent = agent
        self._workers: dict[RunKey, Worker] = {}
        self._graces: dict[RunKey, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, principal: Principal, request: RunRequest) -> Created:
        """Start a run or find the one that was started with the same id and body; raises Refusal."""
        if self.draining and await self.find(principal, request.run_id) is None:
            raise Refusal("unavailable", "the server is draining", 1)
        created = await self.store.create(principal, request, self.settings.number("runs_per_principal"))
        if created.lease is None:
            if not self.settings.serves("resume"):
                raise Refusal("conflict", "this run_id was already used")  # [RUN-21]
            return created
        worker = Worker(self.store, self._agent, self.settings, created.run, created.lease)
        self._workers[created.run.key] = worker
        self._idle.clear()
        worker.start(created.predecessor, lambda: self._forget(created.run.key))
        return created

    async def ration(self, place: str, key: RunKey, after: int, most: int | None = None) -> None:
        """Count the replay of a log from `after`, of `most` bytes, for a caller; raises Refusal ([LIMIT-8])."""
        with suppress(RunNotFound):
            size = await self.store.bytes_after(key, after)
            self.rations.take(place, size if most is None else min(most, size))

    async def attach(
        self, key: RunKey, reader: str, after: int, epoch: str | None = None, *, resume: bool = False
    ) -> Snapshot:
        """Count `reader` of a run, once however often; raises Refusal ([RESUME-9] to [RESUME-13]).

        `resume` is for somebody who comes back, of whom the metrics tell.
        """
        try:
            run = await self.store.attach(key, reader, after, epoch)
        except Refusal as reason:
            if resume:
                self.metrics.resumed(reason.code)
            raise
        if resume:
            self.metrics.resumed("resumed")
        if grace := self._graces.pop(key, None):
            grace.cancel()
        return run

    def detach(self, key: RunKey, reader: str, *, by_server: bool) -> asyncio.Future[None]:
        """Uncount a reader and apply the run's policy when it was the last ([RESUME-1] to [RESUME-5]).

        That happens also when whoever waits for it is cancelled, as the tasks of a broken connection are.
        """
        return asyncio.shield(self._spawn(self._detach(key, reader, by_server=by_server)))

    async def _detach(self, key: RunKey, reader: str, *, by_server: bool) -> None:
        try:
            run = await self.store.get(key)
            grace_s = self._grace_s(run.request.on_disconnect, by_server=by_server)
            if not await self.store.detach(key, reader, grace_s) or grace_s is None:
                return
            if not grace_s:
                await self._end_unread(key)
                return
        except (RunNotFound, StoreGone):
            return  # a store that comes back has given up this node's readers
        loop = asyncio.get_running_loop()
        self._graces[key] = loop.call_later(grace_s + ROUNDING_S, lambda: self._spawn(self._end_unread(key)))

    def _grace_s(self, policy: str, *, by_server: bool) -> float | None:
        """Return for how long a run goes on that lost its last reader; None when it does not mind."""
        resumable = self.settings.serves("resume")
        if policy == "continue":
            return None
        if not resumable or (policy == "cancel" and not by_server):
            return 0.0  # [RESUME-8] where nobody can come back, grace is cancel
        return self.settings.seconds("detach_grace_s")

    async def cancel(self, key: RunKey) -> bool:
        """End a run for its user; False when it is unknown or finished ([CANCEL-1], [CANCEL-10])."""
        with self.metrics.cancel.time():
            return await self.store.finish(key, done("cancelled", "cancelled", "user"))

    async def input(self, key: RunKey, request_id: str, answer: Any) -> None:
        """Answer an input request; raises Refusal ([INPUT-4] to [INPUT-11])."""
        if not self.settings.serves("input"):
            raise Refusal("unsupported", "this server does not serve input")  # [INPUT-18]
        state = await self._input_state(key, request_id)
        if state.outcome is None:
            if not await fits(state.request, answer):
                raise Refusal(
                    "bad_request", f"this is not an answer to a request of kind {state.request['kind']}"
                )
            if await self.store.close_input(key, request_id, "answered", answer):
                return
            state = await self._input_state(key, request_id)  # somebody was faster
        if state.outcome == "answered" and equal_as_json(state.answer, answer):
            return
        if state.outcome == "answered" and not (await self.store.get(key)).status.finished:
            raise Refusal("conflict", "the request was answered otherwise")
        raise Refusal("input_expired", "the request is no longer open")

    async def _input_state(self, key: RunKey, request_id: str) -> InputState:
        state = await self.store.input_state(key, request_id)
        if state is None:
            raise Refusal("not_found", "no such input request")
        return state

    async def find(self, principal: Principal, run_id: str | None) -> Snapshot | None:
        """Return a run as it stands; None when none of that id is known."""
        try:
            return None if run_id is None else await self.store.get(RunKey(principal, run_id))
        except RunNotFound:
            return None

    async def text(self, run: Snapshot) -> str:
        """Return the answer text as of `run.seq` ([HTTP-5])."""
        return answer_text(await self.store.read(run.key, 0, run.seq))

    async def drain(self) -> None:
        """Take on no new runs, let the others end, end what is left, close connections (chapter 14)."""
        self.draining = True
        life.info("draining, %s left", _runs(len(self._workers)), extra=self._left)
        for connection in tuple(self.connections):
            connection.notify_draining()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.seconds("drain_s")):
                await self._idle.wait()
        if self._workers:
            seconds = self.settings.seconds("drain_s")
            life.warning(
                "ending %s after %g s of draining", _runs(len(self._workers)), seconds, extra=self._left
            )
        for worker in tuple(self._workers.values()):
            with suppress(StoreGone):
                await worker.end(error("worker_lost", "the server stopped", True))
        self.drained = True
        for connection in tuple(self.connections):
            connection.close(4000)
        life.info("drained", extra=self._left)

    @property
    def _left(self) -> dict[str, int]:
        return {"runs": len(self._workers), "connections": len(self.connections)}

    def abandon(self) -> None:
        """Stop every agent and send everybody away: the store has given up on this node, or cannot be reached."""
        for worker in tuple(self._workers.values()):
            worker.stop()
        for connection in tuple(self.connections):
            connection.close(1013)

    async def left_alone(self, seconds: float) -> None:
        """Wait until every connection has ended, for `seconds` at most."""
        for _ in range(int(seconds / LOOK_S)):
            if not self.connections:
                return
            await asyncio.sleep(LOOK_S)

    async def _end_unread(self, key: RunKey) -> None:
        self._graces.pop(key, None)
        with suppress(StoreGone):
            await self.store.finish_unread(key, done("nobody was reading", "cancelled", "disconnected"))

    def _forget(self, key: RunKey) -> None:
        self._workers.pop(key, None)
        if not self._workers:
            self._idle.set()
        if grace := self._graces.pop(key, None):
            grace.cancel()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
