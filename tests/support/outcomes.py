"""Outcomes of cases in shorthand, and the verdicts on them."""

from __future__ import annotations

from runwire_conformance.case import Claim
from runwire_conformance.verdict.judgement import Judgement
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.verdict import judge

ALL = frozenset({"robust", "resume", "sse"})


#: A mandatory requirement of `core`, the one that is a SHOULD, and one of an optional class.
MUST, SHOULD, OPTIONAL = "RUN-6", "MSG-18", "RESUME-1"


async def body() -> None:
    """Stand for a case that is never played here."""


def case(
    outcome: Outcome | State | None, *ids: str, watches: tuple[str, ...] = (), name: str = "a::case"
) -> CaseResult:
    """Return a case that proves `ids` and came out so."""
    played = Outcome(outcome, "seen") if isinstance(outcome, State) else outcome
    return CaseResult(Case(name, body, Claim(ids, watches)), played)


def verdict(
    requirement: str, *cases: CaseResult, features: frozenset[str] = ALL, script: bool = True
) -> Judgement:
    """Return what is said of one requirement."""
    (judgement,) = [j for j in judge(cases, features, script) if j.requirement.id == requirement]
    return judgement
