"""The clock of all connections rings when something is due, on time, once, and not when it was taken back."""

import asyncio
import time

import pytest
from virtual_time import anyio_backend, virtual_monotonic  # noqa: F401 - what makes time jump here

from runwire_reference_server.clock import TICK_S, Clock

pytestmark = pytest.mark.anyio


async def test_what_is_due_rings_once_in_order_and_not_early() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    begun, rung = loop.time(), []
    for delay in (0.3, 0.1, 0.2, 0.1, -1.0):
        clock.at(begun + delay, lambda delay=delay: rung.append((delay, loop.time() - begun)))
    clock.at(begun + 0.1, lambda: rung.append((0.1, loop.time() - begun)))

    await asyncio.sleep(60)

    assert [delay for delay, _ in rung] == [-1.0, 0.1, 0.1, 0.1, 0.2, 0.3]
    assert all(max(delay, 0) <= at + 0.001 <= max(delay, 0) + 2 * TICK_S for delay, at in rung)


async def test_what_is_taken_back_does_not_ring_even_on_the_same_tick() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    due = loop.time() + 2 * TICK_S
    rung: list[str] = []
    clock.at(due, lambda: rung.append("early"))()
    clock.at(due, lambda: take_back())
    take_back = clock.at(due, lambda: rung.append("late"))
    clock.at(due, lambda: rung.append("kept"))

    await asyncio.sleep(60)

    assert rung == ["kept"]


async def test_a_clock_rings_again_from_within() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    rung: list[float] = []

    def beat() -> None:
        rung.append(loop.time())
        if len(rung) < 4:
            clock.at(loop.time() + TICK_S, beat)

    clock.at(loop.time(), beat)
    await asyncio.sleep(60)

    assert len(rung) == 4


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


async def test_a_clock_that_was_held_up_rings_everything_that_is_due_in_one_turn() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    rung: list[int] = []
    for tick in range(1, 21):
        clock.at(loop.time() + tick * TICK_S, lambda tick=tick: rung.append(tick))

    time.sleep(21 * TICK_S)  # noqa: ASYNC251  # a turn of the loop that takes long
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert rung == list(range(1, 21))


async def test_what_rings_late_can_be_set_again_for_a_time_that_is_over() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    due, rung = loop.time(), []

    def beat() -> None:
        rung.append(loop.time())
        if len(rung) < 3:
            clock.at(due, beat)

    clock.at(due, beat)
    await asyncio.sleep(0.3)

    assert len(rung) == 3
