"""`runwire check`: judge a server."""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from runwire_conformance.cli.common import check_names, fail
from runwire_conformance.cli.suite_run import judged
from runwire_conformance.cli.waiting import listens_within
from runwire_conformance.cli.watch import watched
from runwire_conformance.client.search_options import EXAMPLES
from runwire_conformance.client.server_url import server_url
from runwire_conformance.report.document import document_of
from runwire_conformance.report.files import Files, Unwritable
from runwire_conformance.report.terminal import failures, not_exercised, one_line, table
from runwire_conformance.runner.suite import case_names
from runwire_conformance.verdict.baseline import Comparison, Known, compare, renewed
from runwire_conformance.verdict.baseline_file import BaselineError, read_baseline, write_baseline
from runwire_conformance.verdict.repeats import repeats_of
from runwire_conformance.verdict.result import Report

#: The groups of the help.
WHAT, ACCESS, GATE = "What to judge", "How to get in", "What fails"
REPORTS, PLAY = "Reports", "How it plays"

#: Seconds that a server which a hook drained or killed may take to be there again for the next round.
RETURNS_S = 60.0

#: The exit code when a round was not played: something was not judged.
UNPLAYED = 3


def check(
    url: Annotated[
        str,
        typer.Argument(help="host:port, http(s)://host:port, its discovery URL, or ws(s)://host:port/path"),
    ] = "",
    classes: Annotated[
        str,
        typer.Option(
            "--class", help="only these classes, by commas", rich_help_panel=WHAT, metavar="CLASSES"
        ),
    ] = "",
    requirement: Annotated[
        str, typer.Option(help="only these requirements, by commas", rich_help_panel=WHAT, metavar="IDS")
    ] = "",
    token: Annotated[
        str,
        typer.Option(help="bearer token", envvar="RUNWIRE_TOKEN", rich_help_panel=ACCESS, metavar="TOKEN"),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            help="further header 'Name: value' (repeatable)", rich_help_panel=ACCESS, metavar="HEADER"
        ),
    ] = None,
    cafile: Annotated[
        str, typer.Option(help="certificates to trust", rich_help_panel=ACCESS, metavar="FILE")
    ] = "",
    config: Annotated[
        str,
        typer.Option(
            help="configuration (default: ./runwire.toml if there is one)",
            rich_help_panel=ACCESS,
            metavar="FILE",
        ),
    ] = "",
    prompt_short: Annotated[
        str, typer.Option(help="a prompt with a short answer", rich_help_panel=WHAT, metavar="TEXT")
    ] = "",
    prompt_long: Annotated[
        str,
        typer.Option(help="a prompt with an answer of several seconds", rich_help_panel=WHAT, metavar="TEXT"),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(
            help="write every form of the report into this folder", rich_help_panel=REPORTS, metavar="FOLDER"
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="write the report as JSON", rich_help_panel=REPORTS, metavar="FILE"),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="write the report as one HTML file", rich_help_panel=REPORTS, metavar="FILE"),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="write Markdown, as for a CI's step summary", rich_help_panel=REPORTS, metavar="FILE"
        ),
    ] = None,
    ctrf: Annotated[
        Path | None, typer.Option(help="write CTRF JSON", rich_help_panel=REPORTS, metavar="FILE")
    ] = None,
    junitxml: Annotated[
        Path | None, typer.Option(help="write JUnit XML", rich_help_panel=REPORTS, metavar="FILE")
    ] = None,
    badge: Annotated[
        Path | None,
        typer.Option(help="write the JSON of a shields.io endpoint", rich_help_panel=REPORTS, metavar="FILE"),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="failures that are known; all else fails", rich_help_panel=GATE, metavar="FILE"),
    ] = None,
    update_baseline: Annotated[
        bool,
        typer.Option("--update-baseline", help="have the baseline know what fails now", rich_help_panel=GATE),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="advice and what was not exercised fail too", rich_help_panel=GATE),
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            help="longest time to wait for any one thing, in seconds",
            min=1,
            rich_help_panel=PLAY,
            metavar="SECONDS",
        ),
    ] = 30.0,
    seed: Annotated[
        int, typer.Option(help="seed of the random conversations", rich_help_panel=PLAY, metavar="N")
    ] = 0,
    examples: Annotated[
        int,
        typer.Option(
            help="random conversations for each case of the model", min=1, rich_help_panel=PLAY, metavar="N"
        ),
    ] = EXAMPLES,
    regressions: Annotated[
        str,
        typer.Option(
            help="folder in which failing conversations are saved and from which they play first",
            rich_help_panel=PLAY,
            metavar="FOLDER",
        ),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="leave out what waits longer than 5 s", rich_help_panel=WHAT)
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="seconds after which nothing more is begun; what is left is not judged",
            min=1,
            rich_help_panel=PLAY,
            metavar="SECONDS",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no progress line", rich_help_panel=PLAY)
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            help="seconds to wait until the server listens", min=0, rich_help_panel=ACCESS, metavar="SECONDS"
        ),
    ] = 0.0,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="judge again whenever the server comes back, and first what failed",
            rich_help_panel=PLAY,
        ),
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(help="connections at once", min=1, rich_help_panel=PLAY, metavar="N")
    ] = None,
    repeat: Annotated[
        int, typer.Option(help="judge so many times", min=1, rich_help_panel=PLAY, metavar="N")
    ] = 1,
    keyword: Annotated[
        str,
        typer.Option(
            "-k",
            help="only cases whose name matches, as in pytest",
            rich_help_panel=WHAT,
            metavar="EXPRESSION",
        ),
    ] = "",
    exitfirst: Annotated[
        bool, typer.Option("-x", help="stop at the first failure", rich_help_panel=WHAT)
    ] = False,
    last_failed: Annotated[
        bool, typer.Option("--lf", help="only what failed the last time", rich_help_panel=WHAT)
    ] = False,
    pytest_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- PYTEST OPTIONS]", help="any other option of pytest, after --"),
    ] = None,
) -> None:
    """Judge a server.

    Exit code 0: nothing broken; 1: something is; 2: nothing to judge; 3: not all could be judged; 130: interrupted.
    """
    further, url = list(pytest_options or []), server_url(url)
    if url.startswith("-"):
        url, further = "", [url, *further]
    if further and not further[0].startswith("-"):
        fail(f"one server is judged at a time, and {further[0]!r} is one argument too many")
    check_names(classes, requirement)
    if watch:
        raise typer.Exit(_watch(url))
    if update_baseline and baseline is None:
        fail("name the file to update with --baseline FILE")
    known = _known(baseline, update_baseline) if baseline else None
    files = Files(report, json_file, html, summary, ctrf, badge, junitxml)
    try:
        files.prepare()
    except Unwritable as problem:
        fail(str(problem))
    arguments = [f"--runwire-patience={patience}", f"--runwire-seed={seed}", f"--runwire-examples={examples}"]
    for option, value in {
        "url": url, "class": classes, "requirement": requirement, "token": token, "cafile": cafile, "config": config,
        "regressions": regressions,
    }.items():  # fmt: skip
        arguments += [f"--runwire-{option}={value}"] if value else []
    arguments += [f"--runwire-header={value}" for value in header or []]
    arguments += [f"--runwire-prompt=short={prompt_short}"] if prompt_short else []
    arguments += [f"--runwire-prompt=long={prompt_long}"] if prompt_long else []
    arguments += [f"--runwire-concurrency={concurrency}"] if concurrency else []
    arguments += [f"--junitxml={files.junitxml}"] if files.junitxml else []
    arguments += ["--runwire-quick"] if quick else []
    arguments += [f"--runwire-time-limit={time_limit}"] if time_limit else []
    arguments += ["-k", keyword] if keyword else []
    arguments += ["-x"] if exitfirst else []
    arguments += ["--lf"] if last_failed else []
    if wait:
        _wait(url, wait)
    result, complete = _repeated([*arguments, *further], url, repeat, strict, quiet)
    if baseline is not None and known is not None and not result.interrupted:
        if update_baseline:
            known = _update(baseline, known, result, strict)
        result = replace(result, baseline=_compared(baseline, known, result, strict))
    for part in (failures(result), not_exercised(result), table(result, strict)):
        if part:
            print(part, end="\n\n")
    try:
        files.write(document_of(result, strict))
    except Unwritable as problem:
        fail(str(problem))
    raise typer.Exit(result.exit_code(strict) or (0 if complete else UNPLAYED))


