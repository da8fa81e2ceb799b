"""Finding of a rule, and the context that a rule receives besides the conversation."""

from dataclasses import dataclass

from runwire_conformance.trace.clock import LEAST_TOLERANCE_S
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.printing import printable


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement that a conversation broke, what shows it, and the record at which it showed (-1: the whole)."""

    requirement: str
    text: str
    record: int = -1

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "text", printable(self.text))


#: A connection of a recording by its number, and what was found there.
IndexedFinding = tuple[int, Finding]


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule may know beside the trace: the server's limits and the judge's tolerance in seconds."""

    limits: Limits
    tolerance: float = LEAST_TOLERANCE_S
