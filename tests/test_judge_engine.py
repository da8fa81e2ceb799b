"""What leans on the judge's clock is asked again, alone, before anybody is accused of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from runwire_conformance import engine
from runwire_conformance.case import NotExercised, TooLate, TooSlow, claim_of, proves
from runwire_conformance.engine import MOST_REPEATS, Case, Engine, State
from runwire_conformance.profile import Options
from runwire_conformance.target import Target
from runwire_conformance.trace import Message, Record, Trace

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


def case(function: Callable[..., Awaitable[None]], number: int) -> Case:
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


def test_a_case_that_was_too_slow_in_the_crowd_is_played_again(server_url: str) -> None:
    tries = iter((TooSlow("raise run_s"), NotExercised("configure a hook"), None))

    @proves("RUN-15")
    async def may_be_slow() -> None:
        if (problem := next(tries)) is not None:
            raise problem

    assert judged(server_url, case(may_be_slow, 0)) == [(State.NOT_EXERCISED, "configure a hook")]
    assert judged(server_url, case(may_be_slow, 0)) == [(State.PASSED, "")]


def test_round_trips_are_measured_beside_all_cases_and_beside_each_that_is_asked_again(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    @asynccontextmanager
    async def round_trips_measured(*_: object) -> AsyncIterator[None]:
        measured.append("begun")
        yield
        measured.append("ended")

    monkeypatch.setattr(engine, "round_trips_measured", round_trips_measured)

    judged(server_url, late())

    assert measured == ["begun", "ended"] * 2


@pytest.mark.parametrize(
    ("answered_in", "code", "times"), [(0.3, 1011, 2), (0.3, 1000, 1), (0.0, 1011, 1)], ids=str
)
def test_who_was_dropped_while_everything_was_slow_is_asked_again(
    server_url: str, answered_in: float, code: int, times: int
) -> None:
    played = []

    @proves("BEAT-5")
    async def is_dropped(target: Target) -> None:
        played.append(target)
        target.clock.worst_round_trip, target.clock.worst_lag = answered_in, 0.0
        target.clock.stalls.clear()
        target.traces.append(Trace("websocket", "a talk", 0.0, [Record(0.0, "server", "close", code=code)]))
        raise AssertionError("it ended")

    ((state, _),) = judged(server_url, case(is_dropped, 0))

    assert (state, len(played)) == (State.FAILED, times)


@pytest.mark.parametrize(
    ("late_times", "accused"),
    [
        pytest.param([[True, True]], {"0"}, id="found-again"),
        pytest.param([[True, False]], set(), id="not-found-again"),
        pytest.param([[True, False], [True, True]], {"1"}, id="found-again-in-another"),
        pytest.param([[True, True], [True]], {"0", "1"}, id="once-is-enough-for-all"),
        pytest.param([[False]], set(), id="never-found"),
    ],
)
def test_what_the_invariants_find_late_counts_when_it_is_found_again(
    server_url: str, late_times: list[list[bool]], accused: set[str]
) -> None:
    def hears(times: list[bool], number: int) -> Case:
        tries = iter(times)

        @proves("RUN-15")
        async def hears_a_token(target: Target) -> None:
            target.traces.append(cancelled_talk(0.0 if next(tries) is False else 9.0))
            await asyncio.sleep(0.1 * number)  # the shortest is asked first

        return case(hears_a_token, number)

    cases = [hears(times, number) for number, times in enumerate(late_times)]

    judged(server_url, *cases)

    found = {
        one.name.removeprefix("tests::")
        for one in cases
        if one.outcome is not None
        for finding in one.outcome.findings
        if finding.requirement == "CANCEL-3"
    }
    assert found == accused


def test_a_case_that_is_asked_again_for_what_came_late_is_doubted_too(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted: list[str] = []
    monkeypatch.setattr(Engine, "_doubt", lambda _, one, __: doubted.append(one.name))

    @proves("RUN-15")
    async def hears_a_token(target: Target) -> None:
        target.traces.append(cancelled_talk(9.0))

    judged(server_url, case(hears_a_token, 0))

    assert doubted == ["tests::0"]


def cancelled_talk(seconds: float) -> Trace:
    """Return a conversation with a token so many seconds after a cancel."""
    trace = Trace("websocket", "a talk", 0.0)
    for at, side, message in (
        (0.0, "client", {"type": "cancel", "run_id": "r" * 22}),
        (seconds, "server", {"type": "token", "data": "x", "run_id": "r" * 22, "seq": 1}),
    ):
        trace.records.append(Record(at, side, "text", "", Message(message)))
    return trace
