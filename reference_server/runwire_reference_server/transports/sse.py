"""Event stream (SSE) of one run (chapter 9)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from runwire_reference_server.run_log.events import Entry, encode
from runwire_reference_server.run_log.feed import Form, Page
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Snapshot
from runwire_reference_server.service.reader import Reader
from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.connection import OpenConnection
from runwire_reference_server.transports.session import Message
from runwire_reference_server.transports.wire.http_wire import HttpProtocol

#: [SSE-1] each of these stops one kind of intermediary from gathering the stream.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def event_blocks(entries: Sequence[Entry], epoch: bytes) -> bytes:
    """Return a block for each entry, with its cursor as `id` ([SSE-4], [SSE-6])."""
    if len(entries) == 1:
        return b"id: %b.%d\ndata: %b\n\n" % (epoch, entries[0].seq, entries[0].data)
    return b"".join([b"id: %b.%d\ndata: %b\n\n" % (epoch, item.seq, item.data) for item in entries])


def chunked_blocks(entries: Sequence[Entry], epoch: bytes) -> bytes:
    """Return the blocks as one chunk of a body whose end is not known (RFC 9112, section 7.1)."""
    return chunk(event_blocks(entries, epoch))


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class EventStream(OpenConnection):
    """An ASGI response that sends a run's events from a cursor until its terminal.

    `forms` are how a page is written in a body of chunks, and in one that the end of the connection ends.
    """

    transport = "sse"
    heartbeat = b'data: {"type":"heartbeat"}\n\n'  # [SSE-12], [SSE-13]
    forms: tuple[Form, Form] = (chunked_blocks, event_blocks)

    def __init__(
        self,
        service: Service,
        key: RunKey,
        on_end: Callable[[], Awaitable[None]],
        remaining_s: Callable[[], float | None],
    ) -> None:
        """`on_end` is awaited when the stream has ended; `remaining_s` tells how long the credential lasts."""
        super().__init__(service, remaining_s)
        self._reader = Reader(service, key, self.forms[0], self.wake)
        self._epoch = self._trace_id = ""
        self._opening: Sequence[Message] = ()
        self._headers: Mapping[str, str] = HEADERS
        self._on_end = on_end
        self._closing: str | None = None
        self._stall_s = service.settings.seconds("pong_timeout_s")
        self._taken, self._moved_at = 0, self._last_sent
        self._chunked = True
        self._ended = asyncio.Event()
        self._end_reason = "client"

    async def attach(self, after: int, epoch: str | None = None, *, resume: bool = False) -> Snapshot:
        """Count as a reader of the run from `after`; raises Refusal. What is attached must be served."""
        run = await self._reader.attach(after, epoch, resume=resume)
        self._epoch, self._trace_id = run.epoch, run.trace_id
        return run

    def open_with(self, opening: Sequence[Message], headers: Mapping[str, str]) -> "EventStream":
        """Say what comes before the events; returns the stream."""
        self._opening = opening
        self._headers = HEADERS | dict(headers)
        return self

    def close(self, code: int) -> None:
        """End once the log is sent as far as it goes."""
        self._closing = "draining" if code == 4000 else "store"
        self.wake()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the stream, and give up the reader at the end."""
        self._count()
        try:
            await self._serve(scope["state"]["wire"], scope, send)
        finally:
            reason = self._end_reason
            self._end(reason, {"trace_id": self._trace_id, "address": scope.get("runwire.client")})
            await self._reader.leave(by_server=reason not in {"client", "finished"})
            await self._on_end()

    async def _serve(self, wire: HttpProtocol, scope: Scope, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        wire.flow.resume_reading()  # or nobody would notice that the caller has gone
        if scope["method"] != "HEAD":
            self._chunked = scope["http_version"] == "1.1"
            self._reader.form = self.forms[0 if self._chunked else 1]
            self._open(wire)
            self._send(self._opening_text().encode())
            if self._service.drained:
                self.close(4000)  # [DRAIN-6]
            self._tick()
            self._write()
            await self._ended.wait()
        if not wire.lost:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _opening_text(self) -> str:
        """Return what stands before the events ([SSE-2])."""
        cursor = f"retry: 2000\nid: {self._epoch}.{self._reader.cursor}\n\n"
        return cursor + "".join(f"data: {encode(message)}\n\n" for message in self._opening)

    def _hand_on(self, page: Page) -> bool:
        """Write a page; returns whether the stream ends with it."""
        self._last_sent = self._loop.time()
        self._wire.write(page.data)
        return page.terminal

    def _send(self, data: bytes) -> None:
        self._last_sent = self._loop.time()
        self._wire.write(chunk(data) if self._chunked else data)

    def _finish(self, reason: str) -> None:
        if not self._ended.is_set():
            self._end_reason = reason
            self._ended.set()

    def _write(self) -> None:
        """Write a page of what the log has, and end when there is nothing left to say."""
        self._woken = False
        wire = self._wire
        if wire is None or self._ended.is_set() or not wire.room:
            if wire is not None and wire.lost:
                self._finish("client")
            return
        try:
            page = self._reader.next()
        except Refusal:
            self._finish("store")  # whoever reads comes back with a cursor and is told
            return
        if page is not None:
            if self._hand_on(page):
                self._finish("finished")
            elif page.more:
                self.wake()
        if self._closing is not None and not (self._reader.filling or self._woken):
            self._finish(self._closing)

    def _beat(self) -> None:
        if self._wire.room:
            self._send(self.heartbeat)

    def _expire(self) -> None:
        self._finish("expired")

    def _due(self, now: float) -> float | None:
        """Cut the connection of a caller that takes nothing ([SSE-20])."""
        wire = self._wire
        if wire.taken != self._taken or not wire.waiting:
            self._taken, self._moved_at = wire.taken, now
        elif self._moved_at + self._stall_s <= now + 0.001:
            self._finish("slow")
            wire.abort()
            return None
        return self._moved_at + self._stall_s if wire.waiting else now + self._stall_s / 2
