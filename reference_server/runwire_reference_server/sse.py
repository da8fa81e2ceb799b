"""One run as a stream of server-sent events (chapter 9)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from runwire_reference_server.events import encode
from runwire_reference_server.reader import Reader
from runwire_reference_server.service import Service
from runwire_reference_server.session import Message
from runwire_reference_server.store import Snapshot

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
        run: Snapshot,
        after: int,
        opening: Sequence[Message],
        headers: Mapping[str, str],
        on_end: Callable[[], Awaitable[None]],
        remaining_s: Callable[[], float | None],
    ) -> None:
        self._service = service
        self._run = run
        self._after = after
        self._opening = opening
        self._headers = HEADERS | dict(headers)
        self._on_end = on_end
        self._remaining_s = remaining_s
        self._expired = False
        self._wake = asyncio.Event()
        self._heartbeat_s = service.settings.seconds("heartbeat_s")
        self._stall_s = service.settings.seconds("pong_timeout_s")
        self._last_sent = 0.0
        self._clock: asyncio.TimerHandle | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; the reader was counted already and is given up at the end."""
        with self._service.metrics.connection("sse"):
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        reader = Reader(self._service, self._run.key, self._after, self._wake.set)
        gone = asyncio.create_task(_disconnected(receive))
        sending = asyncio.create_task(self._send_all(reader, send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._clock is not None:
                self._clock.cancel()
            stalled = sending.done() and not sending.cancelled() and sending.exception() is not None
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            self._count_end(stalled, finished=sending.done() and not stalled)
            await reader.close(by_server=stalled or self._expired)
            await self._on_end()

    def _count_end(self, stalled: bool, *, finished: bool) -> None:
        metrics = self._service.metrics
        if stalled:
            metrics.slow_readers.inc()
        expired = "expired" if self._expired else "client"
        metrics.disconnected("slow" if stalled else "finished" if finished and not self._expired else expired)

    async def _send_all(self, reader: Reader, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        opening = f"retry: 2000\nid: {self._run.epoch}.{self._after}\n\n"
        opening += "".join(f"data: {encode(message)}\n\n" for message in self._opening)
        await self._write(send, opening)
        self._tick()
        while not await self._send_page(reader, send) and not self._expired:
            await self._wake.wait()
            self._wake.clear()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_page(self, reader: Reader, send: Send) -> bool:
        """Send what the log has, and a heartbeat that is due; True after the terminal."""
        while not self._expired and (page := await reader.pull()):
            blocks = [f"id: {self._run.epoch}.{item.seq}\ndata: {item.text}\n\n" for item in page]
            reader.cursor = page[-1].seq
            await self._write(send, "".join(blocks))
            self._service.metrics.delivery.observe(time.monotonic() - page[-1].at)
            if page[-1].terminal:
                return True
        if self._last_sent + self._heartbeat_s <= asyncio.get_running_loop().time() + 0.001:
            await self._write(send, 'data: {"type":"heartbeat"}\n\n')  # [SSE-12], [SSE-13]
        return False

    async def _write(self, send: Send, text: str) -> None:
        self._last_sent = asyncio.get_running_loop().time()
        # [SSE-20] a socket that takes nothing for so long ends the response.
        async with asyncio.timeout(self._stall_s):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last_sent + self._heartbeat_s
        if due <= loop.time() + 0.001:
            self._wake.set()
            due = loop.time() + self._heartbeat_s
        left = self._remaining_s()
        if left is not None and left <= 0:
            self._expired = True  # [AUTH-13]
            self._wake.set()
            return
        self._clock = loop.call_at(due if left is None else min(due, loop.time() + left), self._tick)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
