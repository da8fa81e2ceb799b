"""A writer on a store that takes its time: its agent gets ahead, and its log is what it would have been anyway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from runwire_reference_server.agents import Task, done, token
from runwire_reference_server.cluster.redis_appender import AHEAD_BYTES, RedisAppender
from runwire_reference_server.run_log.events import Draft, Event
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.runs import ANYONE, RunKey, RunRequest
from runwire_reference_server.run_log.store import StoreGone
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.service.worker import Worker
from runwire_reference_server.service.writer import Writer
from tests.support.patience import patience
from tests.support.virtual_time import anyio_backend, virtual_monotonic  # noqa: F401 - what makes time jump here

pytestmark = pytest.mark.anyio

QUESTION = {
    "type": "input_request",
    "request_id": "q",
    "kind": "question",
    "expires_at": "2026-01-01T00:00:00.000Z",
}


class FarStore(MemoryStore):
    """A store that answers an append when `answers` is set; `sizes` are those of the appends."""

    def __init__(self) -> None:
        super().__init__(300)
        self.answers = asyncio.Event()
        self.answers.set()
        self.gone = False
        self.sizes: list[int] = []

    def appender(self, key: RunKey, lease: str) -> RedisAppender:  # type: ignore[override]
        near = super().appender(key, lease)

        async def append(_seq: int, drafts: Sequence[Draft]) -> tuple[int, int] | None:
            await asyncio.sleep(0)
            await self.answers.wait()
            if self.gone:
                raise StoreGone
            self.sizes.append(len(drafts))
            appended = [near.append(drafted) for drafted in drafts]
            return ((await self.get(key)).seq, appended[-1]) if appended[-1] else None

        return RedisAppender(append, key.run_id)


class Babbler:
    """An agent that never ends."""

    async def run(self, _task: Task) -> AsyncIterator[Event]:
        """Say the same for ever."""
        while True:
            yield token("x" * 100)


async def begun(store: MemoryStore, **limits: float) -> tuple[RunKey, Writer]:
    """Create a run; return its key and its writer."""
    created = await store.create(ANYONE, RunRequest("x"), 5)
    assert created.lease is not None
    settings = Settings(limits=Settings().limits | limits)
    return created.run.key, Writer(store.appender(created.run.key, created.lease), settings)


async def said(store: MemoryStore, key: RunKey) -> list[str]:
    """Return what the events of a log say, or their types."""
    return [item.event.get("data", item.event["type"]) for item in await store.read(key, 0, 10_000)]


async def test_what_is_said_while_the_store_answers_is_appended_together() -> None:
    store = FarStore()
    key, writer = await begun(store)
    store.answers.clear()
    assert writer.append(token("first"))
    await asyncio.sleep(0.01)
    for number in range(20):
        assert writer.append(token(f"{number}"))
    assert await said(store, key) == []

    store.answers.set()
    await writer.end(done("the end"))

    assert await said(store, key) == ["first", *map(str, range(20)), "the end"]
    assert store.sizes[0] == 1
    assert len(store.sizes) < 5


async def test_an_event_in_between_moves_what_waits_and_divides_nothing() -> None:
    store = FarStore()
    key, writer = await begun(store)
    writer.append(dict(QUESTION))
    assert await writer.appender.settled()
    store.answers.clear()
    for number in range(10):
        writer.append(token(f"{number}"))
    await asyncio.sleep(0.01)
    assert await store.close_input(key, "q", "expired")

    store.answers.set()
    await writer.end(done("the end"))

    log = await said(store, key)
    assert log == ["input_request", "input_closed", *map(str, range(10)), "the end"]


async def test_an_agent_gets_ahead_by_a_bounded_amount() -> None:
    store = FarStore()
    key, writer = await begun(store)
    store.answers.clear()

    accepted: list[int] = []

    async def talk() -> None:
        while writer.append(token("x" * 1000)):
            accepted.append(1000)
            if writer.appender.crowded:
                await writer.appender.room()

    talking = asyncio.create_task(talk())
    await asyncio.sleep(0.05)
    assert AHEAD_BYTES / 2 < sum(accepted) <= AHEAD_BYTES + 1000
    await store.finish(key, done("cancelled", "cancelled", "user"))
    store.answers.set()

    async with asyncio.timeout(5):
        await talking
    assert await said(store, key) == ["cancelled"]


async def test_a_store_that_is_gone_stops_the_agent() -> None:
    store = FarStore()
    key, writer = await begun(store)
    store.gone = True
    writer.append(token("x"))

    with pytest.raises(StoreGone):
        await writer.appender.settled()
    with pytest.raises(StoreGone):
        writer.append(token("y"))

    assert await said(store, key) == []


@pytest.mark.parametrize("store_of", [lambda: MemoryStore(300), FarStore], ids=["near", "far"])
async def test_a_log_that_is_full_ends_its_run(store_of: Callable[[], MemoryStore]) -> None:
    store = store_of()
    created = await store.create(ANYONE, RunRequest("x"), 5)
    assert created.lease is not None
    key = created.run.key
    settings = Settings(limits=Settings().limits | {"log_bytes": 50_000, "max_event_bytes": 4096})
    stopped = asyncio.Event()

    Worker(store, Babbler(), settings, created.run, created.lease).start(None, stopped.set)

    async with asyncio.timeout(patience(20)):
        await stopped.wait()
    run = await store.get(key)
    assert 47_000 < await store.bytes_after(key, 0) < 50_000
    assert (run.status, (await said(store, key))[-1]) == ("incomplete", "the log is full")
