"""From outcomes to verdicts: the table of verdicts, one row a test, and the exit codes."""

from __future__ import annotations

import pytest

from runwire_conformance.rules import Finding, shows
from runwire_conformance.trace.trace import Record, Side, Trace
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.outcome import Case, Outcome, State
from runwire_conformance.verdict.result import ClassResult, Report
from runwire_conformance.verdict.verdict import also_accused, class_results, judge, only_accused
from runwire_spec import catalogue
from tests.support.outcomes import ALL, MUST, OPTIONAL, SHOULD, case, verdict


@pytest.mark.parametrize(
    ("requirement", "state", "expected"),
    [
        (MUST, State.PASSED, Verdict.PASS),
        (MUST, State.FAILED, Verdict.FAIL),
        (SHOULD, State.FAILED, Verdict.ADVICE),
        (SHOULD, State.PASSED, Verdict.PASS),
        (MUST, State.NOT_OFFERED, Verdict.NOT_OFFERED),
        (MUST, State.NOT_EXERCISED, Verdict.NOT_EXERCISED),
        (MUST, State.NOT_JUDGED, Verdict.NOT_JUDGED),
        (MUST, State.JUDGE_ERROR, Verdict.JUDGE_ERROR),
        (MUST, None, Verdict.NOT_EXERCISED),
    ],
)
def test_an_outcome_makes_a_verdict(requirement: str, state: State | None, expected: Verdict) -> None:
    assert verdict(requirement, case(state, requirement)).verdict is expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((State.PASSED, State.FAILED), Verdict.FAIL),
        ((State.PASSED, State.NOT_EXERCISED), Verdict.PASS),
        ((State.PASSED, State.JUDGE_ERROR), Verdict.JUDGE_ERROR),
        ((State.PASSED, State.NOT_JUDGED), Verdict.NOT_JUDGED),
        ((State.NOT_EXERCISED, State.NOT_JUDGED), Verdict.NOT_JUDGED),
        ((State.NOT_JUDGED, State.JUDGE_ERROR), Verdict.JUDGE_ERROR),
        ((State.FAILED, State.NOT_JUDGED), Verdict.FAIL),
        ((State.FAILED, State.JUDGE_ERROR), Verdict.FAIL),
        ((State.NOT_OFFERED, State.NOT_EXERCISED), Verdict.NOT_EXERCISED),
        ((State.NOT_OFFERED, State.NOT_OFFERED), Verdict.NOT_OFFERED),
    ],
)
def test_the_gravest_of_several_outcomes_counts(states: tuple[State, ...], expected: Verdict) -> None:
    assert verdict(MUST, *(case(state, MUST) for state in states)).verdict is expected


@pytest.mark.parametrize("why", ["impatient", "hasty"])
def test_half_a_sentence_is_no_pass(why: str) -> None:
    unplayed = Outcome(State.NOT_EXERCISED, "set another run_s on the server", **{why: True})  # type: ignore[arg-type]

    judgement = verdict(MUST, case(State.PASSED, MUST), case(unplayed, MUST))

    assert judgement.verdict is Verdict.NOT_EXERCISED
    assert judgement.reasons == ("set another run_s on the server",)
    assert judgement.impatient is (why == "impatient")


def test_every_reason_for_which_nothing_was_judged_is_told_once() -> None:
    outcomes = [Outcome(State.NOT_JUDGED, reason) for reason in ("interrupted", "too slow", "interrupted")]
    cases = [case(outcome, MUST, name=f"a::{number}") for number, outcome in enumerate(outcomes)]

    (judgement,) = judge(cases, ALL, True, undecided={MUST: "a stall"})

    assert judgement == Judgement(
        catalogue()[MUST],
        Verdict.NOT_JUDGED,
        ("a stall", "interrupted", "too slow"),
        cases=("a::0", "a::1", "a::2"),
    )


def test_what_the_clock_left_open_of_one_sentence_leaves_the_others_judged() -> None:
    judgements = judge([case(State.PASSED, MUST, SHOULD)], ALL, True, undecided={MUST: "a stall"})

    assert {j.requirement.id: j.verdict for j in judgements} == {
        MUST: Verdict.NOT_JUDGED,
        SHOULD: Verdict.PASS,
    }


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (None, Verdict.NOT_JUDGED),
        (Outcome(State.PASSED), Verdict.NOT_JUDGED),
        (Outcome(State.NOT_EXERCISED, "no silence", shown=frozenset({"token"})), Verdict.NOT_JUDGED),
        (Outcome(State.PASSED, shown=frozenset({"token"})), Verdict.PASS),
    ],
    ids=["nothing", "passed", "stopped", "shown"],
)
def test_what_a_case_that_was_not_judged_only_watched_may_be_seen_in_another(
    other: Outcome | None, expected: Verdict
) -> None:
    left = case(Outcome(State.NOT_JUDGED, "interrupted"), MUST, watches=("RUN-29",), name="a::left")
    seen = case(other, SHOULD, watches=("RUN-29",), name="a::other")

    assert verdict("RUN-29", left, seen).verdict is expected
    assert verdict(MUST, left, seen).verdict is Verdict.NOT_JUDGED


