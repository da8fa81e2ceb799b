"""Runs and their logs: the append, the one end, who reads, and what becomes of a run that nobody reads."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from .events import TEXT, Halves, Unfit, clean, encoded, fitted, size
from .limits import ERRORS, OVERRIDABLE, Limits
from .messages import Start, same

#: Bytes of a log that are kept free for its terminal.
RESERVE = 2048


class Ended(Exception):
    """An append to a run that has its terminal: the agent has to stop."""


class AgentError(Exception):
    """The agent failed, or did what no agent may do."""

    def __init__(self, text: str, code: str = "agent_error", retryable: bool | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.retryable = retryable


class Run:
    """One run: its log, its state, its readers. Everything happens on the event loop, so each method is atomic."""

    def __init__(self, run_id: str, start: Start, trace_id: str, limits: Limits) -> None:
        self.run_id = run_id
        self.epoch = secrets.token_urlsafe(8)
        self.session_id = start.session_id or secrets.token_urlsafe(16)
        self.trace_id = trace_id
        self.start = start
        self.limits = limits
        self.status = "queued"
        self.log: list[str] = []
        self._text: list[str] = []
        self.readers: set[Callable[[], None]] = set()
        self.on_end: Callable[[Run], None] = lambda _: None
        self.task: asyncio.Task[None] | None = None
        self.cancelled_at: float | None = None
        self.stopped_at: float | None = None
        self.stopped = asyncio.Event()
        self.steps_after_cancel = 0
        self._bytes = 0
        self._halves = Halves()
        self._calls: dict[str, bool] = {}
        self._grace: asyncio.TimerHandle | None = None

    @property
    def finished(self) -> bool:
        """Whether the log holds its terminal."""
        return self.status not in ("queued", "running")

    @property
    def kept_bytes(self) -> int:
        """What this run costs, of its log and of what was asked."""
        return self._bytes + size(self.start.prompt)

    @property
    def text(self) -> str:
        """The answer text so far."""
        return "".join(self._text)

    def same_body(self, start: Start) -> bool:
        """Say whether another `start` asks for the same run [RUN-19]."""
        names = ("prompt", "session_id", "inputs", "on_disconnect")
        return all(same(getattr(self.start, name), getattr(start, name)) for name in names)

    def append(self, event: dict[str, Any]) -> None:
        """Add an event of the agent to the log; raise `Ended` when there is nothing to add to any more."""
        for whole in self._halves.joined(event):
            self._add(clean(whole))

    def _add(self, event: dict[str, Any]) -> None:
        self._check_call(event)
        try:
            for piece in fitted(event, self.limits):
                self._write(piece)
        except Unfit as problem:
            raise AgentError(str(problem), "payload_too_large") from None

    def _check_call(self, event: dict[str, Any]) -> None:
        """Refuse what would break the pairing of calls and observations [EVENT-8, EVENT-10 to EVENT-12]."""
        call = event.get("call_id")
        if event["type"] == "tool_call":
            if call in self._calls:
                raise AgentError("a call was made twice")
            self._calls[call] = False
        elif event["type"] == "observation":
            if self._calls.get(call, True):
                raise AgentError("an observation of a call that is not open")
            self._calls[call] = not event.get("partial", False)

    def _write(self, event: dict[str, Any]) -> None:
        if self.finished:
            raise Ended
        place = {"type": event["type"], "run_id": self.run_id, "seq": len(self.log) + 1}
        line = encoded(place | event)
        if self._bytes + size(line) > self.limits.log_bytes - RESERVE:
            self.end("incomplete", {"type": "done", "data": "the log is full", "reason": "length"})
            raise Ended
        self._commit(line)
        if event["type"] == "replace":
            self._text.clear()
        if event["type"] in ("token", "replace"):
            self._text.append(event[TEXT[event["type"]]])

    def _commit(self, line: str) -> None:
        self.log.append(line)
        self._bytes += size(line)
        for wake in self.readers:
            wake()

    def end(self, status: str, terminal: dict[str, Any]) -> None:
        """Append the terminal, unless another was appended first, and stop the agent [RUN-4, CANCEL-2]."""
        if self.finished:
            return
        place = {"type": terminal["type"], "run_id": self.run_id, "seq": len(self.log) + 1}
        if terminal["type"] == "done":
            place["status"] = status
        elif terminal["code"] not in OVERRIDABLE or "retryable" not in terminal:
            known = ERRORS.get(terminal["code"], (None, terminal.get("retryable", False)))
            terminal["retryable"] = known[1]
        (event,) = fitted(clean(terminal), self.limits)
        self.status = status
        self._commit(encoded(place | event | {"trace_id": self.trace_id}))
        if self._grace:
            self._grace.cancel()
        if self.task and not self.task.done():
            self.task.cancel()
        self.on_end(self)

    def complete(self) -> None:
        """End the run of an agent that came to its end [EVENT-13]."""
        for rest in self._halves.rest():
            self._add(clean(rest))
        if not all(self._calls.values()):
            raise AgentError("the agent ended while a call had no observation")
        self.end("completed", {"type": "done", "data": "generation completed"})

    def cancel(self, reason: str) -> None:
        """End the run as cancelled, by its user or because nobody reads it."""
        if not self.finished:
            self.cancelled_at = time.monotonic()
            self.end("cancelled", {"type": "done", "data": "cancelled", "reason": reason})

    def expire(self) -> None:
        """End the run because its time is over."""
        if not self.finished:
            self.cancelled_at = time.monotonic()
            self.fail("timeout", "the run took too long")

    def fail(self, code: str, text: str, retryable: bool | None = None) -> None:
        """End the run with an `error`."""
        known = {} if retryable is None else {"retryable": retryable}
        self.end("failed", {"type": "error", "data": text, "code": code, **known})

    def agent_stopped(self) -> None:
        """Note when the agent stopped, for `report`."""
        self.stopped_at = time.monotonic()
        self.stopped.set()

    def attach(self, wake: Callable[[], None]) -> None:
        """Add a reader, which ends the time the run may be without one [RESUME-6]."""
        self.readers.add(wake)
        if self._grace:
            self._grace.cancel()
            self._grace = None

    def detach(self, wake: Callable[[], None], by_server: bool) -> None:
        """Remove a reader; apply the run's policy when it was the last."""
        self.readers.discard(wake)
        policy = self.start.on_disconnect
        if self.readers or self.finished or policy == "continue":
            return
        if policy == "cancel" and not by_server:
            self.cancel("disconnected")
        else:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(self.limits.detach_grace_s, self.cancel, "disconnected")
