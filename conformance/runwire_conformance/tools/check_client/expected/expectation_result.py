"""State of an expectation in a play, and the time at which it is evaluated."""

from dataclasses import dataclass
from enum import StrEnum

from runwire_conformance.tools.check_client.scenario import Scenario
from runwire_conformance.tools.check_client.wire_log import LogEntry, WireLog


class ExpectationState(StrEnum):
    """How an expectation stands."""

    PENDING = "pending"
    HELD = "held"
    BROKEN = "broken"
    ABSENT = "absent"
    #: The client did not come back, which is broken here only if it comes back elsewhere.
    AWAY = "away"
    NOT_EXERCISED = "not exercised"


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """How an expectation stands, and why."""

    state: ExpectationState
    reason: str = ""


PENDING = ExpectationResult(ExpectationState.PENDING)
HELD = ExpectationResult(ExpectationState.HELD)


@dataclass(frozen=True, slots=True)
class PlayContext:
    """When an expectation is looked at: whether the play is over, and the time in seconds."""

    scenario: Scenario
    log: WireLog
    now: float
    over: bool = False
    #: The members that the client is known to report.
    reports: frozenset[str] = frozenset()


def not_seen(context: PlayContext, what: str) -> ExpectationResult:
    """Say that something has not come about yet, or never did."""
    return ExpectationResult(ExpectationState.NOT_EXERCISED, what) if context.over else PENDING


def violated(reason: str) -> ExpectationResult:
    """Say that something was seen that breaks it."""
    return ExpectationResult(ExpectationState.BROKEN, reason)


def absence_reason(context: PlayContext) -> str:
    """Return why nothing at all came about."""
    if not any(one.kind in {"discovery", "handshake", "request"} for one in context.log.entries):
        return "the client never connected"
    return "the client never started a run"


def end_of(one: LogEntry, context: PlayContext) -> LogEntry | None:
    """Return where everything had been played that one `start` or `resume` leads to."""
    ends = (mark for mark in context.log.of("mark") if mark.get("name") == "ended")
    return next((mark for mark in ends if mark.get("attach") == one.get("number")), None)
