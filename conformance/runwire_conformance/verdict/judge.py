"""Final outcome of a case: the rules judge its conversations after it has ended. Pure."""

from dataclasses import replace

from runwire_conformance.rules import Finding, RuleContext, findings, late_findings, shows
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.trace.transcript import MOST_LINES
from runwire_conformance.verdict.causes import broken_off, possible_causes
from runwire_conformance.verdict.outcome import Outcome, State
from runwire_conformance.verdict.proxies.signs import signs_of
from runwire_conformance.verdict.reason import Kind

#: Requirements that, once broken, make messages unreadable, so that no case can be written against what comes.
UNREADABLE = frozenset({"MSG-1", "MSG-2", "MSG-3", "MSG-5"})


def watched(outcome: Outcome, context: RuleContext) -> Outcome:
    """Return an outcome with what the rules find and what its conversations show.

    Of the conversations only what a report may show is kept afterwards.
    """
    found: list[Finding] = []
    timed: set[str] = set()
    for trace in outcome.traces:
        late = late_findings(trace, context)
        for finding in findings(trace, context, late):
            found.append(finding)
            trace.marks.setdefault(finding.record, finding.requirement)
        timed |= {finding.requirement for finding in late}
    failed = outcome.state is State.FAILED
    firm = {finding.requirement for finding in found} - timed
    outcome = replace(
        outcome,
        findings=tuple(found),
        timed=frozenset(timed - firm),
        possible_causes=possible_causes(outcome.traces, context, outcome.ended_at) if failed else frozenset(),
        signs=signs_of(outcome.traces),
        shown=frozenset(shown for trace in outcome.traces for shown in shows(trace)),
        flood=flood_of(outcome.traces),
        broken_off=broken_off(outcome.traces),
        last_message_at=last_message_at(outcome),
    )
    for trace in outcome.traces:
        trace.shorten(MOST_LINES)
    return _without_secrets(_blocked_by_unreadable(_caused_by_flood(outcome)))


def blocked_by_flood(requirement: str) -> Outcome:
    """Return the outcome of a case that could not be played because of a flood that broke `requirement`."""
    return Outcome(State.NOT_EXERCISED, f"blocked by {requirement}", requirement)


def starved_by_floods(outcome: Outcome) -> bool:
    """Whether a case failed as too much had come of others for its own conversations to be read further."""
    crowded = any(trace.flooded_at for trace in outcome.traces) and outcome.flood is None
    return outcome.state is State.FAILED and crowded


def last_message_at(outcome: Outcome) -> float:
    """Return when the server last said something in a case's conversations."""
    said = (
        record.at
        for trace in outcome.traces
        for record in trace.records
        if record.side == "server" and record.kind != "lost"
    )
    return max(said, default=0.0)


def _caused_by_flood(outcome: Outcome) -> Outcome:
    if outcome.state is not State.FAILED or outcome.flood is None:
        return outcome
    flood = outcome.flood
    return replace(
        outcome,
        cause=flood.requirement,
        reason=flood.text,
        details="",
        kind=Kind.CONVERSATION,
        suspect=False,
        unsteady="",  # so many bytes are a proof at any pace
    )


def _blocked_by_unreadable(outcome: Outcome) -> Outcome:
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
