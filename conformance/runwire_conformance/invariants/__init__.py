"""Pure functions over a trace that watch every conversation of every case.

Each names the requirement it found broken. The same code judges recorded conversations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runwire_conformance.bounds import Limits
from runwire_conformance.trace import Trace


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement that a conversation broke, what shows it, and the record at which it showed (-1: the whole)."""

    requirement: str
    text: str
    record: int = -1


@dataclass(frozen=True, slots=True)
class Facts:
    """What an invariant may know beside the trace: the server's limits and the judge's tolerance in seconds."""

    limits: Limits
    tolerance: float = 0.25


Invariant = Callable[[Trace, Facts], Iterator[Finding]]


def findings(trace: Trace, facts: Facts) -> list[Finding]:
    """Return everything that a conversation breaks, each requirement at most once."""
    from runwire_conformance.invariants import log, messages, wire

    found: dict[str, Finding] = {}
    for invariant in (*messages.INVARIANTS, *log.INVARIANTS, *wire.INVARIANTS):
        for finding in invariant(trace, facts):
            found.setdefault(finding.requirement, finding)
    return list(found.values())
