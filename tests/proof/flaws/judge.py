"""The judge as its users run it: `runwire check` in a process of its own, read by its JSON report."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

from tests.support.patience import patience

from .warm import called

DEADLINE_S = patience(120)


@dataclass(frozen=True, slots=True)
class Blame:
    """One requirement that the judge holds to be broken."""

    requirement: str
    verdict: str
    cases: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one run of the judge said."""

    exit_code: int
    output: str
    blames: tuple[Blame, ...]
    by_requirement: dict[str, str]
    reasons: dict[str, tuple[str, ...]]
    cases: dict[str, tuple[str, ...]]
    classes: dict[str, str]
    seconds: float
    failed: frozenset[str] = frozenset()
    """The cases that failed or whose conversations broke a sentence, whichever it was."""

    def blame(self, requirement: str) -> Blame | None:
        """Return what was said against `requirement`, if anything."""
        return next((blame for blame in self.blames if blame.requirement == requirement), None)

    @property
    def blamed(self) -> tuple[str, ...]:
        """The requirements that failed or earned advice."""
        return tuple(blame.requirement for blame in self.blames)


async def judge(
    url: str,
    options: Sequence[str] = (),
    *,
    settings: str = "",
    environment: Mapping[str, str] = MappingProxyType({}),
    warm: bool = False,
    deadline_s: float = DEADLINE_S,
) -> Verdicts:
    """Run `runwire check` with a `runwire.toml`; raises TimeoutError when it takes longer than any run may.

    With `warm` the process is forked from one that has everything imported, which saves a second of computing.
    """
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        report = folder / "report.json"
        told = folder / "junit.xml"
        arguments = ["check", url, "--json", str(report), "--junitxml", str(told), *options]
        (folder / "runwire.toml").write_text(settings, encoding="utf-8")
        async with asyncio.timeout(deadline_s):
            code, output = await (called if warm else _started)(arguments, folder, environment)
        document = json.loads(report.read_text()) if report.exists() else {}
        failed = _failed(told) if told.exists() else frozenset()
    return _verdicts(code, output.decode(errors="replace"), document, failed)


async def _started(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, bytes]:
    """Run the installed command in `folder`; return exit code and output."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "runwire"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, **environment},
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output


def _failed(junit: Path) -> frozenset[str]:
    """Return the cases that failed: a report names only the first few that accuse of something."""
    return frozenset(
        f"{case.attrib['classname'].rpartition('.')[2]}::{case.attrib['name']}"
        for case in ElementTree.parse(junit).iter("testcase")
        if case.find("failure") is not None
    )


def _verdicts(
    exit_code: int, output: str, document: dict[str, list[dict[str, object]]], failed: frozenset[str]
) -> Verdicts:
    requirements = document.get("requirements", [])
    blames = tuple(
        Blame(
            str(entry["id"]),
            str(entry["verdict"]),
            tuple(dict.fromkeys(str(accusation["case"]) for accusation in entry["accusations"])),  # type: ignore[attr-defined]
            tuple(str(reason) for reason in entry["reasons"]),  # type: ignore[attr-defined]
        )
        for entry in requirements
        if entry["verdict"] in {"fail", "advice"}
    )
    return Verdicts(
        exit_code,
        output,
        blames,
        {str(entry["id"]): str(entry["verdict"]) for entry in requirements},
        {str(entry["id"]): tuple(entry["reasons"]) for entry in requirements},  # type: ignore[arg-type]
        {str(entry["id"]): tuple(entry["cases"]) for entry in requirements},  # type: ignore[arg-type]
        {str(entry["class"]): str(entry["standing"]) for entry in document.get("classes", [])},
        float(document.get("seconds", 0.0)),  # type: ignore[arg-type]
        failed,
    )
