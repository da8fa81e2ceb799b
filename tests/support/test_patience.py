"""Every time-out of a test is a safety net that one factor stretches: none is written as a number."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import patience

TESTS = Path(__file__).parent.parent

#: What takes a number of seconds after which something is given up, and at which place.
PLACES = {"timeout": 0, "wait_for": 1, "settimeout": 0, "wait": 0, "join": 0}

#: On a loop whose time jumps, a number of seconds is what it says.
VIRTUAL = "virtual_time"


def literal_time_outs(text: str) -> Iterator[int]:
    """Yield the lines in which a time-out is a number."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        if name in PLACES and len(node.args) > PLACES[name]:
            given.append(node.args[PLACES[name]])
        if any(
            isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value
            for value in given
        ):
            yield node.lineno


def test_a_number_is_found_wherever_it_stands() -> None:
    told = [
        "asyncio.timeout(5)",
        "asyncio.wait_for(made(), 6)",
        "server.wait(10)",
        "page.click('#x', timeout=20_000)",
        "run(call, timeout=1.5)",
        "socket.settimeout(2)",
    ]

    assert [list(literal_time_outs(text)) for text in told] == [[1]] * len(told)
    assert list(literal_time_outs("asyncio.timeout(patience(5)); socket.settimeout(0.0); ', '.join(x)")) == []


def test_every_time_out_is_stretched() -> None:
    files = [file for folder in (TESTS, TESTS / "flaws") for file in sorted(folder.glob("*.py"))]
    texts = {file: file.read_text(encoding="utf-8") for file in files}

    found = [
        f"{file.relative_to(TESTS)}:{line}: write patience(...)"
        for file, text in texts.items()
        if f"from {VIRTUAL} import" not in text and file.name != Path(__file__).name
        for line in literal_time_outs(text)
    ]

    assert found == []


def test_the_factor_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FACTOR", 10.0)

    assert patience.patience(3) == 30
