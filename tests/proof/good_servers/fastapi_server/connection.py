"""One WebSocket connection: what comes in is answered in order, what goes out is taken from logs by cursors."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from fastapi import WebSocket

from .events import encoded
from .limits import ERRORS, FEATURES, Refusal
from .messages import (
    Cancel,
    Heartbeat,
    Input,
    NoMessage,
    Resume,
    Start,
    identity,
    read,
    trace_id_of,
    understand,
)
from .runs import Run
from .service import Service
from .wire import WebSocketProtocol

#: Answers that may wait for a reader; beyond them the connection is not read from.
MOST_ANSWERS = 1000


class Closing(Exception):
    """The connection is to be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Connection:
    """The protocol of one connection. The cursors say how far each followed run was sent."""

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self.websocket = websocket
        self.service = service
        self.limits = service.limits
        self.cursors: dict[Run, int] = {}
        self.answers: list[str] = []
        self.wakeup = asyncio.Event()
        self.traceparents = websocket.headers.getlist("traceparent")
        self.used_at = time.monotonic()
        self.closing: int | None = None
        self.room = asyncio.Event()

    async def serve(self) -> None:
        """Serve the connection until it ends; its readers then leave their runs."""
        self.say_ready()
        if self.service.drained:
            self.close(4000)
        writer = asyncio.create_task(self.write())
        reader = asyncio.create_task(self.receive())
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            for run in list(self.cursors):
                run.detach(self.wakeup.set, by_server=self.wire.closed_by_server)

    @property
    def wire(self) -> WebSocketProtocol:
        """The bytes below the messages."""
        wire = self.websocket.scope["state"]["wire"]
        assert isinstance(wire, WebSocketProtocol)
        return wire

    @property
    def idle_at(self) -> float:
        """When the connection has been idle for too long, if it follows no run [LIMIT-5]."""
        return max(self.used_at, self.wire.arrived_at) + self.limits.idle_s

    # What comes in

    async def receive(self) -> None:
        """Read messages and answer each; return when the connection is gone."""
        while True:
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self.closing is not None:
                continue
            text = message.get("text")
            if text is None:
                self.close(1003)
                continue
            try:
                self.handle(text)
            except NoMessage:
                self.close(4400)
            while len(self.answers) > MOST_ANSWERS:
                self.room.clear()
                await self.room.wait()

    def close(self, code: int) -> None:
        """Have the connection closed once what is answered was sent."""
        self.closing = code
        self.wakeup.set()

    def handle(self, text: str) -> None:
        """Carry out one message, or refuse it without effect."""
        value: dict[str, Any] = {}
        try:
            value, refusal = read(text, self.limits.json_depth)
            if refusal:
                raise refusal
            message = understand(value)
            if not isinstance(message, Heartbeat):
                self.used_at = time.monotonic()
            if isinstance(message, Start):
                self.start(message, value)
            elif isinstance(message, Resume):
                self.resume(message, value)
            elif isinstance(message, Cancel):
                self.cancel(message, value)
            elif isinstance(message, Heartbeat):
                self.answer(value, {"type": "heartbeat"})
            elif isinstance(message, Input):
                raise Refusal("unsupported", "agents do not ask here")
            else:
                text = "a message of a type that is not known here"
                self.answer(value, {"type": "notice", "code": "unknown_type", "data": text})
        except Refusal as refusal:
            self.used_at = time.monotonic()  # a message that is refused is use, too [LIMIT-5]
            code = refusal.code
            body = {"type": "error", "data": refusal.text, "code": code, "retryable": ERRORS[code][1]}
            self.answer(value, body)

    def answer(self, value: dict[str, Any], body: dict[str, Any]) -> None:
        """Queue the direct answer to a message [MSG-28]."""
        if (name := identity(value)) is not None:
            body = {**body, "re": name}
        self.say(body)

    def say(self, body: dict[str, Any]) -> None:
        """Queue a control message."""
        self.answers.append(encoded(body))
        self.wakeup.set()

    def say_ready(self) -> None:
        """Introduce the server [CONN-15]."""
        given = trace_id_of(self.traceparents[0]) if len(self.traceparents) == 1 else None
        ready = {"type": "ready", "protocol": "runwire", "version": 1}
        ready |= {"connection_id": secrets.token_urlsafe(12), "trace_id": given or secrets.token_hex(16)}
        self.say(ready | {"limits": vars(self.limits), "features": list(FEATURES)})
        if self.service.draining:
            self.say_draining()

    def say_draining(self) -> None:
        """Tell that the server takes on no new runs [DRAIN-2, DRAIN-9]."""
        self.say({"type": "notice", "code": "draining", "data": "the server will close"})

    def followed(self) -> list[Run]:
        """Return the unfinished runs that the connection follows."""
        return [run for run in self.cursors if not run.finished]

    def start(self, start: Start, value: dict[str, Any]) -> None:
        """Begin a run, or read again from the first event one that began before [RUN-19]."""
        known = self.service.runs.get(start.run_id)
        if known is None or known.same_body(start):
            self.check_room(known, named=bool(start.run_id))
        run, new = self.service.begin(start, self.traceparents)
        started = {"type": "started", "run_id": run.run_id, "epoch": run.epoch, "session_id": run.session_id}
        self.answer(value, started | {"trace_id": run.trace_id, "status": run.status})
        if not new:
            self.say(self.resumed(run, 0))
        self.follow(run, 0)

    def check_room(self, run: Run | None, named: bool) -> None:
        """Refuse with `busy` one run more than the connection may follow [RUN-7, RUN-24]."""
        followed = self.followed()
        if followed and not named:
            raise Refusal("busy", "a run is in progress")
        further = run is None or (run not in followed and not run.finished)
        if further and len(followed) >= self.limits.runs_per_connection:
            raise Refusal("busy", "the connection follows as many runs as it may")

    def resume(self, resume: Resume, value: dict[str, Any]) -> None:
        """Read a run from a cursor."""
        run = self.service.get(resume.run_id)
        if resume.epoch not in ("", run.epoch):
            raise Refusal("not_found", "this log is gone")
        if resume.after > len(run.log):
            raise Refusal("bad_request", "after is beyond the end of the log")
        self.check_room(run, named=True)
        self.answer(value, self.resumed(run, resume.after))
        self.follow(run, resume.after)

    def resumed(self, run: Run, after: int) -> dict[str, Any]:
        """Return the message that says where a reader stands."""
        place = {"type": "resumed", "run_id": run.run_id, "epoch": run.epoch, "next_seq": after + 1}
        return place | {"last_seq": len(run.log), "status": run.status, "trace_id": run.trace_id}

    def follow(self, run: Run, after: int) -> None:
        """Set the one reader of this run on this connection [RUN-25]."""
        if run not in self.cursors:
            run.attach(self.wakeup.set)
        self.cursors[run] = after

    def cancel(self, cancel: Cancel, value: dict[str, Any]) -> None:
        """End one run, or those that are followed [CANCEL-5]."""
        named = self.service.runs.get(cancel.run_id)
        runs = self.followed() if not cancel.run_id else [named] if named and not named.finished else []
        if not runs:
            self.answer(value, {"type": "notice", "code": "not_active", "data": "no unfinished run"})
        for run in runs:
            run.cancel("user")

    # What goes out

    async def write(self) -> None:
        """Send answers first, then one event of each run in turn [RUN-26]; fill silence with heartbeats."""
        while True:
            self.wakeup.clear()
            while self.answers:
                await self.websocket.send_text(self.answers.pop(0))
                self.spoke_at = time.monotonic()
                self.room.set()
            if self.closing is not None:
                await self.websocket.close(self.closing)
                return
            if not await self.send_events():
                await self.wait()

    async def send_events(self) -> bool:
        """Send the next event of every run; say whether there was any."""
        sent = False
        for run in list(self.cursors):
            if self.answers:
                return True
            cursor = self.cursors[run]
            if cursor < len(run.log):
                self.cursors[run] = cursor + 1
                await self.websocket.send_text(run.log[cursor])
                self.spoke_at = time.monotonic()
                sent = True
            if run.finished and self.cursors[run] >= len(run.log):
                self.cursors.pop(run)
                run.detach(self.wakeup.set, by_server=True)
                self.used_at = time.monotonic()
        return sent

    async def wait(self) -> None:
        """Wait for something to send, at most until the next heartbeat or the end of an idle connection."""
        silent = self.spoke_at + 0.9 * self.limits.heartbeat_s
        until = silent if self.followed() else min(silent, self.idle_at)
        try:
            await asyncio.wait_for(self.wakeup.wait(), max(0.0, until - time.monotonic()))
        except TimeoutError:
            if not self.cursors and time.monotonic() >= self.idle_at:
                self.close(1000)
            elif time.monotonic() >= silent:
                self.say({"type": "heartbeat"})
