"""The judge blames every flaw of the catalogue, and there is a flaw for everything that it can blame."""

from __future__ import annotations

import asyncio

import pytest
from flaws import catalogue
from flaws.flaw import FLAWS, Flaw
from flaws.kill_table import Trial, observable, without_flaw
from flaws.run import try_all
from flaws.survivors import SURVIVORS

PARALLEL = 8

# Observable requirements without a flaw, each with its reason. This list may only become shorter.
EXCEPTIONS: dict[str, str] = {
    "NODE-4": "the nodes before which flaws stand are one process, of which no part can be killed",
    "NODE-6": "the nodes before which flaws stand are one process, of which no part can be killed",
}


@pytest.fixture(scope="session")
def trials() -> dict[str, Trial]:
    """Try every flaw once, several at a time."""
    tried, _ = asyncio.run(try_all(FLAWS.values(), parallel=PARALLEL))
    return {trial.flaw: trial for trial in tried}


def test_every_observable_requirement_has_a_flaw() -> None:
    assert set(without_flaw()) == set(EXCEPTIONS)


def test_the_list_of_survivors_names_flaws() -> None:
    assert set(FLAWS) >= SURVIVORS


def test_every_flaw_breaks_an_observable_requirement() -> None:
    assert {flaw.requirement for flaw in FLAWS.values()} <= set(observable())
    assert catalogue.__all__


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=lambda flaw: f"{flaw.requirement}-{flaw.name}")
def test_a_flaw_is_blamed(flaw: Flaw, trials: dict[str, Trial]) -> None:
    trial = trials[flaw.name]

    assert trial.killed != (flaw.name in SURVIVORS), f"{flaw.description} {trial.outcome}: {trial.reason}"
