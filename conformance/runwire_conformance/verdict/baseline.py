"""Baseline of known failures: new failures fail the gate, and so do entries that no longer apply."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from runwire_conformance.trace.printing import printable
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.reason import Kind, case_of
from runwire_spec import catalogue

#: The reason code of a requirement that was not exercised, which only a strict gate minds.
NOT_EXERCISED = "not-exercised"


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that is known: requirement, reason code, the last day on which it is forgiven, and a note."""

    requirement: str
    reason: str
    expires: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a baseline says of a judging: the failures it knew, and everything by which the two differ."""

    file: str
    known: frozenset[tuple[str, str]]
    breaches: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Make what a file said fit to print."""
        object.__setattr__(self, "breaches", tuple(map(printable, self.breaches)))
        object.__setattr__(self, "remarks", tuple(map(printable, self.remarks)))

    def knows(self, judgement: Judgement) -> bool:
        """Whether every failure of a requirement was known."""
        codes = codes_of(judgement)
        return bool(codes) and all((judgement.requirement.id, code) in self.known for code in codes)


def codes_of(judgement: Judgement) -> tuple[str, ...]:
    """Return what a baseline would have to know of a judgement."""
    return (NOT_EXERCISED,) if judgement.verdict is Verdict.NOT_EXERCISED else judgement.codes


def compare(
    baseline: Sequence[Known],
    judgements: Iterable[Judgement],
    failing: Sequence[Judgement],
    suite: frozenset[str],
    today: date,
    file: str,
) -> Comparison:
    """Compare a judging with a baseline.

    `failing` are the judgements that the gate minds, `suite` the names of all cases there are; `file` is told.
    """
    listed: dict[str, set[str]] = {}
    for entry in baseline:
        listed.setdefault(entry.requirement, set()).add(entry.reason)
    breaches: list[str] = []
    remarks: list[str] = []
    for judgement in failing:
        breaches += _new_failures(judgement, listed.get(judgement.requirement.id, set()))
    judged = {judgement.requirement.id: judgement for judgement in judgements}
    for entry in baseline:
        if wrong := _invalid_reference(entry, suite):
            breaches.append(f"{entry.requirement} {wrong}")
            continue
        if entry.expires is not None and entry.expires < today:
            breaches.append(f"{entry.requirement} expired on {entry.expires}: {entry.reason}")
        if entry.requirement in judged:
            breach, remark = _stale(entry, judged[entry.requirement], listed[entry.requirement])
            breaches += breach
            remarks += remark
    known = {(entry.requirement, entry.reason) for entry in baseline}
    seen = {(j.requirement.id, code) for j in judged.values() for code in codes_of(j)}
    return Comparison(file, frozenset(known & seen), tuple(breaches), tuple(remarks))


def renewed(
    baseline: Sequence[Known],
    judgements: Iterable[Judgement],
    failing: Iterable[Judgement],
    suite: frozenset[str],
) -> list[Known]:
    """Return a baseline that knows what failed now. Expiries and notes stay, and so does what was not judged."""
    before = {(entry.requirement, entry.reason): entry for entry in baseline}
    found = {(judgement.requirement.id, code) for judgement in failing for code in codes_of(judgement)}
    judged = {judgement.requirement.id: judgement for judgement in judgements}
    kept = {
        (entry.requirement, entry.reason)
        for entry in baseline
        if not _invalid_reference(entry, suite)
        and (entry.requirement not in judged or _is_undecidable(entry, judged[entry.requirement]))
    }
    order = list(catalogue())
    pairs = sorted(found | kept, key=lambda pair: (order.index(pair[0]), pair[1]))
    return [before.get(pair, Known(*pair)) for pair in pairs]


def _new_failures(judgement: Judgement, listed: set[str]) -> list[str]:
    identifier = judgement.requirement.id
    new = [code for code in codes_of(judgement) if code not in listed]
    if not new:
        return []
    if listed:
        return [
            f"{identifier} fails differently: {', '.join(new)}; the baseline has {', '.join(sorted(listed))}"
        ]
    verdict = "was not exercised" if new == [NOT_EXERCISED] else f"is newly broken: {', '.join(new)}"
    return [f"{identifier} {verdict}"]


def _invalid_reference(entry: Known, suite: frozenset[str]) -> str | None:
    """Return what an entry names that does not exist, if it does."""
    if entry.requirement not in catalogue():
        return "is not a requirement of the specification"
    if entry.reason != NOT_EXERCISED and entry.reason.partition(" ")[0] not in set(Kind):
        return f"has {entry.reason!r}, which is not a reason code"
    case = case_of(entry.reason)
    return f"names {case}, which is not a case of the suite" if case and case not in suite else None


def _is_undecidable(entry: Known, judgement: Judgement) -> bool:
    """Whether this judging cannot say if the failure is still there."""
    case = case_of(entry.reason)
    if case and case not in judgement.cases:
        return True
    if judgement.verdict is Verdict.NOT_EXERCISED:
        return entry.reason != NOT_EXERCISED
    return judgement.verdict in {Verdict.JUDGE_ERROR, Verdict.NOT_JUDGED}


def _stale(entry: Known, judgement: Judgement, listed: set[str]) -> tuple[list[str], list[str]]:
    """Return the breach or the remark of an entry that was not seen again."""
    codes = codes_of(judgement)
    if entry.reason in codes:
        return [], []
    if _is_undecidable(entry, judgement):
        return [], [f"{entry.requirement} was not judged this time: {entry.reason}"]
    if judgement.verdict is Verdict.NOT_OFFERED:
        return [f"{entry.requirement} is no longer offered: {entry.reason}"], []
    if not codes:
        return [f"{entry.requirement} now passes: {entry.reason}"], []
    if listed.issuperset(codes):
        return [f"{entry.requirement} no longer fails in this way: {entry.reason}"], []
    return [], []  # told already, as one that fails differently
