"""Pure functions over a trace that watch every conversation of every case.

Each names the requirement it found broken. The same code judges recorded conversations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runwire_conformance.bounds import Limits
from runwire_conformance.clock import LEAST_TOLERANCE_S
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
    tolerance: float = LEAST_TOLERANCE_S


Invariant = Callable[[Trace, Facts], Iterator[Finding]]

#: A connection of a recording by its number, and what was found there.
Placed = tuple[int, Finding]


def findings(trace: Trace, facts: Facts) -> list[Finding]:
    """Return everything that a conversation breaks, each requirement at most once."""
    from runwire_conformance.invariants import answers, log, messages, wire

    found: dict[str, Finding] = {}
    for invariant in (*messages.INVARIANTS, *answers.INVARIANTS, *log.INVARIANTS, *wire.INVARIANTS):
        for finding in invariant(trace, facts):
            found.setdefault(finding.requirement, finding)
    return list(found.values())


def late_findings(trace: Trace, facts: Facts) -> list[Finding]:
    """Return what a conversation breaks by the clock alone, which a busy machine may be the cause of."""
    from runwire_conformance.invariants import log, wire

    return [finding for invariant in (*log.TIMED, *wire.TIMED) for finding in invariant(trace, facts)]


def recorded_findings(traces: Sequence[Trace], facts: Facts) -> list[Placed]:
    """Return everything that the server of a recording breaks, each requirement at most once a connection.

    Beside the invariants that watch every conversation these are the rules that need the whole of it.
    """
    from runwire_conformance.invariants.hindsight import HINDSIGHT
    from runwire_conformance.invariants.server_connections import SEVERAL

    found = [(number, finding) for number, trace in enumerate(traces) for finding in findings(trace, facts)]
    for number, trace in enumerate(traces):
        for rule in HINDSIGHT:
            found += [(number, finding) for finding in rule(trace, facts)]
    for whole in SEVERAL:
        found += whole(traces)
    once: dict[tuple[int, str], Placed] = {}
    for number, finding in found:
        once.setdefault((number, finding.requirement), (number, finding))
    return list(once.values())
