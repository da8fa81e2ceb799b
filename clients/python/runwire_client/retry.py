"""What comes of an attempt to follow a run over one connection, and when to try again."""

import random
from dataclasses import dataclass

from runwire_client.problem import RunwireError

FIRST_BACKOFF_S = 0.5
MOST_BACKOFF_S = 30.0


class Blocked(RunwireError):
    """No WebSocket could be had; a fallback may be."""


@dataclass(frozen=True, slots=True)
class Next:
    """How to go on after an attempt: at once if there was progress, and not before `least_s` seconds."""

    why: str = ""
    at_once: bool = False
    least_s: float = 0.0
    offline: bool = False


class Retry:
    """The one place that decides when to try again.

    Who got further since the last attempt may come back at once if told so ([CLOSE-4]); who did not waits with growing
    back-off and full jitter ([CLOSE-7]), whatever it was told.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._furthest = 0

    def delay(self, progress: int, *, at_once: bool = False, least_s: float = 0.0) -> float:
        """Return the seconds to wait, at least `least_s`; `progress` is a number that grows as work gets done."""
        moved = progress > self._furthest
        if moved:
            self._furthest, self._failures = progress, 0
        if moved and at_once:
            return least_s
        most = min(MOST_BACKOFF_S, FIRST_BACKOFF_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return least_s + random.uniform(0.0, most)
