"""The gates as a CI runs them, with a judge that they install: the action, the template for GitLab, the hook."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from tests.support.example_stand import example
from tests.support.patience import patience
from tests.support.wheel_stand import ROOT, built, outside

pytestmark = pytest.mark.whole

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INSTALL, JUDGE = (step["run"] for step in ACTION["runs"]["steps"] if "run" in step)
GITLAB = yaml.safe_load((ROOT / "docs/pages/gitlab-ci.yml").read_text(encoding="utf-8"))[".runwire"]


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a runner does, where `python` is the one of these tests and nothing else is known."""
    path = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder, env={**outside(), "PATH": path, **variables}, capture_output=True, text=True,
        timeout=patience(400), check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a runner in which the action has installed its judge."""
    folder = tmp_path_factory.mktemp("runner")
    installed = run(INSTALL, folder, ACTION=str(ROOT), RUNNER_TEMP=str(folder))
    assert installed.returncode == 0, installed.stderr[-2000:]
    return folder


def judged(runner: Path, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's judge with these inputs and the defaults of all others."""
    defaults = {
        "CLIENT": "",
        "CLAIM": "",
        "CONFIG": "",
        "BASELINE": "",
        "STRICT": "false",
        "OPTIONS": "",
        "REPORT": "out",
        "WAIT": "5",
    }
    files = {name: str(folder / name.lower()) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    return run(JUDGE, folder, RUNNER_TEMP=str(runner), RUNWIRE_TOKEN="", **{**defaults, **files, **inputs})


def test_the_action_lets_a_good_server_pass(runner: Path, tmp_path: Path, server_url: str) -> None:
    result = judged(runner, tmp_path, SERVER=server_url, OPTIONS="--requirement CONN-6,MSG-3 -x")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "exit 0" in result.stdout
    assert (tmp_path / "github_output").read_text() == "report=out\nexit-code=0\n"
    assert "CONN-6" in (tmp_path / "out/report.json").read_text(encoding="utf-8")
    assert (tmp_path / "github_step_summary").read_text(encoding="utf-8").startswith("#")


def test_the_action_stops_what_breaks_a_sentence(runner: Path, tmp_path: Path) -> None:
    with example("twenty_lines") as address:
        result = judged(runner, tmp_path, SERVER=address, OPTIONS="--class basic", WAIT="30")

    assert result.returncode == 1, result.stdout + result.stderr
    assert (tmp_path / "github_output").read_text() == "report=out\nexit-code=1\n"
    assert "CLOSE-2" in (tmp_path / "github_step_summary").read_text(encoding="utf-8")


def test_the_action_says_that_nobody_is_there(runner: Path, tmp_path: Path) -> None:
    result = judged(runner, tmp_path, SERVER="http://127.0.0.1:9", WAIT="0")

    assert result.returncode == 2, result.stdout + result.stderr
    assert "exit-code=2" in (tmp_path / "github_output").read_text()


def test_the_template_for_gitlab_judges_and_keeps_its_report(tmp_path: Path, server_url: str) -> None:
    variables = {
        **GITLAB["variables"],
        "RUNWIRE": str(built(tmp_path)),
        "RUNWIRE_URL": server_url,
        "RUNWIRE_OPTIONS": "--requirement CONN-6",
    }

    result = run("\n".join(GITLAB["script"]), tmp_path, **variables)

    assert result.returncode == 0, result.stdout + result.stderr
    junit = tmp_path / GITLAB["artifacts"]["reports"]["junit"]
    assert ElementTree.parse(junit).getroot().iter("testcase").__next__().get("name")
    assert (tmp_path / GITLAB["artifacts"]["paths"][0] / "report.html").exists()


def test_the_hook_stops_a_message_that_breaks_its_schema(runner: Path, tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (tmp_path / "good.runwire.jsonl").write_text('{"type":"token","data":"a"}\n')
    (tmp_path / "bad.runwire.jsonl").write_text('{"type":"token","data":"a"}\n{"type":"token","data":7}\n')
    program, *words = shlex.split(hook["entry"])
    entry = shlex.join([str(runner / "runwire/bin" / program), *words])

    good = run(f"{entry} good.runwire.jsonl", tmp_path)
    both = run(f"{entry} good.runwire.jsonl bad.runwire.jsonl", tmp_path)

    assert good.returncode == 0, good.stdout + good.stderr
    assert both.returncode == 1 and "bad.runwire.jsonl:2" in both.stdout, both.stdout + both.stderr
