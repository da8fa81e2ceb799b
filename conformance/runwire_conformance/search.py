"""How long and from where the model searches, and the conversations that it plays first."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runwire_conformance.plan import BadPlan, Plan, as_json, from_json

#: How many random conversations each case of the model plays unless the user says otherwise.
EXAMPLES = 40

#: Seconds for these, and for each further one that the user asks for.
BUDGET_S, EXAMPLE_S = 3.0, 0.4


@dataclass(frozen=True, slots=True)
class Search:
    """The seed of the random conversations, their number, and a folder of saved ones."""

    seed: int = 0
    examples: int = EXAMPLES
    folder: Path | None = None
    saved: tuple[tuple[str, Plan], ...] = ()

    @property
    def further_s(self) -> float:
        """Seconds that the user's wish adds to a case's deadline: three cases of the model may play in turn."""
        return max(0.0, (self.examples - EXAMPLES) * EXAMPLE_S)

    @property
    def budget_s(self) -> float:
        """Seconds for the random conversations of one case."""
        return BUDGET_S + self.further_s

    def save(self, plan: Plan, requirement: str) -> Path | None:
        """Write a plan into the folder, if there is one, and return the file; raises OSError."""
        if self.folder is None:
            return None
        text = as_json(plan)
        file = self.folder / f"{requirement}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


def saved_plans(folder: Path) -> Sequence[tuple[str, Plan]]:
    """Return name and plan of each file in a folder, which need not exist; raises BadPlan and OSError."""
    plans = []
    for file in sorted(folder.glob("*.json")):
        try:
            plans.append((file.name, from_json(file.read_text(encoding="utf-8"))))
        except (BadPlan, UnicodeDecodeError) as problem:
            raise BadPlan(f"{file}: {problem}") from None
    return plans
