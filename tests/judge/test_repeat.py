"""`runwire check --repeat`: each round needs the server, which a hook may have taken away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from runwire_conformance.cli.shared.outcome import exit_code, worst_of
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.result import Report
from runwire_spec import catalogue
from tests.support.check_reference_server import command, hooks_alone
from tests.support.commands import closed_port, runwire

SUPERVISOR = """
while true; do
  "$@" >log 2>&1 &
  echo $! >pid
  wait $!
  sleep 3
done
"""
"""Starts a server again when it has ended, a while later."""

PASSED = Report("http://server", "s", (Judgement(catalogue()["RUN-4"], Verdict.PASS),), (), 1.0)


@contextmanager
def supervised(folder: Path, port: int) -> Iterator[None]:
    """Have a server that is started again whenever it ends; its process id stands in the file `pid`."""
    words = [word if not word.startswith("--port") else f"--port={port}" for word in command(drain_s=1)]
    supervisor = subprocess.Popen(["bash", "-c", SUPERVISOR, "supervisor", *words], cwd=folder)
    try:
        yield
    finally:
        supervisor.kill()
        supervisor.wait()
        subprocess.run(["bash", "-c", 'kill -KILL "$(cat pid)"'], cwd=folder, check=False)


@pytest.mark.whole
def test_a_server_that_a_hook_drains_is_waited_for_in_each_round(tmp_path: Path) -> None:
    port = closed_port()
    (tmp_path / "drain.toml").write_text(hooks_alone(drain='kill -TERM "$(cat pid)"'))
    url = f"http://127.0.0.1:{port}"
    asked = (
        "check",
        url,
        "--requirement",
        "DRAIN-1",
        "--repeat",
        "3",
        "--config",
        "drain.toml",
        "--wait",
        "60",
    )

    with supervised(tmp_path, port):
        result = runwire(tmp_path, *asked)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "Judged 3 times, with the same verdicts each time" in result.stdout


@pytest.mark.parametrize(
    ("problem", "code"), [(typer.Exit(2), 3), (typer.Exit(130), 130), (KeyboardInterrupt(), 130)]
)
def test_what_was_judged_is_told_when_a_round_is_not_played(
    capsys: pytest.CaptureFixture[str], problem: BaseException, code: int
) -> None:
    def away() -> Report:
        raise problem

    report, unplayed = worst_of(lambda: PASSED, 3, strict=False, again=away)

    assert exit_code(report, unplayed, strict=False) == code
    assert report.url == PASSED.url
    assert "round 2 of 3 was not played" in capsys.readouterr().err


def test_nothing_is_told_when_the_server_was_never_there() -> None:
    def away() -> Report:
        raise typer.Exit(2)

    with pytest.raises(typer.Exit):
        worst_of(away, 3, strict=False)