def test_what_a_case_names_besides_is_shown_by_others() -> None:
    unplayed = Outcome(State.NOT_EXERCISED, "set another idle_s on the server", impatient=True)

    assert verdict(MUST, case(State.PASSED, MUST), case(unplayed, SHOULD, MUST)).verdict is Verdict.PASS


def test_a_class_that_is_not_offered_is_not_failed_by_silence() -> None:
    silent = case(State.NOT_EXERCISED, OPTIONAL)

    assert verdict(OPTIONAL, silent, features=frozenset()).verdict is Verdict.NOT_OFFERED
    assert verdict(OPTIONAL, silent, features=ALL).verdict is Verdict.NOT_EXERCISED


def test_a_watched_requirement_passes_with_its_case_and_does_not_fail_with_it() -> None:
    seen = Outcome(State.PASSED, shown=frozenset({"token"}))
    assert verdict("RUN-29", case(seen, MUST, watches=("RUN-29",))).verdict is Verdict.PASS

    judgement = verdict("RUN-29", case(State.FAILED, MUST, watches=("RUN-29",)))

    assert judgement.verdict is Verdict.NOT_EXERCISED
    assert judgement.reasons == (f"blocked by {MUST}",)


def test_a_case_that_watches_passes_nothing_that_it_did_not_see() -> None:
    answered = Outcome(State.PASSED, shown=frozenset({"socket", "any"}))
    watching = case(answered, MUST, watches=("CLOSE-1",), name="a::watching")
    broken = case(Outcome(State.FAILED, "no frame", cause="CLOSE-2"), "CLOSE-1", name="a::proving")

    unseen = verdict("CLOSE-1", watching)
    assert (unseen.verdict, unseen.reasons) == (
        Verdict.NOT_EXERCISED,
        ("its cases passed, and no conversation of theirs showed it",),
    )
    absent = case(State.NOT_OFFERED, "RESUME-10", watches=("CLOSE-1",), name="a::absent")
    assert verdict("CLOSE-1", watching, absent).verdict is Verdict.NOT_OFFERED
    judgement = verdict("CLOSE-1", watching, broken)

    assert (judgement.verdict, judgement.reasons) == (Verdict.NOT_EXERCISED, ("blocked by CLOSE-2",))
    assert verdict("CLOSE-1", watching, case(State.PASSED, "CLOSE-1")).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("closes", "shown"), [(["server"], True), (["client", "server"], False), ([], False)]
)
def test_a_close_frame_shows_how_a_server_closes_unless_it_answers_one(
    closes: list[Side], shown: bool
) -> None:
    trace = Trace("websocket", "a talk")
    trace.records += [Record(0.0, side, "close", code=1000) for side in closes]
    trace.records += [] if closes else [Record(0.0, "server", "lost")]

    assert ("close" in shows(trace)) is shown


def test_what_an_invariant_finds_is_accused_whatever_the_case_proves() -> None:
    found = Outcome(State.PASSED, findings=(Finding("BEAT-1", "nothing arrived for 9.0 s"),))

    judgements = {j.requirement.id: j for j in judge([case(found, MUST)], ALL, True)}

    assert judgements["BEAT-1"].verdict is Verdict.FAIL
    assert judgements["BEAT-1"].reasons == ("nothing arrived for 9.0 s",)
    assert judgements[MUST].verdict is Verdict.PASS


def test_one_cause_is_one_accusation() -> None:
    scrambled = Outcome(State.FAILED, "no token came", findings=(Finding("MSG-1", "not a JSON text"),))

    judgements = {j.requirement.id: j for j in judge([case(scrambled, MUST)], ALL, True)}

    assert [name for name, j in judgements.items() if j.verdict is Verdict.FAIL] == ["MSG-1"]
    assert judgements[MUST].reasons == ("blocked by MSG-1",)


def test_a_finding_that_explains_nothing_does_not_excuse_the_case() -> None:
    beside = Outcome(State.FAILED, "no second run", findings=(Finding("OBS-1", "done has no trace_id"),))

    failed = {j.requirement.id for j in judge([case(beside, MUST)], ALL, True) if j.verdict is Verdict.FAIL}

    assert failed == {MUST, "OBS-1"}


