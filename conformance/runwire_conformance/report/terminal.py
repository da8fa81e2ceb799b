"""Terminal report: failures in full, requirements that were not exercised, and a final table."""

import textwrap
from collections.abc import Sequence

from runwire_conformance.report.explain import WIDTH, explain, filled, on_a_line, width
from runwire_conformance.verdict.baseline import Comparison
from runwire_conformance.verdict.judgement import Judgement, Repeats, Verdict
from runwire_conformance.verdict.result import ClassResult, Report

#: How many requirements of a class are named behind its line.
MOST_NAMED = 3

#: How many requirements are listed that one broken requirement blocks.
MOST_BLOCKED = 40

#: How many reasons for what was not judged are told in the last line.
MOST_REASONS = 2

#: How many failures are told in full; the report files hold all of them.
MOST_TOLD = 12


def table(report: Report, strict: bool = False) -> str:
    """Return the closing table, one line a class."""
    judged = sum(judgement.verdict is not Verdict.NOT_OFFERED for judgement in report.judgements)
    who = f"{report.server} at {report.url}" if report.url else report.server
    counted = "1 requirement" if judged == 1 else f"{judged} requirements"
    lines = [f"Runwire 1 · {who} · {counted} · {report.seconds:.1f} s"]
    lines += [_class_line(result, report) for result in report.classes]
    counts = [f"Failed {len(report.by(Verdict.FAIL))}", f"advice {len(report.by(Verdict.ADVICE))}"]
    for verdict in (Verdict.NOT_EXERCISED, Verdict.NOT_JUDGED):
        count = len(report.by(verdict))
        if count or verdict is Verdict.NOT_EXERCISED:
            counts.append(f"{verdict} {count}" + (" (see above)" if count else ""))
    if report.judge_errors:
        counts.append(f"internal errors {len(report.judge_errors)}")
    counts.append(f"exit {report.exit_code(strict)}")
    lines.append(" · ".join(counts))
    if report.slowest[0]:
        lines.append(f"Slowest case: {report.slowest[0]} {report.slowest[1]:.1f} s")
    lines += report.remarks
    if report.baseline is not None:
        lines += _baseline_lines(report.baseline)
    if report.repeats is not None:
        lines += _repeats_lines(report.repeats)
    return "\n".join([*lines, in_words(report)])


def in_words(report: Report) -> str:
    """Return what came of it in one sentence: the last thing that a person reads."""
    held = len(report.by(Verdict.PASS)) + len(report.by(Verdict.ADVICE))
    broken, left_out = report.by(Verdict.FAIL), report.by(Verdict.NOT_JUDGED)
    judged = held + len(broken)
    whole = judged + len(left_out) + len(report.by(Verdict.NOT_EXERCISED))
    said = f"judged {judged} of {whole}, "
    said += f"{len(broken)} broken" if broken else "none broken" if judged else "so nothing was judged"
    if left_out:
        reasons = list(dict.fromkeys(judgement.reasons[0] for judgement in left_out if judgement.reasons))
        said += f"; {len(left_out)} not judged: {'; '.join(reasons[:MOST_REASONS])}"
        said += f" and {len(reasons) - MOST_REASONS} more reasons" if len(reasons) > MOST_REASONS else ""
    if report.partial:
        said += f"; partial: {report.partial}"
    return said[0].upper() + said[1:]


def one_line(report: Report, strict: bool = False) -> str:
    """Return what came of one judging among several."""
    counts = [f"{verdict} {len(report.by(verdict))}" for verdict in Verdict if report.by(verdict)]
    failed = ", ".join(judgement.requirement.id for judgement in report.by(Verdict.FAIL))
    said = f"{' · '.join(counts)} · {report.seconds:.1f} s · exit {report.exit_code(strict)}"
    return f"{said} · failed {failed}" if failed else said


