"""Options of the judging commands: reports, gate, repetition, time limit."""

from pathlib import Path
from typing import Annotated

import typer

#: The groups of the help.
WHAT, ACCESS, GATE = "Selection", "Access", "Gate"
REPORTS, PLAY = "Reports", "Execution"

ReportFolder = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="write every form of the report into this folder",
        rich_help_panel=REPORTS,
        metavar="FOLDER",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="write the report as JSON", rich_help_panel=REPORTS, metavar="FILE"),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", help="write the report as one HTML file", rich_help_panel=REPORTS, metavar="FILE"),
]
SummaryFile = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        help="write Markdown, for example for a CI step summary",
        rich_help_panel=REPORTS,
        metavar="FILE",
    ),
]
CtrfFile = Annotated[
    Path | None, typer.Option("--ctrf", help="write CTRF JSON", rich_help_panel=REPORTS, metavar="FILE")
]
JunitFile = Annotated[
    Path | None, typer.Option("--junitxml", help="write JUnit XML", rich_help_panel=REPORTS, metavar="FILE")
]
BadgeFile = Annotated[
    Path | None,
    typer.Option(
        "--badge",
        help="write JSON for a shields.io endpoint badge",
        rich_help_panel=REPORTS,
        metavar="FILE",
    ),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        help="file of known failures, which do not fail the gate",
        rich_help_panel=GATE,
        metavar="FILE",
    ),
]
UpdateBaseline = Annotated[
    bool,
    typer.Option(
        "--update-baseline", help="write the current failures to the baseline", rich_help_panel=GATE
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="also fail on advice and on requirements that were not exercised",
        rich_help_panel=GATE,
    ),
]
Requirements = Annotated[
    list[str] | None,
    typer.Option(
        "--requirement",
        help="only these requirements, separated by commas (repeatable)",
        rich_help_panel=WHAT,
        metavar="IDS",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        help="start no case after this many seconds; the rest is not judged",
        min=1,
        rich_help_panel=PLAY,
        metavar="SECONDS",
    ),
]
Repeat = Annotated[
    int,
    typer.Option(
        "--repeat", help="judge N times and compare the verdicts", min=1, rich_help_panel=PLAY, metavar="N"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress line", rich_help_panel=PLAY)]