def test_the_same_reason_is_given_once() -> None:
    cases = [case(State.FAILED, MUST, name=f"a::{number}") for number in range(3)]

    judgement = verdict(MUST, *cases)

    assert judgement.reasons == ("seen",)
    assert [accusation.case for accusation in judgement.accusations] == ["a::0", "a::1", "a::2"]


def test_judgements_stand_in_the_order_of_the_specification() -> None:
    order = list(catalogue())

    names = [j.requirement.id for j in judge([case(State.PASSED, SHOULD, "CONN-6", MUST)], ALL, True)]

    assert names == sorted(names, key=order.index)


def test_only_the_requirements_asked_for_are_judged() -> None:
    played = [case(State.PASSED, MUST), case(State.PASSED, SHOULD)]

    judgements = judge(played, ALL, True, wanted=lambda requirement: requirement.id == SHOULD)

    assert [j.requirement.id for j in judgements] == [SHOULD]


def test_a_mute_server_is_accused_alone() -> None:
    before = judge([case(State.FAILED, MUST), case(State.PASSED, SHOULD)], ALL, True)

    judgements = {j.requirement.id: j for j in only_accused(before, "CONN-6", "first look", "no answer")}

    assert judgements["CONN-6"].reasons == ("no answer",)
    others = [j for name, j in judgements.items() if name != "CONN-6"]
    assert {(j.verdict, j.reasons) for j in others} == {(Verdict.NOT_EXERCISED, ("blocked by CONN-6",))}


def test_a_death_is_added_to_what_was_found() -> None:
    before = judge([case(State.FAILED, MUST), case(State.PASSED, "CONN-6")], ALL, True)

    failed = {j.requirement.id for j in also_accused(before, "CONN-6", "last look", "gone") if j.accusations}

    assert failed == {MUST, "CONN-6"}


def report(
    *judgements: Judgement, offered: tuple[str, ...] = ("core",), errors: tuple[str, ...] = ()
) -> Report:
    """Return a report that holds these judgements."""
    classes = tuple(ClassResult(name, True, 1, 1, (), ()) for name in offered)
    return Report("http://server", "server", judgements, classes, 1.0, judge_errors=errors)


def said(requirement: str, of: Verdict) -> Judgement:
    """Return a judgement of one requirement."""
    return Judgement(catalogue()[requirement], of)


PASSED = said("RUN-4", Verdict.PASS)


@pytest.mark.parametrize(
    ("judgements", "errors", "loose", "strict"),
    [
        ((PASSED,), (), 0, 0),
        ((PASSED, said(SHOULD, Verdict.ADVICE)), (), 0, 1),
        ((PASSED, said(MUST, Verdict.NOT_EXERCISED)), (), 0, 1),
        ((PASSED, said("AUTH-1", Verdict.NOT_EXERCISED)), (), 0, 0),
        ((PASSED, said(OPTIONAL, Verdict.NOT_OFFERED)), (), 0, 0),
        ((PASSED, said(MUST, Verdict.FAIL)), (), 1, 1),
        ((said(MUST, Verdict.NOT_EXERCISED),), (), 2, 2),
        ((), (), 2, 2),
        ((PASSED,), ("a fault",), 3, 3),
        ((PASSED, said(MUST, Verdict.FAIL)), ("a fault",), 1, 1),
        ((PASSED, said(MUST, Verdict.NOT_JUDGED)), (), 3, 3),
        ((said("RUN-5", Verdict.FAIL), said(MUST, Verdict.NOT_JUDGED)), (), 1, 1),
    ],
)
def test_the_exit_code_says_how_it_stands(
    judgements: tuple[Judgement, ...], errors: tuple[str, ...], loose: int, strict: int
) -> None:
    found = report(*judgements, errors=errors)

    assert (found.exit_code(), found.exit_code(strict=True)) == (loose, strict)


def standing(*cases: Case, features: frozenset[str] = ALL) -> dict[str, str]:
    """Return how each class stands after these cases."""
    return {r.name: r.standing for r in class_results(judge(cases, features, True), features, True)}


def test_a_class_is_conformant_only_when_all_of_it_was_shown() -> None:
    assert standing(case(State.PASSED, MUST))["core"] == "conformant"
    assert standing(case(State.FAILED, MUST))["core"] == "not conformant"
    assert standing(case(State.NOT_EXERCISED, MUST))["core"] == "not shown"
    assert standing(case(State.FAILED, SHOULD), case(State.PASSED, MUST))["core"] == "conformant"


def test_a_class_that_the_server_does_not_name_is_not_offered() -> None:
    assert standing(case(State.NOT_OFFERED, OPTIONAL), features=frozenset())["resume"] == "not offered"
