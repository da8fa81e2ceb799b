"""Verdicts on client requirements and classes, from the results of the plays. Pure."""

from collections.abc import Iterable, Sequence

from runwire_conformance.tools.check_client.client_under_test.profile import (
    ClientProfile,
    bound,
    client_classes,
)
from runwire_conformance.tools.check_client.expected.expectation_result import ExpectationState
from runwire_conformance.tools.check_client.play import LEADERS, PlayResult, habit
from runwire_conformance.tools.check_client.scenario import scenarios
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict, Witness
from runwire_conformance.verdict.reason import Kind
from runwire_conformance.verdict.result import ClassResult
from runwire_spec import Requirement


def judge_client(
    plays: Sequence[PlayResult], profile: ClientProfile, wanted: Sequence[str], returning: frozenset[str]
) -> tuple[Judgement, ...]:
    """Return a judgement for each requirement of `wanted` that binds some client.

    `returning` is what it was seen to do, as `returns` has it.
    """
    return tuple(
        _judge(requirement, plays, profile, returning)
        for name, requirement in bound().items()
        if name in wanted
    )


def _judge(
    requirement: Requirement, plays: Sequence[PlayResult], profile: ClientProfile, returning: frozenset[str]
) -> Judgement:
    names = tuple(play.name for play in plays if requirement.id in play.scenario.ids)
    about = [scenario for scenario in scenarios() if requirement.id in scenario.ids]
    claimed = requirement.conformance_class in profile.classes
    if not claimed or not any(profile.plays(scenario) for scenario in about):
        return Judgement(requirement, Verdict.NOT_OFFERED)
    against = [(play, one) for play in plays for one in _accusations(play, requirement.id, returning)]
    accusations = [one for play, one in against if not play.unsteady]
    if accusations:
        verdict = Verdict.FAIL if requirement.mandatory else Verdict.ADVICE
        accusations.sort(key=lambda one: sum(len(trace.records) for trace in one.traces))
        reasons = tuple(dict.fromkeys(one.reason for one in accusations))
        return Judgement(requirement, verdict, reasons, tuple(accusations), names)
    if errors := [play.error for play in plays if play.error and requirement.id in play.scenario.ids]:
        return Judgement(requirement, Verdict.JUDGE_ERROR, tuple(dict.fromkeys(errors)), cases=names)
    if doubts := tuple(dict.fromkeys(play.unsteady for play, _ in against)):
        return Judgement(requirement, Verdict.NOT_JUDGED, doubts, cases=names)
    held = [play for play in plays if play.has(requirement.id, ExpectationState.HELD)]
    if held:
        shortest = min(held, key=lambda play: sum(len(trace.records) for trace in play.traces))
        witness = Witness(shortest.name, shortest.traces, shortest.seconds)
        return Judgement(requirement, Verdict.PASS, cases=names, witness=witness)
    reasons = tuple(
        dict.fromkeys(_why_not(play, requirement.id) for play in plays if requirement.id in play.scenario.ids)
    )
    if any(_is_left_open(play, requirement.id) for play in plays if requirement.id in play.scenario.ids):
        return Judgement(requirement, Verdict.NOT_JUDGED, reasons, cases=names)
    return Judgement(requirement, Verdict.NOT_EXERCISED, reasons, cases=names)


def _is_left_open(play: PlayResult, identifier: str) -> bool:
    """Whether the judge is the cause that nothing is known of a requirement: it left it out, or stood still."""
    return bool(play.left_out or (play.unsteady and identifier in play.undecided))


def _accusations(play: PlayResult, identifier: str, returning: frozenset[str]) -> Iterable[Accusation]:
    for finding in play.findings:
        if finding.requirement == identifier:
            shown = tuple(trace for trace in play.traces if identifier in trace.marks.values()) or play.traces
            yield Accusation(play.name, finding.text, "", shown, play.seconds, Kind.CONVERSATION)
    for one, standing in play.standings:
        if one.requirement != identifier or standing.state not in {
            ExpectationState.BROKEN,
            ExpectationState.ABSENT,
            ExpectationState.AWAY,
        }:
            continue
        if standing.state is ExpectationState.AWAY and habit(one, play.transport) not in returning:
            continue
        kind = Kind.WRONG if standing.state is ExpectationState.BROKEN else Kind.UNMET
        details = f"{standing.reason}\n{play.scenario.about}"
        details += f"\nthe client said:\n{play.complaint}" if play.complaint else ""
        yield Accusation(play.name, standing.reason, details, play.traces, play.seconds, kind)


def _why_not(play: PlayResult, identifier: str) -> str:
    if play.left_out or play.unplayed:
        return play.left_out or play.unplayed
    if _is_left_open(play, identifier):
        return play.unsteady
    for one, standing in play.standings:
        if (
            one.requirement == identifier
            and standing.state is ExpectationState.AWAY
            and not one.get("retrying")
        ):
            return f"blocked by {LEADERS[play.transport]}"
    reasons = [standing.reason for one, standing in play.standings if one.requirement == identifier]
    return next(filter(None, reasons), "the scenario did not get that far")


def results(
    judgements: Sequence[Judgement], profile: ClientProfile, partial: str = ""
) -> tuple[ClassResult, ...]:
    """Return how each class of clients stands."""
    found = []
    for name in client_classes():
        own = [one for one in judgements if one.requirement.conformance_class == name]
        counted = [one for one in own if one.verdict is not Verdict.NOT_OFFERED]
        unseen = {Verdict.NOT_EXERCISED, Verdict.NOT_JUDGED, Verdict.JUDGE_ERROR}
        found.append(
            ClassResult(
                name,
                name in profile.classes and bool(counted),
                sum(one.verdict in {Verdict.PASS, Verdict.ADVICE} for one in counted),
                len(counted),
                tuple(one.requirement.id for one in own if one.verdict is Verdict.FAIL),
                tuple(
                    one.requirement.id
                    for one in counted
                    if one.verdict in unseen and one.requirement.mandatory
                ),
                (),
                partial,
            )
        )
    return tuple(found)
