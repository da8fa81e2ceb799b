"""`runwire check-client`: judge a client."""

import asyncio
import difflib
import sys
import time
from typing import Annotated

import typer

from runwire_conformance.cli.shared.outcome import Gate, exit_code, prepare, publish, worst_of
from runwire_conformance.cli.shared.report_options import (
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
from runwire_conformance.cli.shared.usage_errors import fail, requirement_called
from runwire_conformance.report.files import Files
from runwire_conformance.tools.check_client.client_under_test.launch_parameters import (
    PLACEHOLDERS,
    LaunchParameters,
)
from runwire_conformance.tools.check_client.client_under_test.process import (
    LaunchedClient,
    Process,
    Unstartable,
)
from runwire_conformance.tools.check_client.client_under_test.profile import (
    ClientProfile,
    NoClaim,
    bound,
    profile_of,
)
from runwire_conformance.tools.check_client.judging import (
    ClientUnderTest,
    Selection,
    mistaken_placeholder,
    report_of,
)
from runwire_conformance.tools.check_client.junit import as_junit
from runwire_conformance.tools.check_client.play import PlayResult
from runwire_conformance.tools.check_client.scenario import scenarios
from runwire_conformance.tools.check_client.server.scenario_queue import ScenarioQueue
from runwire_conformance.tools.check_client.suite import AT_ONCE, PATIENCE_S, NobodyCame, Suite
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.verdict.judgement import Judgement
from runwire_conformance.verdict.result import Report


def check_client(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND...",
            help="command that starts the client; {url}, {websocket}, {runs}, {prompt}, {transport}, {token},"
            " {token_url}, {act}, {run} and {cursor} are replaced; the environment has RUNWIRE_URL and so on",
        ),
    ] = None,
    claim: Annotated[
        str,
        typer.Option(
            help="classes that the client claims: watches, cancels, resumes, falls_back, or all",
            rich_help_panel=WHAT,
            metavar="CLASSES",
        ),
    ] = "watches",
    transport: Annotated[
        str,
        typer.Option(
            help="transports that the client supports, separated by commas",
            rich_help_panel=WHAT,
            metavar="NAMES",
        ),
    ] = "websocket,sse",
    requirement: Requirements = None,
    keyword: Annotated[
        str,
        typer.Option(
            "-k", help="only scenarios whose name contains this text", rich_help_panel=WHAT, metavar="TEXT"
        ),
    ] = "",
    listen: Annotated[
        bool,
        typer.Option(
            "--listen",
            help="start no client, but wait for a page or client that fetches the scenarios",
            rich_help_panel=PLAY,
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(help="port to listen on", min=0, max=65535, rich_help_panel=PLAY, metavar="PORT")
    ] = 8765,
    listed: Annotated[
        bool, typer.Option("--list", help="list the scenarios without playing them", rich_help_panel=WHAT)
    ] = False,
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
            help="seconds to wait for a client where no requirement states a time",
            min=PATIENCE_S,  # sentences leave a client up to 6 s: who waits for less accuses whom they allow it
            max=3600,
            rich_help_panel=PLAY,
            metavar="SECONDS",
        ),
    ] = PATIENCE_S,
    concurrency: Annotated[
        int, typer.Option(help="number of parallel clients", min=1, rich_help_panel=PLAY, metavar="N")
    ] = AT_ONCE,
    repeat: Repeat = 1,
    time_limit: TimeLimit = None,
    quiet: Quiet = False,
) -> None:
    """Judge a client.

    The judge acts as the server and plays one scenario after another.

    A client can report what it displays, as one JSON object per line on standard output, such as
    {"runwire": {"text": "Hello", "ended": "completed"}}. Without reports it is judged only by its messages.

    Exit code 0: nothing broken; 1: something broken; 2: nothing to judge; 3: not everything judged; 130: interrupted.
    """
    profile, choice = _profile(claim, transport), _choice(",".join(requirement or []), keyword)
    if listed:
        _list(profile, choice)
        raise typer.Exit
    words = _listen_arguments(command or [], port) if listen else _client_command(command or [])
    gate = Gate.read(baseline, update_baseline, strict)
    files = Files(report, json_file, html, summary, ctrf, badge, junitxml)
    prepare(files)
    options = ("--claim", claim) + (() if transport == "websocket,sse" else ("--transport", transport))
    options += () if patience == PATIENCE_S else ("--patience", f"{patience:g}")
    options += () if time_limit is None else ("--time-limit", f"{time_limit:g}")
    judged = ClientUnderTest(tuple(words), profile, choice, options, time.time())

    queue = ScenarioQueue() if listen else None

    async def launch(told: LaunchParameters, log: WireLog) -> LaunchedClient:
        return await (queue.launch(told, log) if queue else Process.start(words, told, log))

    line = _PlayProgress(quiet)
    suites: list[tuple[tuple[Judgement, ...], Suite]] = []

    def judge() -> Report:
        suite = Suite(profile, launch, patience, concurrency, choice.has, line, time_limit)
        found = _played(suite, judged, line, queue, port)
        suites.append((found.judgements, suite))
        return found

    result, unplayed = worst_of(judge, repeat, strict)
    suite = next(suite for found, suite in suites if found is result.judgements)
    names = frozenset(f"{one.name}[{on}]" for one in scenarios() for on in one.transports)
    result = gate.applied(result, names)
    publish(result, strict, files, as_junit(suite.plays, result))
    raise typer.Exit(exit_code(result, unplayed, strict))


