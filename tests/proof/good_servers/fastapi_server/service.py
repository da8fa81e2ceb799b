"""All runs of the server: starting them once, one after another in a session, within limits and deadlines."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from .limits import Limits, Refusal
from .messages import Start, trace_id_of
from .runs import AgentError, Ended, Run

Agent = Callable[[Run, "Service"], Awaitable[None]]


class Service:
    """The runs by their names. Without authentication all callers are one principal."""

    def __init__(self, limits: Limits, agent: Agent) -> None:
        self.limits = limits
        self.agent = agent
        self.runs: dict[str, Run] = {}
        self.unfinished = 0
        self.draining = False
        self.drained = False
        self.quiet = asyncio.Event()
        self.quiet.set()
        self._sessions: dict[str, deque[Run]] = defaultdict(deque)

    def begin(self, start: Start, traceparents: list[str]) -> tuple[Run, bool]:
        """Return the run that a `start` asks for, and whether it is a new one; raise `Refusal`.

        `traceparents` are the values of the header of the request or handshake [OBS-2, OBS-3].
        """
        if known := self.runs.get(start.run_id):
            if not known.same_body(start):
                raise Refusal("conflict", "this run_id stands for another start")
            return known, False
        if self.draining:
            raise Refusal("unavailable", "the server takes on no new runs")
        if self.unfinished >= self.limits.runs_per_principal:
            raise Refusal("busy", "too many runs are unfinished")
        if sum(run.kept_bytes for run in self.runs.values()) >= self.limits.kept_bytes_per_principal:
            raise Refusal("busy", "as much is kept as may be")
        from_header = trace_id_of(traceparents[0]) if len(traceparents) == 1 else None
        trace_id = trace_id_of(start.traceparent) or from_header or secrets.token_hex(16)
        run = Run(start.run_id or secrets.token_urlsafe(16), start, trace_id, self.limits)
        run.on_end = self._ended
        self.runs[run.run_id] = run
        self.unfinished += 1
        self.quiet.clear()
        session = self._sessions[run.session_id]
        session.append(run)
        if len(session) == 1:
            self._play(run)
        return run, True

    def get(self, run_id: str) -> Run:
        """Return a run that is known; raise `Refusal`."""
        if run_id not in self.runs:
            raise Refusal("not_found", "no such run")
        return self.runs[run_id]

    def _play(self, run: Run) -> None:
        run.status = "running"
        run.task = asyncio.create_task(self._work(run))

    async def _work(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self.limits.run_s, run.expire)
        try:
            await self.agent(run, self)
            run.complete()
        except AgentError as error:
            run.fail(error.code, str(error), error.retryable)
        except (Ended, asyncio.CancelledError):
            run.fail("internal", "the agent stopped by itself")
        except Exception:
            run.fail("agent_error", "the agent failed")
        finally:
            deadline.cancel()
            run.agent_stopped()

    def _ended(self, run: Run) -> None:
        self.unfinished -= 1
        if self.unfinished == 0:
            self.quiet.set()
        asyncio.get_running_loop().call_later(self.limits.resume_window_s, self.runs.pop, run.run_id, None)
        session = self._sessions[run.session_id]
        was_first = session[0] is run
        session.remove(run)
        if not session:
            del self._sessions[run.session_id]
        elif was_first:
            self._play(session[0])

    async def drain(self) -> None:
        """Take on no new runs; return when all have ended, by themselves or after `drain_s` [DRAIN-1, DRAIN-5]."""
        self.draining = True
        try:
            await asyncio.wait_for(self.quiet.wait(), self.limits.drain_s)
        except TimeoutError:
            for run in list(self.runs.values()):
                run.fail("worker_lost", "the server was stopped")
