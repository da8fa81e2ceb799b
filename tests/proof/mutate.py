"""Mutates the judge's own logic: what `make mutants` runs.

A mutant that no test finds shows a rule that is not tested, or is the same program in other words. Those of the second
kind stand in `mutants_explained.toml`, each with its reason; whatever else survives fails. `[tool.mutmut]` in
`pyproject.toml` names the modules and the tests.

It goes on where it was stopped, and after a complete run it tries the survivors only; remove `build/mutants` to try
all again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

ROOT = Path(__file__).parents[2]
STAGE = ROOT / "build" / "mutants"
EXPLAINED = Path(__file__).parent / "mutants_explained.toml"

#: Where the packages and what their tests read lie, as import sees it.
LINKS = {
    "runwire_conformance": "conformance/runwire_conformance",
    "runwire_schemas": "schemas/runwire_schemas",
    **{name: name for name in ("pyproject.toml", "schemas", "spec", "tests")},
}

#: A mutant that never ends is found too.
KILLED = frozenset({"killed", "timeout", "segfault"})

#: How mutmut notes that pytest could not begin with the tests of a mutant, which it counts as one that never ends.
NOT_BEGUN = 255


@dataclass(frozen=True, slots=True)
class Mutant:
    """One small change: the function, the lines that it puts there, and what became of it."""

    function: str
    becomes: str
    status: str
    difference: str = ""


def status_of(code: int | None) -> str:
    """Return what became of a mutant."""
    return "its tests did not begin" if code == NOT_BEGUN else str(status_by_exit_code[code])


def files() -> Iterator[SourceFileMutationData]:
    """Yield what is known of the mutants of each module."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        if data.exit_code_by_key:
            yield data


def untried(part: str) -> list[str]:
    """Return the mutants to try: those that were not yet, or else those that survived; all before the first run."""
    codes = {name: code for data in files() for name, code in data.exit_code_by_key.items() if part in name}
    if not codes:
        return [f"*{part}*"] if part else []
    waiting = [name for name, code in codes.items() if code is None]
    return waiting or [name for name, code in codes.items() if status_of(code) not in KILLED]


def mutants(part: str) -> Iterator[Mutant]:
    """Yield every mutant, with its difference where nothing killed it."""
    for data in files():
        for name, code in data.exit_code_by_key.items():
            if part not in name:
                continue
            module = name.rpartition(".")[0]
            function, owner = orig_function_and_class_names_from_key(name)
            where = f"{module}.{owner}.{function}" if owner else f"{module}.{function}"
            status = status_of(code)
            if status in KILLED:
                yield Mutant(where, "", status)
                continue
            lines = get_diff_for_mutant(name, path=data.path).splitlines()[2:]
            becomes = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
            shown = "\n".join(f"    {line}" for line in lines if line[:1] in {"+", "-"})
            yield Mutant(where, becomes, status, shown)


def explanations() -> set[tuple[str, str]]:
    """Return the mutants that are known to be no other program."""
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["explained"]
    return {(entry["function"], entry["becomes"]) for entry in entries if entry["reason"]}


def main() -> int:
    """Try mutants, show those that survive, and count; 1 when one survived unexplained or an explanation is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof.mutate",
        description="Change the judge in every small way and have its tests find out.",
    )
    parser.add_argument(
        "part", nargs="?", default="", help="only mutants with this in their names, such as `verdict.`"
    )
    part = parser.parse_args().part
    STAGE.mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        if not (STAGE / name).is_symlink():
            (STAGE / name).symlink_to(Path("..", "..", target))
    os.chdir(STAGE)
    names = untried(part)
    if names or not any(mutants(part)):  # without a name, all are tried
        command = [Path(sys.executable).parent / "mutmut", "run", "--max-children", "1", *names]
        ended = subprocess.run(command, check=False)
        if ended.returncode:
            return ended.returncode
    every = list(mutants(part))
    waiting = sum(mutant.status == "not checked" for mutant in every)
    living = [mutant for mutant in every if mutant.status not in KILLED | {"not checked"}]
    known = explanations()
    surviving = [mutant for mutant in living if (mutant.function, mutant.becomes) not in known]
    stale = (
        known - {(mutant.function, mutant.becomes) for mutant in living} if not (waiting or part) else set()
    )
    for mutant in surviving:
        print(f"{mutant.status} {mutant.function}\n{mutant.difference}")
    for function, becomes in sorted(stale):
        print(f"explained but killed or gone: {function}: {becomes}")
    killed = sum(mutant.status in KILLED for mutant in every)
    print(
        f"{len(every)} mutants: {killed} killed, {len(living) - len(surviving)} explained, "
        f"{len(surviving)} surviving" + (f", {waiting} not tried: run it again" if waiting else "")
    )
    return int(bool(surviving or stale or waiting))


if __name__ == "__main__":
    raise SystemExit(main())
