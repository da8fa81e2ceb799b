"""Settlement: unplayed cases, and failures with a common cause (server gone, flood, resets)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.phases.liveness import GONE
from runwire_conformance.verdict.attribution import attribute, without_explained
from runwire_conformance.verdict.judge import blocked_by_flood, starved_by_floods
from runwire_conformance.verdict.outcome import Case, Outcome, State


def leave_out(engine: Engine, reason: str, but: Iterable[Case] = (), *, suspects: bool = True) -> None:
    """Say that the judge left out what was not played, and what is only suspect, for a reason of its own."""
    spared = {case.name for case in but} | engine.left_out
    for case in engine.cases:
        outcome = engine.outcomes.get(case.name)
        unproved = outcome is not None and outcome.state is State.FAILED and outcome.suspect
        if case.name not in spared and (outcome is None or (suspects and unproved)):
            left = outcome or Outcome(State.NOT_JUDGED)
            engine.note(case, replace(left, state=State.NOT_JUDGED, reason=reason))


def settle(engine: Engine) -> None:
    """Give each outcome its cause, and each failure to the sentence that owns it."""
    if engine.profile is None:
        return
    for case, outcome in engine.noted():
        engine.note(case, _settled(engine, outcome))
    found = without_explained(engine.played)
    for one in attribute(found, engine.profile.broken, engine.broken_throughout):
        if one.outcome is not None:
            engine.note(one.case, one.outcome)


def _settled(engine: Engine, outcome: Outcome) -> Outcome:
    if engine.server_gone is not None and outcome.traces and outcome.ended_at > engine.last_message_at:
        began, ended = outcome.began_at, outcome.ended_at
        return Outcome(State.NOT_EXERCISED, GONE, began_at=began, ended_at=ended)
    if engine.floods and starved_by_floods(outcome):
        return blocked_by_flood(engine.floods[0])
    return _with_cause(engine, outcome, {**engine.known_profile.broken, **engine.broken_throughout})


def _with_cause(engine: Engine, outcome: Outcome, broken: Mapping[str, str]) -> Outcome:
    """Return an outcome with the cause of its failure, and only with findings that hold."""
    unproved = outcome.timed - engine.confirmed
    kept = tuple(finding for finding in outcome.findings if finding.requirement not in unproved)
    outcome = replace(outcome, findings=kept)
    if outcome.state is State.FAILED and outcome.cause is None:
        cause = next((name for name in broken if name in outcome.possible_causes), None)
        outcome = replace(outcome, cause=cause)
    return outcome
