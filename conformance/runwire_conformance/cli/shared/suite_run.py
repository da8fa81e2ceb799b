"""Run of the suite with pytest, without pytest's output and without the user's pytest configuration."""

import contextlib
import hashlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer

import runwire_conformance
from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.runner import pytest_plugin
from runwire_conformance.runner.judging import Judging
from runwire_conformance.runner.progress import ProgressLine
from runwire_conformance.verdict.result import Report

#: Seconds between two looks at whether a server is there again.
LOOK_S = 1.0

SUITE = Path(runwire_conformance.__file__).parent


class _SessionPlugin:
    """Takes pytest's own output away, shows progress, and keeps what the engine found out."""

    def __init__(self, progress: ProgressLine | None) -> None:
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
        if self.judging is not None:
            self.judging.engine.progress = self._progress


@contextlib.contextmanager
def _progress(url: str, quiet: bool) -> Iterator[ProgressLine | None]:
    """Yield the line of progress on the terminal that standard error is, if it is one.

    pytest takes file descriptor 2 for itself while it runs, so the line is written to a copy.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", errors="replace") as terminal:
        line = ProgressLine(terminal)
        line.connecting(url or "the server that runwire.toml names")
        try:
            yield line
        finally:
            line.end()


def judged(arguments: Sequence[str], url: str, *, quiet: bool = False, returns_s: float = 0.0) -> Report:
    """Play the suite once and return what was found out; ends the command when there is nothing to judge.

    No configuration, plug-in or conftest of the user's is read, and nothing is written into the working directory.
    A server that was drained or killed in an earlier round may take `returns_s` seconds to be there again.
    """
    until = time.monotonic() + returns_s
    code, judging, complaints = _run_pytest(arguments, url, quiet)
    while _server_unavailable(judging) and time.monotonic() < until:
        time.sleep(LOOK_S)
        code, judging, complaints = _run_pytest(arguments, url, quiet)
    if code == pytest.ExitCode.USAGE_ERROR:
        fail(_usage_error(complaints))
    if code == pytest.ExitCode.INTERRUPTED and (judging is None or not judging.played):
        print("runwire: interrupted before anything was judged", file=sys.stderr)
        raise typer.Exit(130)
    if judging is None and code == pytest.ExitCode.NO_TESTS_COLLECTED:
        fail("no case matches the selection; see `runwire spec list` for classes and ids")
    if code == pytest.ExitCode.INTERRUPTED and not _has_report(judging):
        raise typer.Exit(130)  # Ctrl-C before anything was played, or a second one
    if judging is None or not (judging.played or code == pytest.ExitCode.OK):
        print(complaints, end="", file=sys.stderr)
        raise typer.Exit(3)
    if judging.refused is not None:
        fail(judging.refused)
    if not judging.played:
        fail("no case was played, because the pytest options do not run tests")
    return judging.report()


def _run_pytest(arguments: Sequence[str], url: str, quiet: bool) -> tuple[int, Judging | None, str]:
    """Have pytest play; return its exit code, what was judged if anything was, and what it complained of."""
    from hypothesis.configuration import set_hypothesis_home_dir  # takes a while, and most commands need none

    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    fixed = [
        str(SUITE / "cases"), "-c", str(SUITE / "cases" / "suite.ini"), f"--rootdir={SUITE}", f"--confcutdir={SUITE}",
        "-o", f"cache_dir={_cache_folder(url)}", "-q",
    ]  # fmt: skip
    with (
        _progress(url, quiet) as line,
        contextlib.redirect_stderr(io.StringIO()) as complaints,
        TemporaryDirectory() as home,
    ):
        follower = _SessionPlugin(line)
        set_hypothesis_home_dir(home)  # or it would leave a folder in the user's
        code = pytest.main([*fixed, *arguments], plugins=[pytest_plugin, follower])
    return code, follower.judging, complaints.getvalue()


def _server_unavailable(judging: Judging | None) -> bool:
    """Whether there was no server to judge, or one that takes nothing new."""
    if judging is None or judging.engine.interrupted:
        return False
    return judging.refused is not None or judging.engine.unusable is not None


def _has_report(judging: Judging | None) -> bool:
    """Whether there is something to tell of a session that ended with pytest's code 2."""
    return judging is not None and (judging.engine.interrupted or judging.refused is not None)


def _cache_folder(url: str) -> Path:
    """Return the folder in which pytest remembers what failed last, for `--lf`: one for each server."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    server = url or str(Path.cwd())
    return Path(caches).expanduser() / "runwire" / hashlib.sha256(server.encode()).hexdigest()[:16]


def _usage_error(said: str) -> str:
    """Return the line in which pytest names what is wrong with the call."""
    lines = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error: " in line]
    return (
        errors[0].partition("error: ")[2] if errors else lines[0] if lines else "pytest rejected the options"
    )
