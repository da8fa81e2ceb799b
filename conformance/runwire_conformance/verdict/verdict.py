"""Verdicts on requirements and classes, as pure rules over the outcomes of cases."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from runwire_conformance.rules import shown_by
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict, Witness
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.reason import Kind
from runwire_conformance.verdict.result import ClassResult
from runwire_spec import Requirement, catalogue, registries

#: Verdicts on what was not seen.
UNSEEN = frozenset({Verdict.NOT_EXERCISED, Verdict.NOT_JUDGED, Verdict.JUDGE_ERROR})

#: Requirements without which a conversation cannot be understood: what else fails in it may be their doing.
SCRAMBLING = frozenset({"MSG-1", "MSG-2", "MSG-5", "CONN-15", "RUN-3", "RUN-27", "SSE-3", "SSE-4", "FLOW-8"})


def judge(
    cases: Sequence[CaseResult],
    features: frozenset[str],
    script_agent: bool,
    known_broken: Mapping[str, str] | None = None,
    wanted: Callable[[Requirement], bool] = lambda _: True,
    broken_throughout: Mapping[str, str] | None = None,
    shown: Mapping[str, Sequence[Trace]] | None = None,
    undecided: Mapping[str, str] | None = None,
) -> tuple[Judgement, ...]:
    """Return a judgement for every `wanted` requirement that some case proves or watches, or that was found broken.

    `known_broken` is what the preflight showed, in the conversations `shown`; `broken_throughout` what the reset
    check did; `undecided` is what could not be told from the judge's own slowness, with the reason.
    """
    accused = _accusations(cases, known_broken or {}, broken_throughout or {}, shown or {})
    concerned = [
        requirement
        for requirement in catalogue().values()
        if wanted(requirement) and (requirement.id in accused or _concerns(cases, requirement.id))
    ]
    return tuple(
        _judge_one(requirement, cases, accused, features, script_agent, undecided or {})
        for requirement in concerned
    )


def only_accused(
    judgements: Iterable[Judgement], accused: str, case: str, reason: str, traces: tuple[Trace, ...] = ()
) -> tuple[Judgement, ...]:
    """Return judgements in which `accused` alone is to blame and the others could not be told because of it."""
    accusation = Accusation(case, reason, traces=traces, kind=Kind.SERVER)
    guilty = Judgement(catalogue()[accused], Verdict.FAIL, (reason,), (accusation,))
    blocked = (f"blocked by {accused}",)
    others = [
        replace(judgement, verdict=Verdict.NOT_EXERCISED, reasons=blocked, accusations=())
        for judgement in judgements
        if judgement.requirement.id != accused
    ]
    return _in_order([guilty, *others])


def also_accused(
    judgements: Iterable[Judgement], accused: str, case: str, reason: str
) -> tuple[Judgement, ...]:
    """Return judgements with one accusation more."""
    accusation = Accusation(case, reason, kind=Kind.GONE)
    others = [judgement for judgement in judgements if judgement.requirement.id != accused]
    guilty = Judgement(catalogue()[accused], Verdict.FAIL, (reason,), (accusation,))
    return _in_order([guilty, *others])


def _in_order(judgements: Iterable[Judgement]) -> tuple[Judgement, ...]:
    order = list(catalogue())
    return tuple(sorted(judgements, key=lambda judgement: order.index(judgement.requirement.id)))


def _concerns(cases: Sequence[CaseResult], identifier: str) -> bool:
    return any(identifier in case.claim.ids + case.claim.watches for case in cases)


def _accusations(
    cases: Sequence[CaseResult],
    known_broken: Mapping[str, str],
    broken_throughout: Mapping[str, str],
    shown: Mapping[str, Sequence[Trace]],
) -> dict[str, list[Accusation]]:
    """Attribute every failure to a requirement.

    What a rule found is the cause of what else went wrong in the same case: one cause, one accusation.
    """
    accused = {
        identifier: [
            Accusation(
                "the preflight",
                reason,
                traces=tuple(shown.get(identifier, ())),
                kind=Kind.SERVER,
            )
        ]
        for identifier, reason in known_broken.items()
        if not (identifier == "MSG-28" and "BEAT-5" in known_broken)
    }
    for identifier, reason in broken_throughout.items():
        accused.setdefault(identifier, []).append(Accusation("the reset check", reason, kind=Kind.SERVER))
    for case in cases:
        outcome = case.outcome
        if outcome is None:
            continue
        for finding in outcome.findings:
            shown_in = [trace for trace in outcome.traces if finding.requirement in trace.marks.values()]
            accusation = Accusation(
                case.name,
                finding.text,
                "",
                tuple(shown_in) or outcome.traces,
                outcome.seconds,
                Kind.CONVERSATION,
            )
            accused.setdefault(finding.requirement, []).append(accusation)
        if outcome.state is not State.FAILED:
            continue
        accusation = Accusation(
            case.name, outcome.reason, outcome.details, outcome.traces, outcome.seconds, outcome.kind
        )
        if outcome.cause is not None:
            blamed = (
                [outcome.cause] if outcome.cause not in accused or outcome.cause in case.claim.ids else []
            )
        else:
            blamed = [] if explained(case, outcome, known_broken) else list(shown_of(case, outcome))
        for identifier in blamed:
            accused.setdefault(identifier, []).append(accusation)
    return accused


def shown_of(case: Case | CaseResult, outcome: Outcome) -> tuple[str, ...]:
    """The sentences that a failure shows broken: the one that it names, or else all that the case proves."""
    named = outcome.violated or outcome.shows
    return (named,) if named is not None else case.claim.ids


def explained(case: CaseResult, outcome: Outcome, known_broken: Mapping[str, str]) -> bool:
    """Whether a rule found in the same case what the failure comes from, or says itself."""
    found = {finding.requirement for finding in outcome.findings}
    if outcome.violated is not None:
        return bool(found)
    return bool(found & set(shown_of(case, outcome)) or (found & SCRAMBLING) - known_broken.keys())


def _judge_one(
    requirement: Requirement,
    cases: Sequence[CaseResult],
    accused: Mapping[str, list[Accusation]],
    features: frozenset[str],
    script_agent: bool,
    undecided: Mapping[str, str],
) -> Judgement:
    identifier = requirement.id
    proving = [case for case in cases if identifier in case.claim.ids + case.claim.watches]
    names = tuple(case.name for case in proving)
    if identifier in accused and _is_offered(requirement.conformance_class, features, script_agent):
        verdict = Verdict.FAIL if requirement.mandatory else Verdict.ADVICE
        accusations = sorted(accused[identifier], key=_length)
        reasons = tuple(dict.fromkeys(accusation.reason for accusation in accusations))
        return Judgement(requirement, verdict, reasons, tuple(accusations), names)
    outcomes = [case.outcome for case in proving if case.outcome is not None]
    if not _is_offered(requirement.conformance_class, features, script_agent):
        return Judgement(requirement, Verdict.NOT_OFFERED, cases=names)
    if any(outcome.state is State.JUDGE_ERROR for outcome in outcomes):
        reasons = tuple(outcome.reason for outcome in outcomes if outcome.state is State.JUDGE_ERROR)
        return Judgement(requirement, Verdict.JUDGE_ERROR, reasons, cases=names)
    if left_out := _reasons_not_judged(identifier, proving, undecided):
        return Judgement(requirement, Verdict.NOT_JUDGED, left_out, cases=names)
    # The sentence that a case names first is the one whose clause it plays.
    unplayed = [
        case for case in proving if identifier in case.claim.ids[:1] and _is_out_of_bounds(case.outcome)
    ]
    kept = [case for case in proving if _shows_kept(identifier, case)]
    if not unplayed and kept:
        return Judgement(requirement, Verdict.PASS, cases=names, witness=_witness(kept))
    reasons = tuple(
        dict.fromkeys(
            _reason_not_exercised(case, case.outcome)
            for case in unplayed or proving
            if case.outcome is not None and case.outcome.state is not State.PASSED
        )
    )
    if outcomes and not reasons:
        reasons = ("its cases passed, and no conversation of theirs showed it",)
    # What watched and saw nothing says nothing of what the server offers.
    left = [outcome for outcome in outcomes if outcome.state is not State.PASSED]
    all_absent = bool(left) and all(outcome.state is State.NOT_OFFERED for outcome in left)
    verdict = Verdict.NOT_OFFERED if all_absent else Verdict.NOT_EXERCISED
    impatient = any(outcome.impatient for outcome in outcomes)
    return Judgement(requirement, verdict, reasons, cases=names, impatient=impatient)


def _shows_kept(identifier: str, case: CaseResult) -> bool:
    """Whether a case shows a requirement kept: it passed, and where it only watches, there was something to see."""
    if case.outcome is None or case.outcome.state is not State.PASSED:
        return False
    needed = shown_by().get(identifier)
    return identifier in case.claim.ids or not needed or bool(needed & case.outcome.shown)


def _is_out_of_bounds(outcome: Outcome | None) -> bool:
    """Whether a clause was not shown for the server's limits alone: a pass of the others would be half of one."""
    return outcome is not None and (outcome.impatient or outcome.hasty)


