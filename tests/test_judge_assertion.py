"""A failed assertion of a case is told as what was expected and what came."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from runwire_conformance import assertion
from runwire_conformance.assertion import in_words
from runwire_conformance.case import Broken

MODULE = """
def equal(status):
    assert status == 200

def several_lines(status):
    assert [
        status
    ] == [
        200
    ]

def not_equal(terminal):
    assert terminal.get("status") != "cancelled"

def with_words(terminal):
    assert terminal is None, f"came {terminal}"

def deeper(status):
    equal(status)
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A module of cases."""
    monkeypatch.setattr(assertion, "CASES", tmp_path)
    path = tmp_path / "statements.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("statements", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failure_of(case: object, name: str, argument: object, said: str = "") -> str:
    """Return how the failure is told; `said` stands for what pytest makes of the statement."""
    with pytest.raises(AssertionError) as caught:
        getattr(case, name)(argument)
    if said:
        caught.value.args = (said,)
    return in_words(caught.value)


@pytest.mark.parametrize(
    ("name", "argument", "said", "told"),
    [
        ("equal", 404, "assert 404 == 200\n +  where …", "expected status == 200; came 404"),
        ("deeper", 404, "assert 404 == 200", "expected status == 200; came 404"),
        ("several_lines", 1, "assert [1] == [200]\n  \n  At index 0", "expected [status] == [200]; came [1]"),
        ("equal", " == ", "assert ' == ' == 200", 'expected status == 200; came status " == "'),
        (
            "not_equal",
            {"status": "cancelled"},
            "assert 'cancelled' != 'cancelled'",
            "expected terminal.get('status') != 'cancelled'; came terminal {\"status\": \"cancelled\"}",
        ),
        ("with_words", 7, "came 7\nassert 7 is None", "expected terminal is None; came 7"),
    ],
)
def test_an_assertion_in_words(case: object, name: str, argument: object, said: str, told: str) -> None:
    assert failure_of(case, name, argument, said) == told


def test_long_values_are_cut(case: object) -> None:
    assert len(failure_of(case, "not_equal", {"status": "cancelled", "data": "x" * 5000})) < 300


def test_what_says_itself_is_left_as_it_is() -> None:
    assert in_words(Broken("expected a done; came nothing")) == "expected a done; came nothing"
    assert in_words(AssertionError("assert 1 == 2")) == "assert 1 == 2"
