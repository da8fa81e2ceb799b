"""Outcome of a case."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runwire_conformance.case import Claim
from runwire_conformance.rules import Finding
from runwire_conformance.rules.flood import Flood
from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.redaction import Redaction
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.proxies.signs import ProxySigns
from runwire_conformance.verdict.reason import Kind


class State(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    NOT_EXERCISED = "not exercised"
    #: The judge left it out for reasons of its own.
    NOT_JUDGED = "not judged"
    JUDGE_ERROR = "judge error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: its state, the reason, what the rules found, and the conversations."""

    state: State
    reason: str = ""
    #: The requirement that kept the case from being played, as it is broken.
    blocked_by: str | None = None
    #: Whether it leans on the judge's clock, on an absence or on a lost connection, and so wants a second look, alone.
    suspect: bool = False
    #: Why the clock could not be trusted while it played, or an empty string.
    unsteady: str = ""
    findings: tuple[Finding, ...] = ()
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0
    details: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    #: The credentials that the case had to do with.
    redaction: Redaction = field(default_factory=Redaction)
    #: Whether it was not played as the server's limits make it wait for longer than the user will.
    impatient: bool = False
    #: Whether it was over before its end by limits that are too short for it.
    hasty: bool = False
    #: In what way the case failed, if it did.
    kind: Kind = Kind.UNMET
    #: The one requirement that the case found broken, where it can tell which.
    violated: str | None = None
    #: The one that its failure shows broken, of those that it proves, where it can tell which.
    shows: str | None = None
    #: Requirements that the clock alone shows broken among the findings.
    timed: frozenset[str] = frozenset()
    #: The requirements that explain its failure, should the server as a whole break them.
    possible_causes: frozenset[str] = frozenset()
    #: What its conversations show of a proxy.
    signs: ProxySigns = field(default_factory=ProxySigns)
    #: What its conversations show, in the words of `Rule.seen_by`.
    shown: frozenset[str] = frozenset()
    #: What flooded the judge in its conversations, if anything did.
    flood: Flood | None = None
    #: Whether a bound of the server ended what the judge had begun.
    limit_expired: bool = False
    #: Whether the server broke off a conversation, and when it said its last word.
    broken_off: bool = False
    last_message_at: float = 0.0
    #: The sentences that order what the case was waiting for when it failed.
    owners: tuple[str, ...] = ()
    #: Whether the first of them broke its sentence, whatever the case is about.
    certain: bool = False
    #: The requirements whose findings in its conversations its failure explains.
    explains: frozenset[str] = frozenset()
    #: Whether the case failed as nothing came within a wait that no sentence states, which proves nothing yet.
    absent: bool = False
    #: Whether it failed for bytes that a sentence forbids, which no slowness of the judge explains.
    proven: bool = False
    #: The requirement, broken by the server as a whole, that made the case fail whatever it proves.
    cause: str | None = None

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "reason", printable(self.reason, lines=True))
        object.__setattr__(self, "details", printable(self.details, lines=True))

    @property
    def firm_findings(self) -> tuple[Finding, ...]:
        """What the rules found broken by more than the clock."""
        return tuple(finding for finding in self.findings if finding.requirement not in self.timed)


@dataclass(frozen=True, slots=True)
class Case:
    """A case to play: its function, claim and, where it has one, transport."""

    name: str
    function: Callable[..., Any]
    claim: Claim
    transport: str | None = None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case and what came of it, None when it was not played."""

    case: Case
    outcome: Outcome | None = None

    @property
    def name(self) -> str:
        """The name of the case."""
        return self.case.name

    @property
    def claim(self) -> Claim:
        """What the case proves."""
        return self.case.claim
