"""`runwire check`: judge a server."""

import os
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from runwire_conformance import pytest_plugin
from runwire_conformance.cli.complaint import check_names, fail
from runwire_conformance.judging import Judging
from runwire_conformance.report import as_json, as_markdown, failures, not_exercised, table
from runwire_conformance.verdict import Report

SUITE = Path(pytest_plugin.__file__).parent


class _Follower:
    """Takes pytest's own output away, shows progress, and keeps what the engine found out."""

    def __init__(self, progress: bool) -> None:
        self.judging: Judging | None = None
        self._progress = progress

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Silence the terminal reporter."""
        if reporter := config.pluginmanager.getplugin("terminalreporter"):
            config.pluginmanager.unregister(reporter)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Follow the engine."""
        self.judging = session.config.stash.get(pytest_plugin.ENGINE, None)
        if self.judging is not None and self._progress:
            self.judging.engine.progress = self._show

    def _show(self, done: int, of: int) -> None:
        end = "\n" if done == of else ""
        print(f"\r  {done} of {of} cases played", end=end, file=sys.stderr, flush=True)


def check(
    url: Annotated[
        str, typer.Argument(help="http(s)://host:port, its discovery URL, or ws(s)://host:port/path")
    ] = "",
    classes: Annotated[str, typer.Option("--class", help="only these classes, by commas")] = "",
    requirement: Annotated[str, typer.Option(help="only these requirements, by commas")] = "",
    token: Annotated[str, typer.Option(help="bearer token", envvar="RUNWIRE_TOKEN")] = "",
    header: Annotated[
        list[str] | None, typer.Option(help="further header 'Name: value' (repeatable)")
    ] = None,
    cafile: Annotated[str, typer.Option(help="certificates to trust")] = "",
    config: Annotated[str, typer.Option(help="configuration (default: ./runwire.toml if there is one)")] = "",
    prompt_short: Annotated[str, typer.Option(help="a prompt with a short answer")] = "",
    prompt_long: Annotated[str, typer.Option(help="a prompt with an answer of several seconds")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report as JSON")] = None,
    junitxml: Annotated[Path | None, typer.Option(help="write JUnit XML")] = None,
    report: Annotated[
        Path | None, typer.Option(help="write report.json and report.md into this folder")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="advice and what was not exercised fail too")
    ] = False,
    patience: Annotated[float, typer.Option(help="longest bound to wait for, in seconds", min=1)] = 30.0,
    concurrency: Annotated[int | None, typer.Option(help="connections at once", min=1)] = None,
    repeat: Annotated[int, typer.Option(help="judge so many times", min=1)] = 1,
    keyword: Annotated[str, typer.Option("-k", help="only cases whose name matches, as in pytest")] = "",
    exitfirst: Annotated[bool, typer.Option("-x", help="stop at the first failure")] = False,
) -> None:
    """Judge a server. Exit code 0: nothing broken; 1: something is; 2: nothing to judge; 3: a fault of the judge."""
    check_names(classes, requirement)
    arguments = [f"--runwire-patience={patience}"]
    for option, value in {
        "url": url, "class": classes, "requirement": requirement, "token": token, "cafile": cafile, "config": config,
    }.items():  # fmt: skip
        arguments += [f"--runwire-{option}={value}"] if value else []
    arguments += [f"--runwire-header={value}" for value in header or []]
    arguments += [f"--runwire-prompt=short={prompt_short}"] if prompt_short else []
    arguments += [f"--runwire-prompt=long={prompt_long}"] if prompt_long else []
    arguments += [f"--runwire-concurrency={concurrency}"] if concurrency else []
    arguments += [f"--junitxml={junitxml}"] if junitxml else []
    arguments += ["-k", keyword] if keyword else []
    arguments += ["-x"] if exitfirst else []
    worst = 0
    for _ in range(repeat):
        result = _judge(arguments)
        _tell(result, strict)
        _write(result, strict, json_file, report)
        worst = max(worst, result.exit_code(strict))
    raise typer.Exit(worst)


def _judge(arguments: list[str]) -> Report:
    """Run pytest on the suite alone: no configuration, plug-in or conftest of the user's is read."""
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    follower = _Follower(progress=sys.stderr.isatty())
    fixed = [
        str(SUITE / "cases"), "-c", str(SUITE / "suite.ini"), f"--rootdir={SUITE}", f"--confcutdir={SUITE}",
        "-p", "no:cacheprovider", "-q",
    ]  # fmt: skip
    code = pytest.main([*fixed, *arguments], plugins=[pytest_plugin, follower])
    judging = follower.judging
    if judging is None:
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            fail("no case is left to play; see `runwire spec list` for classes and ids")
        raise typer.Exit(2 if code == pytest.ExitCode.USAGE_ERROR else 3)
    if judging.refused is not None:
        fail(judging.refused)
    return judging.report()


def _tell(result: Report, strict: bool) -> None:
    for part in (failures(result), not_exercised(result), table(result, strict)):
        if part:
            print(part, end="\n\n")


def _write(result: Report, strict: bool, json_file: Path | None, folder: Path | None) -> None:
    try:
        if json_file is not None:
            json_file.write_text(as_json(result, strict), encoding="utf-8")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(as_json(result, strict), encoding="utf-8")
            (folder / "report.md").write_text(as_markdown(result, strict), encoding="utf-8")
    except OSError as problem:
        fail(f"cannot write {problem.filename}: {problem.strerror}")