def _baseline_lines(baseline: Comparison) -> list[str]:
    known = f"Baseline {baseline.file}: {len(baseline.known)} known"
    if not baseline.breaches:
        return [f"{known}, and nothing else", *(f"  {remark}" for remark in baseline.remarks)]
    return [f"{known}, but:", *(f"  {text}" for text in (*baseline.breaches, *baseline.remarks))]


def _repeats_lines(repeats: Repeats) -> list[str]:
    if not repeats.differing:
        return [f"Judged {repeats.times} times, with the same verdicts each time"]
    lines = [f"Judged {repeats.times} times; these verdicts differed:"]
    for identifier, counts in repeats.differing.items():
        lines.append(
            f"  {identifier:<12}{', '.join(f'{verdict} {count}' for verdict, count in counts.items())}"
        )
    return lines


def _class_line(result: ClassResult, report: Report) -> str:
    if not result.offered:
        return f"  {result.name:<13}{'':>12}   not offered"
    count = f"{result.passed} of {result.total}"
    line = f"  {result.name:<13}{count:>12}   {result.standing}"
    if result.failed:
        indent = " " * 31
        named = [judgement for judgement in report.judgements if judgement.requirement.id in result.failed]
        room = width() - len(indent) if width() < WIDTH else None
        shown = [f"{j.requirement.id} {j.reasons[0].splitlines()[0][:70]}"[:room] for j in named[:MOST_NAMED]]
        more = [f"and {len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
        line += "".join(f"\n{indent}{text}" for text in shown + more)
    return line


def not_exercised(report: Report) -> str:
    """Return what was not exercised and what was not judged, by what to do about it."""
    parts = []
    for title, verdict in (("Not exercised", Verdict.NOT_EXERCISED), ("Not judged", Verdict.NOT_JUDGED)):
        if lines := _by_reason(report.by(verdict)):
            parts.append(f"{title}\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _by_reason(judgements: Sequence[Judgement]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for judgement in judgements:
        reason = judgement.reasons[0] if judgement.reasons else "no case was played"
        by_reason.setdefault(reason, []).append(judgement.requirement.id)
    lines = []
    for reason, identifiers in sorted(by_reason.items(), key=lambda pair: _remedy_rank(pair[0])):
        if reason.startswith("blocked") and len(identifiers) > MOST_BLOCKED:
            lines.append(
                f"{on_a_line(reason)}\n    {len(identifiers)} requirements, listed in the report files"
            )
            continue
        listed = filled(", ".join(identifiers), first="    ")
        lines.append(f"{on_a_line(reason)}\n{listed}")
    return lines


def _remedy_rank(reason: str) -> int:
    """Sort reasons by what to do about them: configure, wait longer, fix something else first, and the rest."""
    beginnings = ("configure", "needs", "would take", "blocked")
    return next(
        (place for place, begin in enumerate(beginnings) if reason.startswith(begin)), len(beginnings)
    )


def failures(report: Report) -> str:
    """Return every accusation that no baseline knows in full, and advice, up to a readable number."""
    baseline = report.baseline
    guilty = [
        judgement
        for judgement in (*report.by(Verdict.FAIL), *report.by(Verdict.ADVICE))
        if baseline is None or not baseline.knows(judgement)
    ]
    parts = [f"{judgement.verdict.upper()}\n{explain(judgement)}\n" for judgement in guilty[:MOST_TOLD]]
    if len(guilty) > MOST_TOLD:
        rest = [f"  {j.requirement.id:<12}{j.reasons[0].splitlines()[0][:100]}" for j in guilty[MOST_TOLD:]]
        parts.append(
            f"{len(rest)} more, in full with --report DIR, or one at a time with --requirement ID:\n"
            + "\n".join(rest)
        )
    parts += [
        f"INTERNAL ERROR OF THE JUDGE, please report it:\n{textwrap.indent(text, '  ')}"
        for text in report.judge_errors
    ]
    return "\n".join(parts)
