"""The loop whose time jumps: timers ring in order, at their times, and a wait for nothing is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.virtual_time import BEGINS_AT, NothingToWaitFor, run


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def told() -> list[tuple[str, float]]:
        rung: list[tuple[str, float]] = []

        async def ring(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            rung.append((name, time.monotonic() - BEGINS_AT))

        await asyncio.gather(ring("hour", 3600), ring("minute", 60), ring("now", 0))
        return rung

    rung = run(told())

    assert [name for name, _ in rung] == ["now", "minute", "hour"]
    assert [at for _, at in rung] == pytest.approx([0, 60, 3600], abs=1e-6)


def test_a_time_out_comes_before_what_takes_longer() -> None:
    async def outrun() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)
        return asyncio.get_running_loop().time() - BEGINS_AT

    assert run(outrun()) == pytest.approx(30, abs=1e-6)


def test_a_wait_that_nothing_ends_is_told() -> None:
    with pytest.raises(NothingToWaitFor):
        run(asyncio.Event().wait())


def test_the_machines_time_is_back_afterwards() -> None:
    real = time.monotonic

    run(asyncio.sleep(5))

    assert time.monotonic is real
