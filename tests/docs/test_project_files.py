"""The files by which the project is run: templates can be read and ask for what governance says."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.longest_first import LONG, LONG_AND_DIVISIBLE

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def test_every_template_has_a_name_and_fields() -> None:
    forms = [path for path in TEMPLATES if path.name != "config.yml"]

    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"] and form["description"], path.name
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids)) and all(field["attributes"]["label"] for field in form["body"])


def test_a_proposal_asks_for_what_governance_wants() -> None:
    table = (ROOT / "GOVERNANCE.md").read_text(encoding="utf-8").partition("## How a sentence is proposed")[2]
    wanted = set(re.findall(r"^\| \*\*(\w+)", table, re.MULTILINE))
    form = (ROOT / ".github/ISSUE_TEMPLATE/proposal.yml").read_text(encoding="utf-8").lower()

    assert wanted >= {"Sentence", "Why", "Schema", "Case", "Flaw"}
    assert [name for name in wanted - {"Old"} if name.lower() not in form] == []


def test_a_listed_report_keeps_verdicts_and_no_conversation() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    listed: Any = importlib.import_module("implementations_page")
    files = sorted(listed.REPORTS.glob("*.json"))

    page = listed.page(listed.read_matrix(files))

    assert "| core |" in page and " hold, 0 broken" in page
    for path in files:
        report = json.loads(path.read_text(encoding="utf-8"))
        assert listed.slim(report) == report, path.name
        assert not [
            one["id"] for one in report["requirements"] if one["accusations"] and one["verdict"] == "pass"
        ]


def test_the_modules_that_begin_first_are_there() -> None:
    names = {module.name for module in (ROOT / "tests").rglob("test_*.py")}

    assert names >= LONG | LONG_AND_DIVISIBLE


#: One module a chapter, and one for each subject within it: the listing is the table of contents of the specification.
BY_CHAPTER = "conformance/runwire_conformance/cases"

MOST_ENTRIES = 12


def _packages() -> Iterator[Path]:
    for module in sorted(ROOT.glob("*/**/__init__.py")):
        folder = module.parent
        top = folder.relative_to(ROOT).parts[0]
        if top in {"clients", "conformance", "reference_server", "schemas", "spec"}:
            yield folder


def test_the_listing_of_every_package_is_short_enough_to_be_its_architecture() -> None:
    entries = {
        folder.relative_to(ROOT).as_posix(): {
            entry.name
            for entry in folder.iterdir()
            if entry.name not in {"__init__.py", "__pycache__", "py.typed"}
        }
        for folder in _packages()
    }
    assert len(entries) > 30

    crowded = {name: len(found) for name, found in entries.items() if len(found) > MOST_ENTRIES}

    assert set(crowded) == {BY_CHAPTER}
