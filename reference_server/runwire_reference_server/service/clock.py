"""Shared clock of all connections: one timer per tick for heartbeats, idle timeouts, expiry and stalls."""

import asyncio
import heapq
import math
from collections.abc import Callable

#: Seconds between two ticks: how much later than due something may happen, while [BEAT-1] leaves two seconds.
TICK_S = 0.05


class Clock:
    """Calls what is due; idle while nothing is. Times are those of the event loop."""

    def __init__(self) -> None:
        self._due: dict[int, dict[Callable[[], None], None]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def at(self, due: float, ring: Callable[[], None]) -> Callable[[], None]:
        """Call `ring` on the first tick at or after `due`; returns what takes that back."""
        tick = math.ceil(due / TICK_S)
        rings = self._due.get(tick)
        if rings is None:
            rings = self._due[tick] = {}
            heapq.heappush(self._ticks, tick)
            self._arm()
        rings[ring] = None
        return lambda: rings.pop(ring, None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._ticks:
            self._timer = asyncio.get_running_loop().call_at(self._ticks[0] * TICK_S, self._tick)

    def _tick(self) -> None:
        # Turns of the loop may have taken longer than a tick: everything that is due by now rings in this one.
        last = max(self._ticks[0], math.floor(asyncio.get_running_loop().time() / TICK_S))
        due = []
        while self._ticks and self._ticks[0] <= last:
            due.append(self._due.pop(heapq.heappop(self._ticks)))
        self._arm()
        for rings in due:
            for ring in tuple(rings):
                if ring in rings:  # what rang before may have taken it back
                    ring()
