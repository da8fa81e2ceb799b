"""The report of a run: the table in the terminal, JSON for programs, Markdown for a page."""

import json
import textwrap
from typing import Any

from runwire_conformance.explain import explain
from runwire_conformance.transcript import transcript
from runwire_conformance.verdict import ClassResult, Judgement, Report, Verdict

#: How many requirements of a class are named behind its line.
MOST_NAMED = 3

#: How many requirements are listed that one broken requirement makes moot.
MOST_MOOT = 40

#: How many failures are told in full; the report files hold all of them.
MOST_TOLD = 12


def table(report: Report, strict: bool = False) -> str:
    """Return the closing table, one line a class."""
    judged = sum(judgement.verdict is not Verdict.NOT_OFFERED for judgement in report.judgements)
    lines = [f"Runwire 1 · {report.server} at {report.url} · {judged} requirements · {report.seconds:.1f} s"]
    lines += [_class_line(result, report) for result in report.classes]
    counts = [f"Failed {len(report.by(Verdict.FAIL))}", f"advice {len(report.by(Verdict.ADVICE))}"]
    missing = report.by(Verdict.NOT_EXERCISED)
    counts.append(f"not exercised {len(missing)}" + (" (see below)" if missing else ""))
    if report.judge_errors:
        counts.append(f"faults of the judge {len(report.judge_errors)}")
    counts.append(f"exit {report.exit_code(strict)}")
    lines.append(" · ".join(counts))
    if report.slowest[0]:
        lines.append(f"Slowest case: {report.slowest[0]} {report.slowest[1]:.1f} s")
    lines += report.remarks
    return "\n".join(lines)


def _class_line(result: ClassResult, report: Report) -> str:
    if not result.offered:
        return f"  {result.name:<13}{'':>12}   not offered"
    count = f"{result.passed} of {result.total}"
    line = f"  {result.name:<13}{count:>12}   {result.standing}"
    if result.failed:
        indent = " " * 31
        named = [judgement for judgement in report.judgements if judgement.requirement.id in result.failed]
        shown = [f"{j.requirement.id} {j.reasons[0].splitlines()[0][:70]}" for j in named[:MOST_NAMED]]
        more = [f"and {len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
        line += "".join(f"\n{indent}{text}" for text in shown + more)
    return line


def not_exercised(report: Report) -> str:
    """Return what was not exercised, by reason, and what to configure."""
    by_reason: dict[str, list[str]] = {}
    for judgement in report.by(Verdict.NOT_EXERCISED):
        reason = judgement.reasons[0] if judgement.reasons else "no case came about"
        by_reason.setdefault(reason, []).append(judgement.requirement.id)
    lines = []
    for reason, identifiers in by_reason.items():
        if reason.startswith("moot") and len(identifiers) > MOST_MOOT:
            lines.append(f"  {reason}\n    {len(identifiers)} requirements, listed in the report files")
            continue
        listed = textwrap.fill(", ".join(identifiers), 100, initial_indent="    ", subsequent_indent="    ")
        lines.append(f"  {reason}\n{listed}")
    return "Not exercised\n" + "\n".join(lines) if lines else ""


def failures(report: Report) -> str:
    """Return every accusation in full, and advice, up to a readable number."""
    guilty = [*report.by(Verdict.FAIL), *report.by(Verdict.ADVICE)]
    parts = [f"{judgement.verdict.upper()}\n{explain(judgement)}\n" for judgement in guilty[:MOST_TOLD]]
    if len(guilty) > MOST_TOLD:
        rest = [f"  {j.requirement.id:<12}{j.reasons[0].splitlines()[0][:100]}" for j in guilty[MOST_TOLD:]]
        parts.append(
            f"{len(rest)} more, in full with --report DIR, or one at a time with --requirement ID:\n"
            + "\n".join(rest)
        )
    parts += [
        f"FAULT OF THE JUDGE, please report it:\n{textwrap.indent(text, '  ')}"
        for text in report.judge_errors
    ]
    return "\n".join(parts)


def as_json(report: Report, strict: bool = False) -> str:
    """Return the report as JSON."""
    document = {
        "runwire": 1,
        "url": report.url,
        "server": report.server,
        "seconds": round(report.seconds, 3),
        "exit_code": report.exit_code(strict),
        "slowest_case": {"case": report.slowest[0], "seconds": round(report.slowest[1], 3)},
        "remarks": list(report.remarks),
        "classes": [
            {
                "class": result.name,
                "standing": result.standing,
                "passed": result.passed,
                "total": result.total,
                "failed": list(result.failed),
                "not_exercised": list(result.not_exercised),
            }
            for result in report.classes
        ],
        "requirements": [_requirement(judgement) for judgement in report.judgements],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _requirement(judgement: Judgement) -> dict[str, Any]:
    requirement = judgement.requirement
    return {
        "id": requirement.id,
        "class": requirement.conformance_class,
        "keyword": requirement.keyword,
        "verdict": judgement.verdict,
        "sentence": requirement.sentence,
        "link": requirement.link,
        "reasons": list(judgement.reasons),
        "cases": list(judgement.cases),
        "accusations": [
            {
                "case": accusation.case,
                "reason": accusation.reason,
                "transcripts": [transcript(trace) for trace in accusation.traces[-4:]],
            }
            for accusation in judgement.accusations[:3]
        ],
    }


def as_markdown(report: Report, strict: bool = False) -> str:
    """Return the report as Markdown."""
    parts = ["# Runwire conformance", "", "```text", table(report, strict), "```", ""]
    for judgement in [*report.by(Verdict.FAIL), *report.by(Verdict.ADVICE)]:
        parts += [
            f"## {judgement.requirement.id}: {judgement.verdict}",
            "",
            "```text",
            explain(judgement),
            "```",
            "",
        ]
    if missing := not_exercised(report):
        parts += ["## Not exercised", "", "```text", missing, "```", ""]
    return "\n".join(parts)
