"""Connection slots: keep the judge within the server's limits and within the capacity of its own clock."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runwire_conformance.trace.clock import Clock, now

#: How many slots there are at the beginning, and at least.
FIRST_SLOTS, FEWEST_SLOTS = 12, 2

#: Seconds between two looks at the clock, the stall that makes the slots fewer, and the one below which they grow.
LOOK_S, LONG_STALL_S, SHORT_STALL_S = 0.1, 0.12, 0.06

#: By how many slots they grow, and the share that is left when they shrink.
GROWTH, SHRINKAGE = 4, 0.7


class Slots:
    """Slots given in the order in which they are asked for, several at once to who needs several.

    Whoever lent its slots and comes back goes before all who have not begun: its case may be waited for by a clock.

    `most` is a hard limit. Within it the slots can be `paced`, so that a slow machine makes the judge slower.
    """

    def __init__(self, most: int) -> None:
        self.most = self.width = most
        self.taken_now = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[None]:
        """Hold `count` slots, or all there are; waits until they are free."""
        held = await self.take(count)
        try:
            yield
        finally:
            self.give_back(held)

    async def take(self, count: int, *, back: bool = False) -> int:
        """Wait for `count` slots, or all there are, and return how many were given; `back` goes first."""
        count = min(count, self.most)
        turn = asyncio.get_running_loop().create_future()
        if back:
            self._waiting.appendleft((count, turn))
        else:
            self._waiting.append((count, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.taken_now -= count
            self._serve()
            raise
        return count

    def give_back(self, count: int) -> None:
        """Free `count` slots."""
        self.taken_now -= count
        self._serve()

    def resize(self, width: int) -> None:
        """Set how many slots are given out at most; those that are taken stay taken."""
        self.width = max(min(FEWEST_SLOTS, self.most), min(width, self.most))
        self._serve()

    @asynccontextmanager
    async def paced(self, clock: Clock) -> AsyncIterator[None]:
        """Widen and narrow the slots by what the clock measures while the body runs."""
        self.resize(FIRST_SLOTS)
        pacing = asyncio.create_task(self._pace(clock))
        try:
            yield
        finally:
            pacing.cancel()
            self.resize(self.most)

    async def _pace(self, clock: Clock) -> None:
        while True:
            before = now()
            await asyncio.sleep(LOOK_S)
            stall = clock.stall_since(before)
            if stall > LONG_STALL_S:
                self.resize(int(min(self.width, max(self.taken_now, 1)) * SHRINKAGE))
            elif stall < SHORT_STALL_S and self._waiting:
                self.resize(self.width + GROWTH)

    def _serve(self) -> None:
        while self._waiting:
            count, turn = self._waiting[0]
            fits = self.taken_now + count <= self.width or (self.taken_now == 0 and count <= self.most)
            if not turn.cancelled() and not fits:
                return
            self._waiting.popleft()
            if not turn.cancelled():
                self.taken_now += count
                turn.set_result(None)


class Lease:
    """The slots that one case holds."""

    def __init__(self, slots: Slots, count: int) -> None:
        self._slots = slots
        self._count = count
        self._taken = 0
        #: Whether the case only waits, with nothing of its own at the server.
        self.resting = False

    @asynccontextmanager
    async def budget(self) -> AsyncIterator[None]:
        """Hold the slots while the body runs, when they are free."""
        self._taken = await self._slots.take(self._count)
        try:
            yield
        finally:
            self._slots.give_back(self._taken)

    @asynccontextmanager
    async def lent(self, *, resting: bool) -> AsyncIterator[None]:
        """Have others use the slots while the body runs."""
        self._slots.give_back(self._taken)
        self._taken = 0
        self.resting = resting
        try:
            yield
        finally:
            self._taken = await self._slots.take(self._count, back=True)
            self.resting = False
