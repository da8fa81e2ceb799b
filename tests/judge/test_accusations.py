"""What a judgement rests on: who is accused, by which case, in which conversation, and how a class then stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runwire_conformance.case import accused_requirement, accuses
from runwire_conformance.rules import Finding
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict, Witness
from runwire_conformance.verdict.outcome import Outcome, State
from runwire_conformance.verdict.reason import Kind
from runwire_conformance.verdict.result import ClassResult
from runwire_conformance.verdict.verdict import also_accused, class_results, judge, only_accused
from runwire_spec import catalogue, registries
from tests.support.outcomes import ALL, MUST, OPTIONAL, SHOULD, case, verdict

#: A requirement that only servers with the script agent have to meet, and one of the class `basic`.
SCRIPTED, BASIC = "SCRIPT-1", "CONN-15"

PREFLIGHT = "the preflight"


def talk(records: int = 1) -> Trace:
    """Return a conversation of so many records."""
    trace = Trace("websocket", "a talk", 0.0)
    for _ in range(records):
        trace.add("server", "text", "{}")
    return trace


def passed(*traces: Trace) -> Outcome:
    """Return the outcome of a case that held these conversations."""
    return Outcome(State.PASSED, traces=traces, seconds=float(len(traces)))


def accused(*cases: object, broken: dict[str, str] | None = None) -> dict[str, tuple[Accusation, ...]]:
    """Return the accusations, by requirement."""
    judgements = judge(cases, ALL, True, broken)  # type: ignore[arg-type]
    return {j.requirement.id: j.accusations for j in judgements if j.accusations}


def test_a_failure_is_told_with_all_that_the_case_saw() -> None:
    trace = talk()
    outcome = Outcome(State.FAILED, "none came", traces=(trace,), seconds=1.5, details="more", kind=Kind.LATE)

    expected = Accusation("a::case", "none came", "more", (trace,), 1.5, Kind.LATE)
    assert accused(case(outcome, MUST)) == {MUST: (expected,)}


def test_a_finding_is_told_with_its_conversation_and_not_with_the_words_of_the_case() -> None:
    trace = talk()
    found = (Finding("RUN-5", "a token after the end"),)
    outcome = Outcome(State.PASSED, findings=found, traces=(trace,), seconds=1.5, details="more")

    expected = Accusation("a::case", "a token after the end", "", (trace,), 1.5, Kind.CONVERSATION)
    assert accused(case(outcome, MUST)) == {"RUN-5": (expected,)}


def test_the_first_look_accuses_by_itself() -> None:
    assert accused(broken={"CONN-6": "no answer"}) == {
        "CONN-6": (Accusation(PREFLIGHT, "no answer", kind=Kind.SERVER),)
    }


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (("MSG-28",), {"MSG-28"}),
        (("BEAT-5",), {"BEAT-5"}),
        (("BEAT-5", "MSG-28"), {"BEAT-5"}),
        (("BEAT-5", "CONN-6"), {"BEAT-5", "CONN-6"}),
    ],
)
def test_who_answers_no_heartbeat_is_not_also_accused_of_an_answer_without_re(
    broken: tuple[str, ...], names: set[str]
) -> None:
    assert set(accused(broken=dict.fromkeys(broken, "seen"))) == names


def test_a_case_that_was_not_played_hides_none_behind_it() -> None:
    assert set(accused(case(None, SHOULD), case(State.FAILED, MUST))) == {MUST}


def test_a_case_that_knows_which_sentence_was_broken_accuses_that_one_alone() -> None:
    outcome = Outcome(State.FAILED, "a second end", violated="RUN-4")

    assert set(accused(case(outcome, MUST))) == {"RUN-4"}
    assert verdict(MUST, case(outcome, MUST)).reasons == ("blocked by RUN-4",)


def test_what_such_a_case_found_is_not_said_again_where_an_invariant_says_it() -> None:
    outcome = Outcome(
        State.FAILED, "an end too many", violated="RUN-4", findings=(Finding("RUN-4", "done twice"),)
    )

    assert verdict("RUN-4", case(outcome, MUST)).reasons == ("done twice",)


def test_every_cause_is_named() -> None:
    found = (Finding("RUN-5", "x"), Finding("MSG-1", "y"))

    judgement = verdict(MUST, case(Outcome(State.FAILED, "z", findings=found), MUST))

    assert judgement.reasons == ("blocked by MSG-1, RUN-5",)


def test_a_judge_error_is_told_in_its_own_words() -> None:
    cases = [
        case(Outcome(State.PASSED, "fine"), MUST, name="a::good"),
        case(Outcome(State.JUDGE_ERROR, "oops"), MUST),
    ]

    judgement = verdict(MUST, *cases)

    assert judgement == Judgement(
        catalogue()[MUST], Verdict.JUDGE_ERROR, ("oops",), cases=("a::good", "a::case")
    )


@pytest.mark.parametrize("state", [None, *State])
def test_a_judgement_names_the_cases_it_rests_on(state: State | None) -> None:
    names = verdict(
        OPTIONAL, case(state, OPTIONAL), case(state, MUST, watches=(OPTIONAL,), name="a::watch")
    ).cases

    assert names == ("a::case", "a::watch")
    assert verdict(OPTIONAL, case(state, OPTIONAL), features=frozenset()).cases == ("a::case",)


def test_the_shortest_conversation_bears_witness() -> None:
    short, long = talk(2), talk(5)
    cases = [
        case(State.FAILED, SHOULD, name="a::other"),
        case(State.NOT_EXERCISED, MUST, name="a::none"),
        case(None, MUST, name="a::waiting"),
        case(passed(long), MUST, name="a::long"),
        case(passed(short, talk(1)), MUST, name="a::short"),
    ]

    assert verdict(MUST, *cases).witness == Witness("a::short", (short, cases[4].outcome.traces[1]), 2.0)  # type: ignore[union-attr]


def test_the_script_agent_is_a_class_that_a_server_announces_by_itself() -> None:
    played = case(State.NOT_EXERCISED, SCRIPTED)

    assert verdict(SCRIPTED, played, script=True).verdict is Verdict.NOT_EXERCISED
    assert verdict(SCRIPTED, played, script=False).verdict is Verdict.NOT_OFFERED
    assert (
        verdict(SCRIPTED, played, features=ALL | {"script_agent"}, script=False).verdict
        is Verdict.NOT_OFFERED
    )


@pytest.mark.parametrize(("script", "expected"), [(True, Verdict.FAIL), (False, Verdict.NOT_OFFERED)])
def test_what_belongs_to_the_script_agent_is_held_against_those_who_have_one(
    script: bool, expected: Verdict
) -> None:
    assert verdict(SCRIPTED, case(State.FAILED, SCRIPTED), script=script).verdict is expected


def test_the_details_of_an_accusation_keep_their_lines_and_obey_nobody() -> None:
    accusation = Accusation("a::case", "one\nline \x1b[31m", "two\r\nlines \x1b[31m")

    assert accusation.reason == "one ⏎ line \ufffd[31m"
    assert accusation.details == "two\nlines \ufffd[31m"


def test_basic_and_core_are_offered_by_every_server() -> None:
    for requirement in (BASIC, MUST):
        silent = case(State.NOT_EXERCISED, requirement)

        assert verdict(requirement, silent, features=frozenset()).verdict is Verdict.NOT_EXERCISED


def test_a_mute_server_is_accused_of_that_and_of_nothing_else() -> None:
    before = judge([case(State.FAILED, MUST)], ALL, True)

    guilty, other = only_accused(before, "CONN-6", "first look", "no answer")

    accusation = Accusation("first look", "no answer", kind=Kind.SERVER)
    assert guilty == Judgement(catalogue()["CONN-6"], Verdict.FAIL, ("no answer",), (accusation,))
    assert (other.requirement.id, other.accusations) == (MUST, ())


def test_a_death_is_accused_with_its_reason() -> None:
    (guilty,) = also_accused((), "CONN-6", "last look", "gone")

    accusation = Accusation("last look", "gone", kind=Kind.GONE)
    assert guilty == Judgement(catalogue()["CONN-6"], Verdict.FAIL, ("gone",), (accusation,))


def said(requirement: str, of: Verdict) -> Judgement:
    """Return a judgement of one requirement."""
    return Judgement(catalogue()[requirement], of)


def test_a_class_counts_what_held_of_what_was_offered() -> None:
    judgements = [
        said(MUST, Verdict.PASS),
        said(SHOULD, Verdict.ADVICE),
        said("RUN-4", Verdict.FAIL),
        said("RUN-5", Verdict.NOT_EXERCISED),
        said("RUN-28", Verdict.NOT_OFFERED),
        said("RUN-29", Verdict.JUDGE_ERROR),
    ]
    of_core = [j for j in judgements if j.requirement.conformance_class == "core"]
    of_basic = [j for j in judgements if j.requirement.conformance_class == "basic"]

    results = {result.name: result for result in class_results(judgements, frozenset(), False)}

    for name, own in (("core", of_core), ("basic", of_basic)):
        verdicts = [j.verdict for j in own]
        assert results[name] == ClassResult(
            name,
            True,
            sum(one in {Verdict.PASS, Verdict.ADVICE} for one in verdicts),
            sum(one is not Verdict.NOT_OFFERED for one in verdicts),
            tuple(j.requirement.id for j in own if j.verdict is Verdict.FAIL),
            tuple(j.requirement.id for j in own if j.verdict in {Verdict.NOT_EXERCISED, Verdict.JUDGE_ERROR}),
        )


def test_every_class_that_is_not_offered_is_named_and_none_that_was_not_asked_for() -> None:
    results = class_results([said(MUST, Verdict.PASS)], frozenset({"resume"}), False)

    names = [row["class"] for row in registries()["classes"]]
    silent = [name for name in names if name not in {"basic", "core", "resume"}]
    assert [r.name for r in results] == [name for name in names if name in {"core", *silent}]
    assert [r for r in results if r.name != "core"] == [
        ClassResult(name, False, 0, 0, (), ()) for name in silent
    ]


def test_every_class_is_marked_by_what_narrowed_the_judging() -> None:
    results = class_results([said(MUST, Verdict.PASS)], frozenset(), False, "-k runs")

    assert {result.offered: result.standing for result in results} == {True: "partial", False: "not offered"}
    assert {result.partial for result in results} == {"-k runs"}


def test_the_script_agent_stands_as_announced() -> None:
    for announced in (True, False):
        (result,) = [
            r
            for r in class_results([said(SCRIPTED, Verdict.PASS)], frozenset(), announced)
            if r.name == "script_agent"
        ]

        assert result.offered is announced


def test_a_failure_that_shows_one_of_several_sentences_accuses_that_one_alone() -> None:
    failed = case(Outcome(State.FAILED, "no Retry-After", shows=SHOULD), MUST, SHOULD)

    assert set(accused(failed)) == {SHOULD}
    assert verdict(MUST, failed).reasons == (f"blocked by {SHOULD}",)


def test_such_a_failure_is_accused_beside_what_an_invariant_found_elsewhere() -> None:
    for found, names in (
        ("RUN-5", {"RUN-5", SHOULD}),
        (MUST, {MUST, SHOULD}),
        (SHOULD, {SHOULD}),
        ("MSG-1", {"MSG-1"}),
    ):
        outcome = Outcome(State.FAILED, "seen", shows=SHOULD, findings=(Finding(found, "x"),))

        assert set(accused(case(outcome, MUST, SHOULD))) == names


def test_a_case_says_what_an_assertion_shows() -> None:
    with pytest.raises(AssertionError) as inner, accuses("RUN-4"), accuses("RUN-5"):
        raise AssertionError
    late = TimeoutError()
    late.__cause__ = inner.value

    assert accused_requirement(inner.value) == "RUN-5"
    assert accused_requirement(late) == "RUN-5"
    assert accused_requirement(TimeoutError()) is None


def test_the_preflight_tells_what_it_saw() -> None:
    trace = talk()

    (judgement,) = judge((), ALL, True, {"CONN-6": "no answer"}, shown={"CONN-6": [trace]})

    assert judgement.accusations == (Accusation(PREFLIGHT, "no answer", traces=(trace,), kind=Kind.SERVER),)


def test_the_reset_check_accuses_beside_the_preflight() -> None:
    (judgement,) = judge((), ALL, True, {"CLOSE-2": "a reset"}, broken_throughout={"CLOSE-2": "resets"})

    assert judgement.accusations == (
        Accusation(PREFLIGHT, "a reset", kind=Kind.SERVER),
        Accusation("the reset check", "resets", kind=Kind.SERVER),
    )


def test_a_finding_is_told_with_the_conversation_that_shows_it() -> None:
    shown, other = talk(), talk()
    shown.marks[0] = "RUN-5"
    found = (Finding("RUN-5", "late"), Finding("MSG-1", "bytes"))

    told = accused(case(Outcome(State.PASSED, findings=found, traces=(other, shown)), MUST))

    assert told["RUN-5"][0].traces == (shown,)
    assert told["MSG-1"][0].traces == (other, shown)


def test_what_the_server_breaks_throughout_is_the_cause_of_what_failed_and_is_told_once() -> None:
    trace = talk()
    failed = Outcome(
        State.FAILED, "cut off", "RUN-4", traces=(trace,), seconds=1.5, details="more", kind=Kind.LATE
    )
    caused = replace(failed, blocked_by=None, cause="CLOSE-2")
    own = Accusation("a::case", "cut off", "more", (trace,), 1.5, Kind.LATE)

    assert accused(case(caused, MUST)) == {"CLOSE-2": (own,)}
    assert verdict(MUST, case(caused, MUST)).reasons == ("blocked by CLOSE-2",)
    assert len(accused(case(caused, MUST), broken={"CLOSE-2": "resets"})["CLOSE-2"]) == 1
    assert accused(case(caused, MUST, "CLOSE-2"), broken={"CLOSE-2": "resets"})["CLOSE-2"][1] == own


def test_what_shows_it_in_the_fewest_words_is_told_first() -> None:
    def failed(name: str, *traces: Trace) -> object:
        return case(Outcome(State.FAILED, name, traces=traces), MUST, name=f"a::{name}")

    cases = [failed("long", talk(5)), failed("short", talk(1), talk(2)), failed("mute")]

    told = [accusation.case for accusation in accused(*cases, broken={MUST: "seen"})[MUST]]

    assert told == [PREFLIGHT, "a::mute", "a::short", "a::long"]
