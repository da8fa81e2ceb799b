"""Blame attribution for cases that failed before they reached their own requirement. Pure.

A case leans on sentences that others prove: that a `start` is answered, that a run ends. What it waits for in vain
names its owners. When one of these is found broken by itself, the case is blocked, and the owner alone is accused.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from runwire_conformance.verdict.outcome import CaseResult, Outcome, State
from runwire_conformance.verdict.verdict import explained, shown_of


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that failed: the sentences it would accuse, and those that own what it was waiting for."""

    case: str
    accuses: tuple[str, ...]
    owners: tuple[str, ...] = ()
    #: Whether the first owner is to blame even if nothing else shows it broken.
    certain: bool = False

    def blocker(self, broken: Mapping[str, str]) -> str | None:
        """Return what blocks the owner that comes before the case's own sentence; `broken` has it for each."""
        found = next((name for name in self.owners if name in broken or name in self.accuses), None)
        return None if found is None or found in self.accuses else broken[found]

    @property
    def speaks_for_itself(self) -> bool:
        """Whether what failed is the case's own sentence."""
        return not self.owners or not set(self.owners).isdisjoint(self.accuses)


def blockers(failures: Sequence[Failure], accused: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return by the name of each blocked case the sentence that blocks it, and of each that accuses an owner that one.

    `accused` is what else showed broken. What only leans on sentences of which nobody knows anything bad is held
    against its own, the most leaned on first, unless the owner is certain. Who leans on a blocked case is blocked, too.
    """
    broken, blocked, passed_on = {name: name for name in accused}, dict[str, str](), dict[str, str]()
    leaned_on = Counter(name for failure in failures for name in failure.owners)
    pending = sorted(failures, key=lambda one: -sum(leaned_on[name] for name in one.accuses))
    while pending:
        for failure in pending:
            if (blocker := failure.blocker(broken)) is not None:
                blocked[failure.case] = blocker
                for name in failure.accuses:
                    broken.setdefault(name, blocker)
        pending = [one for one in pending if one.case not in blocked]
        told = next((one for one in pending if one.speaks_for_itself), pending[0] if pending else None)
        if told is not None:
            if told.certain and not told.speaks_for_itself:
                passed_on[told.case] = told.owners[0]
            broken |= {name: name for name in (told.owners[:1] if told.case in passed_on else told.accuses)}
            pending.remove(told)
    return blocked, passed_on


def without_explained(played: Sequence[CaseResult]) -> list[CaseResult]:
    """Return the cases without the findings that a failure explains, where no other case shows the same."""
    elsewhere = {
        finding.requirement
        for one in played
        if one.outcome is not None
        for finding in one.outcome.findings
        if finding.requirement not in one.outcome.explains
    }
    return [_without(one, one.outcome.explains - elsewhere) if one.outcome else one for one in played]


def _without(played: CaseResult, explained_away: frozenset[str]) -> CaseResult:
    assert played.outcome is not None
    kept = tuple(one for one in played.outcome.findings if one.requirement not in explained_away)
    return replace(played, outcome=replace(played.outcome, findings=kept))


def attribute(
    played: Sequence[CaseResult], known_broken: Mapping[str, str], broken_throughout: Mapping[str, str]
) -> list[CaseResult]:
    """Return each case that failed for what another sentence owns as one that was not exercised, blocked by that."""
    accused, failures = {*known_broken, *broken_throughout}, list[Failure]()
    for one in played:
        outcome = one.outcome
        if outcome is None:
            continue
        accused.update(finding.requirement for finding in outcome.findings)
        if (
            outcome.state is State.FAILED
            and outcome.cause is None
            and not explained(one, outcome, known_broken)
        ):
            owners = () if outcome.violated is not None else outcome.owners
            failures.append(Failure(one.name, shown_of(one, outcome), owners, outcome.certain))
    blocked, passed_on = blockers(failures, accused)
    return [
        one
        if one.outcome is None
        else replace(one, outcome=_attributed(one.outcome, one.name, blocked, passed_on))
        for one in played
    ]


def _attributed(
    outcome: Outcome, case: str, blocked: Mapping[str, str], passed_on: Mapping[str, str]
) -> Outcome:
    if case in passed_on:
        outcome = replace(outcome, violated=passed_on[case])
    if (owner := blocked.get(case)) is None:
        return outcome
    reason = f"blocked by {owner}: {outcome.reason}"
    return replace(outcome, state=State.NOT_EXERCISED, reason=reason, blocked_by=owner, details="")
