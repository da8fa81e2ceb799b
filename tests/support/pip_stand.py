"""Packages of Python that tests run in an environment of their own: installed below `build/` the first time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.patience import patience
from tests.support.programs import installing_into, unavailable

FOLDER = Path(__file__).parents[2] / "build/pip"


def python_with(*packages: str) -> Path:
    """Return an interpreter that has `packages` (`name==version`); skips the test where pip cannot install them."""
    name = hashlib.sha256(repr((sys.version_info[:2], sorted(packages))).encode()).hexdigest()[:12]
    python, complete = FOLDER / name / "bin/python", FOLDER / name / ".complete"
    with installing_into(FOLDER / name):
        if not complete.exists():
            _install(FOLDER / name, python, packages)
            complete.touch()
    return python


def _install(folder: Path, python: Path, packages: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    result = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        capture_output=True,
        text=True,
        timeout=patience(600),
        check=False,
    )
    if result.returncode != 0:
        unavailable(f"pip could not install {', '.join(packages)}: {result.stderr.strip()[-300:]}")
