"""The report in all its forms: true to its schema, readable, and without anything that has to stay secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from runwire_conformance.report.badge import as_badge
from runwire_conformance.report.ctrf import as_ctrf
from runwire_conformance.report.document import Document, as_json, document_of, report_schema
from runwire_conformance.report.files import Files, Unwritable
from runwire_conformance.report.html import as_html
from runwire_conformance.report.markdown import as_markdown
from runwire_conformance.report.terminal import failures, not_exercised, table
from runwire_conformance.report.words import headline
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.reproduction import shown_url
from runwire_conformance.verdict.result import Report
from tests.support.reports import BAD, GOOD, SECRET, Page, report


@pytest.mark.parametrize("whole", [GOOD, BAD], ids=["good", "bad"])
def test_the_data_is_as_its_schema_says(whole: Report) -> None:
    Draft202012Validator.check_schema(report_schema())

    document = json.loads(as_json(document_of(whole)))

    assert [error.message for error in Draft202012Validator(report_schema()).iter_errors(document)] == []


def test_the_schema_misses_nothing_that_is_written() -> None:
    def undescribed(value: object, schema: Document) -> list[str]:
        schema = report_schema()["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if isinstance(value, dict) and "properties" in schema:
            known = schema["properties"]
            below = [undescribed(item, known[name]) for name, item in value.items() if name in known]
            return [name for name in value if name not in known] + list(chain.from_iterable(below))
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            return list(chain.from_iterable(undescribed(item, schema["items"]) for item in value))
        return []

    assert undescribed(document_of(BAD), report_schema()) == []


@pytest.mark.parametrize("form", [as_json, as_html, as_markdown, as_ctrf, as_badge])
def test_no_form_holds_a_secret(form) -> None:
    assert SECRET not in form(document_of(BAD))


def test_a_page_asks_nothing_of_any_other_place() -> None:
    page = Page(as_html(document_of(BAD)))

    assert page.all("link") == page.all("img") == page.all("iframe") == []
    assert [script for script in page.all("script") if script] == []
    assert "url(" not in as_html(document_of(BAD))
    assert {link["href"][0] for link in page.all("a") if link["href"]} == {"#"}


def test_what_a_server_says_stays_text_on_the_page() -> None:
    page = Page(as_html(document_of(BAD)))

    assert len(page.all("script")) == 1
    assert "onerror=alert(1)" in page.text


def test_every_reference_on_a_page_leads_somewhere() -> None:
    page = Page(as_html(document_of(BAD)))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.all("a")} <= {f"#{name}" for name in ids}
    assert {"RUN-4", "RUN-6", "DRAIN-1", "show-fail", "show-not-exercised"} <= set(ids)


def test_the_specification_is_linked_where_it_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWIRE_SPEC_URL", "https://docs.example/spec/")

    assert 'href="https://docs.example/spec/04-runs/#RUN-4"' in as_html(document_of(BAD))


def test_markdown_tells_failures_and_stays_in_its_fences() -> None:
    text = as_markdown(document_of(BAD))
    outside = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)

    assert "### RUN-4: fail" in text and "DRAIN-1" in text
    assert "runwire check http://server --requirement RUN-4" in text
    assert "<img" not in outside


def test_ctrf_counts_what_it_lists() -> None:
    results = json.loads(as_ctrf(document_of(BAD)))["results"]
    states = [test["status"] for test in results["tests"]]

    assert results["summary"]["tests"] == len(states) == 6
    assert {name: states.count(name) for name in ("passed", "failed", "skipped", "pending", "other")} == {
        name: results["summary"][name] for name in ("passed", "failed", "skipped", "pending", "other")
    }
    assert [test["name"][:6] for test in results["tests"] if test["status"] == "failed"] == ["RUN-4 "]


def test_a_badge_names_classes_or_how_much_is_broken() -> None:
    assert json.loads(as_badge(document_of(BAD)))["message"] == "1 broken"
    assert json.loads(as_badge(document_of(GOOD))) == {
        "schemaVersion": 1, "label": "runwire 1", "message": "core, sse", "color": "brightgreen",
    }  # fmt: skip


def test_a_partial_judging_is_called_so_and_never_conformant() -> None:
    classes = tuple(replace(result, partial="only -k x") for result in GOOD.classes)
    partial = replace(GOOD, classes=classes, partial="only -k x")

    document = document_of(partial)

    assert json.loads(as_badge(document))["message"] == "partial"
    assert json.loads(as_badge(document))["color"] == "lightgrey"
    for told in (table(partial), as_markdown(document), as_html(document)):
        assert "partial" in told and "conformant  " not in told.replace("not conformant", "")
    assert list(Draft202012Validator(report_schema()).iter_errors(document)) == []
    assert headline(document).startswith("Partial (only -k x): ")


def test_what_is_broken_is_told_of_a_partial_judging_too() -> None:
    classes = tuple(replace(result, partial="only -k x") for result in BAD.classes)
    partial = replace(BAD, classes=classes, partial="only -k x")

    assert json.loads(as_badge(document_of(partial)))["message"] == "1 broken"
    assert "conformant" not in table(partial)
    assert "Judged 4 of 5, 1 broken; partial: only -k x" in table(partial)


def test_a_folder_gets_every_form(tmp_path: Path) -> None:
    files = Files(folder=tmp_path / "a" / "b", summary=tmp_path / "s.md")

    files.prepare()
    files.write(document_of(BAD))

    written = {path.name for path in (tmp_path / "a" / "b").iterdir()}
    assert written == {"report.json", "report.html", "report.md", "ctrf.json", "badge.json"}
    assert (tmp_path / "s.md").read_text() == (tmp_path / "a/b/report.md").read_text()


def test_what_cannot_be_written_is_said_before_anything_is_judged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for files in (
        Files(json=tmp_path),
        Files(badge=tmp_path / "no" / "b.json"),
        Files(folder=tmp_path / "file"),
    ):
        with pytest.raises(Unwritable, match="cannot write"):
            files.prepare()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@host:80/x", "http://host:80/x"),
        ("ws://host/ws?token=abc&x=1#f", "ws://host/ws?token=***&x=***"),
        ("http://host:8080", "http://host:8080"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_terminal_is_told_the_same() -> None:
    assert "[RUN-4]" in failures(BAD)
    assert "DRAIN-1" in not_exercised(BAD)
    assert "not conformant" in table(BAD) and "exit 1" in table(BAD)


def test_a_case_that_failed_has_one_line_for_a_ci() -> None:
    from runwire_conformance.case import Claim
    from runwire_conformance.report.explain import short

    case = Case("runs::a_case", report, Claim(("RUN-4",)))

    assert short(CaseResult(case, Outcome(State.FAILED, "expected x;\ngot y"))) == "[RUN-4] expected x; got y"