def _reasons_not_judged(
    identifier: str, proving: Sequence[CaseResult], undecided: Mapping[str, str]
) -> tuple[str, ...]:
    """Return why the judge did not judge a requirement, for reasons of its own; empty when it did.

    A case that was left out is never a pass for what it proves; what it only watches may be seen in others.
    """
    reasons = [undecided[identifier]] if identifier in undecided else []
    seen = any(_shows_kept(identifier, case) for case in proving)
    for case in proving:
        if case.outcome is not None and case.outcome.state is State.NOT_JUDGED:
            reasons += [case.outcome.reason] if identifier in case.claim.ids or not seen else []
    return tuple(dict.fromkeys(reasons))


def _length(accusation: Accusation) -> int:
    """Sort what a look showed first, and then what shows it in the fewest words."""
    if accusation.kind is Kind.SERVER:
        return 0
    return 1 + sum(len(trace.records) for trace in accusation.traces)


def _witness(kept: Sequence[CaseResult]) -> Witness:
    """Return the shortest conversation in which a requirement held."""
    passed = [(case.name, case.outcome) for case in kept if case.outcome is not None]
    name, outcome = min(passed, key=lambda pair: sum(len(trace.records) for trace in pair[1].traces))
    return Witness(name, outcome.traces, outcome.seconds)


