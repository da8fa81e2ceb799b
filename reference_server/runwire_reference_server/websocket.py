"""The WebSocket transport: carries out what the session decides, and pulls the readers of one connection."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from runwire_reference_server.admission import Caller
from runwire_reference_server.events import Entry, encoded
from runwire_reference_server.intake import ABUSE, WAIT_S
from runwire_reference_server.reader import Reader
from runwire_reference_server.refusal import Refusal
from runwire_reference_server.runs import RunKey
from runwire_reference_server.service import Service
from runwire_reference_server.session import (
    Cancel,
    Close,
    Command,
    Input,
    Message,
    Resume,
    Send,
    Session,
    Start,
    notice,
    refusal,
    resumed,
    started,
)
from runwire_reference_server.store import RunNotFound, Snapshot, StoreGone

#: How many answers may wait for a client before its next message is read.
MAX_ANSWERS_WAITING = 1000

#: Bytes of replay a connection may ask for at once, in logs, and how many seconds buy one more ([LIMIT-8]).
REPLAY_LOGS = 8
REPLAY_REFILL_S = 10.0


#: Why a connection ended, by the code the server closed it with; other codes are for bad messages.
_REASONS = {
    None: "client",
    1000: "idle",
    1013: "store",
    4000: "draining",
    4001: "slow",
    4101: "expired",
    ABUSE: "abuse",
}

log = logging.getLogger(__name__)


class WebSocketConnection:
    """One accepted connection: a task that reads, and a task that writes."""

    session_class: type[Session] = Session

    def __init__(self, socket: WebSocket, service: Service, caller: Caller, session: Session) -> None:
        self.service = service
        self.session = session
        self._socket = socket
        self._principal = caller.principal
        self._remaining_s = caller.remaining_s
        self._expired = False
        self._readers: dict[str, Reader] = {}
        self._answers: deque[Message] = deque()
        self._command: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._answers_taken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._settings = service.settings
        self._heartbeat_s = self._settings.seconds("heartbeat_s")
        self._idle_s = self._settings.seconds("idle_s")
        self._last_sent = self._last_used = self._loop.time()
        self._close_code: int | None = None
        self._stop_clock: Callable[[], None] = lambda: None
        self._replay_room = self._replay_most = REPLAY_LOGS * float(self._settings.limits["log_bytes"])
        self._replay_at = self._loop.time()

    async def serve(self) -> None:
        """Serve the connection until it ends."""
        with self.service.metrics.connection("websocket"):
            await self._serve_until_ended()
        reason = _REASONS.get(self._close_code, "bad_message")
        self.service.metrics.disconnected(reason)
        ids = {"connection_id": self.session.connection_id, "trace_id": self.session.trace_id}
        log.info("a connection ended", extra=ids | {"reason": reason})

    async def _serve_until_ended(self) -> None:
        self.service.connections.add(self)
        self.answer(self.session.ready())
        if self.service.draining:
            self.notify_draining()
        self._tick()
        writing = asyncio.create_task(self._write())
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.service.connections.discard(self)
            self._stop_clock()
            by_server = self._close_code is not None
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            if self._command is not None:
                await asyncio.wait(
                    {self._command}
                )  # what a client asked for happens, or its reader would stay
            for reader in tuple(self._readers.values()):
                await reader.close(by_server=by_server)

    def answer(self, message: Message) -> None:
        """Send a control message in its turn."""
        self._answers.append(message)
        self._wake.set()

    def notify_draining(self) -> None:
        """Tell the client that no new runs are taken on ([DRAIN-2])."""
        self.answer(notice("draining", "the server is going to stop; unfinished runs go on for a while"))

    def close(self, code: int) -> None:
        """Close with `code` after what was said before."""
        if self._close_code is None:
            self._close_code = code
            self._wake.set()

    async def _read(self) -> None:
        while self._close_code is None:
            message = await self._socket.receive()
            if self._expired:
                break
            if message["type"] == "websocket.disconnect":
                code = message.get("code")
                self._close_code = code if code in {1002, 1007, 1009, 4001, ABUSE} else None
                if code == 4001:
                    self.service.metrics.slow_readers.inc()
                return
            if "too_many" in message:
                self.answer(refusal("rate_limited", "too many frames", None, WAIT_S))  # [LIMIT-9]
                continue
            if message.get("bytes") is not None:
                self.close(1003)  # [MSG-9]
                break
            command = self.session.receive(message["text"])
            if not (isinstance(command, Send) and command.message["type"] == "heartbeat"):
                self._last_used = self._loop.time()
            await self._carry_out(command)
            while len(self._answers) > MAX_ANSWERS_WAITING:
                self._answers_taken.clear()
                await self._answers_taken.wait()
        await asyncio.Event().wait()  # the writer closes

    async def _carry_out(self, command: Command) -> None:
        match command:
            case Send(message):
                self.answer(message)
            case Close(code):
                self.close(code)
            case Start() | Resume() | Cancel() | Input():
                # What a client asked for happens, even if it goes away meanwhile.
                self._command = self._loop.create_task(self._serve_or_refuse(command))
                await asyncio.shield(self._command)
                self._command = None

    async def _serve_or_refuse(self, command: Start | Resume | Cancel | Input) -> None:
        try:
            await self._serve(command)
        except Refusal as reason:
            self.answer(refusal(reason.code, str(reason), command.re, reason.retry_after_s))

    async def _serve(self, command: Start | Resume | Cancel | Input) -> None:
        match command:
            case Cancel(run_ids, re):
                await self._cancel(run_ids, re)
            case Start():
                await self._start(command)
            case Resume():
                await self._resume(command)
            case Input(run_id, request_id, data):
                await self.service.input(RunKey(self._principal, run_id), request_id, data)

    async def _start(self, command: Start) -> None:
        accepted = await self.service.start(self._principal, command.request)
        run = accepted.run
        await self._follow(run.key, 0, run.epoch, resume=False)
        self.answer(started(run, command.re))
        if accepted.existed:
            self.answer(resumed(run, 0))  # [RUN-19]

    async def _resume(self, command: Resume) -> None:
        key = RunKey(self._principal, command.run_id)
        await self._ration(key, command.after)
        run = await self._follow(key, command.after, command.epoch, resume=True)
        self.answer(resumed(run, command.after, command.re))

    async def _follow(self, key: RunKey, after: int, epoch: str | None, *, resume: bool) -> Snapshot:
        """Attach a reader, or move the one the connection has ([RUN-25])."""
        reader = self._readers.get(key.run_id) or Reader(self.service, key, self._wake.set)
        run = await reader.attach(after, epoch, resume=resume)
        self._readers[key.run_id] = reader
        self.session.follow(key)
        return run

    async def _cancel(self, run_ids: tuple[str, ...], re: str | None) -> None:
        ended = [await self.service.cancel(RunKey(self._principal, run_id)) for run_id in run_ids]
        if not any(ended):
            self.answer(notice("not_active", "no unfinished run was found", re))  # [CANCEL-10]

    async def _ration(self, key: RunKey, after: int) -> None:
        """Refuse a replay beyond what this connection may ask for in a time ([LIMIT-8])."""
        now = self._loop.time()
        refill = (now - self._replay_at) / REPLAY_REFILL_S * float(self._settings.limits["log_bytes"])
        self._replay_room = min(self._replay_most, self._replay_room + refill)
        self._replay_at = now
        try:
            cost = await self.service.store.bytes_after(key, after)
        except RunNotFound:
            return
        if cost > self._replay_room:
            raise Refusal("rate_limited", "too much was replayed on this connection", REPLAY_REFILL_S)
        self._replay_room -= cost

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while not self._expired and await self._write_what_waits():
                    pass
                if self._close_code is not None:
                    await self._socket.close(self._close_code)
                    return
        except (StoreGone, RunNotFound):
            self._close_code = 1013  # the log cannot be read further, or is gone before it was
            await self._socket.close(1013)
        except (WebSocketDisconnect, OSError):
            return

    async def _write_what_waits(self) -> bool:
        """Send the answers that wait and a page of each reader; False when there was nothing."""
        busy = bool(self._answers)
        while self._answers:
            await self._send(encoded(self._answers.popleft()))
        self._answers_taken.set()
        for reader in tuple(self._readers.values()):
            busy = await self._write_page(reader) or busy
        return busy

    async def _write_page(self, reader: Reader) -> bool:
        place = reader.cursor
        page = await reader.pull()
        for item in page:
            # An answer may have moved the reader or wait to be sent: both come first ([RESUME-16]).
            if reader.cursor != place or self._answers:
                return True
            reader.cursor = place = item.seq
            await self._send_event(reader, item)
        if page:
            self.service.metrics.delivery.observe(time.monotonic() - page[-1].at)
        return bool(page)

    async def _send_event(self, reader: Reader, item: Entry) -> None:
        if item.terminal:
            self._readers.pop(reader.key.run_id, None)
            self.session.leave(reader.key.run_id)
            self._last_used = self._loop.time()
            await reader.close(by_server=False)
        await self._send(item.data)

    async def _send(self, data: bytes) -> None:
        self._last_sent = self._loop.time()
        await self._socket.send({"type": "websocket.send", "utf8": data})

    def _tick(self) -> None:
        """Send a heartbeat when one is due, close when idle, and plan the next look ([BEAT-1], [LIMIT-5])."""
        now = self._loop.time()
        next_beat = self._last_sent + self._heartbeat_s
        if next_beat <= now + 0.001:
            self.answer({"type": "heartbeat"})
            next_beat = now + self._heartbeat_s
        due = min(next_beat, now + self._idle_s)
        left = self._remaining_s()
        if left is not None:
            if left <= 0:
                self._expired = True
                self.close(4101)  # [AUTH-13]
                return
            due = min(due, now + left)
        if not self._readers:
            idle_at = self._last_used + self._idle_s
            if idle_at <= now + 0.001:
                self.close(1000)
                return
            due = min(due, idle_at)
        self._stop_clock = self.service.clock.at(due, self._tick)
