"""The files by which the project is run: templates can be read and ask for what governance says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
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
