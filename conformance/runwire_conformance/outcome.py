"""A case to play, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runwire_conformance.case import Claim
from runwire_conformance.invariants import Finding
from runwire_conformance.printing import fit
from runwire_conformance.reason import Kind
from runwire_conformance.redaction import Redaction
from runwire_conformance.trace import Trace


class State(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    NOT_EXERCISED = "not exercised"
    JUDGE_ERROR = "judge error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: its state, the reason, what the invariants found, and the conversations."""

    state: State
    reason: str = ""
    moot: str | None = None
    late: bool = False
    findings: tuple[Finding, ...] = ()
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0
    details: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    #: The credentials that the case had to do with.
    redaction: Redaction = field(default_factory=Redaction)
    #: In what way the case failed, if it did.
    kind: Kind = Kind.UNMET
    #: The one requirement that the case found broken, where it can tell which.
    breach: str | None = None
    #: The one that its failure shows broken, of those that it proves, where it can tell which.
    shows: str | None = None
    #: The requirement, broken by the server as a whole, that made the case fail whatever it proves.
    cause: str | None = None

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "reason", fit(self.reason, lines=True))
        object.__setattr__(self, "details", fit(self.details, lines=True))


@dataclass(slots=True)
class Case:
    """A case to play: its function, claim and, where it has one, transport."""

    name: str
    function: Callable[..., Any]
    claim: Claim
    transport: str | None = None
    explain: Callable[[BaseException], str] | None = None
    outcome: Outcome | None = None
