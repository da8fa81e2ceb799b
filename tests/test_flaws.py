"""The catalogue of flaws is whole: everything that the judge can blame has one. `make proof` tries them."""

from __future__ import annotations

from flaws import catalogue
from flaws.flaw import FLAWS
from flaws.kill_table import observable, without_flaw
from flaws.survivors import SURVIVORS


def test_every_observable_requirement_has_a_flaw() -> None:
    assert without_flaw() == ()


def test_the_list_of_survivors_names_flaws() -> None:
    assert set(FLAWS) >= SURVIVORS


def test_every_flaw_breaks_an_observable_requirement() -> None:
    assert {flaw.requirement for flaw in FLAWS.values()} <= set(observable())
    assert catalogue.__all__
