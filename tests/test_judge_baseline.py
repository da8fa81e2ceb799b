"""The baseline: a ratchet that turns both ways, its file, and several judgings side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from runwire_conformance.baseline import NOT_EXERCISED, Comparison, Known, compare, renewed
from runwire_conformance.baseline_file import BaselineError, read_baseline, write_baseline
from runwire_conformance.case import Broken, TooLate
from runwire_conformance.judgement import Accusation, Judgement, Verdict
from runwire_conformance.reason import Kind, kind_of
from runwire_conformance.repeats import repeats_of
from runwire_conformance.result import Report
from runwire_conformance.suite import case_names
from runwire_spec import catalogue

TODAY = date(2030, 6, 1)
CASE = "runs::a_run_ends_with_exactly_one_terminal"
UNMET = f"unmet {CASE}"


def broken(kind: Kind = Kind.UNMET, identifier: str = "RUN-4", case: str = CASE) -> Judgement:
    """Return a judgement of a requirement that was broken in this way."""
    accusation = Accusation(case, "came 4 after 1.234 s in run x7Zq", kind=kind)
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


@pytest.mark.parametrize(
    ("known", "judgement", "words"),
    [
        ([], broken(), "RUN-4 is newly broken"),
        ([Known("RUN-4", UNMET)], broken(Kind.LATE), "RUN-4 fails differently: late"),
        ([Known("RUN-4", UNMET)], as_verdict(Verdict.PASS), "RUN-4 has started to pass"),
        ([Known("RUN-4", UNMET)], as_verdict(Verdict.NOT_OFFERED), "RUN-4 is not offered any more"),
        ([Known("RUN-4", UNMET, date(2030, 5, 31))], broken(), "RUN-4 was forgiven until 2030-05-31"),
        ([Known("RUN-4", UNMET), Known("RUN-4", "conversation")], broken(), "RUN-4 no longer fails in this way"),
        ([Known("RUN-4", UNMET), Known("RUN-9999", "gone")], broken(), "RUN-9999 is no requirement"),
        ([Known("RUN-4", UNMET), Known("RUN-6", "unmet runs::no_case")], broken(), "no case of the suite"),
        ([Known("RUN-4", UNMET), Known("RUN-6", "somehow")], broken(), "no reason code"),
    ],
)  # fmt: skip
def test_whatever_differs_is_one_breach(known: list[Known], judgement: Judgement, words: str) -> None:
    (breach,) = compared(known, judgement).breaches

    assert words in breach


def test_the_last_day_still_counts() -> None:
    assert compared([Known("RUN-4", UNMET, TODAY)], broken()).breaches == ()


def test_what_was_not_judged_this_time_is_left_alone() -> None:
    elsewhere = replace(as_verdict(Verdict.PASS), cases=("runs::another",))

    assert compared([Known("RUN-4", UNMET)], elsewhere).breaches == ()
    assert compared([Known("RUN-4", UNMET)]).breaches == ()
    untold = compared([Known("RUN-4", UNMET)], as_verdict(Verdict.NOT_EXERCISED))
    assert untold.breaches == () and "could not be told" in untold.remarks[0]


def test_a_new_baseline_forgets_what_passes_and_keeps_what_was_said() -> None:
    before = [
        Known("RUN-4", UNMET, TODAY, "ask Ann"), Known("RUN-6", "conversation"), Known("SSE-13", "conversation"),
    ]  # fmt: skip
    passed = Judgement(catalogue()["RUN-6"], Verdict.PASS, cases=(CASE,))

    after = renewed(before, [broken(), passed], [broken()], case_names())

    assert after == [before[0], before[2]]
    assert compared(after, broken(), passed).breaches == ()


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
        type(p).__name__: kind_of(p) for p in (TooLate("x"), Broken("x"), AssertionError(), KeyError("x"))
    }
    assert kinds == {"TooLate": "late", "Broken": "unmet", "AssertionError": "wrong", "KeyError": "lacking"}


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    entries = [Known("RUN-4", UNMET, TODAY, 'say "é"'), Known("RUN-6", "conversation")]

    write_baseline(path, entries)

    assert read_baseline(path) == entries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known]]\nrequirement = 7\n", "b.toml:1: requirement must be given"),
        (
            '\n[[known]]\nrequirement = "RUN-4"\nreason = "gone"\nexpired = 1\n',
            "b.toml:2: no key is called expired",
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

    assert repeats_of([[passed], [passed]]).differing == {}
    assert repeats_of([[passed], [failed], [passed]]).differing == {"RUN-4": {"pass": 2, "fail": 1}}
    report = Report("http://server", "s", (passed,), (), 1.0, repeats=repeats_of([[passed], [failed]]))
    assert (report.exit_code(), report.exit_code(strict=True)) == (0, 1)
