"""Explanation of a failure: sentence, reason, place, evidence, transcript."""

import os
import textwrap

from runwire_conformance.trace.transcript import begin_of, transcript
from runwire_conformance.verdict.judgement import Accusation, Judgement
from runwire_conformance.verdict.outcome import CaseResult, State
from runwire_spec import Requirement, catalogue

#: How wide text is at most, and how narrow on a narrow terminal.
WIDTH, NARROWEST = 100, 40

#: How many further cases are named that saw the same.
MOST_OTHERS = 6

#: States whose reason speaks of what the case proves; that of another says why it was not played to its end.
TELLING = frozenset({State.FAILED, State.JUDGE_ERROR})


def width() -> int:
    """Return how many columns text may take: those of the terminal, or `WIDTH` where there is none."""
    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        return WIDTH
    return max(NARROWEST, min(WIDTH, columns)) if columns else WIDTH


def filled(text: str, first: str = "  ", later: str = "    ") -> str:
    """Return text in lines that fit, the first and the later ones indented."""
    return textwrap.fill(text, width(), initial_indent=first, subsequent_indent=later)


def on_a_line(text: str) -> str:
    """Return text as one line, which can be searched for; on a terminal that is too narrow in lines that fit."""
    return f"  {text}" if width() == WIDTH else filled(text, later="  ")


def sentence(requirement: Requirement) -> str:
    """Return id, sentence, link and reason of a requirement."""
    lines = [f"[{requirement.id}] {requirement.sentence}"]
    if requirement.why:
        lines.append(f"Why: {requirement.why}")
    lines.append(f"See {requirement.link} (class {requirement.conformance_class})")
    return "\n".join(map(filled, lines))


def explain_case(played: CaseResult) -> str:
    """Return all there is to say about one failed case."""
    outcome = played.outcome
    assert outcome is not None
    parts = []
    for finding in outcome.findings:
        parts.append(sentence(catalogue()[finding.requirement]) + f"\n\n  {finding.text}\n")
    if outcome.reason and outcome.state in TELLING:
        broken = played.claim.ids if outcome.violated is None else (outcome.violated,)
        parts += [sentence(catalogue()[identifier]) for identifier in broken]
        parts.append(textwrap.indent(outcome.details or outcome.reason, "  "))
    parts += [transcript(trace, begin_of(outcome.traces)) for trace in outcome.traces]
    return "\n".join(parts)


def short(played: CaseResult) -> str:
    """Return a failed case in one line: the requirements that are broken, and what shows it."""
    outcome = played.outcome
    assert outcome is not None
    told = [f"[{finding.requirement}] {finding.text}" for finding in outcome.findings]
    if outcome.reason and outcome.state in TELLING:
        broken = played.claim.ids if outcome.violated is None else (outcome.violated,)
        told.append(f"[{', '.join(broken)}] {outcome.reason}")
    return "; ".join(" ".join(text.split()) for text in told)


def explain(judgement: Judgement) -> str:
    """Return all there is to say about a requirement that was found broken, with one transcript."""
    first, *more = judgement.accusations
    shown = next((accusation for accusation in judgement.accusations if accusation.traces), first)
    said = first.details or first.reason
    parts = [
        sentence(judgement.requirement),
        "",
        textwrap.indent(f"{said}\nin {first.case}", "  "),
        "",
        *_conversations(shown),
    ]
    if more:
        others = list(dict.fromkeys(accusation.case for accusation in more if accusation.case != first.case))
        if others:
            rest = f", and {len(others) - MOST_OTHERS} more" if len(others) > MOST_OTHERS else ""
            also = f"also in {', '.join(others[:MOST_OTHERS])}{rest}"
            parts.append(filled(also))
    return "\n".join(parts)


def _conversations(accusation: Accusation) -> list[str]:
    return [transcript(trace, begin_of(accusation.traces)) for trace in accusation.traces[-4:]]
