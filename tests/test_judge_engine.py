"""What leans on the judge's clock is asked again, alone, before anybody is accused of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runwire_conformance import engine
from runwire_conformance.case import TooLate, claim_of, proves
from runwire_conformance.engine import MOST_REPEATS, Case, Engine, State
from runwire_conformance.profile import Options

# The loop ends as soon as the engine has, with sockets that are about to be closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def late(number: int = 0) -> Case:
    """Return a case that fails by the clock."""

    @proves("RUN-15")
    async def is_late() -> None:
        raise TooLate("it came after 9 s")

    return case(is_late, number)


def lasting() -> Case:
    """Return a case that takes all the time there is."""

    @proves("CONN-6", alone=True)
    async def lasts() -> None:
        await asyncio.sleep(20)

    return case(lasts, -1)


def case(function: Callable[[], Awaitable[None]], number: int) -> Case:
    """Return a function as a case."""
    claim = claim_of(function)
    assert claim is not None
    return Case(f"tests::{number}", function, claim)


def judged(server_url: str, *cases: Case) -> list[tuple[State, str]]:
    """Return what comes of cases."""
    asyncio.run(Engine(server_url, Options(), cases).judge())
    return [(case.outcome.state, case.outcome.reason) for case in cases if case.outcome is not None]


def test_who_is_late_twice_is_accused(server_url: str) -> None:
    assert judged(server_url, late()) == [(State.FAILED, "it came after 9 s")]


def test_who_was_late_once_is_not_accused_when_there_is_no_time_to_ask_again(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SUITE_S", 2.0)

    ((state, reason), _) = judged(server_url, late(), lasting())

    assert state is State.NOT_EXERCISED
    assert "before it could be asked again" in reason


def test_who_is_late_all_the_time_is_accused_also_when_there_is_no_time(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SUITE_S", 2.0)
    cases = [late(number) for number in range(MOST_REPEATS + 1)]

    states = {state for state, _ in judged(server_url, *cases, lasting())[:-1]}

    assert states == {State.FAILED}
