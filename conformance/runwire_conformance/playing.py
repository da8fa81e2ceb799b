"""Plays one case, and tells what came of it."""

import asyncio
import time
import traceback
from collections.abc import Sequence
from typing import Any

from runwire_conformance.assertion import in_words, lacking_in_words
from runwire_conformance.bounds import Limits
from runwire_conformance.case import (
    Breach,
    Broken,
    Moot,
    NotExercised,
    NotJudged,
    NotOffered,
    TooLate,
    TooSlow,
    is_certain,
    owned_by,
    shown_by,
)
from runwire_conformance.held import KEPT_RECORDS
from runwire_conformance.outcome import Case, Outcome, State
from runwire_conformance.reason import Kind, kind_of
from runwire_conformance.target import Target
from runwire_conformance.trace import Trace
from runwire_conformance.wire.http import Unanswered, Unreachable

#: Seconds for letting go of what a case opened.
END_S = 5.0

#: Close codes for a peer that answers no Ping or takes no byte.
GIVEN_UP = frozenset({1001, 1006, 1011, 4001})


async def came_of(case: Case, target: Target, alarms: set[asyncio.Timeout]) -> Outcome:
    """Play a case and return what came of it; its deadline stands among the `alarms` meanwhile."""
    began = time.monotonic()
    state, reason, moot, late, details = State.PASSED, "", None, False, ""
    kind = Kind.UNMET
    breach: str | None = None
    shows: str | None = None
    owners: tuple[str, ...] = ()
    certain = absent = proven = False
    deadline_s = case.claim.deadline_s + (target.options.search.further_s if case.claim.searches else 0)
    alarm = asyncio.timeout(deadline_s)
    try:
        async with alarm:
            alarms.add(alarm)
            await case.function(**await arguments(case, target))
    except Moot as problem:
        state, reason, moot = State.NOT_EXERCISED, str(problem), problem.requirement
    except NotOffered as problem:
        state, reason = State.NOT_OFFERED, str(problem)
    except NotJudged as problem:
        state, reason = State.NOT_EXERCISED, str(problem)
    except NotExercised as problem:
        state, reason, late = State.NOT_EXERCISED, str(problem), isinstance(problem, TooSlow)
    except Breach as problem:
        state, reason, details = State.FAILED, str(problem), problem.details
        breach, kind = problem.requirement, kind_of(problem)
        late = problem.late or case.claim.timing or overtaken(target.traces, target.limits)
    except (AssertionError, Unreachable, Unanswered) as problem:
        state, reason = State.FAILED, in_words(problem)
        kind, shows, owners = kind_of(problem), shown_by(problem), owned_by(problem)
        certain = is_certain(problem)
        absent, proven = getattr(problem, "absent", False), getattr(problem, "proven", False)
        late = isinstance(problem, TooLate | Unreachable) or case.claim.timing
        late = late or overtaken(target.traces, target.limits)
        slow = target.clock.is_slow or target.clock.stalled_since(began)
        late = (late or (slow and was_dropped(target.traces))) and not proven
        details = (
            case.explain(problem) if case.explain is not None and not isinstance(problem, Broken) else ""
        )
    except TimeoutError as problem:
        searches = case.claim.searches  # whose deadline is the judge\'s own
        kind, shows, owners = Kind.ENDLESS, shown_by(problem), owned_by(problem)
        state = State.NOT_EXERCISED if searches else State.FAILED
        reason = f"it did not come to its end within {deadline_s:g} s"
        late = case.claim.timing
    except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
        kind, shows, owners = Kind.LACKING, shown_by(problem), owned_by(problem)
        # What a case reads from the server's answer is missing, or of another kind.
        state, reason = State.FAILED, lacking_in_words(problem)
        details = case.explain(problem) if case.explain is not None else ""
    except Exception as problem:
        state, reason = State.JUDGE_ERROR, f"{type(problem).__name__}: {problem}"
        details = "".join(traceback.format_exception(problem))
    finally:
        alarms.discard(alarm)
    await _end(target)
    now = time.monotonic()
    return Outcome(
        state, reason, moot, late, (), tuple(target.traces), now - began, details, began, now, target.redaction, kind,
        breach, shows, owners, certain, absent, proven,
    )  # fmt: skip


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


def overtaken(traces: Sequence[Trace], limits: Limits) -> bool:
    """Tell whether a bound of the server ended a conversation that the judge had not finished."""
    return any(trace.overtaken(limits["idle_s"], limits["run_s"]) for trace in traces)


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
    for name in names:
        if name == "target":
            found[name] = target
        elif name == "limits":
            if not target.limits.advertised:
                raise Moot("CONN-15")  # a bound that nobody stated is not judged
            found[name] = target.limits
        elif name == "transport":
            found[name] = case.transport
        elif name == "client":
            found[name] = await target.connect()
        else:
            raise TypeError(f"{case.name} asks for {name!r}; there are: client, target, limits, transport")
    return found
