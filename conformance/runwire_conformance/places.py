"""Places for connections: how the judge keeps below what a server admits."""

import asyncio
from dataclasses import dataclass


class Places:
    """Places for connections, of which a case can take several at once without two cases locking each other out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._changed = asyncio.Condition()

    def taken(self, count: int) -> "_Taken":
        """Return a context in which `count` places are held, or all there are."""
        return _Taken(self, min(count, self._most))

    async def take(self, count: int) -> None:
        """Wait for `count` places and take them."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= count)
            self._free -= count

    async def give_back(self, count: int) -> None:
        """Free `count` places."""
        async with self._changed:
            self._free += count
            self._changed.notify_all()


@dataclass(slots=True)
class _Taken:
    places: Places
    count: int

    async def __aenter__(self) -> None:
        await self.places.take(self.count)

    async def __aexit__(self, *_: object) -> None:
        await self.places.give_back(self.count)