def _profile(claim: str, transport: str) -> ClientProfile:
    try:
        return profile_of(_split_names(claim), _split_names(transport))
    except NoClaim as problem:
        fail(str(problem))


def _split_names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _choice(requirement: str, keyword: str) -> Selection:
    ids = []
    for name in _split_names(requirement):
        found = requirement_called(name)
        if found.id not in bound():
            why = (
                found.not_observable_because
                or f"it applies to a {found.role}; `runwire check` judges servers"
            )
            fail(f"{found.id} cannot be judged for a client: {why}")
        ids.append(found.id)
    choice = Selection(frozenset(ids), keyword)
    if not any(map(choice.has, scenarios())):
        fail(f"no scenario has a name with {keyword!r}; `runwire check-client --list` lists them")
    return choice


def _listen_arguments(command: list[str], port: int) -> list[str]:
    if command:
        fail(f"--listen starts no client; unexpected argument {command[0]!r}")
    return ["--listen", "--port", str(port)]


def _client_command(command: list[str]) -> list[str]:
    if not command:
        fail("give the command that starts the client: runwire check-client -- node my_client.js {url}")
    if command[0].startswith(("http://", "https://", "ws://", "wss://")):
        fail(f"{command[0]} is not a command; to judge a server use `runwire check {command[0]}`")
    if wrong := mistaken_placeholder(command):
        near = difflib.get_close_matches(wrong, PLACEHOLDERS, n=1)
        hint = f"did you mean {{{near[0]}}}?" if near else f"the placeholders are: {', '.join(PLACEHOLDERS)}"
        fail(f"unknown placeholder {{{wrong}}}; {hint}")
    return command


def _list(profile: ClientProfile, choice: Selection) -> None:
    for scenario in filter(choice.has, scenarios()):
        played = ", ".join(profile.plays(scenario)) or f"claim {scenario.also or scenario.conformance_class}"
        print(f"{scenario.name:<46}{' '.join(scenario.ids):<18}{played:<16}{scenario.about}")


class _PlayProgress:
    """One line of a terminal that tells how far the suite is; silent where nobody looks."""

    def __init__(self, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()

    def __call__(self, total: int, ended: int, played: PlayResult) -> None:
        """Tell that a scenario has ended."""
        self._write(f"{ended} of {total} · {played.name}")

    def end(self) -> None:
        """Leave nothing behind."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


async def _run(suite: Suite, queue: ScenarioQueue | None, port: int) -> None:
    if queue is None:
        await suite.run()
        return
    try:
        found = await queue.open(port)
    except OSError as problem:
        raise Unstartable(f"cannot listen on port {port}: {problem.strerror}") from None
    print(f"Waiting for a page that includes http://127.0.0.1:{found}/runwire-check.js", flush=True)
    try:
        await suite.run()
    finally:
        await queue.close()


def _played(
    suite: Suite, judged: ClientUnderTest, line: _PlayProgress, queue: ScenarioQueue | None, port: int
) -> Report:
    began = time.monotonic()
    interrupted = False
    try:
        asyncio.run(_run(suite, queue, port))
    except KeyboardInterrupt:
        interrupted = True
    except Unstartable as problem:
        fail(str(problem))
    except NobodyCame as problem:
        fail(f"the client never connected to RUNWIRE_URL: {problem}")
    finally:
        line.end()
    return report_of(suite, judged, time.monotonic() - began, interrupted)


#: Options of the client's own command are not the judge's, wherever it begins.
check_client.context_settings = {"allow_interspersed_args": False}  # type: ignore[attr-defined]
