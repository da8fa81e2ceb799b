"""What is made of an outcome when nothing plays any more: the invariants judge its conversations. Pure."""

from collections.abc import Container, Mapping
from dataclasses import replace

from runwire_conformance.invariants import Facts, Finding, findings, late_findings
from runwire_conformance.outcome import Case, Outcome, State
from runwire_conformance.reason import Kind
from runwire_conformance.symptoms import cause_of, flood_of

#: Requirements whose breach makes messages unreadable, so that no case can be written against what comes.
UNREADABLE = frozenset({"MSG-1", "MSG-2", "MSG-3", "MSG-5"})


def tells_of_lateness(outcome: Outcome | None, facts: Facts) -> set[str]:
    """Return what the invariants find broken by the clock alone in an outcome's conversations."""
    traces = outcome.traces if outcome is not None else ()
    return {finding.requirement for trace in traces for finding in late_findings(trace, facts)}


def watched(outcome: Outcome, facts: Facts, ailing: Mapping[str, str], confirmed: Container[str]) -> Outcome:
    """Return an outcome with what the invariants find, and the cause when a failure comes from what ails the server.

    What they find by the clock alone counts when it is `confirmed`.
    """
    found: list[Finding] = []
    for trace in outcome.traces:
        for finding in findings(trace, facts):
            if finding.requirement not in confirmed and finding in late_findings(trace, facts):
                continue
            found.append(finding)
            trace.marks.setdefault(finding.record, finding.requirement)
    return _without_secrets(_blameless(_caused(replace(outcome, findings=tuple(found)), facts, ailing)))


def unwatched(outcome: Outcome, facts: Facts, ailing: Mapping[str, str]) -> Outcome:
    """Return an outcome whose conversations nobody had the time to look through: it shows nothing by itself."""
    outcome = _caused(outcome, facts, ailing)
    if outcome.state is State.PASSED or (outcome.state is State.FAILED and outcome.cause is None):
        reason = "the judge's time was over before it had looked through the conversations"
        outcome = replace(outcome, state=State.NOT_EXERCISED, reason=reason, details="")
    return _without_secrets(outcome)


def moot_while(requirement: str) -> Outcome:
    """Return the outcome of a case that could not be played because of a flood that broke `requirement`."""
    return Outcome(State.NOT_EXERCISED, f"blocked by {requirement}", requirement)


def is_crowded_out(outcome: Outcome) -> bool:
    """Whether a case failed as too much had come of others for its own conversations to be read further."""
    crowded = any(trace.flooded_at for trace in outcome.traces) and flood_of(outcome.traces) is None
    return outcome.state is State.FAILED and crowded


def last_word(case: Case) -> float:
    """Return when the server last said something in a case's conversations."""
    traces = case.outcome.traces if case.outcome is not None else ()
    said = (
        record.at
        for trace in traces
        for record in trace.records
        if record.side == "server" and record.kind != "lost"
    )
    return max(said, default=0.0)


def _caused(outcome: Outcome, facts: Facts, ailing: Mapping[str, str]) -> Outcome:
    if outcome.state is not State.FAILED:
        return outcome
    if (flood := flood_of(outcome.traces)) is not None:
        return replace(
            outcome, cause=flood.requirement, reason=flood.text, details="", kind=Kind.CONVERSATION
        )
    return replace(outcome, cause=cause_of(outcome.traces, ailing, facts, outcome.ended_at))


def _blameless(outcome: Outcome) -> Outcome:
    """Return the outcome of a case that stumbled over messages that no schema allows as a failure of these."""
    broken = sorted({finding.requirement for finding in outcome.findings} & UNREADABLE)
    if outcome.state is not State.JUDGE_ERROR or not broken:
        return outcome
    reason = f"blocked by {', '.join(broken)}"
    return replace(outcome, state=State.NOT_EXERCISED, reason=reason, details="")


def _without_secrets(outcome: Outcome) -> Outcome:
    """Return the outcome of a case, which was judged, without the credentials that it had to do with."""
    masked = outcome.redaction.masked
    for trace in outcome.traces:
        outcome.redaction.mask(trace)
    found = tuple(replace(finding, text=masked(finding.text)) for finding in outcome.findings)
    return replace(outcome, reason=masked(outcome.reason), details=masked(outcome.details), findings=found)
