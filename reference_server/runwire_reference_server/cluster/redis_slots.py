"""Connection slots across all nodes, in Redis."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from runwire_reference_server.access.slots import too_many
from runwire_reference_server.cluster.redis_node import RedisNode
from runwire_reference_server.run_log.store import StoreGone


class RedisSlots:
    """The places of many nodes; those of a node that dies become free with its lease ([NODE-3])."""

    def __init__(self, node: RedisNode, most: int) -> None:
        self._node = node
        self._most = most

    async def take(self, slot: str) -> Callable[[], Awaitable[None]]:
        at = self._node.id
        if not await self._node.step("take_place", slot, self._most) or at is None:
            raise too_many()

        async def give_back() -> None:
            with suppress(StoreGone):
                await self._node.step("give_back_place", slot, at)

        return give_back

    async def check(self, slot: str) -> None:
        if await self._node.step("places", slot) >= self._most:
            raise too_many()
