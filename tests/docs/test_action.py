"""The action for GitHub: a valid one, that hands no input to a shell as text, and calls the judge by options it has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runwire_conformance.cli import command_called
from tests.support.patience import patience

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
SCRIPTS = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]


def test_the_action_is_valid() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml"],
        capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr


def test_no_input_reaches_a_shell_as_text() -> None:
    assert len(SCRIPTS) == 2
    assert [script for script in SCRIPTS if "${{" in script] == []


def test_the_judge_has_every_option_that_is_used() -> None:
    commands = (command_called("check"), command_called("check-client"))
    known = {name for command in commands for parameter in command.params for name in parameter.opts}

    used = set(re.findall(r"[\"(](--[a-z-]+)", SCRIPTS[1]))

    assert used >= {"--report", "--wait", "--baseline", "--strict"} and used <= known


def test_every_input_is_used_and_told() -> None:
    page = (ROOT / "docs/pages/ci.md").read_text(encoding="utf-8")
    text = (ROOT / "action.yml").read_text(encoding="utf-8")

    assert [name for name in ACTION["inputs"] if f"inputs.{name} " not in text] == []
    assert [name for name in ACTION["inputs"] if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"SERVER": "http://host; exit 7", "OPTIONS": "--class core -x"},
            "check http://host; exit 7 --report=out dir --wait=3 --baseline=known.toml --strict --class core -x",
        ),
        (
            {"CLIENT": "node client.mjs {url}", "CLAIM": "resumes", "OPTIONS": "--quiet"},
            "check-client --claim=resumes --report=out dir --baseline=known.toml --strict --quiet"
            " -- node client.mjs {url}",
        ),
    ],
    ids=["a server", "a client"],
)
def test_the_script_is_a_good_one(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    result = run_script(variables, tmp_path)

    assert result.returncode == 1, result.stderr
    assert result.stdout.strip() == words
    assert (tmp_path / "summary").read_text() == "# told\n"
    assert (tmp_path / "output").read_text() == "report=out dir\nexit-code=1\n"


def test_a_server_and_a_client_are_one_too_many(tmp_path: Path) -> None:
    result = run_script({"SERVER": "http://host", "CLIENT": "node client.mjs"}, tmp_path)

    assert result.returncode == 2
    assert "not both" in result.stderr


def run_script(given: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the action's script with a judge that says how it was called, and fails."""
    runwire = tmp_path / "runwire" / "bin" / "runwire"
    runwire.parent.mkdir(parents=True)
    runwire.write_text(
        '#!/bin/sh\necho "$@"\nmkdir -p "out dir"\necho "# told" > "out dir/report.md"\nexit 1\n'
    )
    runwire.chmod(0o755)
    variables = {
        "RUNNER_TEMP": tmp_path, "GITHUB_STEP_SUMMARY": tmp_path / "summary", "GITHUB_OUTPUT": tmp_path / "output",
        "SERVER": "", "CLIENT": "", "CLAIM": "watches", "RUNWIRE_TOKEN": "", "CONFIG": "", "BASELINE": "known.toml",
        "STRICT": "true", "OPTIONS": "", "REPORT": "out dir", "WAIT": "3", "PATH": "/usr/bin:/bin", **given,
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", SCRIPTS[1]], cwd=tmp_path, capture_output=True, text=True,
        timeout=patience(30),
        env={name: str(value) for name, value in variables.items()}, check=False,
    )  # fmt: skip
