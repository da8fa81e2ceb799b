"""The wheel of this repository, and empty environments with nothing but it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.patience import patience

ROOT = Path(__file__).parents[2]


def called(
    *command: str | Path, cwd: Path, variables: dict[str, str] | None = None, seconds: float = 400
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without this repository's own environment."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=outside() | (variables or {}), capture_output=True, text=True, timeout=patience(seconds),
        check=False,
    )  # fmt: skip


def outside() -> dict[str, str]:
    """Return the variables of a shell that knows nothing of this repository's environment."""
    left_out = {"PYTHONPATH", "VIRTUAL_ENV", "RUNWIRE_TOKEN"}
    return {name: value for name, value in os.environ.items() if name not in left_out}


def built(folder: Path) -> Path:
    """Build the wheel in `folder` and return its path."""
    wheel = called(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    assert wheel.returncode == 0, wheel.stderr[-2000:]
    (found,) = folder.glob("runwire-*.whl")
    return found


def installed(wheel: Path, extras: str = "") -> Path:
    """Install a wheel in an empty environment beside it, and return the folder of its commands."""
    folder = wheel.parent / "env"
    venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    what = f"{wheel}[{extras}]" if extras else wheel
    result = called(
        binaries / "python", "-m", "pip", "install", "-q", "-c", constraints, what, cwd=wheel.parent
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return binaries
