"""No translation lags behind its source, and each has the parts that its source has."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from mkdocs.config import load_config
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import get_navigation

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
translations: Any = importlib.import_module("translations")

PAGES = sorted(translations.CHINESE.glob("*.md"))
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
#: A line's end that a browser would show as a space within a sentence.
BROKEN = re.compile(r"[^\n]{0,20}[\u3000-\u9fff\uff00-\uffef]\n[\u3000-\u9fff\uff00-\uffef][^\n]{0,20}")
TAG = re.compile(r"<[^>]*>|What is AI\?|什么是人工智能？|Stop|停止")


def test_no_translation_lags_behind_its_source() -> None:
    assert translations.lagging(translations.recorded()) == []


def test_a_source_that_changes_is_noticed() -> None:
    seen = translations.recorded()
    seen["primer.md"] = "0" * 16

    (told,) = translations.lagging(seen)
    assert told.startswith("primer.md lags behind spec/primer.md") and "--seen primer.md" in told


def test_every_guide_is_translated() -> None:
    guides = {*ROOT.glob("docs/pages/*.md"), *ROOT.glob("clients/*/README.md"), ROOT / "spec/primer.md"}
    written_by_programs = {ROOT / "docs/pages/performance.md"}

    assert {translations.source_of(path) for path in PAGES} == guides - written_by_programs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_translation_leads_to_translations_where_there_are_any(page: Path) -> None:
    translated = {f"../{translations.published(translations.source_of(path))}": path.name for path in PAGES}
    links = re.findall(r"\]\(<?([^)>#\s]+)", FENCE.sub("", page.read_text(encoding="utf-8")))

    assert [f"{link} is also {translated[link]}" for link in links if link in translated] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_ends_within_a_chinese_sentence(page: Path) -> None:
    assert BROKEN.findall(FENCE.sub("", page.read_text(encoding="utf-8"))) == []


def blocks(text: str) -> list[str]:
    """Return the blocks of code, without comments and what a person reads."""
    return [re.sub(r" *#.*", "", TAG.sub("", block)) for block in FENCE.findall(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_translation_has_the_parts_of_its_source(page: Path) -> None:
    translated = page.read_text(encoding="utf-8")
    source = translations.source_of(page).read_text(encoding="utf-8")

    assert [len(mark) for mark in re.findall(r"^(#+) ", FENCE.sub("", translated), re.MULTILINE)] == [
        len(mark) for mark in re.findall(r"^(#+) ", FENCE.sub("", source), re.MULTILINE)
    ]
    assert blocks(translated) == blocks(source)
    for kind in (r"\[[A-Z]+-\d+\]", r"`\{[^`]*\}`", r"`--[a-z-]+"):
        assert set(re.findall(kind, translated)) == set(re.findall(kind, source)), kind
    rows = [sum(line.startswith("|") for line in text.splitlines()) for text in (translated, source)]
    assert rows[0] == rows[1]


def test_the_menu_of_each_language_lists_a_page_once() -> None:
    config = load_config(str(ROOT / "docs/mkdocs.yml"))
    pairs = translations.translated_pages()
    names = [*pairs, *pairs.values(), "changelog.md"]
    config.nav = [
        {"Some": names[:3]},
        {"中文": list(pairs.values())},
        {"More": [*names[3 : len(pairs)], names[-1]]},
    ]
    files = Files([File(name, "", "", use_directory_urls=True) for name in names])
    items = get_navigation(files, config).items

    def listed(chinese: bool) -> list[str]:
        return [page.file.src_uri for part in translations.menu(items, chinese) for page in part.children]

    assert listed(chinese=False) == [*pairs, "changelog.md"]
    assert listed(chinese=True) == [*pairs.values(), "changelog.md"]
