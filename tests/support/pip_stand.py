"""Packages of Python that tests run in an environment of their own: installed below `build/` the first time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import patience

FOLDER = Path(__file__).parents[2] / "build/pip"


def python_with(*packages: str) -> Path:
    """Return an interpreter that has `packages` (`name==version`); skips where pip cannot install them."""
    name = hashlib.sha256(repr((sys.version_info[:2], sorted(packages))).encode()).hexdigest()[:12]
    python, complete = FOLDER / name / "bin/python", FOLDER / name / ".complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER / name], check=True)
        result = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            capture_output=True,
            text=True,
            timeout=patience(600),
            check=False,
        )
        if result.returncode != 0:
            pytest.skip(f"pip could not install {', '.join(packages)}: {result.stderr.strip()[-300:]}")
        complete.touch()
    return python
