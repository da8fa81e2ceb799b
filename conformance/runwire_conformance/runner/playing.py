"""Execution of one case, and its outcome."""

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runwire_conformance.case import (
    NO_CAPACITY,
    Blocked,
    Broken,
    DeadlineMissed,
    Inconclusive,
    NoServerFault,
    Violation,
    accused_requirement,
    explained_requirements,
    is_certain,
    owners_of,
    refused_status_of,
)
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.runner.assertion import in_words, line_of, missing_in_words
from runwire_conformance.runner.forecast import wait_of
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.limits import CONNECTIONS, RUNS, Limits
from runwire_conformance.trace.memory_budget import KEPT_RECORDS
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.causes import broken_off
from runwire_conformance.verdict.outcome import Case, Outcome, State
from runwire_conformance.verdict.reason import Kind, kind_of

#: Seconds for letting go of what a case opened.
END_S = 5.0

#: The status with which a credential is refused.
UNAUTHORIZED = 401

#: Close codes for a peer that answers no Ping or takes no byte.
GIVEN_UP = frozenset({1001, 1006, 1011, 4001})

#: Limits in seconds below which a connection, a run or a question may be over that a case still needs.
LEAST_S = {"idle_s": 3.0, "run_s": 5.0, "input_s": 5.0, "pong_timeout_s": 0.5}

#: Seconds for which a connection has to last, so that cases come to their end on a server of short limits.
LEAST_STREAM_S = 60

#: How many runs a server has to have places for, so that one that is refused is no other case's doing.
LEAST_RUNS = 8

#: What a server has to keep of all that a suite plays.
LEAST_KEPT = 64 << 20

#: What a case raises that does not find in an answer what it reads there, or finds another kind of value.
UNREADABLE_ANSWER = (ArithmeticError, LookupError, TypeError, ValueError)


async def outcome_of(case: Case, target: Target, alarms: set[asyncio.Timeout]) -> Outcome:
    """Play a case and return what came of it; its deadline stands among the `alarms` meanwhile."""
    began = now()
    deadline_s = _deadline_of(case, target)
    alarm = asyncio.timeout(deadline_s)
    problem: Exception | None = None
    try:
        async with alarm:
            alarms.add(alarm)
            await case.function(**await arguments(case, target))
    except Exception as raised:
        problem = raised
    finally:
        alarms.discard(alarm)
    _note_loss(problem, target)
    outcome = _outcome(case, problem, target.traces, target.limits, deadline_s)
    unauthorized = problem is not None and refused_status_of(problem) == UNAUTHORIZED
    if outcome.state is State.FAILED and unauthorized and target.has_stale_credentials:
        reason = f"a short-lived credential expired before it was used: {outcome.reason}"
        outcome = Outcome(State.NOT_JUDGED, reason, suspect=True)
    unsteady = target.clock.unsteady
    await _end(target)
    ended = now()
    return replace(
        outcome,
        suspect=outcome.suspect or (outcome.state is State.FAILED and bool(unsteady) and not outcome.proven),
        unsteady=unsteady,
        traces=tuple(target.traces),
        began_at=began,
        ended_at=ended,
        seconds=ended - began,
        redaction=target.redaction,
    )


def _note_loss(problem: BaseException | None, target: Target) -> None:
    """Have the conversations of a case show that a connection broke off, where it failed for a request of its own."""
    if broken_off(target.traces):
        return
    while problem is not None:
        if isinstance(problem, Unanswered) and problem.broke_off:
            target.noted("http", "a request of the case").add("server", "lost", str(problem))
            return
        problem = problem.__cause__ or problem.__context__


def _deadline_of(case: Case, target: Target) -> float:
    """Return for how many seconds a case may play."""
    searching = target.options.search.further_s if case.claim.searches else 0.0
    waiting = wait_of(case.claim, target.limits).seconds
    return case.claim.deadline_s + waiting + searching + target.patience_s


