"""What the proof came to, as data that the documentation shows."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .kill_table import Trial, observable

TOLD = ("flaw", "requirement", "description", "outcome", "cases", "also", "runs", "blamed")
"""What is kept of a trial."""


@dataclass(frozen=True, slots=True)
class Accused:
    """How often a good server was judged, changed in a benign way, and how often it was accused of anything."""

    server: str
    change: str
    description: str
    busy: bool
    runs: int
    accusations: int

    @property
    def meeting(self) -> tuple[str, str, bool]:
        """Which server was met, and how."""
        return self.server, self.change, self.busy


@dataclass(frozen=True, slots=True)
class Proof:
    """The trials of flaws and the judgings of good servers."""

    trials: tuple[Trial, ...] = ()
    accused: tuple[Accused, ...] = ()

    def with_news(self, news: Proof, flaws: Collection[str]) -> Proof:
        """Return this proof with what was tried anew in its place, in the order of `flaws`, the others left out."""
        trials = {trial.flaw: trial for trial in (*self.trials, *news.trials)}
        accused = {one.meeting: one for one in (*self.accused, *news.accused)}
        kept = tuple(trials[name] for name in flaws if name in trials)
        return Proof(kept, tuple(accused.values()))

    def totals(self) -> str:
        """Return the two numbers that a judge is trusted for, or the one of them that was looked for."""
        broken = {trial.requirement for trial in self.trials if trial.killed}
        killed = sum(trial.killed for trial in self.trials)
        judged, wrongly = sum(one.runs for one in self.accused), sum(one.accusations for one in self.accused)
        servers = len({one.server for one in self.accused})
        caught = [
            f"{len(broken)} of {len(observable())} observable requirements seen broken and blamed",
            f"{killed} of {len(self.trials)} flaws blamed",
        ]
        worst = max(self.trials, key=lambda trial: trial.accusations, default=None)
        if worst is not None:
            most = f"at most {worst.accusations} sentences accused for one flaw, {worst.flaw}"
            caught.append(f"{most}; one alone for {sum(one.accusations == 1 for one in self.trials)}")
        spared = [f"{wrongly} false accusations in {judged} runs of {servers} good servers"]
        return "\n".join((caught if self.trials else []) + (spared if self.accused else []))


def written(proof: Proof) -> str:
    """Return the proof as JSON, a line for each flaw and each server."""
    flaws = [_line({name: getattr(trial, name) for name in TOLD}) for trial in proof.trials]
    servers = [_line(asdict(one)) for one in proof.accused]
    return "\n".join(
        (
            f'{{"observable": {len(observable())},',
            '"flaws": [', ",\n".join(flaws), '],',
            '"good_servers": [', ",\n".join(servers), ']}', "",
        )
    )  # fmt: skip


def read(path: Path) -> Proof:
    """Return the proof that a file holds; raises OSError and ValueError."""
    document = json.loads(path.read_text(encoding="utf-8"))
    known = {field.name for field in fields(Trial)}
    trials = tuple(
        Trial(**{name: _kept(value) for name, value in flaw.items() if name in known})
        for flaw in document["flaws"]
    )
    return Proof(trials, tuple(Accused(**one) for one in document["good_servers"]))


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
