"""The phases of the engine: a suspicion is played again, alone, and what the judge left out is never a pass."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from runwire_conformance.case import Broken, DeadlineMissed, NotExercised, TooSlow, claim_of, proves
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable, address_of
from runwire_conformance.runner import engine, phases
from runwire_conformance.runner.engine import MOST_FLOODED, STOPPED, Engine
from runwire_conformance.runner.phases import INTERRUPTED, judge_server, liveness
from runwire_conformance.runner.phases.confirmation import MOST_EXPLAINED, MOST_TRIES
from runwire_conformance.runner.phases.liveness import GONE
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.verdict.outcome import Case, State

LIMITS = {"connections_per_principal": 100, "heartbeat_s": 1, "idle_s": 3, "run_s": 5, "detach_grace_s": 1}


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine play without a server: the cases of these tests need none."""

    async def probe(*_: object) -> ServerProfile:
        discovery = {"features": ["resume"], "limits": LIMITS, "script_agent": True}
        return ServerProfile("ws://server/ws", "http://server/.well-known/runwire", discovery)

    @asynccontextmanager
    async def measured(*_: object) -> AsyncIterator[None]:
        yield

    async def there(*_: object) -> None:
        return None

    monkeypatch.setattr(phases, "probe", probe)
    monkeypatch.setattr(Engine, "measured", measured)
    monkeypatch.setattr(liveness, "absence", there)
    monkeypatch.setattr(engine, "STEADY_S", 0.1)


def case(function: Callable[..., Awaitable[None]], number: int = 0) -> Case:
    """Return a function as a case."""
    claim = claim_of(function)
    assert claim is not None
    return Case(f"tests::{number}", function, claim)


def fails(*problems: Exception | None, number: int = 0, requirement: str = "RUN-15", **claim: Any) -> Case:
    """Return a case that ends with these, one after the other, and with the last one from then on."""
    left = list(problems)

    @proves(requirement, **claim)
    async def ends() -> None:
        problem = left.pop(0) if len(left) > 1 else left[0]
        if problem is not None:
            raise problem

    return case(ends, number)


def played(*cases: Case, options: Options | None = None, **members: Any) -> Engine:
    """Return the engine when it has played cases."""
    found = Engine("http://server", options or Options(), cases, **members)
    asyncio.run(judge_server(found))
    return found


def states(found: Engine) -> list[State]:
    """Return what came of the cases of an engine."""
    return [found.outcomes[case.name].state for case in found.cases if case.name in found.outcomes]


def absent(reason: str = "nothing came") -> Broken:
    """Return the failure of a case that waited in vain for what no sentence states a time for."""
    problem = Broken(reason)
    problem.absent = True
    return problem


@pytest.mark.parametrize("problem", [DeadlineMissed("it came after 9 s"), absent(), TimeoutError()], ids=repr)
def test_a_suspicion_that_is_seen_again_alone_is_a_failure(problem: Exception) -> None:
    twice, once = fails(problem, number=0), fails(problem, None, number=1, requirement="RUN-16")

    found = played(twice, once)

    assert states(found) == [State.FAILED, State.PASSED]


@pytest.mark.parametrize(("places", "measures"), [(2, False), (3, True), (100, True)])
def test_the_second_look_leaves_a_case_its_connections(
    monkeypatch: pytest.MonkeyPatch, places: int, measures: bool
) -> None:
    """The clock is measured on a connection of its own, where there is one more than the case needs."""
    measured: list[str] = []

    @asynccontextmanager
    async def noted(*_: object) -> AsyncIterator[None]:
        measured.append("")
        yield

    monkeypatch.setattr(Engine, "measured", noted)
    monkeypatch.setitem(LIMITS, "connections_per_principal", places)

    played(fails(absent(), connections=2), concurrency=1)

    assert bool(measured) is measures


def test_the_second_look_waits_for_the_user_s_patience() -> None:
    waits: list[float] = []

    @proves("RUN-15")
    async def nothing_comes(target: Target) -> None:
        waits.append(target.patience_s)
        raise absent()

    played(case(nothing_comes), options=Options(patience_s=7))

    assert waits == [0.0, 7]


def test_bytes_that_a_sentence_forbids_need_no_second_look() -> None:
    times = []

    @proves("RUN-15")
    async def is_wrong() -> None:
        times.append(1)
        raise Broken("expected done; got error")

    wrong = case(is_wrong)
    found = played(wrong)

    assert (states(found), len(times)) == ([State.FAILED], 1)


def test_one_case_is_proof_enough_for_the_sentence_it_shares_with_others() -> None:
    times = []

    @proves("RUN-15")
    async def nothing_comes() -> None:
        times.append(1)
        raise absent()

    cases = [case(nothing_comes, number) for number in range(5)]
    found = played(*cases)

    assert (states(found), len(times)) == ([State.FAILED] * 5, 6)


