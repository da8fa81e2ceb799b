"""Options of the model-based search: seed, duration, saved conversations."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

#: How many random conversations each case of the model plays unless the user says otherwise.
EXAMPLES = 40

#: Seconds for these, and for each further one that the user asks for.
BUDGET_S, EXAMPLE_S = 3.0, 0.4


@dataclass(frozen=True, slots=True)
class Search:
    """The seed of the random conversations, their number, a folder of saved ones, and these as JSON by their names."""

    seed: int = 0
    examples: int = EXAMPLES
    folder: Path | None = None
    saved: tuple[tuple[str, str], ...] = ()

    @property
    def further_s(self) -> float:
        """Seconds that the user's wish adds to a case's deadline: three cases of the model may play in turn."""
        return max(0.0, (self.examples - EXAMPLES) * EXAMPLE_S)

    @property
    def budget_s(self) -> float:
        """Seconds for the random conversations of one case."""
        return BUDGET_S + self.further_s

    def save(self, plan: str, requirement: str) -> Path | None:
        """Write a plan, as JSON, into the folder, if there is one, and return the file; raises OSError."""
        if self.folder is None:
            return None
        file = self.folder / f"{requirement}-{hashlib.sha256(plan.encode()).hexdigest()[:8]}.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(plan, encoding="utf-8")
        return file
