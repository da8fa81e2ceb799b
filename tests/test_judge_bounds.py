"""The times the judge goes by: a server's limits, and what its own slowness adds to them."""

from __future__ import annotations

import asyncio

import pytest

from runwire_conformance import bounds
from runwire_conformance.bounds import Clock, Limits


def test_a_limit_is_what_was_advertised_or_else_the_registry_s() -> None:
    limits = Limits({"heartbeat_s": 3, "pong_timeout_s": True, "cancel_quiet_ms": 250, "idle_s": "x"})
    plain = Limits({})

    assert (limits["heartbeat_s"], limits["pong_timeout_s"]) == (3.0, plain["pong_timeout_s"])
    assert limits["idle_s"] == plain["idle_s"]
    assert limits.seconds("cancel_quiet_ms") == 0.25
    assert limits.seconds("heartbeat_s") == 3.0
    assert Limits({"runs_per_connection": 2.0}).whole("runs_per_connection") == 2
    assert limits.silence == 5.0
    assert Limits({"heartbeat_s": 3, "pong_timeout_s": 2}).gives_up_after == 7.0


def test_the_tolerance_grows_with_the_round_trip_and_the_judge_s_own_lag() -> None:
    assert Clock().tolerance == Clock().worst_tolerance == 0.25
    assert Clock(round_trip=0.2, lag=0.1, worst_lag=0.3).tolerance == pytest.approx(0.5)
    assert Clock(round_trip=0.2, lag=0.1, worst_lag=0.3).worst_tolerance == pytest.approx(0.7)
    assert Clock(round_trip=0.2, worst_round_trip=0.4, worst_lag=0.3).worst_tolerance == pytest.approx(1.1)


def test_the_longest_round_trip_counts_and_the_worst_is_remembered() -> None:
    clock = Clock()
    for seconds in (0.2, 0.5, 0.1):
        clock.answered_in(seconds)

    assert (clock.round_trip, clock.worst_round_trip) == (0.5, 0.5)


def test_more_than_twice_the_least_tolerance_is_slow() -> None:
    assert not Clock(worst_round_trip=0.25).is_slow
    assert Clock(worst_round_trip=0.26).is_slow
    assert Clock(worst_lag=0.6).is_slow


def test_a_stall_is_remembered_with_its_moment() -> None:
    clock = Clock(stalls=[(10.0, 0.5)])

    assert clock.stalled_since(10.4)
    assert not clock.stalled_since(10.5)
    assert not clock.stalled_since(10.0, longer_than=0.5)
    assert not Clock(stalls=[(10.0, bounds.STALL_S)]).stalled_since(10.0)


class Ticks:
    """A clock that a test sets: each sleep takes as long as it says."""

    def __init__(self, *sleeps: float, now: float = 100.0) -> None:
        self.now, self.sleeps = now, list(sleeps)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.sleeps:
            raise asyncio.CancelledError
        self.now += seconds + self.sleeps.pop(0)


def test_the_lag_of_the_loop_is_its_longest_and_fades(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(0.3, 0.0, 0.1)
    monkeypatch.setattr(bounds.time, "monotonic", ticks.monotonic)
    monkeypatch.setattr(bounds.asyncio, "sleep", ticks.sleep)
    clock = Clock()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(clock._tick())

    assert clock.lag == pytest.approx(0.3 * 0.99**2)
    assert clock.worst_lag == pytest.approx(0.3)
    assert clock.stalls == [(100.0, pytest.approx(0.3))]


def test_a_delay_of_the_least_tolerance_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(bounds.STALL_S, now=0.0)
    monkeypatch.setattr(bounds.time, "monotonic", ticks.monotonic)
    monkeypatch.setattr(bounds.asyncio, "sleep", ticks.sleep)
    clock = Clock()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(clock._tick())

    assert (clock.worst_lag, clock.stalls) == (bounds.STALL_S, [])


def test_a_clock_measures_from_its_start_to_its_stop() -> None:
    async def measured() -> tuple[bool, bool]:
        clock = Clock()
        clock.stop()
        clock.start()
        await asyncio.sleep(0.05)
        ticker = clock._ticker
        assert ticker is not None
        running = not ticker.done()
        clock.stop()
        await asyncio.gather(ticker, return_exceptions=True)
        return running, ticker.cancelled()

    assert asyncio.run(measured()) == (True, True)
