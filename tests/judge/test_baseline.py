"""The baseline: a ratchet that turns both ways, its file, and several judgings side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from runwire_conformance.case import Broken, DeadlineMissed
from runwire_conformance.runner.suite import case_names
from runwire_conformance.verdict.baseline import NOT_EXERCISED, Comparison, Known, compare, renewed
from runwire_conformance.verdict.baseline_file import BaselineError, read_baseline, write_baseline
from runwire_conformance.verdict.judgement import Accusation, Judgement, Repeats, Verdict, repeats_of
from runwire_conformance.verdict.reason import Kind, kind_of
from runwire_conformance.verdict.result import Report
from runwire_spec import catalogue

TODAY = date(2030, 6, 1)
CASE = "runs::a_run_ends_with_exactly_one_terminal"
UNMET = f"unmet {CASE}"


def broken(kind: Kind = Kind.UNMET, identifier: str = "RUN-4", case: str = CASE) -> Judgement:
    """Return a judgement of a requirement that was broken in this way."""
    accusation = Accusation(case, "got 4 after 1.234 s in run x7Zq", kind=kind)
    return Judgement(catalogue()[identifier], Verdict.FAIL, ("x",), (accusation,), (CASE,))


def as_verdict(verdict: Verdict) -> Judgement:
    """Return a judgement of the same requirement with another verdict."""
    return Judgement(catalogue()["RUN-4"], verdict, cases=(CASE,))


def compared(known: list[Known], *judgements: Judgement) -> Comparison:
    """Compare judgements, all of whose failures the gate minds."""
    failing = [judgement for judgement in judgements if judgement.verdict is Verdict.FAIL]
    return compare(known, judgements, failing, case_names(), TODAY, "b.toml")


def test_a_known_failure_fails_nothing() -> None:
    found = compared([Known("RUN-4", UNMET)], broken())

    assert found.breaches == ()
    assert found.knows(broken())


def both(*kinds: Kind) -> Judgement:
    """Return a judgement of the same requirement that was broken in each of these ways."""
    found = tuple(accusation for kind in kinds for accusation in broken(kind).accusations)
    return replace(broken(), accusations=found)


LATE, ENDLESS = f"late {CASE}", f"endless {CASE}"
PASSED, MISSED, FAULTY = (as_verdict(v) for v in (Verdict.PASS, Verdict.NOT_EXERCISED, Verdict.JUDGE_ERROR))
NOT_OFFERED, UNJUDGED = as_verdict(Verdict.NOT_OFFERED), as_verdict(Verdict.NOT_JUDGED)
ELSEWHERE = replace(PASSED, cases=("runs::another",))
KNOWN = Known("RUN-4", UNMET)
PAIR = ("RUN-4", UNMET)


@pytest.mark.parametrize(
    ("known", "judgement", "breaches", "seen"),
    [
        ([], broken(), [f"RUN-4 is newly broken: {UNMET}"], []),
        ([], both(Kind.UNMET, Kind.LATE), [f"RUN-4 is newly broken: {LATE}, {UNMET}"], []),
        ([], PASSED, [], []),
        ([KNOWN], broken(), [], [PAIR]),
        ([KNOWN], broken(Kind.LATE), [f"RUN-4 fails differently: {LATE}; the baseline has {UNMET}"], []),
        ([KNOWN], both(Kind.UNMET, Kind.LATE), [f"RUN-4 fails differently: {LATE}; the baseline has {UNMET}"], [PAIR]),
        ([Known("RUN-4", ENDLESS)], both(Kind.UNMET, Kind.LATE),
         [f"RUN-4 fails differently: {LATE}, {UNMET}; the baseline has {ENDLESS}"], []),
        ([KNOWN, Known("RUN-4", ENDLESS)], broken(Kind.LATE),
         [f"RUN-4 fails differently: {LATE}; the baseline has {ENDLESS}, {UNMET}"], []),
        ([KNOWN, Known("RUN-4", LATE)], both(Kind.UNMET, Kind.LATE), [], [PAIR, ("RUN-4", LATE)]),
        ([KNOWN], PASSED, [f"RUN-4 now passes: {UNMET}"], []),
        ([KNOWN], NOT_OFFERED, [f"RUN-4 is no longer offered: {UNMET}"], []),
        ([KNOWN, Known("RUN-4", "conversation")], broken(),
         ["RUN-4 no longer fails in this way: conversation"], [PAIR]),
        ([Known("RUN-4", NOT_EXERCISED)], PASSED, ["RUN-4 now passes: not-exercised"], []),
        ([Known("RUN-4", NOT_EXERCISED)], MISSED, [], [("RUN-4", NOT_EXERCISED)]),
        ([Known("RUN-4", UNMET, date(2030, 5, 31))], broken(),
         [f"RUN-4 expired on 2030-05-31: {UNMET}"], [PAIR]),
        ([Known("RUN-4", UNMET, TODAY)], broken(), [], [PAIR]),
        ([Known("RUN-9999", "gone"), Known("RUN-4", LATE)], PASSED,
         ["RUN-9999 is not a requirement of the specification", f"RUN-4 now passes: {LATE}"], []),
        ([KNOWN, Known("RUN-6", "unmet runs::no_case")], broken(),
         ["RUN-6 names runs::no_case, which is not a case of the suite"], [PAIR]),
        ([KNOWN, Known("RUN-6", "somehow")], broken(), ["RUN-6 has 'somehow', which is not a reason code"], [PAIR]),
        ([Known("RUN-6", "gone")], PASSED, [], []),
    ],
)  # fmt: skip
def test_whatever_differs_is_a_breach(
    known: list[Known], judgement: Judgement, breaches: list[str], seen: list[tuple[str, str]]
) -> None:
    assert compared(known, judgement) == Comparison("b.toml", frozenset(seen), tuple(breaches), ())


@pytest.mark.parametrize(
    ("entry", "judgement", "remarks"),
    [
        (KNOWN, ELSEWHERE, [f"RUN-4 was not judged this time: {UNMET}"]),
        (KNOWN, MISSED, [f"RUN-4 was not judged this time: {UNMET}"]),
        (KNOWN, FAULTY, [f"RUN-4 was not judged this time: {UNMET}"]),
        (KNOWN, UNJUDGED, [f"RUN-4 was not judged this time: {UNMET}"]),
        (Known("RUN-4", "conversation"), MISSED, ["RUN-4 was not judged this time: conversation"]),
        (Known("RUN-4", NOT_EXERCISED), FAULTY, ["RUN-4 was not judged this time: not-exercised"]),
        (Known("RUN-4", NOT_EXERCISED), UNJUDGED, ["RUN-4 was not judged this time: not-exercised"]),
        (Known("RUN-6", "conversation"), PASSED, []),
    ],
)  # fmt: skip
def test_what_was_not_judged_this_time_is_left_alone(
    entry: Known, judgement: Judgement, remarks: list[str]
) -> None:
    assert compared([entry], judgement) == Comparison("b.toml", frozenset(), (), tuple(remarks))
    assert renewed([entry], [judgement], [], case_names()) == [entry]


def test_every_entry_is_compared_and_every_failure() -> None:
    other = broken(identifier="RUN-6")

    assert compared([Known("RUN-4", LATE), Known("RUN-6", LATE)], PASSED, other).breaches == (
        f"RUN-6 fails differently: {UNMET}; the baseline has {LATE}",
        f"RUN-4 now passes: {LATE}",
    )
    assert compared([], broken(), other).breaches == tuple(
        f"{identifier} is newly broken: {UNMET}" for identifier in ("RUN-4", "RUN-6")
    )


def test_every_entry_that_could_not_be_told_is_remarked() -> None:
    remarks = compared([KNOWN, Known("RUN-4", LATE)], MISSED).remarks

    assert remarks == tuple(f"RUN-4 was not judged this time: {reason}" for reason in (UNMET, LATE))


def test_a_failure_is_known_when_all_of_it_is() -> None:
    one, two = compared([KNOWN], both(Kind.UNMET, Kind.LATE)), both(Kind.UNMET, Kind.LATE)

    assert one.knows(broken())
    assert not one.knows(two)
    assert not one.knows(broken(Kind.LATE))
    assert not one.knows(broken(identifier="RUN-6"))
    assert not one.knows(PASSED)


def test_a_new_baseline_forgets_what_passes_and_keeps_what_was_said() -> None:
    before = [
        Known("RUN-4", UNMET, TODAY, "ask Ann"), Known("RUN-6", "conversation"), Known("SSE-13", "conversation"),
    ]  # fmt: skip
    passed = Judgement(catalogue()["RUN-6"], Verdict.PASS, cases=(CASE,))

    after = renewed(before, [broken(), passed], [broken()], case_names())

    assert after == [before[0], before[2]]
    assert compared(after, broken(), passed).breaches == ()


def test_a_new_baseline_is_in_the_order_of_the_specification() -> None:
    before = [Known("RUN-9999", "gone"), Known("SSE-13", "conversation"), Known("RUN-4", "somehow")]
    failing = [broken(identifier="RUN-30"), both(Kind.UNMET, Kind.LATE)]

    assert renewed(before, failing, failing, case_names()) == [
        Known("RUN-4", LATE), KNOWN, Known("RUN-30", UNMET), Known("SSE-13", "conversation"),
    ]  # fmt: skip


def test_a_strict_gate_can_know_what_is_not_exercised() -> None:
    missing = as_verdict(Verdict.NOT_EXERCISED)

    assert compare([], [missing], [missing], case_names(), TODAY, "b").breaches == (
        "RUN-4 was not exercised",
    )
    assert renewed([], [missing], [missing], case_names()) == [Known("RUN-4", NOT_EXERCISED)]


def test_breaches_alone_decide_the_exit_code() -> None:
    report = Report("http://server", "server", (broken(),), (), 1.0)

    assert report.exit_code() == 1
    assert replace(report, baseline=compared([Known("RUN-4", UNMET)], broken())).exit_code() == 0
    assert replace(report, baseline=compared([], broken())).exit_code() == 1


def test_a_code_holds_no_text_of_the_server() -> None:
    assert broken().codes == (UNMET,)
    assert broken(Kind.CONVERSATION, case="runs::whichever").codes == ("conversation",)
    kinds = {
        type(p).__name__: kind_of(p)
        for p in (DeadlineMissed("x"), Broken("x"), AssertionError(), KeyError("x"))
    }
    assert kinds == {
        "DeadlineMissed": "late",
        "Broken": "unmet",
        "AssertionError": "wrong",
        "KeyError": "lacking",
    }


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    entries = [Known("RUN-4", UNMET, TODAY, 'say "é"'), Known("RUN-6", "conversation")]

    write_baseline(path, entries)

    assert read_baseline(path) == entries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known]]\nrequirement = 7\n", "b.toml:1: requirement is missing or not a string"),
        (
            '\n[[known]]\nrequirement = "RUN-4"\nreason = "gone"\nexpired = 1\n',
            "b.toml:2: unknown key expired",
        ),
        (
            '[[known]]\nrequirement = "RUN-4"\nreason = "gone"\nexpires = "2030-01-01"\n',
            "expires must be a date",
        ),
        ("[known\n", "line 1"),
        ("known = 1\n", "[[known]]"),
        ("[other]\n", "[[known]]"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(text)

    with pytest.raises(BaselineError) as problem:
        read_baseline(path)

    assert words in str(problem.value) and "\n" not in str(problem.value)


def test_judgings_that_differ_are_named() -> None:
    passed, failed = as_verdict(Verdict.PASS), broken()

    assert repeats_of([[passed], [passed]]) == Repeats(2)
    assert repeats_of([[passed], [failed], [passed]]) == Repeats(3, {"RUN-4": {"pass": 2, "fail": 1}})
    assert repeats_of([[passed], []]) == Repeats(2, {"RUN-4": {"pass": 1}})
    report = Report("http://server", "s", (passed,), (), 1.0, repeats=repeats_of([[passed], [failed]]))
    assert (report.exit_code(), report.exit_code(strict=True)) == (0, 1)


def test_a_reason_code_of_an_earlier_judge_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text('[[known]]\nrequirement = "CONN-6"\nreason = "mute"\n', encoding="utf-8")

    assert read_baseline(file) == [Known("CONN-6", "server")]
