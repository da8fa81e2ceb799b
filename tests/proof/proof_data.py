"""What the proof came to, as data that the documentation shows."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .conditioned import Conditioned
from .kill_table import Trial, observable

TOLD = ("flaw", "requirement", "clause", "description", "outcome", "cases", "also", "runs", "blamed")
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
    conditions: tuple[Conditioned, ...] = ()

    def with_news(self, news: Proof, flaws: Collection[str]) -> Proof:
        """Return this proof with what was tried anew in its place, in the order of `flaws`, the others left out.

        What came of a condition is added to what is known of it.
        """
        conditions = {one.place: one for one in self.conditions}
        for one in news.conditions:
            conditions[one.place] = conditions[one.place] + one if one.place in conditions else one
        trials = {trial.flaw: trial for trial in (*self.trials, *news.trials)}
        accused = {one.meeting: one for one in (*self.accused, *news.accused)}
        kept = tuple(trials[name] for name in flaws if name in trials)
        return Proof(kept, tuple(accused.values()), tuple(conditions.values()))

    def without_conditions(self, names: Collection[tuple[str, str]]) -> Proof:
        """Return this proof without what came of these servers and conditions, which are to be tried anew."""
        return replace(self, conditions=tuple(one for one in self.conditions if one.place not in names))

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
        runs, wrong, left_out = (
            sum(getattr(one, name) for one in self.conditions) for name in ("runs", "accused", "not_judged")
        )
        under = [
            f"{wrong} of {runs} runs under {len({one.condition for one in self.conditions})} conditions accused "
            f"a good server, {left_out} left something unjudged"
        ]
        return "\n".join(
            (caught if self.trials else [])
            + (spared if self.accused else [])
            + (under if self.conditions else [])
        )


def written(proof: Proof) -> str:
    """Return the proof as JSON, a line for each flaw and each server."""
    told = [name for name in TOLD if name != "clause"]
    flaws = [
        _line({name: getattr(trial, name) for name in (TOLD if trial.clause else told)})
        for trial in proof.trials
    ]
    servers = [_line(asdict(one)) for one in proof.accused]
    conditions = [_line(asdict(one)) for one in proof.conditions]
    return "\n".join(
        (
            f'{{"observable": {len(observable())},',
            '"flaws": [', ",\n".join(flaws), '],',
            '"good_servers": [', ",\n".join(servers), '],',
            '"conditions": [', ",\n".join(conditions), ']}', "",
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
    return Proof(
        trials,
        tuple(Accused(**one) for one in document["good_servers"]),
        tuple(Conditioned(**one) for one in document.get("conditions", ())),
    )


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