def _outcome(
    case: Case, problem: Exception | None, traces: Sequence[Trace], limits: Limits, deadline_s: float
) -> Outcome:
    """Return what a case's end says of it."""
    problem = problem.ending if isinstance(problem, NoServerFault) else problem
    if problem is None:
        return Outcome(State.PASSED)
    if isinstance(problem, Inconclusive):
        return Outcome(
            State(problem.state),
            str(problem),
            problem.requirement,
            suspect=problem.suspect,
            impatient=problem.impatient,
        )
    expects_busy = case.claim.busy or case.claim.alone or getattr(problem, "compared", False)
    if not expects_busy and any(map(is_refused_as_busy, traces)):
        reason = f"blocked by {NO_CAPACITY}: {problem}; {limits.remedy(*CONNECTIONS, *RUNS)}"
        return Outcome(State.NOT_EXERCISED, reason, NO_CAPACITY, suspect=True)
    of_the_server = isinstance(
        problem, (AssertionError, TimeoutError, Unreachable, Unanswered, *UNREADABLE_ANSWER)
    )
    leans = of_the_server and not isinstance(problem, Violation)
    if leans and any(trace.closed_for_age(limits.stream_s) for trace in traces):
        return _beyond_age_limit(case, limits)
    if (lacking := _scarce_limit(case, traces, limits)) and not getattr(problem, "proven", False):
        return Outcome(State.NOT_EXERCISED, f"{lacking}: {problem}")
    leaning = case.claim.timing or limit_expired(traces, limits) or was_dropped(traces)
    proven = getattr(problem, "proven", False)
    failed = Outcome(
        State.FAILED,
        suspect=leaning and not proven,
        kind=kind_of(problem),
        shows=accused_requirement(problem),
        owners=owners_of(problem),
        certain=is_certain(problem),
        absent=getattr(problem, "absent", False),
        proven=proven,
        explains=explained_requirements(problem),
    )
    if isinstance(problem, Violation):
        return replace(
            failed,
            reason=str(problem),
            suspect=leaning or problem.late,
            details=problem.details,
            violated=problem.requirement,
            shows=None,
            owners=(),
        )
    if isinstance(problem, TimeoutError):
        reason = f"the case did not end within {deadline_s:g} s"
        if case.claim.searches:  # whose deadline is the judge's own
            return Outcome(State.NOT_JUDGED, reason, suspect=True)
        return replace(failed, reason=reason, suspect=True, kind=Kind.ENDLESS)
    if isinstance(problem, AssertionError | Unreachable | Unanswered):
        absent = failed.absent or isinstance(problem, DeadlineMissed | Unreachable | Unanswered)
        suspect = (leaning or absent) and not proven
        reason = in_words(problem)
        details = "" if isinstance(problem, Broken) else f"{reason}\nat {line_of(problem)}"
        return replace(failed, reason=reason, suspect=suspect, details=details)
    if isinstance(problem, UNREADABLE_ANSWER):
        # What a case reads from the server's answer is missing, or of another kind.
        reason = missing_in_words(problem)
        return replace(failed, reason=reason, kind=Kind.LACKING, details=f"{reason}\nat {line_of(problem)}")
    shown = "".join(traceback.format_exception(problem))
    return Outcome(State.JUDGE_ERROR, f"{type(problem).__name__}: {problem}", details=shown)


def _beyond_age_limit(case: Case, limits: Limits) -> Outcome:
    """Return what comes of a case that failed when the server had ended a conversation at the age that it states."""
    reason = (
        f"stream_s (advertised {limits.stream_s:.15g}) expired before the case was over: leave stream_s out on the "
        f"server, or set it to {LEAST_STREAM_S} or more"
    )
    # Beside others a case takes longer, but no shorter than its limits make it wait.
    hurried = wait_of(case.claim, limits).seconds < limits.stream_s
    return Outcome(State.NOT_EXERCISED, reason, suspect=hurried)


def _scarce_limit(case: Case, traces: Sequence[Trace], limits: Limits) -> str:
    """Return which limit a server has too little of for a case that failed, and what to set; empty when none."""
    if not case.claim.fills and any(trace.hit_log_limit(limits["log_bytes"]) for trace in traces):
        return f"the log of a run was full; raise log_bytes (advertised {limits['log_bytes']:.15g})"
    if not any(map(is_refused_as_busy, traces)):
        return ""
    runs = limits["runs_per_principal"]
    if case.claim.busy and not case.claim.alone and runs < LEAST_RUNS:
        return (
            "the runs of other cases may take up the whole limit; raise runs_per_principal "
            f"(advertised {runs:.15g}) to {LEAST_RUNS}"
        )
    kept = limits["kept_bytes_per_principal"]
    if kept < LEAST_KEPT:
        return (
            "the server may already have discarded earlier runs ([LIMIT-16]); raise "
            f"kept_bytes_per_principal (advertised {kept:.15g}) to {LEAST_KEPT}"
        )
    return ""


async def _end(target: Target) -> None:
    """Let go of everything, and of what was too much to hold."""
    try:
        async with asyncio.timeout(END_S):
            await target.end()
    except Exception:
        pass
    for trace in target.traces:
        if trace.flooded_at:
            trace.keep(KEPT_RECORDS)


def limit_expired(traces: Sequence[Trace], limits: Limits) -> bool:
    """Tell whether a bound of the server ended a conversation that the judge had not finished."""
    if limits["pong_timeout_s"] < LEAST_S["pong_timeout_s"] and was_dropped(traces):
        return True
    return any(trace.limit_expired(limits["idle_s"], limits["run_s"], limits["input_s"]) for trace in traces)


def is_refused_as_busy(trace: Trace) -> bool:
    """Tell whether the server had no place in a conversation, which says nothing of what the case is about."""
    return any(
        message.get("code") == "busy" and message.type in {"error", ""}
        for message in trace.messages("server")
    ) or any(
        record.side == "server" and record.kind == "response" and record.code == 429
        for record in trace.records
    )


def was_dropped(traces: Sequence[Trace]) -> bool:
    """Tell whether the server ended a conversation in a way in which it ends those of peers that vanished."""
    return any(
        record.side == "server"
        and (record.kind == "lost" or (record.kind == "close" and record.code in GIVEN_UP))
        for trace in traces
        for record in trace.records
    )


async def arguments(case: Case, target: Target) -> dict[str, Any]:
    """Return what a case's function asks for by the names of its parameters."""
    names = case.function.__code__.co_varnames[: case.function.__code__.co_argcount]
    found: dict[str, Any] = {}
    if case.claim.waits is not None and not target.limits.advertised:
        raise Blocked("CONN-15")  # a bound that nobody stated is not judged
    for name in names:
        if name == "target":
            found[name] = target
        elif name == "limits":
            if not target.limits.advertised:
                raise Blocked("CONN-15")  # a bound that nobody stated is not judged
            found[name] = target.limits
        elif name == "transport":
            found[name] = case.transport
        elif name == "client":
            found[name] = await target.connect()
        else:
            raise TypeError(f"{case.name} asks for {name!r}; there are: client, target, limits, transport")
    return found
