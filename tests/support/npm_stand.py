"""Packages of npm that tests need: installed below `build/` the first time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import patience
from tests.support.programs import require_program

FOLDER = Path(__file__).parents[2] / "build/npm-client"


def installed(*packages: str) -> Path:
    """Return the `node_modules` that holds `packages` (`name@range`); skips where npm cannot install them."""
    npm = require_program("npm", apt="npm")
    modules = FOLDER / "node_modules"
    missing = [one for one in packages if not (modules / one.rsplit("@", 1)[0]).is_dir()]
    if missing:
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = [
            "--prefix",
            str(FOLDER),
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]
        result = subprocess.run(
            [npm, "install", *options, *missing],
            capture_output=True,
            text=True,
            timeout=patience(300),
            check=False,
        )
        if result.returncode != 0:
            pytest.skip(f"npm could not install {', '.join(missing)}: {result.stderr.strip()[-300:]}")
    return modules
