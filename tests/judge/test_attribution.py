"""A case that fails before it comes to its own sentence is blocked by the sentence that it leans on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runwire_conformance.case import (
    Broken,
    Claim,
    explained_requirements,
    explains,
    is_certain,
    owners_of,
    refused_status_of,
)
from runwire_conformance.rules import Finding
from runwire_conformance.verdict.attribution import Failure, attribute, blockers, without_explained
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State


async def body() -> None:
    """Stand for the function of a case."""


def case(name: str, outcome: Outcome, *ids: str) -> CaseResult:
    """Return a case that was played."""
    return CaseResult(Case(name, body, Claim(ids)), outcome)


FAILED = Outcome(State.FAILED, "nothing came")
LEANS = replace(FAILED, owners=("RUN-4",))


def told(*cases: CaseResult, broken: tuple[str, ...] = ()) -> list[tuple[State, str | None, str | None]]:
    """Return what is made of each case: its state, what blocks it, and whom it accuses beside its own."""
    found = attribute(cases, dict.fromkeys(broken, "seen"), {})
    return [(one.outcome.state, one.outcome.blocked_by, one.outcome.violated) for one in found if one.outcome]


def test_who_leans_on_a_sentence_that_its_own_case_shows_broken_is_blocked() -> None:
    owner, other = case("a::ends", LEANS, "RUN-4"), case("a::counts", LEANS, "RUN-28")

    assert told(other, owner) == [
        (State.NOT_EXERCISED, "RUN-4", None),
        (State.FAILED, None, None),
    ]
    blocked = attribute([other, owner], {}, {})[0].outcome
    assert blocked is not None
    assert blocked.reason == "blocked by RUN-4: nothing came"


def test_who_leans_on_what_nobody_knows_anything_bad_of_is_accused_itself() -> None:
    assert told(case("a::counts", LEANS, "RUN-28")) == [(State.FAILED, None, None)]


def test_a_certain_owner_is_accused_in_place_of_the_cases_own_sentence() -> None:
    certain = replace(FAILED, owners=("SSE-12",), certain=True)

    assert told(case("a::names", certain, "SSE-8")) == [(State.FAILED, None, "SSE-12")]
    assert told(case("a::beats", certain, "SSE-12")) == [(State.FAILED, None, None)]


def test_of_two_that_lean_on_a_certain_owner_one_accuses_it_and_the_other_is_blocked() -> None:
    certain = replace(FAILED, owners=("SSE-12",), certain=True)

    assert told(case("a::names", certain, "SSE-8"), case("a::ids", certain, "SSE-13")) == [
        (State.FAILED, None, "SSE-12"),
        (State.NOT_EXERCISED, "SSE-12", None),
    ]


def test_what_else_shows_an_owner_broken_blocks_too() -> None:
    found = replace(Outcome(State.PASSED), findings=(Finding("RUN-4", "two ends"),))

    assert told(case("a::counts", LEANS, "RUN-28"), broken=("RUN-4",))[0][1] == "RUN-4"
    assert told(case("a::counts", LEANS, "RUN-28"), case("a::other", found, "RUN-1"))[0][1] == "RUN-4"


def test_owners_that_come_after_the_own_sentence_do_not_block() -> None:
    own = replace(FAILED, owners=("BEAT-3", "BEAT-1"))

    assert told(case("a::beats", own, "BEAT-3"), broken=("BEAT-1",)) == [(State.FAILED, None, None)]
    assert told(case("a::beats", own, "BEAT-1"), broken=("BEAT-3",)) == [
        (State.NOT_EXERCISED, "BEAT-3", None)
    ]


def test_what_a_case_knows_to_be_broken_is_blocked_by_nobody() -> None:
    known = replace(LEANS, violated="MSG-28")

    assert told(case("a::counts", known, "RUN-28"), broken=("RUN-4",)) == [(State.FAILED, None, "MSG-28")]


def test_a_chain_of_leaning_ends_at_its_first_link() -> None:
    failures = [
        Failure("a::resumes", ("RESUME-10",), ("RUN-4",)),
        Failure("a::ends", ("RUN-4",), ("RUN-3",)),
        Failure("a::starts", ("RUN-3",), ("RUN-3",)),
    ]

    assert blockers(failures, ()) == ({"a::ends": "RUN-3", "a::resumes": "RUN-3"}, {})


def test_what_is_awaited_inside_a_deadline_names_its_owners_too() -> None:
    late = TimeoutError()
    late.__cause__ = Broken("no end", ("RUN-4",), certain=True)

    assert (owners_of(late), is_certain(late)) == (("RUN-4",), True)
    assert (owners_of(TimeoutError()), is_certain(TimeoutError())) == ((), False)


@pytest.mark.parametrize(("elsewhere", "accused"), [(False, set()), (True, {"BEAT-3"})])
def test_a_server_that_one_client_stopped_is_silent_for_that(elsewhere: bool, accused: set[str]) -> None:
    silent = (Finding("BEAT-3", "nothing arrived for 9.0 s"),)
    unserved = replace(FAILED, findings=silent, explains=frozenset(["BEAT-3"]))
    other = Outcome(State.PASSED, findings=silent if elsewhere else ())

    stopped, _ = without_explained(
        [case("cost::stops", unserved, "LIMIT-17"), case("a::other", other, "RUN-4")]
    )

    assert stopped.outcome is not None
    assert {finding.requirement for finding in stopped.outcome.findings} == accused


def test_a_failure_carries_what_it_explains_through_a_deadline() -> None:
    late = TimeoutError()
    try:
        with explains("BEAT-3"):
            raise Broken("nobody was served", status=401)
    except Broken as problem:
        late.__cause__ = problem

    assert (explained_requirements(late), refused_status_of(late)) == (frozenset(["BEAT-3"]), 401)
    assert (explained_requirements(TimeoutError()), refused_status_of(TimeoutError())) == (frozenset(), None)
