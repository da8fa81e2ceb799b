"""Replay rate limit per caller, across all transports ([LIMIT-8])."""

import asyncio

from runwire_reference_server.run_log.refusal import Refusal

#: Bytes that a caller may ask for at once, in logs, and how many seconds buy one more.
LOGS = 8
REFILL_S = 10.0

#: From how many callers on those that may ask for everything again are forgotten.
MANY = 1000


class Rations:
    """The rations of all callers, by the names under which their connections are counted."""

    def __init__(self, log_bytes: int) -> None:
        self._most = float(LOGS * log_bytes)
        self._rate = log_bytes / REFILL_S
        self._spent: dict[str, tuple[float, float]] = {}  # how much, and when

    def take(self, slot: str, size: int) -> None:
        """Have `size` bytes replayed for a caller; raises Refusal."""
        now = asyncio.get_running_loop().time()
        spent = self._left_of(slot, now)
        if spent + size > self._most:
            raise Refusal("rate_limited", "this caller has requested too many replays", REFILL_S)
        if len(self._spent) >= MANY:
            self._spent = {name: known for name, known in self._spent.items() if self._left_of(name, now)}
        if size:
            self._spent[slot] = (spent + size, now)

    def _left_of(self, slot: str, now: float) -> float:
        """Return what of a caller's spending time has not made good yet."""
        spent, at = self._spent.get(slot, (0.0, now))
        return max(0.0, spent - (now - at) * self._rate)
