"""Result handling of the judging commands: baseline, terminal output, report files, exit code."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import typer

from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.report.document import document_of
from runwire_conformance.report.files import Files, Unwritable
from runwire_conformance.report.terminal import failures, not_exercised, one_line, table
from runwire_conformance.verdict.baseline import Known, compare, renewed
from runwire_conformance.verdict.baseline_file import BaselineError, read_baseline, write_baseline
from runwire_conformance.verdict.judgement import repeats_of
from runwire_conformance.verdict.result import Report

#: The exit codes when a round was not played: something was not judged, or the user broke it off.
UNPLAYED, BROKEN_OFF = 3, 130


def prepare(files: Files) -> None:
    """End the command if what was asked for could not be written after minutes of judging."""
    try:
        files.prepare()
    except Unwritable as problem:
        fail(str(problem))


@dataclass(frozen=True, slots=True)
class Gate:
    """What fails: everything, or what a baseline does not know."""

    baseline: Path | None
    update: bool
    strict: bool
    known: Sequence[Known] = ()

    @classmethod
    def read(cls, baseline: Path | None, update: bool, strict: bool) -> "Gate":
        """Read the baseline; ends the command for one that cannot be read."""
        if update and baseline is None:
            fail("--update-baseline needs --baseline FILE")
        if baseline is None or (update and not baseline.exists()):
            return cls(baseline, update, strict)
        try:
            return cls(baseline, update, strict, read_baseline(baseline))
        except BaselineError as problem:
            fail(str(problem))

    def applied(self, result: Report, names: frozenset[str]) -> Report:
        """Return a report that was held against the baseline; `names` are the cases there are."""
        if self.baseline is None or result.interrupted:
            return result
        known, failing = list(self.known), result.failing(self.strict)
        if self.update:
            known = renewed(known, result.judgements, failing, names)
            try:
                write_baseline(self.baseline, known)
            except BaselineError as problem:
                fail(str(problem))
        found = compare(known, result.judgements, failing, names, date.today(), str(self.baseline))
        return replace(result, baseline=found)


def worst_of(
    judge: Callable[[], Report], times: int, strict: bool, again: Callable[[], Report] | None = None
) -> tuple[Report, int]:
    """Judge so many times, from the second on by `again`; return the worst judging, which knows how the others
    compare, and the exit code that a round which was not played asks for, 0 when all were.

    A round that ends the command leaves what was judged before it to be told, if anything was.
    """
    reports: list[Report] = []
    unplayed = 0
    for number in range(1, times + 1):
        try:
            reports.append((again or judge)() if reports else judge())
        except (typer.Exit, KeyboardInterrupt) as problem:
            if not reports:
                raise
            print(
                f"runwire: round {number} of {times} was not played; reporting the earlier rounds",
                file=sys.stderr,
            )
            by_user = isinstance(problem, KeyboardInterrupt) or problem.exit_code == BROKEN_OFF
            unplayed = BROKEN_OFF if by_user else UNPLAYED
            break
        if reports[-1].interrupted:
            break
        if times > 1:
            print(f"{number} of {times}: {one_line(reports[-1], strict)}", flush=True)
    worst = max(reports, key=lambda report: report.exit_code(strict))
    if times == 1:
        return worst, unplayed
    print()
    return replace(worst, repeats=repeats_of([report.judgements for report in reports])), unplayed


def exit_code(result: Report, unplayed: int, strict: bool) -> int:
    """Return what the command ends with: what the user broke off is told as that, and no missing round is a pass."""
    return unplayed if unplayed == BROKEN_OFF else result.exit_code(strict) or unplayed


def publish(result: Report, strict: bool, files: Files, junit: str = "") -> None:
    """Print what was found and write every form that was asked for; ends the command where one cannot be written."""
    for part in (failures(result), not_exercised(result), table(result, strict)):
        if part:
            print(part, end="\n\n")
    try:
        files.write(document_of(result, strict), junit)
    except Unwritable as problem:
        fail(str(problem))