def _reason_not_exercised(case: CaseResult, outcome: Outcome) -> str:
    if outcome.state is State.FAILED:
        broken = {outcome.cause} if outcome.cause else {finding.requirement for finding in outcome.findings}
        broken = broken or set(shown_of(case, outcome))
        causes = ", ".join(sorted(broken))
        return f"blocked by {causes}"
    return outcome.reason


def _is_offered(name: str, features: frozenset[str], script_agent: bool) -> bool:
    if name in {"basic", "core"}:
        return True
    return script_agent if name == "script_agent" else name in features


def class_results(
    judgements: Iterable[Judgement], features: frozenset[str], script_agent: bool, partial: str = ""
) -> tuple[ClassResult, ...]:
    """Return how each class of the registry stands for which there is a judgement.

    `partial` says what narrowed the judging, if anything did: nothing narrowed is called conformant.
    """
    results = []
    every = list(judgements)
    for row in registries()["classes"]:
        own = [judgement for judgement in every if judgement.requirement.conformance_class == row["class"]]
        counted = [judgement for judgement in own if judgement.verdict is not Verdict.NOT_OFFERED]
        offered = _is_offered(row["class"], features, script_agent)
        if not own and not offered:
            results.append(ClassResult(row["class"], False, 0, 0, (), (), (), partial))
        if own:
            unseen = [
                judgement
                for judgement in counted
                if judgement.verdict in UNSEEN and judgement.requirement.mandatory
            ]
            results.append(
                ClassResult(
                    row["class"],
                    offered,
                    sum(judgement.verdict in {Verdict.PASS, Verdict.ADVICE} for judgement in counted),
                    len(counted),
                    tuple(j.requirement.id for j in own if j.verdict is Verdict.FAIL),
                    tuple(j.requirement.id for j in unseen if not j.impatient),
                    tuple(j.requirement.id for j in unseen if j.impatient),
                    partial,
                )
            )
    return tuple(results)
