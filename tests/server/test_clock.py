"""What happens with time: the clock of all connections, windows, graces and rations, played in virtual time."""

import asyncio

import pytest

from runwire_reference_server.agents import done
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import ANYONE, RunRequest
from runwire_reference_server.service.clock import TICK_S, Clock
from runwire_reference_server.service.rations import LOGS, REFILL_S, Rations
from tests.support.virtual_time import virtual_time


@virtual_time
async def test_what_is_due_rings_once_in_order_and_not_early() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    begun, rung = loop.time(), []
    for delay in (0.3, 0.1, 0.2, 0.1, -1.0):
        clock.at(begun + delay, lambda delay=delay: rung.append((delay, loop.time() - begun)))
    clock.at(begun + 0.1, lambda: rung.append((0.1, loop.time() - begun)))

    await asyncio.sleep(0.5)

    assert [delay for delay, _ in rung] == [-1.0, 0.1, 0.1, 0.1, 0.2, 0.3]
    assert all(at >= delay - 0.002 for delay, at in rung)


@virtual_time
async def test_what_is_taken_back_does_not_ring_even_on_the_same_tick() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    due = loop.time() + 2 * TICK_S
    rung: list[str] = []
    clock.at(due, lambda: rung.append("early"))()
    clock.at(due, lambda: take_back())
    take_back = clock.at(due, lambda: rung.append("late"))
    clock.at(due, lambda: rung.append("kept"))

    await asyncio.sleep(0.3)

    assert rung == ["kept"]


@virtual_time
async def test_a_clock_rings_again_from_within() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    rung: list[float] = []

    def beat() -> None:
        rung.append(loop.time())
        if len(rung) < 4:
            clock.at(loop.time() + TICK_S, beat)

    clock.at(loop.time(), beat)
    await asyncio.sleep(0.6)

    assert len(rung) == 4


@virtual_time
async def test_a_thousand_connections_share_the_timers_of_their_ticks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    armed: list[float] = []
    monkeypatch.setattr(
        loop, "call_at", lambda when, _ring: armed.append(when) or loop.call_soon(lambda: None)
    )

    for number in range(1000):
        clock.at(loop.time() + 10 + number / 10_000, lambda: None)

    assert len(armed) <= 4


@virtual_time
async def test_a_clock_that_was_kept_from_ringing_rings_all_that_is_due_at_once() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    rung: list[int] = []
    for number in range(10):
        clock.at(loop.time() + (number + 1) * TICK_S, lambda number=number: rung.append(number))
    loop._jumping.passed += 1  # type: ignore[attr-defined] - one long turn of the loop

    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert rung == list(range(10))


@virtual_time
async def test_a_log_and_a_session_last_as_long_as_they_should() -> None:
    store, loop = MemoryStore(300, session_s=3600), asyncio.get_running_loop()
    begun = loop.time()
    created = await store.create(ANYONE, RunRequest("x", session_id="s" * 22), 5)
    key = created.run.key
    await asyncio.sleep(1000)
    assert await store.finish(key, done("", "cancelled", "user"))

    await asyncio.sleep(299)
    assert (await store.get(key)).status == "cancelled"
    await asyncio.sleep(2)
    with pytest.raises(RunNotFound):
        await store.get(key)
    assert len(await store.history(ANYONE, "s" * 22)) == 1
    assert store.kept_bytes > 0
    await asyncio.sleep(3300)

    assert await store.history(ANYONE, "s" * 22) == ()
    assert (store.kept_bytes, loop.time()) == (0, pytest.approx(begun + 1000 + 299 + 2 + 3300))


@virtual_time
async def test_a_run_that_nobody_reads_ends_when_its_grace_is_over_and_not_before() -> None:
    store = MemoryStore(300)
    key = (await store.create(ANYONE, RunRequest("x"), 5)).run.key
    await store.attach(key, "reader", 0, None)
    assert await store.detach(key, "reader", 30)

    await asyncio.sleep(29)
    assert not await store.finish_unread(key, done("", "cancelled", "disconnected"))
    await asyncio.sleep(1)
    assert await store.finish_unread(key, done("", "cancelled", "disconnected"))


@virtual_time
async def test_replays_are_rationed_and_time_makes_them_good() -> None:
    rations = Rations(log_bytes=1000)
    for _ in range(LOGS):
        rations.take("alice", 1000)
    with pytest.raises(Refusal) as refused:
        rations.take("alice", 1000)
    assert refused.value.code == "rate_limited"
    rations.take("bob", 1000)

    await asyncio.sleep(REFILL_S)
    rations.take("alice", 1000)
    with pytest.raises(Refusal):
        rations.take("alice", 1000)
