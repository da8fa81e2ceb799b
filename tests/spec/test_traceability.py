"""Every provable requirement has a case, and every case names known ones."""

import ast
from pathlib import Path

import pytest

from runwire_conformance.case import Claim, claim_of, topic
from runwire_spec import catalogue

CASES = Path(__file__).parents[2] / "conformance" / "runwire_conformance" / "cases"


def claims() -> dict[str, Claim]:
    """Return the claim of every case by its name."""
    found: dict[str, Claim] = {}
    for path in sorted(CASES.glob("*.py")):
        module = __import__(f"runwire_conformance.cases.{path.stem}", fromlist=["*"])
        for name, value in vars(module).items():
            claim = claim_of(value)
            if claim is not None and value.__module__ == module.__name__:
                found[f"{topic(path.stem)}::{name}"] = claim
    return found


def claimed() -> set[str]:
    """Return every requirement that some case proves or watches."""
    return {identifier for claim in claims().values() for identifier in claim.ids + claim.watches}


def test_every_provable_requirement_has_a_case() -> None:
    provable = {requirement.id for requirement in catalogue().values() if requirement.provable}

    assert provable - claimed() == set()


def test_every_case_names_requirements_that_can_be_proved() -> None:
    assert [name for name in claimed() if name not in catalogue() or not catalogue()[name].provable] == []


@pytest.mark.parametrize("path", sorted(CASES.glob("*.py")), ids=lambda path: path.stem)
def test_a_case_is_a_claim_in_words_and_prints_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    calls = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]

    assert "print" not in calls


def test_names_of_cases_are_unique() -> None:
    names = [name.partition("::")[2] for name in claims()]

    assert sorted(names) == sorted(set(names))
