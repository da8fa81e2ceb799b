"""The metronome: beside a case that leans on time, the judge's clock knows how prompt the server is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from runwire_conformance.case import Broken
from runwire_conformance.client.pings import round_trips_measured
from runwire_conformance.client.target import Target
from runwire_conformance.trace.clock import Clock, now
from tests.support.virtual_time import run


class Slow:
    """A server that answers a beat after 0.3 s, or not at all."""

    def __init__(self, *, answers: bool, seconds: float = 0.3) -> None:
        self._answers, self._seconds = answers, seconds
        self.pongs: list[bytes] = []

    async def connect(self) -> Slow:
        return self

    async def ask(self, _: dict[str, Any]) -> None:
        await asyncio.sleep(self._seconds)
        if not self._answers:
            raise Broken("expected an answer")

    def ping(self, data: bytes) -> None:
        if not self._answers:
            self.pongs.append(data)

    async def wait_until(self, condition: Callable[[], bool], *_: object) -> None:
        if not condition():
            raise Broken("expected a Pong")


async def tolerances(server: Slow, seconds: float = 0.5) -> tuple[float, float]:
    """Return T while the metronome runs, and T of the time afterwards."""
    clock = Clock()
    async with round_trips_measured(cast(Target, server), clock):
        began = now()
        await asyncio.sleep(seconds)
        during = clock.tolerance_since(began)
    return during, clock.tolerance_since(now())


def test_a_slow_server_is_given_the_time_that_its_answers_take_and_no_longer_than_meanwhile() -> None:
    during, afterwards = run(tolerances(Slow(answers=True)))

    assert during == pytest.approx(0.6)
    assert afterwards == 0.25


def test_a_server_that_answers_pings_alone_is_given_no_time_for_the_heartbeats_that_it_leaves_out() -> None:
    during, _ = run(tolerances(Slow(answers=False, seconds=60), 30))

    assert during == 0.25


def test_a_server_that_refuses_an_answer_is_given_no_more_than_it_took() -> None:
    assert run(tolerances(Slow(answers=False)))[1] == 0.25
