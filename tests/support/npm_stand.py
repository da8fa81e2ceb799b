"""Packages of npm that tests need: installed below `build/` the first time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import patience
from tests.support.programs import require_program

BUILD = Path(__file__).parents[2] / "build"


def installed(*packages: str, apart: str = "npm-client") -> Path:
    """Return the `node_modules` that holds `packages` (`name@range`); skips where npm cannot install them.

    Packages that want other versions of what the others want are installed `apart`, in a folder of this name.
    """
    folder = BUILD / apart
    npm = require_program("npm", apt="npm")
    modules = folder / "node_modules"
    missing = [one for one in packages if not (modules / one.rsplit("@", 1)[0]).is_dir()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        options = [
            "--prefix",
            str(folder),
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
