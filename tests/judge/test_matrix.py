"""Servers side by side, and what the command says of a requirement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from runwire_conformance.client.options.keys import TABLES
from runwire_conformance.report.document import as_json, document_of
from runwire_conformance.report.matrix import (
    UnreadableReport,
    matrix_as_html,
    matrix_as_markdown,
    read_matrix,
)
from runwire_conformance.runner.lookup import lookup
from runwire_conformance.runner.suite import suite
from runwire_spec import catalogue
from tests.support.reports import BAD, GOOD, HOSTILE, Page


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """Two reports of servers that call themselves the same."""
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, report in zip(paths, (GOOD, BAD), strict=True):
        path.write_text(as_json(document_of(report)), encoding="utf-8")
    return paths


def test_servers_stand_side_by_side(reports: list[Path]) -> None:
    matrix = read_matrix(reports)

    assert len(set(matrix.names)) == 2
    assert matrix.requirements["RUN-4"] == ["pass", "fail"]
    assert matrix.requirements["DRAIN-1"] == ["", "not exercised"]
    assert "RUN-6" not in matrix.differing and "RUN-4" in matrix.differing
    assert matrix.classes["sse"] == ["conformant", "conformant"]


def test_a_matrix_is_a_table_in_both_forms(reports: list[Path]) -> None:
    matrix = read_matrix(reports)
    page = Page(matrix_as_html(matrix))

    assert "| RUN-4 | ✓ held | ✕ broken |" in matrix_as_markdown(matrix)
    assert "<img" not in matrix_as_markdown(matrix)
    assert page.all("script") == page.all("link") == page.all("img") == []
    assert HOSTILE[:9] in page.text and "RUN-4" in page.text


@pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"runwire": 2}'])
def test_what_is_no_report_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(UnreadableReport) as problem:
        read_matrix([path])

    assert str(problem.value).startswith(f"{path}: ") and "\n" not in str(problem.value)


def test_every_requirement_can_be_explained() -> None:
    told = {name: lookup(requirement) for name, requirement in catalogue().items()}

    assert [name for name, text in told.items() if f"[{name}]" not in text] == []
    assert "cases/c04_runs.py:" in told["RUN-4"] and "a run ends with exactly one terminal" in told["RUN-4"]
    assert "every conversation of every case (log.runs_end_once)" in told["RUN-4"]
    assert "needs [hooks] drain" in told["DRAIN-1"]
    assert "every conversation of every case (answers.started_says_what_was_asked)" in told["RUN-10"]
    assert (
        "`runwire validate`, in a complete recording (server_connections.readers_see_one_log)"
        in told["RUN-30"]
    )


def test_a_case_names_the_hooks_that_it_asks_for() -> None:
    calls = {"as_other": "other_token", "short_lived_token": "short_lived_token", "jwt": "jwt"}
    for case in suite():
        names = {name for code in codes(case.code) for name in code.co_names}
        texts = {text for code in codes(case.code) for text in code.co_consts if isinstance(text, str)}
        asked = {calls[name] for name in names & calls.keys()}
        asked |= texts & TABLES["hooks"].keys.keys() if "hook" in names else set()

        assert set(case.claim.hooks) == asked, case.name


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)
