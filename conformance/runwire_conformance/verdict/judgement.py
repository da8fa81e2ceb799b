"""Judgement: the verdict on a requirement, with its evidence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.reason import Kind, reason_code
from runwire_spec import Requirement


class Verdict(StrEnum):
    """What is said of a requirement."""

    PASS = "pass"
    FAIL = "fail"
    ADVICE = "advice"
    NOT_OFFERED = "not offered"
    NOT_EXERCISED = "not exercised"
    NOT_JUDGED = "not judged"
    JUDGE_ERROR = "judge error"


@dataclass(frozen=True, slots=True)
class Accusation:
    """Why a requirement is held to be broken: the case, what was seen, and the conversations that show it."""

    case: str
    reason: str
    details: str = ""
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0
    kind: Kind = Kind.UNMET

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "reason", printable(self.reason))
        object.__setattr__(self, "details", printable(self.details, lines=True))

    @property
    def code(self) -> str:
        """The reason in words that are the same in every run."""
        return reason_code(self.kind, self.case)


@dataclass(frozen=True, slots=True)
class Witness:
    """What shows that a requirement held: a case that passed, and its conversations."""

    case: str
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one requirement, with its reasons."""

    requirement: Requirement
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    accusations: tuple[Accusation, ...] = ()
    cases: tuple[str, ...] = ()
    witness: Witness | None = None
    #: Whether it was not exercised only for a bound that is longer than the user's patience.
    impatient: bool = False

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "reasons", tuple(map(printable, self.reasons)))

    @property
    def codes(self) -> tuple[str, ...]:
        """How it was broken, in codes that are the same in every run."""
        return tuple(sorted({accusation.code for accusation in self.accusations}))


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often it was judged, and the requirements whose verdict was not always the same, with how often each came."""

    times: int
    differing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def repeats_of(judgings: Sequence[Sequence[Judgement]]) -> Repeats:
    """Return how several judgings of one server compare."""
    verdicts: dict[str, Counter[str]] = {}
    for judgements in judgings:
        for judgement in judgements:
            verdicts.setdefault(judgement.requirement.id, Counter())[str(judgement.verdict)] += 1
    times = len(judgings)
    differing = {
        identifier: dict(counts)
        for identifier, counts in verdicts.items()
        if len(counts) > 1 or counts.total() < times
    }
    return Repeats(times, differing)
