"""Pure functions over a trace that watch every conversation of every case.

Each names the requirement it found broken. The same code judges recorded conversations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runwire_conformance.trace.clock import LEAST_TOLERANCE_S
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.printing import fit
from runwire_conformance.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement that a conversation broke, what shows it, and the record at which it showed (-1: the whole)."""

    requirement: str
    text: str
    record: int = -1

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "text", fit(self.text))


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What an invariant may know beside the trace: the server's limits and the judge's tolerance in seconds."""

    limits: Limits
    tolerance: float = LEAST_TOLERANCE_S


Invariant = Callable[[Trace, RuleContext], Iterator[Finding]]

#: A connection of a recording by its number, and what was found there.
Placed = tuple[int, Finding]


def findings(trace: Trace, context: RuleContext) -> list[Finding]:
    """Return everything that a conversation breaks, each requirement at most once."""
    from runwire_conformance.rules import answers, log, messages, wire

    found: dict[str, Finding] = {}
    for invariant in (*messages.INVARIANTS, *answers.INVARIANTS, *log.INVARIANTS, *wire.INVARIANTS):
        for finding in invariant(trace, context):
            found.setdefault(finding.requirement, finding)
    return list(found.values())


def late_findings(trace: Trace, context: RuleContext) -> list[Finding]:
    """Return what a conversation breaks by the clock alone, which a busy machine may be the cause of."""
    from runwire_conformance.rules import log, wire

    return [finding for invariant in (*log.TIMED, *wire.TIMED) for finding in invariant(trace, context)]


def recorded_findings(traces: Sequence[Trace], context: RuleContext) -> list[Placed]:
    """Return everything that the server of a recording breaks, each requirement at most once a connection.

    Beside the invariants that watch every conversation these are the rules that need the whole of it.
    """
    from runwire_conformance.rules import messages
    from runwire_conformance.rules.recorded import HINDSIGHT
    from runwire_conformance.rules.server_connections import SEVERAL

    found: list[Placed] = []
    for number, trace in enumerate(traces):
        # Where something is missing, only single messages can be judged.
        if trace.whole:
            found += [(number, finding) for finding in findings(trace, context)]
        rules = HINDSIGHT if trace.whole else messages.INVARIANTS
        found += [(number, finding) for rule in rules for finding in rule(trace, context)]
    if all(trace.whole for trace in traces):
        for several in SEVERAL:
            found += several(traces)
    once: dict[tuple[int, str], Placed] = {}
    for number, finding in found:
        once.setdefault((number, finding.requirement), (number, finding))
    return list(once.values())
