"""The store in its two forms, set up so that one test drives both."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from runwire_reference_server.agents import error
from runwire_reference_server.cluster.redis_node import LOST, RedisNode
from runwire_reference_server.cluster.redis_store import RedisStore
from runwire_reference_server.run_log.events import Draft
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.refusal import RunNotFound
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Store
from tests.support.redis_stand import RedisStand

T = TypeVar("T")


class Rig(Protocol):
    """A store as its workers' node and as another node see it; `crash` is the end of the workers' node."""

    workers: Store
    others: Store

    async def open(self, window_s: float = 300, session_s: float = 300, kept_each: int = 10**12) -> None:
        """Begin with an empty store."""

    async def crash(self) -> None:
        """Lose every worker."""

    async def close(self) -> None:
        """End."""


async def append(store: Store, key: RunKey, lease: str, expected: int, drafts: Sequence[Draft]) -> bool:
    """Append drafts, the first as `expected`, as a worker would; whether they stand in the log."""
    if isinstance(store, RedisStore):
        return await store.append(key, lease, expected, drafts) is not None
    try:
        if (await store.get(key)).seq != expected - 1:
            return False
    except RunNotFound:
        pass
    appender = store.appender(key, lease)
    return all(appender.append(drafted) for drafted in drafts)


class MemoryRig:
    """A single process, which loses its workers only one by one."""

    async def open(self, window_s: float = 300, session_s: float = 300, kept_each: int = 10**12) -> None:
        self.workers = self.others = MemoryStore(window_s, session_s, kept_each)

    async def crash(self) -> None:
        for key in tuple(self.workers._runs):
            await self.workers.finish(key, error("worker_lost", "gone", True))

    async def close(self) -> None:
        pass


class RedisRig:
    """Two nodes in one process."""

    def __init__(self, stand: RedisStand) -> None:
        self._url = stand.url

    async def open(self, window_s: float = 300, session_s: float = 300, kept_each: int = 10**12) -> None:
        self._nodes = [RedisNode(self._url, 30), RedisNode(self._url, 30)]
        await self._nodes[0]._client.flushdb()
        for node in self._nodes:
            await node.__aenter__()
        self.workers, self.others = (
            RedisStore(node, window_s, session_s, 30, kept_each) for node in self._nodes
        )

    async def crash(self) -> None:
        node = self._nodes[0]
        assert node.id is not None
        await node._alone("join", node.id, node.id, 60_000, LOST)  # buried and back in one step

    async def close(self) -> None:
        for node in self._nodes:
            await node.__aexit__()


class Play:
    """Plays coroutines of a rig one after another."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._runner = asyncio.Runner()
        self(rig.open())

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what `coroutine` comes to."""
        return self._runner.run(coroutine)

    def end(self) -> None:
        """Close everything."""
        self(self.rig.close())
        self._runner.close()
