"""Observations of unspecified behaviour: recorded in the report, never judged (chapter 17)."""

from collections import Counter
from dataclasses import dataclass, field

from runwire_spec import informational


@dataclass(slots=True)
class Observed:
    """The answers that one judging saw to the questions of the registry `informational`."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def note(self, name: str, answer: str) -> None:
        """Note an answer; raises KeyError for a question that the registry does not have."""
        if name not in informational():
            raise KeyError(name)
        self.answers.setdefault(name, Counter())[answer] += 1

    def seen_answers(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """Return name, question and answers of what was seen, in the order of the registry."""
        return tuple(
            (name, question, tuple(sorted(self.answers[name])))
            for name, question in informational().items()
            if name in self.answers
        )