def _watch(url: str) -> int:
    try:
        return watched(url, sys.argv[1:])
    except ValueError:
        fail("--watch needs the server's URL in the call, as http://host:port")


def _wait(url: str, seconds: float) -> None:
    try:
        if not listens_within(url, seconds):
            fail(f"nothing listens at {url} after {seconds:g} s")
    except ValueError:
        fail("--wait needs the server's URL in the call, as http://host:port")


def _repeated(arguments: list[str], url: str, times: int, strict: bool, quiet: bool) -> tuple[Report, bool]:
    """Judge so many times; return the worst judging, which knows how the others compare, and whether all were."""
    reports: list[Report] = []
    complete = True
    for number in range(1, times + 1):
        try:
            reports.append(judged(arguments, url, quiet=quiet, returns_s=RETURNS_S if reports else 0.0))
        except typer.Exit:
            if not reports:
                raise
            print(
                f"runwire: round {number} of {times} was not played; told is what came before",
                file=sys.stderr,
            )
            complete = False
            break
        if reports[-1].interrupted:
            break
        if times > 1:
            print(f"{number} of {times}: {one_line(reports[-1], strict)}", flush=True)
    worst = max(reports, key=lambda report: report.exit_code(strict))
    if times == 1:
        return worst, complete
    print()
    return replace(worst, repeats=repeats_of([report.judgements for report in reports])), complete


def _known(baseline: Path, update: bool) -> list[Known]:
    if update and not baseline.exists():
        return []
    try:
        return read_baseline(baseline)
    except BaselineError as problem:
        fail(str(problem))


def _compared(baseline: Path, known: list[Known], result: Report, strict: bool) -> Comparison:
    failing = result.failing(strict)
    today = date.today()
    return compare(known, result.judgements, failing, case_names(), today, str(baseline))


def _update(baseline: Path, known: list[Known], result: Report, strict: bool) -> list[Known]:
    new = renewed(known, result.judgements, result.failing(strict), case_names())
    try:
        write_baseline(baseline, new)
    except BaselineError as problem:
        fail(str(problem))
    return new
