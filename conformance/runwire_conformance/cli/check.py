"""`runwire check`: judge a server."""

import sys
from functools import partial
from typing import Annotated

import typer

from runwire_conformance.cli.shared.outcome import Gate, exit_code, prepare, publish, worst_of
from runwire_conformance.cli.shared.report_options import (
    ACCESS,
    PLAY,
    WHAT,
    BadgeFile,
    Baseline,
    CtrfFile,
    HtmlFile,
    JsonFile,
    JunitFile,
    Quiet,
    Repeat,
    ReportFolder,
    Requirements,
    Strict,
    SummaryFile,
    TimeLimit,
    UpdateBaseline,
)
from runwire_conformance.cli.shared.suite_run import judged
from runwire_conformance.cli.shared.usage_errors import check_names, fail
from runwire_conformance.cli.shared.waiting import listens_within
from runwire_conformance.cli.watch import watched
from runwire_conformance.client.discovery.server_url import server_url
from runwire_conformance.client.options.search_options import EXAMPLES
from runwire_conformance.report.files import Files
from runwire_conformance.runner.suite import case_names

#: Seconds that a server has to restart for the next round after a hook drained or killed it.
RETURNS_S = 60.0


def check(
    url: Annotated[
        str,
        typer.Argument(help="host:port, http(s)://host:port, its discovery URL, or ws(s)://host:port/path"),
    ] = "",
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="only these classes, separated by commas (repeatable)",
            rich_help_panel=WHAT,
            metavar="CLASSES",
        ),
    ] = None,
    requirement: Requirements = None,
    token: Annotated[
        str,
        typer.Option(help="bearer token", envvar="RUNWIRE_TOKEN", rich_help_panel=ACCESS, metavar="TOKEN"),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            help="additional header 'Name: value' (repeatable)", rich_help_panel=ACCESS, metavar="HEADER"
        ),
    ] = None,
    cafile: Annotated[
        str, typer.Option(help="trusted CA certificates", rich_help_panel=ACCESS, metavar="FILE")
    ] = "",
    config: Annotated[
        str,
        typer.Option(
            help="configuration file (default: ./runwire.toml, if it exists)",
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
    report: ReportFolder = None,
    json_file: JsonFile = None,
    html: HtmlFile = None,
    summary: SummaryFile = None,
    ctrf: CtrfFile = None,
    junitxml: JunitFile = None,
    badge: BadgeFile = None,
    baseline: Baseline = None,
    update_baseline: UpdateBaseline = False,
    strict: Strict = False,
    patience: Annotated[
        float,
        typer.Option(
            help="longest wait for any single event, in seconds",
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
            help="folder for failing conversations; saved ones play first",
            rich_help_panel=PLAY,
            metavar="FOLDER",
        ),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="skip cases that wait longer than 5 s", rich_help_panel=WHAT)
    ] = False,
    time_limit: TimeLimit = None,
    quiet: Quiet = False,
    wait: Annotated[
        float,
        typer.Option(
            help="seconds to wait for the server to listen", min=0, rich_help_panel=ACCESS, metavar="SECONDS"
        ),
    ] = 0.0,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="judge again whenever the server restarts, failed cases first",
            rich_help_panel=PLAY,
        ),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(help="number of parallel connections", min=1, rich_help_panel=PLAY, metavar="N"),
    ] = None,
    repeat: Repeat = 1,
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
        bool, typer.Option("--lf", help="only cases that failed last time", rich_help_panel=WHAT)
    ] = False,
    pytest_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- PYTEST OPTIONS]", help="further pytest options, after --"),
    ] = None,
) -> None:
    """Judge a server.

    Exit code 0: nothing broken; 1: something broken; 2: nothing to judge; 3: not everything judged; 130: interrupted.
    """
    further, url = list(pytest_options or []), server_url(url)
    if url.startswith("-"):
        url, further = "", [url, *further]
    if further and not further[0].startswith("-"):
        fail(f"only one server can be judged at a time; unexpected argument {further[0]!r}")
    classes, requirements = ",".join(class_ or []), ",".join(requirement or [])
    check_names(classes, requirements)
    if watch:
        raise typer.Exit(_watch(url))
    gate = Gate.read(baseline, update_baseline, strict)
    files = Files(report, json_file, html, summary, ctrf, badge, junitxml)
    prepare(files)
    arguments = [f"--runwire-patience={patience}", f"--runwire-seed={seed}", f"--runwire-examples={examples}"]
    for option, value in {
        "url": url, "class": classes, "requirement": requirements, "token": token, "cafile": cafile, "config": config,
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
    played = partial(judged, [*arguments, *further], url, quiet=quiet)
    result, unplayed = worst_of(played, repeat, strict, partial(played, returns_s=RETURNS_S))
    result = gate.applied(result, case_names())
    publish(result, strict, files)
    raise typer.Exit(exit_code(result, unplayed, strict))


def _watch(url: str) -> int:
    try:
        return watched(url, sys.argv[1:])
    except ValueError:
        fail("--watch needs the server's URL on the command line, as http://host:port")


def _wait(url: str, seconds: float) -> None:
    try:
        if not listens_within(url, seconds):
            fail(f"nothing listens at {url} after {seconds:g} s")
    except ValueError:
        fail("--wait needs the server's URL on the command line, as http://host:port")