def test_a_flood_is_a_proof_and_keeps_others_from_being_played_again() -> None:
    times: list[str] = []

    @proves("RUN-15")
    async def is_flooded(target: Target) -> None:
        times.append("flooded")
        target.noted("websocket", "a talk").exceed("FLOW-8", "a message without end")
        raise absent()

    @proves("RUN-16")
    async def is_suspect() -> None:
        times.append("suspect")
        raise absent()

    flooded = [case(is_flooded, number) for number in range(MOST_FLOODED)]
    found = played(case(is_suspect, MOST_FLOODED), *flooded)

    assert states(found) == [State.NOT_EXERCISED, *[State.FAILED] * MOST_FLOODED]
    assert {found.outcomes[one.name].cause for one in flooded} == {"FLOW-8"}
    assert times.count("flooded") == MOST_FLOODED
    assert times.count("suspect") <= 1


@pytest.mark.parametrize(("again", "times_of_the_last"), [("gathered", 1), ("passes", 2)])
def test_what_a_proxy_explains_is_played_again_only_until_that_is_no_chance(
    again: str, times_of_the_last: int
) -> None:
    times: Counter[str] = Counter()

    def gathered(requirement: str, number: int) -> Case:
        @proves(requirement)
        async def nothing_comes_in_time(target: Target) -> None:
            times[requirement] += 1
            if again == "passes" and times[requirement] > 1:
                return
            trace = target.noted("sse", "a stream")
            trace.records += [
                Record(trace.began + 1 + place / 100, "server", "block", ": a comment") for place in range(3)
            ]
            named = target.noted("http", "GET /")
            named.add("server", "response", "200", code=200, headers=(("server", "nginx"),))
            raise absent()

        return case(nothing_comes_in_time, number)

    names = [f"RUN-{number}" for number in range(2, 2 + MOST_EXPLAINED + 3)]
    found = played(*(gathered(name, number) for number, name in enumerate(names)))

    assert set(states(found)) == {State.FAILED if again == "gathered" else State.PASSED}
    assert sorted(times.values()) == [times_of_the_last] * 3 + [2] * MOST_EXPLAINED


def stalls(seconds: float, problem: Exception, times: list[int]) -> Case:
    """Return a case that fails while the judge's own loop stands still."""

    @proves("RUN-15")
    async def stalls_and_fails(target: Target) -> None:
        times.append(1)
        target.clock.clock.stalled(seconds)
        raise problem

    return case(stalls_and_fails)


@pytest.mark.parametrize("problem", [Broken("got error"), absent()], ids=["wrong", "absent"])
def test_what_fails_while_the_judge_stalls_each_time_is_not_judged(problem: Exception) -> None:
    times: list[int] = []
    slow = stalls(4.06, problem, times)

    found = played(slow)

    assert (found.outcomes[slow.name].state, found.outcomes[slow.name].reason) == (
        State.NOT_JUDGED,
        "this machine stalled for up to 4.1 s",
    )
    assert len(times) == 1 + MOST_TRIES


def test_what_fails_again_while_the_clock_is_steady_is_a_failure() -> None:
    times: list[int] = []

    @proves("RUN-15")
    async def stalls_once(target: Target) -> None:
        times.append(1)
        if len(times) == 1:
            target.clock.clock.stalled(4)
        raise Broken("got error")

    once = case(stalls_once)
    found = played(once)

    assert (states(found), len(times)) == ([State.FAILED], 2)


def test_a_proof_holds_on_a_slow_machine_too() -> None:
    problem = Broken("the close code 1000 after 3 s")
    problem.proven = True
    times: list[int] = []
    slow = stalls(4, problem, times)

    found = played(slow)

    assert (states(found), len(times)) == ([State.FAILED], 1)


def test_a_case_that_was_too_slow_in_the_crowd_is_played_again() -> None:
    configured = fails(TooSlow("raise run_s"), NotExercised("configure a hook"), number=0)
    quick = fails(TooSlow("raise run_s"), None, number=1)

    found = played(configured, quick)

    assert states(found) == [State.NOT_EXERCISED, State.PASSED]


def test_what_waits_longer_than_the_patience_is_not_exercised_and_says_what_to_do() -> None:
    long = fails(None, waits=lambda limits: 10 * limits["idle_s"])

    found = played(long, options=Options(patience_s=20))

    assert (
        found.outcomes[long.name].state,
        found.outcomes[long.name].reason,
        found.outcomes[long.name].impatient,
    ) == (
        State.NOT_EXERCISED,
        "would take 30 s; set a smaller idle_s on the server or use --patience 30",
        True,
    )


