"""Connections counted over all nodes, on Redis."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from runwire_reference_server.places import too_many
from runwire_reference_server.store import StoreGone
from runwire_reference_server.store.redis_node import RedisNode


class RedisPlaces:
    """The places of many nodes; those of a node that dies become free with its lease ([NODE-3])."""

    def __init__(self, node: RedisNode, most: int) -> None:
        self._node = node
        self._most = most

    async def take(self, place: str) -> Callable[[], Awaitable[None]]:
        at = self._node.id
        if not await self._node.step("take_place", place, self._most) or at is None:
            raise too_many()

        async def give_back() -> None:
            with suppress(StoreGone):
                await self._node.step("give_back_place", place, at)

        return give_back

    async def check(self, place: str) -> None:
        if await self._node.step("places", place) >= self._most:
            raise too_many()
