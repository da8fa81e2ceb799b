"""The catalogue of flaws is whole: everything that the judge can blame has one. `make proof` tries them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof import proof
from tests.proof.benign import BENIGN
from tests.proof.conditions import CONDITIONS, EVERY
from tests.proof.flaws import catalogue
from tests.proof.flaws.flaw import CLAUSES, FLAWS, Flaw
from tests.proof.good_servers import GOOD_SERVERS
from tests.proof.kill_table import Trial, observable, without_flaw
from tests.proof.proof import DATA, differing
from tests.proof.proof_data import Accused, Proof, read, written
from tests.proof.survivors import SURVIVORS


def test_every_observable_requirement_has_a_flaw() -> None:
    assert without_flaw() == ()


def test_the_published_proof_is_of_these_flaws() -> None:
    trials = read(DATA).trials

    told = {trial.flaw: (trial.requirement, trial.clause, trial.description) for trial in trials}
    assert told == {
        flaw.name: (flaw.requirement, flaw.clause, flaw.description) for flaw in FLAWS.values()
    }, "try new or changed flaws with: .venv/bin/python -m tests.proof NAME..."
    assert {trial.flaw for trial in trials if not trial.killed} <= SURVIVORS


def test_the_published_proof_accuses_no_good_server() -> None:
    accused = read(DATA).accused

    assert {one.server for one in accused} == {"reference", *(good.name for good in GOOD_SERVERS)}
    assert {one.change for one in accused} == {benign.name for benign in BENIGN}
    assert [one for one in accused if one.accusations] == []


def test_the_published_proof_is_the_same_under_every_condition() -> None:
    judged = read(DATA).conditions

    assert {one.condition for one in judged} <= {condition.name for condition in CONDITIONS}
    assert {one.server for one in judged} <= set(EVERY)
    assert [one for one in judged if one.accused or one.not_judged] == []


def test_a_proof_is_read_as_it_was_written_and_takes_news(tmp_path: Path) -> None:
    def trial(name: str, outcome: str) -> Trial:
        return Trial(name, "RUN-4", f"About {name}.", outcome, ("runs::a_case",), runs=2, blamed=1)

    def met(change: str, accusations: int, *, busy: bool = False) -> Accused:
        return Accused("node", change, "As it is.", busy, 3, accusations)

    old = Proof((trial("a", "blamed"), trial("gone", "blamed"), trial("b", "survived")), (met("Nothing", 1),))
    news = Proof((trial("b", "blamed"),), (met("Nothing", 0), met("Nothing", 0, busy=True)))
    file = tmp_path / "proof.json"
    file.write_text(written(old), encoding="utf-8")

    whole = read(file).with_news(news, ["b", "a"])

    assert whole.trials == (trial("b", "blamed"), trial("a", "blamed"))
    assert whole.accused == (met("Nothing", 0), met("Nothing", 0, busy=True))
    assert "2 of 2 flaws blamed\n" in whole.totals()
    assert "0 false accusations in 6 runs of 1 good servers" in whole.totals()
    assert "good servers" not in replace(whole, accused=()).totals()
    assert "flaws" not in replace(whole, trials=()).totals()


@pytest.mark.parametrize(
    ("again", "outcome"), [(("blamed", "blamed"), "blamed"), (("blamed", "survived"), "survived")]
)
def test_a_flaw_that_got_by_must_be_blamed_without_fail_when_it_is_tried_again(
    again: Sequence[str], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(FLAWS))
    outcomes = iter(("survived", *again))

    async def try_all(flaws: Sequence[Flaw], **_: object) -> tuple[list[Trial], dict[str, tuple[str, ...]]]:
        return [Trial(flaw.name, flaw.requirement, flaw.description, next(outcomes)) for flaw in flaws], {}

    monkeypatch.setattr(proof, "try_all", try_all)

    (trial,) = asyncio.run(proof.tried([name], quick=True))

    assert (trial.outcome, trial.runs, trial.blamed) == (outcome, 3, again.count("blamed"))


def test_the_list_of_survivors_names_flaws() -> None:
    assert set(FLAWS) >= SURVIVORS


def test_every_flaw_breaks_an_observable_requirement() -> None:
    assert {flaw.requirement for flaw in FLAWS.values()} <= set(observable())
    assert catalogue.__all__


def test_the_clauses_of_a_sentence_are_broken_by_flaws_of_that_sentence() -> None:
    for requirement, clauses in CLAUSES.items():
        assert len(clauses) > 1, f"{requirement} has one clause: {list(clauses)}"
        for clause, names in clauses.items():
            told = {name: (FLAWS[name].requirement, FLAWS[name].clause) for name in names}
            assert told == dict.fromkeys(names, (requirement, clause))


def test_verdicts_that_differ_between_runs_are_told() -> None:
    told = [{"RUN-1": "pass", "RUN-2": "pass"}, {"RUN-1": "fail", "RUN-2": "pass"}, {"RUN-1": "fail"}]

    assert dict(differing(told)) == {
        "RUN-1": "fail 2 times, pass 1 times",
        "RUN-2": "pass 2 times, not judged 1 times",
    }
    assert list(differing(told[:1])) == []