def test_quick_leaves_out_what_waits_long() -> None:
    long, short = fails(None, waits=lambda limits: 2 * limits["idle_s"], number=0), fails(None, number=1)

    found = played(long, short, options=Options(quick=True))

    assert long.name not in found.outcomes
    assert (states(found), found.left_out) == ([State.PASSED], {"tests::0"})


def test_the_time_limit_leaves_out_what_is_left_and_confirms_what_is_suspect() -> None:
    @proves("RUN-16")
    async def lasts() -> None:
        await asyncio.sleep(600)

    late, lasting = fails(DeadlineMissed("9 s"), number=0), case(lasts, 1)

    found = played(late, lasting, options=Options(time_limit_s=1))

    assert states(found) == [State.FAILED, State.NOT_JUDGED]
    assert found.timed_out
    assert found.outcomes[lasting.name].reason == "the time limit of 1 s expired"


def test_x_stops_at_the_first_failure_and_cuts_off_what_is_under_way() -> None:
    @proves("RUN-16")
    async def lasts() -> None:
        await asyncio.sleep(600)

    wrong, lasting = fails(Broken("got error"), number=0), case(lasts, 1)

    found = played(wrong, lasting, stop_after=1)

    assert states(found) == [State.FAILED, State.NOT_JUDGED]
    assert (found.outcomes[lasting.name].reason, found.stopped) == (STOPPED, True)


def test_an_interruption_keeps_what_was_judged_and_leaves_out_the_rest() -> None:
    @proves("RUN-16")
    async def lasts() -> None:
        threading.Timer(0.2, signal.raise_signal, (signal.SIGINT,)).start()
        await asyncio.sleep(600)

    done, lasting = fails(None, number=0), case(lasts, 1)

    found = played(done, lasting)

    assert states(found) == [State.PASSED, State.NOT_JUDGED]
    assert (found.outcomes[lasting.name].reason, found.interrupted) == (INTERRUPTED, True)


def test_what_plays_when_the_server_is_gone_is_not_exercised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> Unreachable:
        return Unreachable(address_of("http://server"), "connection refused")

    monkeypatch.setattr(liveness, "absence", gone)
    last = fails(None, last=True)

    found = played(last)

    assert (found.outcomes[last.name].state, found.outcomes[last.name].reason, found.server_gone) == (
        State.NOT_EXERCISED,
        GONE,
        "server port 80: connection refused",
    )


@pytest.mark.parametrize(("broke_off", "fails_once_more"), [(True, False), (False, True)])
def test_who_breaks_off_some_handshakes_is_still_there(
    monkeypatch: pytest.MonkeyPatch, broke_off: bool, fails_once_more: bool
) -> None:
    answers: list[Unanswered | None] = [Unanswered("no HTTP answer", broke_off=broke_off)] * 4

    async def absent(*_: object) -> Unanswered | None:
        return answers.pop() if answers else None

    monkeypatch.setattr(liveness, "absence", absent)

    assert (played(fails(None, last=True)).server_gone is not None) is fails_once_more


def cancelled_talk(seconds: float) -> Trace:
    """Return a conversation with a token so many seconds after a cancel."""
    trace = Trace("websocket", "a talk", 0.0)
    for at, side, message in (
        (0.0, "client", {"type": "cancel", "run_id": "r" * 22}),
        (seconds, "server", {"type": "token", "data": "x", "run_id": "r" * 22, "seq": 1}),
    ):
        trace.records.append(Record(at, side, "text", "", Message(message)))  # type: ignore[arg-type]
    return trace


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
    late_times: list[list[bool]], accused: set[str]
) -> None:
    def hears(times: list[bool], number: int) -> Case:
        tries = iter(times)

        @proves("RUN-15")
        async def hears_a_token(target: Target) -> None:
            target.traces.append(cancelled_talk(0.0 if next(tries) is False else 9.0))
            await asyncio.sleep(0.3 * number)  # the shortest is asked first

        return case(hears_a_token, number)

    cases = [hears(times, number) for number, times in enumerate(late_times)]

    judged = played(*cases)

    found = {
        one.name.removeprefix("tests::")
        for one in cases
        for finding in judged.outcomes[one.name].findings
        if finding.requirement == "CANCEL-3"
    }
    assert found == accused


def test_what_is_found_late_only_while_the_judge_stalls_is_undecided() -> None:
    @proves("RUN-15")
    async def hears_a_token(target: Target) -> None:
        target.traces.append(cancelled_talk(20.0))
        target.clock.clock.stalled(4)

    found = played(case(hears_a_token))

    assert found.undecided["CANCEL-3"] == "this machine stalled for up to 4.0 s"
