"""The judge's clock: T is made of what overlaps the interval that is judged, and of nothing else."""

from __future__ import annotations

import asyncio
import time

import pytest

from runwire_conformance.trace.clock import LEAST_TOLERANCE_S, Clock, now
from tests.support.virtual_time import BEGINS_AT, run


def clock_with(*stalls: tuple[float, float], round_trips: tuple[tuple[float, float], ...] = ()) -> Clock:
    """Return a clock that knows stalls and round trips by the moment at which each ended."""
    clock = Clock()
    for end, seconds in stalls:
        clock._stalls.add(end, seconds)
    for end, seconds in round_trips:
        clock._round_trips.add(end, seconds)
    return clock


def test_the_least_tolerance_holds_on_a_quiet_machine() -> None:
    assert Clock().tolerance_since(0.0) == LEAST_TOLERANCE_S
    assert clock_with((10.0, 0.1), round_trips=((10.0, 0.05),)).tolerance_since(0.0) == LEAST_TOLERANCE_S


def test_a_stall_within_the_interval_counts_in_full_however_long_ago() -> None:
    clock = clock_with((10.0, 4.0), (500.0, 0.1))

    assert clock.tolerance_since(0.0) == 4.0
    assert clock.tolerance_since(9.9) == 4.0
    assert clock.tolerance_since(10.0) == LEAST_TOLERANCE_S


def test_the_longest_round_trip_counts_twice_and_the_longest_stall_once() -> None:
    clock = clock_with((2.0, 0.3), (3.0, 0.2), round_trips=((2.0, 0.1), (3.0, 0.4), (4.0, 0.2)))

    assert clock.tolerance_since(1.0) == pytest.approx(2 * 0.4 + 0.3)
    assert clock.tolerance_since(2.5) == pytest.approx(2 * 0.4 + 0.2)
    assert clock.tolerance_since(3.5) == pytest.approx(2 * 0.2)


def test_a_stall_and_a_round_trip_that_are_not_over_count_already() -> None:
    async def measured() -> tuple[float, float]:
        clock = Clock()
        clock._due = now() - 2.0
        stalled = clock.tolerance_since(now() - 1.0)
        clock._due = 0.0
        with clock.round_trip():
            await asyncio.sleep(3)
            asked = clock.tolerance_since(now() - 1.0)
        return stalled, asked

    assert run(measured()) == (pytest.approx(2.0), pytest.approx(6.0))


def test_a_round_trip_that_fails_is_not_kept() -> None:
    async def measured() -> float:
        clock = Clock()
        with pytest.raises(ValueError, match="no answer"), clock.round_trip():
            await asyncio.sleep(3)
            raise ValueError("no answer")
        return clock.round_trip_since(0.0)

    assert run(measured()) == 0.0


def test_the_clock_is_unsteady_for_the_judge_s_stall_or_for_an_answer_that_took_unusually_long() -> None:
    assert clock_with((10.0, 0.25)).unsteady_since(0.0) == ""
    assert clock_with((10.0, 4.06)).unsteady_since(0.0) == "this machine stalled for up to 4.1 s"
    assert clock_with((10.0, 4.0)).unsteady_since(10.0) == ""
    steady = tuple((float(second), 0.2) for second in range(1, 10))
    assert clock_with(round_trips=steady).unsteady_since(0.0) == ""
    slow = clock_with(round_trips=(*steady, (10.0, 0.7)))
    assert slow.unsteady_since(5.0) == "round trips took up to 0.7 s, 200 ms being usual"


def test_a_ticker_notes_the_stalls_of_its_loop() -> None:
    async def measured() -> tuple[float, float]:
        clock = Clock()
        clock.stop()
        clock.start()
        await asyncio.sleep(0.1)
        before = now()
        time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still
        await asyncio.sleep(0.1)
        clock.stop()
        return clock.stall_since(before), clock.stall_since(now())

    during, afterwards = asyncio.run(measured())
    assert during > 0.15
    assert afterwards == 0.0


def test_an_interval_is_a_clock_from_one_moment_on() -> None:
    async def measured() -> tuple[float, float, str]:
        clock = clock_with((BEGINS_AT - 1, 9.0))
        interval = clock.begun()
        await asyncio.sleep(1)
        before = interval.tolerance
        interval.answered_in(0.5)
        clock.stalled(0.4)
        return before, interval.tolerance, interval.unsteady

    before, after, unsteady = run(measured())
    assert (before, after) == (LEAST_TOLERANCE_S, pytest.approx(1.4))
    assert unsteady == "this machine stalled for up to 0.4 s"
