"""What the proof came to, as data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from .kill_table import Trial, observable


@dataclass(frozen=True, slots=True)
class Accused:
    """How often a good server was judged, changed in a benign way, and how often it was accused of anything."""

    server: str
    change: str
    description: str
    runs: int
    accusations: int


def as_json(trials: Sequence[Trial], accused: Sequence[Accused]) -> str:
    """Return the kill table and the false accusations as data."""
    kills = [
        {
            "flaw": trial.flaw,
            "requirement": trial.requirement,
            "description": trial.description,
            "runs": trial.runs,
            "blamed": trial.blamed,
            "cases": list(trial.cases),
            "also": list(trial.also),
        }
        for trial in trials
    ]
    document = {"flaws": kills, "good_servers": [asdict(one) for one in accused]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def totals(trials: Sequence[Trial], accused: Sequence[Accused]) -> str:
    """Return the two numbers that a judge is trusted for."""
    broken = {trial.requirement for trial in trials if trial.killed}
    judged, wrongly = sum(one.runs for one in accused), sum(one.accusations for one in accused)
    return (
        f"{len(broken)} of {len(observable())} observable requirements seen broken and blamed\n"
        f"{sum(trial.killed for trial in trials)} of {len(trials)} flaws blamed\n"
        f"{wrongly} false accusations in {judged} runs of {len({one.server for one in accused})} good servers"
    )
