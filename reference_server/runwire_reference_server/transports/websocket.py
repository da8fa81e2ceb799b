"""WebSocket transport: executes the session's decisions and writes what its readers have."""

import asyncio
import logging

from starlette.websockets import WebSocket

from runwire_reference_server.access.admission import Caller
from runwire_reference_server.run_log.events import encoded
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Snapshot
from runwire_reference_server.service.reader import Reader
from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.connection import OpenConnection
from runwire_reference_server.transports.intake import ABUSE, WAIT_S
from runwire_reference_server.transports.session import (
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
from runwire_reference_server.transports.wire.websocket_frames import text_frame, websocket_frames

#: How many answers may wait for a client before its next message is read.
MAX_ANSWERS_WAITING = 1000

#: Why a connection ended, by the code the server closed it with; other codes are for bad messages.
_REASONS = {
    None: "client",
    1000: "idle",
    1011: "no_pong",
    1013: "store",
    4000: "draining",
    4001: "slow",
    4101: "expired",
    ABUSE: "abuse",
}

log = logging.getLogger(__name__)


class WebSocketConnection(OpenConnection):
    """One accepted connection. One task reads; writing is a callback."""

    __slots__ = (
        "_answers", "_answers_taken", "_client", "_close_code", "_cut_short", "_idle_s", "_last_used",
        "_principal", "_readers", "_session", "_settings", "_slot", "_socket",
    )  # fmt: skip
    transport = "websocket"

    def __init__(self, socket: WebSocket, service: Service, caller: Caller, session: Session) -> None:
        super().__init__(service, caller.remaining_s)
        self._session = session
        self._socket = socket
        self._client = socket.scope.get("runwire.client")
        self._principal, self._slot = caller.principal, caller.slot
        self._cut_short = False
        self._readers: dict[str, Reader] = {}
        session.followed = self._readers.keys()
        self._answers: list[Message] = []
        self._answers_taken: asyncio.Future[None] | None = None
        self._settings = service.settings
        self._idle_s = self._settings.seconds("idle_s")
        self._last_used = self._last_sent
        self._close_code: int | None = None

    async def serve(self) -> None:
        """Serve the connection until it ends."""
        self._count()
        self._open(self._socket.state.wire)
        self.answer(self._session.ready())
        if self._service.draining:
            self.notify_draining()
        if self._service.drained:
            self.close(4000)  # [DRAIN-6]
        self._tick()
        try:
            await self._read()
        finally:
            self._end(_REASONS.get(self._close_code, "bad_message"), self._ids)
            by_server = self._close_code is not None
            for reader in tuple(self._readers.values()):
                await reader.leave(by_server=by_server)

    @property
    def _ids(self) -> dict[str, object]:
        session = self._session
        ids = {"connection_id": session.connection_id, "trace_id": session.trace_id}
        return ids | {"address": self._client}

    def answer(self, message: Message) -> None:
        """Send a control message in its turn."""
        self._answers.append(message)
        self.wake()

    def notify_draining(self) -> None:
        """Tell the client that no new runs are taken on ([DRAIN-2])."""
        self.answer(notice("draining", "the server is going to stop; unfinished runs go on for a while"))

    def close(self, code: int) -> None:
        """Close with `code` after what was said before."""
        if self._close_code is None:
            self._close_code = code
            self.wake()

    async def _read(self) -> None:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            if self._close_code is not None:
                continue  # nothing is heard any more
            if "too_many" in message:
                self.answer(refusal("rate_limited", "too many frames", None, WAIT_S))  # [LIMIT-9]
                continue
            if message.get("bytes") is not None:
                self.close(1003)  # [MSG-9]
                continue
            command = self._session.receive(message["text"])
            if not (isinstance(command, Send) and command.message["type"] == "heartbeat"):
                self._last_used = self._loop.time()
            # What a client asked for happens, even if it goes away meanwhile: that is only read afterwards.
            await self._carry_out(command)
            while len(self._answers) > MAX_ANSWERS_WAITING and not self._wire.lost:
                self._answers_taken = self._loop.create_future()
                await self._answers_taken
        if self._close_code is None and message.get("by_server"):
            self._close_code = message["code"]

    async def _carry_out(self, command: Command) -> None:
        try:
            match command:
                case Send(message):
                    self.answer(message)
                case Close(code):
                    self.close(code)
                case Cancel(run_ids, re):
                    await self._cancel(run_ids, re)
                case Start():
                    await self._start(command)
                case Resume():
                    await self._resume(command)
                case Input(run_id, request_id, data):
                    await self._service.input(RunKey(self._principal, run_id), request_id, data)
        except Refusal as reason:
            re = getattr(command, "re", None)
            self.answer(refusal(reason.code, str(reason), re, reason.retry_after_s))

    async def _make_sure_of_room(self, command: Start | Resume) -> None:
        """Refuse one unfinished run more than the connection may follow ([RUN-7], [RUN-24]).

        What is refused for what it names is so without a look at the room ([ERR-10]); what has ended needs none.
        """
        run_id = command.run_id if isinstance(command, Resume) else command.request.run_id
        if not self._session.may_be_full(run_id):
            return
        run = await self._service.find(self._principal, run_id)
        if isinstance(command, Resume) if run is None else run.status.finished or not _names(command, run):
            return
        followed = [await self._service.find(self._principal, name) for name in tuple(self._readers)]
        unfinished = [run for run in followed if run is not None and not run.status.finished]
        if run_id is None and unfinished:
            raise Refusal("busy", "a run is in progress; name a run_id to follow several")
        if len(unfinished) >= self._settings.number("runs_per_connection"):
            raise Refusal("busy", "the connection follows as many runs as it may")

    async def _start(self, command: Start) -> None:
        await self._make_sure_of_room(command)
        accepted = await self._service.start(self._principal, command.request)
        run = accepted.run
        if accepted.existed:
            await self._service.ration(self._slot, run.key, 0)
        else:
            log.info(
                "a run began", extra={"transport": self.transport} | self._ids | {"trace_id": run.trace_id}
            )
        await self._follow(run.key, 0, run.epoch, resume=False)
        self.answer(started(run, command.re))
        if accepted.existed:
            self.answer(resumed(run, 0))  # [RUN-19]

    async def _resume(self, command: Resume) -> None:
        key = RunKey(self._principal, command.run_id)
        await self._make_sure_of_room(command)
        await self._service.ration(self._slot, key, command.after)
        run = await self._follow(key, command.after, command.epoch, resume=True)
        self.answer(resumed(run, command.after, command.re))
        if run.status.finished and command.after == run.seq:
            self._leave(self._readers[run.key.run_id])  # [RESUME-18] nothing follows

    async def _follow(self, key: RunKey, after: int, epoch: str | None, *, resume: bool) -> Snapshot:
        """Attach a reader, or move the one the connection has ([RUN-25])."""
        reader = self._readers.get(key.run_id) or Reader(self._service, key, websocket_frames, self.wake)
        run = await reader.attach(after, epoch, resume=resume)
        self._readers[key.run_id] = reader
        return run

    async def _cancel(self, run_ids: tuple[str, ...], re: str | None) -> None:
        ended = [await self._service.cancel(RunKey(self._principal, run_id)) for run_id in run_ids]
        if not any(ended):
            self.answer(notice("not_active", "no unfinished run was found", re))  # [CANCEL-10]

    def _write(self) -> None:
        """Write the answers that wait and a page of each reader, and close when there is nothing left to say."""
        self._woken = False
        wire = self._wire
        if wire is None or not wire.room or wire.lost:
            if wire is not None and wire.lost:
                self._go_on_reading()
            return
        parts: list[bytes] = []
        if self._answers:
            parts += [text_frame(encoded(answer)) for answer in self._answers]
            self._answers.clear()
            self._go_on_reading()
        more = False
        if not self._cut_short:
            try:
                # What was answered may have moved a reader, and comes first ([RESUME-16]).
                for reader in tuple(self._readers.values()):
                    if (page := reader.next()) is not None:
                        parts.append(page.data)
                        more = more or page.more
                        if page.terminal:
                            self._leave(reader)
            except Refusal:  # the log cannot be read further, or is gone before it was
                self._close_code, self._cut_short = 1013, True
        if parts:
            self._last_sent = self._loop.time()
            wire.write_frames(parts[0] if len(parts) == 1 else b"".join(parts))
        if more:
            self.wake()
        elif self._close_code is not None and (self._cut_short or not self._filling):
            wire.say_close(self._close_code)

    def _leave(self, reader: Reader) -> None:
        del self._readers[reader.key.run_id]
        self._last_used = self._loop.time()
        reader.leave(by_server=False)

    @property
    def _filling(self) -> bool:
        return any(reader.filling for reader in self._readers.values())

    def _go_on_reading(self) -> None:
        taken, self._answers_taken = self._answers_taken, None
        if taken is not None and not taken.done():
            taken.set_result(None)

    def _beat(self) -> None:
        self.answer({"type": "heartbeat"})

    def _expire(self) -> None:
        self._cut_short = True
        self.close(4101)

    def _due(self, now: float) -> float | None:
        """Close an idle connection ([LIMIT-5])."""
        if self._readers:
            return now + self._idle_s
        idle_at: float = max(self._last_used, self._wire.arrived_at) + self._idle_s
        if idle_at > now + 0.001:
            return idle_at
        self.close(1000)
        return None


def _names(command: Start | Resume, run: Snapshot) -> bool:
    """Whether a command is about `run` as it is: its body, or its epoch and a place in its log."""
    if isinstance(command, Start):
        return command.request.body() == run.request.body()
    return command.epoch in {None, run.epoch} and command.after <= run.seq
