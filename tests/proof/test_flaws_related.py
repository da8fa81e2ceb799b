"""The tables of what a flaw breaks besides its own requirement are about flaws and requirements that there are."""

from __future__ import annotations

import pytest

from tests.proof.flaws.catalogue.related import RELATED
from tests.proof.flaws.catalogue.same_breach import SAME_BREACH
from tests.proof.flaws.flaw import FLAWS
from tests.proof.kill_table import observable


@pytest.mark.parametrize("table", [RELATED, SAME_BREACH])
def test_a_flaw_is_related_to_other_requirements_than_its_own(table: dict[str, tuple[str, ...]]) -> None:
    for name, others in table.items():
        assert set(others) <= set(observable()) - {FLAWS[name].requirement}, name
        assert others, name


def test_a_relation_stands_in_one_table() -> None:
    for name in RELATED.keys() & SAME_BREACH.keys():
        assert not set(RELATED[name]) & set(SAME_BREACH[name]), name
