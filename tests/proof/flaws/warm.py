"""Judges that are forked from a process which has everything imported: the proof starts hundreds of them.

What such a process runs is the command `runwire` itself, from its arguments to its exit code.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from multiprocessing import forkserver
from pathlib import Path

import pytest

import runwire_conformance
from runwire_conformance.cli import check, main  # noqa: F401 - a command is imported when it is called
from runwire_conformance.runner import pytest_plugin

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", "tests.proof.flaws.warmed"])
ROOT = Path(__file__).parents[3]

CASES = Path(runwire_conformance.__file__).parent / "cases"


async def called(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Run `runwire` in `folder`; return exit code and output. A cancelled call ends the process."""
    written = folder / "output.txt"
    _start_the_process_to_fork_from()
    process = _CONTEXT.Process(target=_run, args=(list(arguments), folder, dict(environment), written))
    await asyncio.to_thread(process.start)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
        if process.is_alive():
            process.kill()
        process.join()
    return process.exitcode or 0, written.read_bytes()


def _start_the_process_to_fork_from() -> None:
    """Start it, once, with a path to `tests`: it inherits none, and passes over what it cannot find."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), before)))
    forkserver.ensure_running()
    del os.environ["PYTHONPATH"]
    if before is not None:
        os.environ["PYTHONPATH"] = before


def _run(arguments: list[str], folder: Path, environment: dict[str, str], written: Path) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    output = os.open(written, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["runwire", *arguments]
    main()


def warm() -> None:
    """Import the cases, and what pytest needs to collect them."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        code = pytest.main(
            ["--collect-only", "-q", str(CASES), "--runwire-url=http://127.0.0.1:1", "-p", "no:cacheprovider",
             "-c", str(CASES / "suite.ini"), f"--confcutdir={CASES.parent}"],
            plugins=[pytest_plugin],
        )  # fmt: skip
    assert code == pytest.ExitCode.OK, code
