"""What comes of a case: by its end, by what the server said of its places, and by what its limits leave room for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from runwire_conformance.case import (
    Blocked,
    Broken,
    Claim,
    NoServerFault,
    PatienceExceeded,
    TooSlow,
    Violation,
    Wrong,
)
from runwire_conformance.cases.c16_script_agent import end_of_many_steps
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.target import Target
from runwire_conformance.client.view import expect_to_fit
from runwire_conformance.client.wire.http import Unanswered
from runwire_conformance.runner.gates import unplayed
from runwire_conformance.runner.playing import limit_expired, outcome_of
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.verdict.causes import broken_off
from runwire_conformance.verdict.outcome import Case, Outcome, State

PROFILE = ServerProfile(
    "ws://server/v1/ws", discovery={"limits": {"connections_per_principal": 3, "runs_per_principal": 9}}
)
BUSY = Message({"type": "error", "code": "busy", "data": "no place", "re": "s1"})


def played(
    function: Callable[[Target], Awaitable[None]], profile: ServerProfile = PROFILE, **claim: bool
) -> Outcome:
    """Return what comes of a case that no server is needed for."""
    case = Case("a::case", function, Claim(("RUN-4",), **claim))  # type: ignore[arg-type]
    return asyncio.run(outcome_of(case, Target(profile, Options(), Clock()), set()))


async def refused(target: Target) -> None:
    """Find no place."""
    trace = target.noted("websocket", "one")
    trace.records.append(Record(0.1, "server", "text", "", BUSY))
    raise Broken("expected started; got a refusal")


def test_who_finds_no_place_has_shown_nothing_and_is_played_again() -> None:
    outcome = played(refused)

    assert (outcome.state, outcome.blocked_by, outcome.suspect) == (State.NOT_EXERCISED, "LIMIT-4", True)
    assert outcome.reason.startswith("blocked by LIMIT-4: expected started; got a refusal; raise ")
    for limit in ("connections_per_principal", "runs_per_principal", "kept_bytes_per_principal"):
        assert f"{limit} (advertised {PROFILE.limits[limit]:.15g})" in outcome.reason


@pytest.mark.parametrize("by_its_own_doing", ["busy", "alone"])
def test_who_asks_to_be_refused_as_busy_may_be_right_to_complain(by_its_own_doing: str) -> None:
    assert played(refused, **{by_its_own_doing: True}).state is State.FAILED


def limited(**limits: int) -> ServerProfile:
    """Return what is known of a server with these limits."""
    return ServerProfile("ws://server/v1/ws", discovery={"limits": limits})


def test_a_server_that_may_keep_little_may_be_full_of_what_was_played_before() -> None:
    little = played(refused, limited(kept_bytes_per_principal=1 << 20), busy=True)

    assert little.state is State.NOT_EXERCISED
    assert "raise kept_bytes_per_principal (advertised 1048576)" in little.reason


def test_a_server_of_few_runs_may_be_full_of_those_of_other_cases() -> None:
    few = limited(runs_per_principal=4)

    assert "raise runs_per_principal (advertised 4)" in played(refused, few, busy=True).reason
    assert played(refused, few, busy=True, alone=True).state is State.FAILED


@pytest.mark.parametrize(("pong_timeout_s", "is_over"), [(0.1, True), (1, False)])
def test_who_gives_a_pong_hardly_any_time_may_give_up_a_judge_that_is_slow(
    pong_timeout_s: float, is_over: bool
) -> None:
    trace = Trace("websocket", "one", began=0.0)
    trace.records.append(Record(1.0, "server", "close", code=1011))
    limits = ServerProfile(
        "ws://server/v1/ws", discovery={"limits": {"pong_timeout_s": pong_timeout_s}}
    ).limits

    assert limit_expired([trace], limits) is is_over


@pytest.mark.parametrize(("log_bytes", "is_full"), [(2_000, True), (200_000, False)])
def test_a_run_that_was_cut_as_its_log_was_full_shows_nothing_else(log_bytes: int, is_full: bool) -> None:
    async def cut(target: Target) -> None:
        trace = target.noted("websocket", "one")
        token = Message({"type": "token", "run_id": "r", "seq": 1, "data": "x"})
        trace.records.append(Record(0.1, "server", "text", "x" * 1_900, token))
        done = Message({"type": "done", "run_id": "r", "seq": 2, "status": "incomplete", "reason": "length"})
        trace.records.append(Record(0.2, "server", "text", "", done))
        raise Broken("expected the answer text")

    outcome = played(cut, limited(log_bytes=log_bytes))

    assert outcome.state is (State.NOT_EXERCISED if is_full else State.FAILED)
    assert f"raise log_bytes (advertised {log_bytes})" in outcome.reason or not is_full
    assert played(cut, limited(log_bytes=log_bytes), fills=True).state is State.FAILED


def aged(problem: Exception) -> Callable[[Target], Awaitable[None]]:
    """Return a case that fails when its connection was closed after two seconds."""

    async def case(target: Target) -> None:
        trace = target.noted("websocket", "one")
        trace.records.append(Record(trace.began + 2.1, "server", "close", code=4000))
        raise problem

    return case


def test_what_was_ended_at_its_stated_age_is_proof_of_nothing() -> None:
    wrong = Wrong("expected the close code 1000; got the close code 4000")
    wrong.proven = True
    for problem in (wrong, Broken("expected the run's terminal"), TimeoutError()):
        outcome = played(aged(problem), limited(stream_s=2))

        assert (outcome.state, outcome.suspect) == (State.NOT_EXERCISED, True)
        assert outcome.reason.startswith(
            "stream_s (advertised 2) expired before the case was over: leave stream_s out"
        )


def test_what_is_no_fault_of_the_server_ends_a_case_as_that() -> None:
    async def idle(target: Target) -> None:  # noqa: ARG001 - named as cases name it
        raise NoServerFault(TooSlow("idle_s was over"))

    outcome = played(idle)

    assert (outcome.state, outcome.reason, outcome.suspect) == (State.NOT_EXERCISED, "idle_s was over", True)


def test_an_end_before_the_stated_age_or_of_no_stated_age_is_held_against_the_server() -> None:
    ended = aged(Broken("expected the run's terminal"))

    assert played(ended, limited(stream_s=3)).state is State.FAILED
    assert played(ended).state is State.FAILED
    assert played(aged(Violation("MSG-28", "no re")), limited(stream_s=2)).state is State.FAILED


def test_a_refusal_with_429_is_no_place_either() -> None:
    async def blocked(target: Target) -> None:  # noqa: ARG001 - named as cases name it
        raise Blocked("LIMIT-4", "blocked by LIMIT-4: a stream was refused with 429")

    assert played(blocked).suspect


@pytest.mark.parametrize(("broke_off", "told"), [(True, False), (True, True), (False, False), (False, True)])
def test_a_request_that_broke_off_shows_so_in_a_conversation(broke_off: bool, told: bool) -> None:
    async def cut(target: Target) -> None:
        target.noted("http", "GET /")
        try:
            raise Unanswered("the body broke off", broke_off=broke_off)
        except Unanswered as problem:
            if told:
                raise Broken(f"expected an HTTP answer: {problem}") from None
            raise

    outcome = played(cut)

    assert outcome.state is State.FAILED
    assert broken_off(outcome.traces) is broke_off
    assert outcome.suspect or not broke_off


@pytest.mark.parametrize(("absent", "told"), [(True, TooSlow), (False, Broken)])
def test_how_long_a_million_steps_take_says_nothing_of_a_server(absent: bool, told: type[Exception]) -> None:
    class Playing:
        async def terminal(self, _seconds: float) -> Message:
            problem = Broken("expected the run's terminal")
            problem.absent = absent
            raise problem

    with pytest.raises(told):
        asyncio.run(end_of_many_steps(cast("Run", Playing())))


def test_what_would_take_too_long_is_told_apart() -> None:
    async def long(target: Target) -> None:  # noqa: ARG001 - named as cases name it
        raise PatienceExceeded("would take 600 s")

    outcome = played(long)

    assert (outcome.state, outcome.impatient) == (State.NOT_EXERCISED, True)


@pytest.mark.parametrize(("connections", "fits"), [(3, True), (4, False)])
def test_a_case_needs_the_connections_that_the_server_admits(connections: int, fits: bool) -> None:
    case = Case("a::case", refused, Claim(("RUN-4",), connections=connections))

    outcome = unplayed(case, PROFILE)

    assert (outcome is None) is fits
    assert (
        fits
        or "needs 4 connections at once; set connections_per_principal"
        in (outcome or Outcome(State.PASSED)).reason
    )


@pytest.mark.parametrize(("life_s", "state"), [(-1.0, State.NOT_JUDGED), (60.0, State.FAILED)])
def test_a_credential_that_grew_too_old_on_a_slow_machine_is_no_fault(life_s: float, state: State) -> None:
    async def refused_caller(target: Target) -> None:
        target.credentials_end.append(now() + life_s)
        raise Broken("expected the handshake to be accepted; it was refused", status=401)

    assert played(refused_caller).state is state


@pytest.mark.parametrize(("most", "fits"), [(65_536, False), (1 << 20, True)])
def test_a_message_that_the_server_need_not_take_is_not_sent(most: int, fits: bool) -> None:
    async def long(target: Target) -> None:
        expect_to_fit({"prompt": "ü" * 40_000}, target.limits)

    outcome = played(long, limited(max_message_bytes=most))

    assert outcome.state is (State.PASSED if fits else State.NOT_EXERCISED)
    assert fits or "raise max_message_bytes (advertised 65536)" in outcome.reason
