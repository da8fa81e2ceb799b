"""Batched appends to logs on Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from runwire_reference_server.run_log.event_sizes import ENVELOPE_BYTES
from runwire_reference_server.run_log.events import Draft, place_of, stamp

#: Bytes that an agent may say while the store has not answered yet. As the least event counts ENVELOPE_BYTES, this
#: bounds also how many events are on their way.
AHEAD_BYTES = 65_536

#: How many events are appended at once, and seconds from one time to the next.
BATCH = 256
GATHER_S = 0.004

_STAMP_BYTES = len(stamp(0)) - 1

#: Appends drafts behind a seq; returns the last seq and the size of the log, None when the run is over.
Append = Callable[[int, Sequence[Draft]], Awaitable[tuple[int, int] | None]]


class RedisAppender:
    """Hands over what is said in the order in which it was said; an agent is ahead of the store by a bounded amount."""

    def __init__(self, append: Append, run_id: str) -> None:
        self._append = append
        self._place_bytes = len(place_of(run_id)) + _STAMP_BYTES
        self._seq = self._size = self._ahead = 0
        self._waiting: list[Draft] = []
        self._over = False
        self._fault: Exception | None = None
        self._writing: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()

    @property
    def crowded(self) -> bool:
        return self._ahead > AHEAD_BYTES

    def append(self, drafted: Draft) -> int:
        if self._fault is not None:
            raise self._fault
        if self._over:
            return 0
        self._waiting.append(drafted)
        self._ahead += drafted.size + ENVELOPE_BYTES
        self._size += drafted.size + self._place_bytes + len(str(self._seq + len(self._waiting)))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return self._size

    async def room(self) -> None:
        await self._until_ahead_by(AHEAD_BYTES)

    async def settled(self) -> bool:
        return await self._until_ahead_by(0)

    def close(self) -> None:
        self._over = True
        if self._writing is not None:
            self._writing.cancel()

    async def _until_ahead_by(self, most: int) -> bool:
        while self._ahead > most and not self._over:
            self._answered.clear()
            await self._answered.wait()
        if self._fault is not None:
            raise self._fault
        return not self._over

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting and not self._over:
                next_at = loop.time() + GATHER_S
                drafts = self._waiting[:BATCH]
                del self._waiting[:BATCH]
                appended = await self._append(self._seq, drafts)
                if appended is None:
                    self._over = True
                else:
                    self._seq, size = appended
                    self._size = size + sum(item.size + self._place_bytes + 8 for item in self._waiting)
                self._ahead -= sum(item.size + ENVELOPE_BYTES for item in drafts)
                self._answered.set()
                if len(self._waiting) < BATCH:
                    await asyncio.sleep(next_at - loop.time())
        except Exception as fault:
            self._fault, self._over = fault, True
        finally:
            self._writing = None
            self._answered.set()
