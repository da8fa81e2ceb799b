"""The site's pictures and indexes say what the text beside them says."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from runwire_spec import catalogue

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
drawing: Any = importlib.import_module("drawing")
finding: Any = importlib.import_module("finding")
messages_page: Any = importlib.import_module("messages_page")
pictures: Any = importlib.import_module("pictures")


def test_a_journey_becomes_an_arrow_for_each_message() -> None:
    text = '1. → `{"a":1}`; ← `started`\n2. the run goes on;\n3. tab B ← events\n'

    assert drawing.steps_of(text) == [
        drawing.Step("server", '{"a":1}'),
        drawing.Step("client", "started"),
        drawing.Step(None, "the run goes on"),
        drawing.Step("client", "tab B: events"),
    ]


def test_every_scenario_of_the_primer_is_drawn() -> None:
    primer = (ROOT / "spec/primer.md").read_text(encoding="utf-8")
    scenarios = re.findall(r"^### ", primer.partition("## Scenarios")[2].partition("\n## ")[0], re.MULTILINE)
    drawn = drawing.with_sequences(primer, "Scenarios")

    assert len(scenarios) >= 9
    assert drawn.count("<svg") == len(scenarios)
    assert re.sub(r"<figure.*</figure>\n*", "", drawn).split() == primer.split()


def test_the_states_are_those_of_the_table() -> None:
    drawn = pictures.states_of((ROOT / "spec/04-runs.md").read_text(encoding="utf-8"))

    assert re.findall(r"<text[^>]*>(\w+)</text>", drawn) == [
        "queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed",
    ]  # fmt: skip
    assert drawn.count("<line") == 3 + 5 + 5


@pytest.mark.parametrize("said", ["a run " * 40, "运行在继续，" * 20], ids=["English", "Chinese"])
def test_a_label_stays_between_the_lines_of_a_sequence(said: str) -> None:
    for mark in ("", "→ "):
        svg = ElementTree.fromstring(drawing.sequence(drawing.steps_of(f"1. {mark}{said}\n"), "long"))[0]
        shown = svg.findall("{http://www.w3.org/2000/svg}text")[-1].text or ""

        assert shown.endswith("…")
        assert drawing.letters(shown) * drawing.LETTER <= drawing.WIDTH - 2 * 40


@pytest.mark.parametrize("name", sorted(pictures.PICTURES))
def test_a_picture_is_svg_with_a_title_and_inside_its_frame(name: str) -> None:
    svg = ElementTree.fromstring(pictures.PICTURES[name]())[0]
    width = float(svg.attrib["viewBox"].split()[2])

    assert svg.attrib["aria-label"]
    for one in svg.iter("{http://www.w3.org/2000/svg}text"):
        wide = sum(2 if ord(letter) > 0x2E80 else 1 for letter in one.text or "")
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[one.attrib["text-anchor"]]
        left = float(one.attrib["x"]) - share * wide * drawing.LETTER
        assert left >= 0 and left + wide * drawing.LETTER <= width, one.text


def test_the_search_has_every_requirement_by_its_id() -> None:
    entries = [finding.entry(one) for one in catalogue().values()]

    assert [one["title"] for one in entries] == list(catalogue())
    assert finding.entry(catalogue()["CANCEL-4"])["location"] == "spec/06-cancel/#CANCEL-4"


def test_a_message_s_page_has_its_members_examples_and_what_is_invalid() -> None:
    schema = json.loads((messages_page.SCHEMAS / "token.json").read_text(encoding="utf-8"))
    page = messages_page.page("token", schema)

    assert '| `type` | `"token"`, *required* |' in page
    assert "| `seq` | integer, at least 1 | Place of an event" in page
    assert page.count("```json") == len(schema["examples"])
    assert "- type missing\n" in page and '- data null: `"data": null`' in page


WITH_PAGES = [
    path
    for path in sorted(messages_page.SCHEMAS.glob("*.json"))
    if {"properties", "examples"} <= json.loads(path.read_text(encoding="utf-8")).keys()
]


@pytest.mark.parametrize("path", WITH_PAGES, ids=lambda path: path.stem)
def test_a_message_s_page_tells_what_each_member_means_and_faults_of_some(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))

    page = messages_page.page(path.stem, schema)

    assert re.findall(r"^\| `\w+` \|.*\|\s*\|$", page, re.MULTILINE) == []
    assert len(re.findall(r"^- ", page.partition("## Not valid")[2], re.MULTILINE)) > 1


def test_every_source_of_the_comparison_is_named_and_used() -> None:
    text, _, sources = (ROOT / "docs/pages/comparison.md").read_text(encoding="utf-8").partition("## Sources")
    used = {int(number) for number in re.findall(r"\[(\d+)\]", text)}

    assert used == {int(number) for number in re.findall(r"^(\d+)\. ", sources, re.MULTILINE)}
