"""The wheel in an empty environment, in a folder full of namesakes: it works, and runs nothing of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.patience import patience

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
BOOBY_TRAP = "raise SystemExit('a file of the user was run')\n"


def called(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without this repository's own environment."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=clean, capture_output=True, text=True, timeout=patience(400), check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it in an empty environment, and return the folder of its commands."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = called(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    assert wheel.returncode == 0, wheel.stderr[-2000:]
    (built,) = folder.glob("runwire-*.whl")
    venv.create(folder / "env", with_pip=True)
    bin_folder = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    installed = called(
        bin_folder / "python", "-m", "pip", "install", "-q", "-c", constraints, built, cwd=folder
    )
    assert installed.returncode == 0, installed.stderr[-2000:]
    return bin_folder


@pytest.fixture
def namesakes(tmp_path: Path) -> Path:
    """Return a folder with files that a careless tool would run or import in place of its own."""
    for name in ("conformance", "schemas", "spec", "runwire_conformance"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(BOOBY_TRAP)
    for name in ("conftest.py", "test_own.py", "websockets.py", "jsonschema.py", "cases.py"):
        (tmp_path / name).write_text(BOOBY_TRAP)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--no-such-option"\n')
    return tmp_path


def test_the_wheel_judges_beside_namesakes(binaries: Path, namesakes: Path, server_url: str) -> None:
    result = called(
        binaries / "runwire", "check", server_url, "--requirement", "CONN-6,RUN-6,MSG-3", "--report", "out",
        cwd=namesakes,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr
    assert "exit 0" in result.stdout
    assert "<title>" in (namesakes / "out/report.html").read_text(encoding="utf-8")
    assert not list(namesakes.rglob("__pycache__")) and not list(namesakes.rglob(".pytest_cache"))


def test_the_wheel_knows_schemas_and_specification(binaries: Path, namesakes: Path) -> None:
    (namesakes / "talk.jsonl").write_text('{"type":"heartbeat"}\n{"type":"token","data":7}\n')

    shown = called(binaries / "runwire", "spec", "show", "RUN-4", cwd=namesakes)
    judged = called(binaries / "runwire", "validate", "talk.jsonl", cwd=namesakes)

    assert (shown.returncode, judged.returncode) == (0, 1), shown.stderr + judged.stderr
    assert "talk.jsonl:2:" in judged.stdout


def test_the_wheel_brings_no_generic_names(binaries: Path) -> None:
    code = "import importlib.metadata as m; print(*{str(f).split('/')[0] for f in m.files('runwire')})"

    result = called(binaries / "python", "-c", code, cwd=binaries)

    names = set(result.stdout.split())
    assert {name for name in names if not name.startswith(("runwire", ".."))} == set()
    assert names >= {"runwire_conformance", "runwire_schemas", "runwire_spec"}
