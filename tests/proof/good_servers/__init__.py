"""Servers written from the specification alone, without a line of the reference server: the judge accuses none.

`start(GOOD_SERVERS[0])` starts one the way that `tests.proof.flaws.stand` starts the reference server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.proof.flaws.stand import CHECK_LIMITS, Server, listening
from tests.support.patience import patience

FOLDER = Path(__file__).parent


def option(limit: str, value: float) -> str:
    """Return the option that sets a limit, as every server here takes it."""
    shown = f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
    return f"--{limit.replace('_', '-')}={shown}"


@dataclass(frozen=True)
class GoodServer:
    """A server of this folder: how it is started, and the classes that it claims."""

    name: str
    command: tuple[str, ...]
    classes: frozenset[str]
    #: The programs that it needs beside Python, each with the package that brings it.
    programs: tuple[tuple[str, str], ...] = ()
    #: A command that makes it ready to be started, and what makes it unnecessary.
    build: tuple[str, ...] = ()
    built: str = ""

    def command_line(self, limits: Mapping[str, float]) -> list[str]:
        """Return the command that serves on a free port with these limits and prints the URL."""
        options = [option(name, value) for name, value in limits.items()]
        return [*self.command, "--port=0", *options]


READS = frozenset({"basic", "core", "robust", "resume", "sse", "script_agent"})

BUILD = FOLDER.parents[2] / "build"
SMALLEST = FOLDER.parents[2] / "reference_server/runwire_reference_server/smallest.py"

GOOD_SERVERS = (
    GoodServer("fastapi", (sys.executable, "-m", "fastapi_server"), READS),
    GoodServer(
        "node",
        ("node", str(FOLDER / "node_server/server.js")),
        READS,
        programs=(("node", "nodejs"), ("npm", "npm")),
        build=("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"),
        built="node_server/node_modules/ws",
    ),
    GoodServer(
        "go",
        (str(BUILD / "good-go"),),
        READS,
        programs=(("go", "golang-go"),),
        build=("go", "build", "-buildvcs=false", "-o", str(BUILD / "good-go"), "."),
    ),
    GoodServer("smallest", (sys.executable, str(SMALLEST)), READS - {"resume", "sse"}),
)


def prepare(good: GoodServer) -> None:
    """Fetch or compile what a good server needs; raises RuntimeError when a program is missing, or that fails."""
    for program, package in good.programs:
        if shutil.which(program) is None:
            raise RuntimeError(f"the {good.name} server needs {program}: apt-get install {package}")
    if good.build and not (good.built and (FOLDER / good.built).exists()):
        folder = FOLDER / f"{good.name}_server"
        built = subprocess.run(
            good.build, cwd=folder, timeout=patience(180), check=False, capture_output=True, text=True
        )
        if built.returncode:
            raise RuntimeError(f"{' '.join(good.build)} in {folder.name}: {built.stderr[-500:]}")


async def start(good: GoodServer, limits: Mapping[str, float] = CHECK_LIMITS) -> Server:
    """Start a good server on a free port; raises RuntimeError when it does not come up."""
    await asyncio.to_thread(prepare, good)
    environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
    return await listening(good.command_line(limits), environment)
