"""Connection slots per principal (chapter 12)."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import Principal


def slot_of(principal: Principal) -> str:
    """Return the name under which an authenticated principal's connections are counted."""
    return "principal " + json.dumps([principal.issuer, principal.subject])


def slot_of_address(address: object) -> str:
    """Return the name under which the connections of a client address are counted ([LIMIT-2])."""
    return f"address {address}"


def too_many() -> Refusal:
    """Return what is told to whoever has no place ([LIMIT-1])."""
    return Refusal("busy", "too many connections", 1)


class Slots(Protocol):
    """Counts the connections and streams of each caller ([LIMIT-1], [LIMIT-2], [LIMIT-4])."""

    async def take(self, slot: str) -> Callable[[], Awaitable[None]]:
        """Take a place and return what frees it; raises Refusal when there is none."""

    async def check(self, slot: str) -> None:
        """Raise Refusal when `take` would."""


@dataclass(slots=True)
class MemorySlots:
    """The places of a single process."""

    most: int
    taken: Counter[str] = field(default_factory=Counter)

    async def take(self, slot: str) -> Callable[[], Awaitable[None]]:
        await self.check(slot)
        self.taken[slot] += 1

        async def give_back() -> None:
            self.taken[slot] -= 1
            if not self.taken[slot]:
                del self.taken[slot]

        return give_back

    async def check(self, slot: str) -> None:
        if self.taken[slot] >= self.most:
            raise too_many()
