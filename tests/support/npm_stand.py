"""Packages of npm that tests need: installed below `build/` the first time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.patience import patience
from tests.support.programs import installing_into, require_program, unavailable

BUILD = Path(__file__).parents[2] / "build"


def installed(*packages: str, apart: str = "npm-client") -> Path:
    """Return the `node_modules` that holds `packages` (`name@range`); skips the test where npm cannot install them.

    Packages that want other versions of what the others want are installed `apart`, in a folder of this name.
    """
    folder = BUILD / apart
    npm = require_program("npm", apt="npm")
    modules = folder / "node_modules"
    with installing_into(folder):  # npm makes the folder of a package before its files
        missing = [one for one in packages if not (modules / one.rsplit("@", 1)[0]).is_dir()]
        if missing:
            _install(npm, folder, missing)
    return modules


def _install(npm: str, folder: Path, packages: Sequence[str]) -> None:
    options = ["--prefix", str(folder), "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    result = subprocess.run(
        [npm, "install", *options, *packages],
        capture_output=True,
        text=True,
        timeout=patience(300),
        check=False,
    )
    if result.returncode != 0:
        unavailable(f"npm could not install {', '.join(packages)}: {result.stderr.strip()[-300:]}")
