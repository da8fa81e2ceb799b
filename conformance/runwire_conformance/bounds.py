"""The times a server is judged by: its advertised limits, and the judge's tolerance (chapter 17)."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runwire_spec import registries

#: Seconds beyond a bound for which the judge goes on waiting, to tell "late" from "never".
LATE_S = 2.0

#: The least T of chapter 17, in seconds.
LEAST_TOLERANCE_S = 0.25

#: Seconds for which the judge's own loop stood still that make it doubt what it saw meanwhile.
STALL_S = 0.25


#: No limit is so large, whatever a server writes: neither infinite nor beyond a double.
BEYOND = 1e300


def default_limits() -> dict[str, float]:
    """Return the limits registry's defaults."""
    return {row["limit"]: float(row["default"]) for row in registries()["limits"]}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server: what it advertised, the registry's default where it did not."""

    advertised: Mapping[str, Any]

    def __getitem__(self, name: str) -> float:
        value = self.advertised.get(name)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < BEYOND
        return float(value) if usable else default_limits()[name]  # type: ignore[arg-type]

    def seconds(self, name: str) -> float:
        """Return a limit in seconds, whichever unit its name ends in."""
        return self[name] / 1000 if name.endswith("_ms") else self[name]

    def whole(self, name: str) -> int:
        """Return a limit that is a whole number."""
        return int(self[name])

    @property
    def silence(self) -> float:
        """Seconds for which a server may be silent ([BEAT-1])."""
        return self["heartbeat_s"] + 2

    @property
    def gives_up_after(self) -> float:
        """Seconds within which a peer that answers no Ping is dropped ([BEAT-7])."""
        return self["heartbeat_s"] + 2 * self["pong_timeout_s"]


@dataclass(slots=True)
class Clock:
    """The judge's doubt of itself: the longest recent delay of its own loop, and the round trip to the server."""

    round_trip: float = 0.0
    worst_round_trip: float = 0.0
    lag: float = 0.0
    worst_lag: float = 0.0
    #: The moment and the length of each delay that was longer than the least tolerance.
    stalls: list[tuple[float, float]] = field(default_factory=list)
    _ticker: asyncio.Task[None] | None = field(default=None, repr=False)

    def answered_in(self, seconds: float) -> None:
        """Note how long the server took for an answer that it owes at once."""
        self.round_trip = max(self.round_trip, seconds)
        self.worst_round_trip = max(self.worst_round_trip, seconds)

    @property
    def tolerance(self) -> float:
        """T of chapter 17, in seconds."""
        return max(LEAST_TOLERANCE_S, 2 * self.round_trip + self.lag)

    @property
    def is_slow(self) -> bool:
        """Whether server or judge were so slow at times that T was more than twice its least."""
        return self.worst_tolerance > 2 * LEAST_TOLERANCE_S

    @property
    def worst_tolerance(self) -> float:
        """T at the unsteadiest moment so far, for what is judged afterwards."""
        return max(LEAST_TOLERANCE_S, 2 * max(self.round_trip, self.worst_round_trip) + self.worst_lag)

    def stalled_since(self, moment: float, longer_than: float = STALL_S) -> bool:
        """Tell whether the judge stood still for so many seconds, in which it answered no Ping."""
        return any(at + late > moment and late > longer_than for at, late in self.stalls)

    def start(self) -> None:
        """Begin to measure the loop's lag."""
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def stop(self) -> None:
        """End measuring."""
        if self._ticker is not None:
            self._ticker.cancel()

    async def _tick(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            late = time.monotonic() - before - 0.02
            # The lag fades, so that one stall does not loosen every later bound.
            self.lag = max(late, self.lag * 0.99)
            self.worst_lag = max(self.worst_lag, late)
            if late > STALL_S:
                self.stalls.append((before, late))
