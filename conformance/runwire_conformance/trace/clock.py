"""The judge's clock: time, stalls of the judge, round-trip times, and the tolerance T (chapter 17).

Theory of operation. The judge measures a server from inside one event loop. Whatever delays that loop delays what the
judge hands to the transport and what it reads from it, so each stall of the loop is kept with the moment at which it
ended, and each round trip with the moment at which its answer came. T is asked for over an interval: it is made of
the longest stall and the longest round trip that overlap the interval, a stall or a round trip that is not over yet
included. Nothing fades: a stall within the interval that is judged counts in full, one before it does not count.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

#: The least T of chapter 17, in seconds.
LEAST_TOLERANCE_S = 0.25

#: Seconds between two looks at the loop.
TICK_S = 0.02

#: Stalls shorter than this, in seconds, are the noise of any loop.
LEAST_STALL_S = 0.005

#: A round trip that is longer than the usual one by this many seconds says that the machine was busy.
BUSY_ROUND_TRIP_S = LEAST_TOLERANCE_S


def now() -> float:
    """Return the time in seconds: that of the running loop, which a test can make virtual, or the monotonic one."""
    loop = asyncio._get_running_loop()
    return time.monotonic() if loop is None else loop.time()


@dataclass(slots=True)
class _Series:
    """Durations by the moment at which each ended, in order."""

    ends: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, end: float, seconds: float) -> None:
        self.ends.append(end)
        self.seconds.append(seconds)

    def longest_since(self, moment: float) -> float:
        """Return the longest that ended after `moment`, and so overlaps what began there; 0 without any."""
        return max(self.seconds[bisect_right(self.ends, moment) :], default=0.0)


@dataclass(slots=True)
class Clock:
    """What the judge knows of its own slowness and of the way to the server. All times are in seconds."""

    _stalls: _Series = field(default_factory=_Series)
    _round_trips: _Series = field(default_factory=_Series)
    #: When each round trip began that has no answer yet.
    _asked: list[float] = field(default_factory=list)
    #: When the ticker should wake up next; 0 while nothing is measured.
    _due: float = 0.0
    _ticker: asyncio.Task[None] | None = field(default=None, repr=False)

    def tolerance_since(self, moment: float) -> float:
        """Return T of chapter 17 for what began at `moment` and ends now."""
        return max(LEAST_TOLERANCE_S, 2 * self.round_trip_since(moment) + self.stall_since(moment))

    def stall_since(self, moment: float) -> float:
        """Return the longest stall of the judge's own loop that overlaps the time from `moment` until now."""
        pending = now() - self._due if self._due else 0.0
        return max(self._stalls.longest_since(moment), pending, 0.0)

    def round_trip_since(self, moment: float) -> float:
        """Return the longest round trip that overlaps the time from `moment` until now, one under way included."""
        pending = max((now() - asked for asked in self._asked), default=0.0)
        return max(self._round_trips.longest_since(moment), pending)

    def unsteady_since(self, moment: float) -> str:
        """Return why the clock could not be trusted since `moment`, in words, or an empty string.

        It could not when the judge's own loop stood still for longer than the least T, or when the server took longer
        for an answer than it usually does by as much: on one machine that is how another process shows.
        """
        if (stall := self.stall_since(moment)) > LEAST_TOLERANCE_S:
            return f"this machine stalled for up to {stall:.1f} s"
        usual = median(self._round_trips.seconds) if self._round_trips.seconds else 0.0
        if (trip := self.round_trip_since(moment)) > 2 * usual + BUSY_ROUND_TRIP_S:
            return f"round trips took up to {trip:.1f} s, {usual * 1000:.0f} ms being usual"
        return ""

    def stalled(self, seconds: float) -> None:
        """Note that the loop stood still for so long until now."""
        if seconds > LEAST_STALL_S:
            self._stalls.add(now(), seconds)

    def answered_in(self, seconds: float) -> None:
        """Note that the server took so long for an answer that it owes at once, which came now."""
        self._round_trips.add(now(), seconds)

    @contextmanager
    def round_trip(self) -> Iterator[Callable[[], None]]:
        """Measure the body as one round trip, which counts while it lasts; one that fails is not kept.

        It counts no longer once the callable that is yielded was called: the server is known to be no slower than it
        was until then, and its answer is missing.
        """
        asked = now()
        self._asked.append(asked)

        def is_missing() -> None:
            if asked in self._asked:
                self._asked.remove(asked)

        try:
            yield is_missing
            self.answered_in(now() - asked)
        finally:
            is_missing()

    def begun(self) -> "Interval":
        """Return the view of this clock from now on, as a case has it."""
        return Interval(self, now())

    def start(self) -> None:
        """Begin to measure the stalls of the running loop."""
        self._due = now() + TICK_S
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def stop(self) -> None:
        """End measuring."""
        if self._ticker is not None:
            self._ticker.cancel()
        self._due = 0.0

    async def _tick(self) -> None:
        while True:
            self._due = now() + TICK_S
            await asyncio.sleep(TICK_S)
            self.stalled(now() - self._due)


@dataclass(frozen=True, slots=True)
class Interval:
    """A clock as seen from one moment on: T is that of the whole time since."""

    clock: Clock
    began: float

    @property
    def tolerance(self) -> float:
        """T of chapter 17 over the whole interval, in seconds."""
        return self.clock.tolerance_since(self.began)

    def tolerance_since(self, moment: float) -> float:
        """Return T for what began at `moment` and ends now."""
        return self.clock.tolerance_since(moment)

    @property
    def unsteady(self) -> str:
        """Why the clock could not be trusted in the interval, or an empty string."""
        return self.clock.unsteady_since(self.began)

    def answered_in(self, seconds: float) -> None:
        """Note a round trip that ended now."""
        self.clock.answered_in(seconds)


#: Seconds beyond a bound for which the judge goes on waiting, to tell "late" from "never".
LATE_S = 2.0
