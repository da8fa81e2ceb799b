"""Result of a judging, and its exit code."""

from dataclasses import dataclass, field

from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.redaction import Redaction
from runwire_conformance.verdict.baseline import Comparison
from runwire_conformance.verdict.judgement import Judgement, Repeats, Verdict
from runwire_conformance.verdict.reproduction import Reproduction


@dataclass(frozen=True, slots=True)
class ClassResult:
    """How a conformance class stands."""

    name: str
    offered: bool
    passed: int
    total: int
    failed: tuple[str, ...]
    #: What was not exercised or not judged, and what was not waited for as it is beyond the user's patience.
    not_exercised: tuple[str, ...] = ()
    impatient: tuple[str, ...] = ()
    #: What narrowed the judging, if anything did.
    partial: str = ""

    @property
    def standing(self) -> str:
        """`conformant`, `not conformant`, `shown within patience`, `not shown`, `partial` or `not offered`."""
        if not self.offered:
            return "not offered"
        if self.partial:
            return "partial"
        if self.failed:
            return "not conformant"
        if self.not_exercised:
            return "not shown"
        return "shown within patience" if self.impatient else "conformant"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run of the suite found out."""

    url: str
    server: str
    judgements: tuple[Judgement, ...]
    classes: tuple[ClassResult, ...]
    seconds: float
    slowest: tuple[str, float] = ("", 0.0)
    judge_errors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    #: What narrowed the judging, in words, and whether that was the user's interruption.
    partial: str = ""
    interrupted: bool = False
    #: The longest time that the judge waited for any one thing, in seconds.
    patience_s: float = 30.0
    #: What was only recorded: name, question and answers.
    informational: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    #: When it began, in seconds since 1970.
    began: float = 0.0
    reproduction: Reproduction = field(default_factory=lambda: Reproduction("http://localhost:8080"))
    #: What a baseline says of it, and how several judgings differed, if there were any.
    baseline: Comparison | None = None
    repeats: Repeats | None = None
    #: Who was judged: `server`, or `client`.
    role: str = "server"
    #: The credentials that no form of the report may hold.
    redaction: Redaction = field(default_factory=Redaction)

    def __post_init__(self) -> None:
        """Make what a server said fit to print."""
        object.__setattr__(self, "server", printable(self.server))
        object.__setattr__(self, "remarks", tuple(map(printable, self.remarks)))
        object.__setattr__(
            self, "judge_errors", tuple(printable(text, lines=True) for text in self.judge_errors)
        )

    def by(self, verdict: Verdict) -> list[Judgement]:
        """Return the judgements with one verdict."""
        return [judgement for judgement in self.judgements if judgement.verdict is verdict]

    def exit_code(self, strict: bool = False) -> int:
        """Return what the command ends with (chapter 17): the same is told in every form of the report.

        0 nothing broken, 1 a broken MUST, 2 nothing exercised, 3 a fault of the judge or something that it
        did not judge, 130 interrupted. With a baseline, 1 is whatever it does not say, or says wrongly.
        """
        if self.interrupted:
            return 130
        if self.baseline.breaches if self.baseline else self.by(Verdict.FAIL):
            return 1
        if self.judge_errors or self.by(Verdict.NOT_JUDGED):
            return 3
        if not self.by(Verdict.PASS) and not self.by(Verdict.FAIL):
            return 2
        unsteady = self.repeats is not None and bool(self.repeats.differing)
        return 1 if strict and (unsteady or (not self.baseline and self.failing_when_strict())) else 0

    def failing(self, strict: bool = False) -> list[Judgement]:
        """Return the judgements that a gate minds."""
        return [*self.by(Verdict.FAIL), *(self.failing_when_strict() if strict else [])]

    def failing_when_strict(self) -> list[Judgement]:
        """Return what `strict` does not forgive either: advice, and what was not exercised of a claimed class."""
        claimed = {result.name for result in self.classes if result.offered}
        missing = [
            judgement
            for judgement in self.by(Verdict.NOT_EXERCISED)
            if judgement.requirement.conformance_class in claimed
        ]
        return [*self.by(Verdict.ADVICE), *missing]
