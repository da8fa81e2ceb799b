"""One run as a stream of server-sent events (chapter 9)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from runwire_reference_server.events import encode
from runwire_reference_server.http_wire import SLICE_BYTES
from runwire_reference_server.reader import Reader
from runwire_reference_server.runs import RunKey
from runwire_reference_server.service import Service
from runwire_reference_server.session import Message
from runwire_reference_server.store import RunNotFound, Snapshot, StoreGone

#: [SSE-1] each of these stops one kind of intermediary from gathering the stream.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


class EventStream:
    """An ASGI response that sends a run's events from a cursor until its terminal."""

    def __init__(
        self,
        service: Service,
        key: RunKey,
        on_end: Callable[[], Awaitable[None]],
        remaining_s: Callable[[], float | None],
    ) -> None:
        """`on_end` is awaited when the stream has ended; `remaining_s` tells how long the credential lasts."""
        self._service = service
        self._wake = asyncio.Event()
        self._reader = Reader(service, key, self._wake.set)
        self._epoch = ""
        self._opening: Sequence[Message] = ()
        self._headers: Mapping[str, str] = HEADERS
        self._on_end = on_end
        self._remaining_s = remaining_s
        self._expired = False
        self._closing: str | None = None
        self._heartbeat_s = service.settings.seconds("heartbeat_s")
        self._stall_s = service.settings.seconds("pong_timeout_s")
        self._last_sent = asyncio.get_running_loop().time()
        self._stalls_at: float | None = None
        self._stalled = False
        self._sending: asyncio.Task[None] | None = None
        self._stop_clock: Callable[[], None] = lambda: None

    async def attach(self, after: int, epoch: str | None = None, *, resume: bool = False) -> Snapshot:
        """Count as a reader of the run from `after`; raises Refusal. What is attached must be served."""
        run = await self._reader.attach(after, epoch, resume=resume)
        self._epoch = run.epoch
        return run

    def open_with(self, opening: Sequence[Message], headers: Mapping[str, str]) -> "EventStream":
        """Say what comes before the events; returns the stream."""
        self._opening = opening
        self._headers = HEADERS | dict(headers)
        return self

    def notify_draining(self) -> None:
        """A stream has no message that would say so."""

    def close(self, code: int) -> None:
        """End once the log is sent as far as it goes."""
        self._closing = "draining" if code == 4000 else "store"
        self._wake.set()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, and give up the reader at the end."""
        self._service.connections.add(self)
        with self._service.metrics.connection("sse"):
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        sending = self._sending = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._service.connections.discard(self)
            self._stop_clock()
            finished = sending.done() and not self._stalled
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            self._count_end(finished=finished)
            by_server = self._stalled or self._expired or self._closing is not None
            await self._reader.close(by_server=by_server)
            await self._on_end()

    def _count_end(self, *, finished: bool) -> None:
        metrics = self._service.metrics
        if self._stalled:
            metrics.slow_readers.inc()
        closed = "expired" if self._expired else self._closing
        metrics.disconnected("slow" if self._stalled else closed or ("finished" if finished else "client"))

    async def _send_all(self, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        opening = f"retry: 2000\nid: {self._epoch}.{self._reader.cursor}\n\n"
        opening += "".join(f"data: {encode(message)}\n\n" for message in self._opening)
        self._tick()
        await self._write(send, opening.encode())
        try:
            while not await self._send_page(send) and not self._expired and self._closing is None:
                await self._wake.wait()
                self._wake.clear()
        except (StoreGone, RunNotFound):
            self._closing = "store"  # whoever reads comes back with a cursor and is told
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_page(self, send: Send) -> bool:
        """Send what the log has, and a heartbeat that is due; True after the terminal."""
        epoch = self._epoch.encode()
        while not self._expired and (page := await self._reader.pull()):
            blocks = [b"id: %s.%d\ndata: %s\n\n" % (epoch, item.seq, item.data) for item in page]
            self._reader.cursor = page[-1].seq
            await self._write(send, b"".join(blocks))
            self._service.metrics.delivery.observe(time.monotonic() - page[-1].at)
            if page[-1].terminal:
                return True
        if self._last_sent + self._heartbeat_s <= asyncio.get_running_loop().time() + 0.001:
            await self._write(send, b'data: {"type":"heartbeat"}\n\n')  # [SSE-12], [SSE-13]
        return False

    async def _write(self, send: Send, data: bytes) -> None:
        """Send piece by piece: a caller that takes one is slow, one that takes none for long is gone."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), SLICE_BYTES):
            self._last_sent = loop.time()
            self._stalls_at = self._last_sent + self._stall_s
            piece = data[start : start + SLICE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        self._stalls_at = None

    def _tick(self) -> None:
        """Look at everything that comes with time, and plan the next look."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = self._last_sent + self._heartbeat_s
        if due <= now + 0.001:
            self._wake.set()
            due = now + self._heartbeat_s
        if self._stalls_at is not None and self._stalls_at <= now + 0.001:
            self._stalled = True  # [SSE-20]
            if self._sending is not None:
                self._sending.cancel()
            return
        due = min(due, self._stalls_at or now + self._stall_s)
        left = self._remaining_s()
        if left is not None and left <= 0:
            self._expired = True  # [AUTH-13]
            self._wake.set()
            return
        due = due if left is None else min(due, now + left)
        self._stop_clock = self._service.clock.at(due, self._tick)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
