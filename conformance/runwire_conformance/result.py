"""What a whole judging found out, and the exit code it comes to."""

from dataclasses import dataclass, field

from runwire_conformance.baseline import Comparison
from runwire_conformance.judgement import Judgement, Verdict
from runwire_conformance.redaction import Redaction
from runwire_conformance.repeats import Repeats
from runwire_conformance.reproduction import Reproduction


@dataclass(frozen=True, slots=True)
class ClassResult:
    """How a conformance class stands."""

    name: str
    offered: bool
    passed: int
    total: int
    failed: tuple[str, ...]
    not_exercised: tuple[str, ...]

    @property
    def standing(self) -> str:
        """`conformant`, `not conformant`, `not shown` or `not offered`."""
        if not self.offered:
            return "not offered"
        if self.failed:
            return "not conformant"
        return "not shown" if self.not_exercised else "conformant"


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
    #: What was only recorded: name, question and answers.
    informational: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    #: When it began, in seconds since 1970.
    began: float = 0.0
    reproduction: Reproduction = field(default_factory=lambda: Reproduction("http://localhost:8080"))
    #: What a baseline says of it, and how several judgings differed, if there were any.
    baseline: Comparison | None = None
    repeats: Repeats | None = None
    #: The credentials that no form of the report may hold.
    redaction: Redaction = field(default_factory=Redaction)

    def by(self, verdict: Verdict) -> list[Judgement]:
        """Return the judgements with one verdict."""
        return [judgement for judgement in self.judgements if judgement.verdict is verdict]

    def exit_code(self, strict: bool = False) -> int:
        """0 conformant as far as shown, 1 a broken MUST, 2 nothing exercised, 3 a fault of the judge.

        With a baseline, 1 is whatever it does not say, or says wrongly.
        """
        if self.baseline.breaches if self.baseline else self.by(Verdict.FAIL):
            return 1
        if self.judge_errors:
            return 3
        if not self.by(Verdict.PASS) and not self.by(Verdict.FAIL):
            return 2
        unsteady = self.repeats is not None and bool(self.repeats.differing)
        return 1 if strict and (unsteady or (not self.baseline and self.lacking())) else 0

    def failing(self, strict: bool = False) -> list[Judgement]:
        """Return the judgements that a gate minds."""
        return [*self.by(Verdict.FAIL), *(self.lacking() if strict else [])]

    def lacking(self) -> list[Judgement]:
        """Return what `strict` does not forgive either: advice, and what was not exercised of a claimed class."""
        claimed = {result.name for result in self.classes if result.offered}
        missing = [
            judgement
            for judgement in self.by(Verdict.NOT_EXERCISED)
            if judgement.requirement.conformance_class in claimed
        ]
        return [*self.by(Verdict.ADVICE), *missing]
