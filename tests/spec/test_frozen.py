"""Version 1 does not change by accident."""

from __future__ import annotations

import re
from pathlib import Path

from tests.spec.frozen import differing, digest, digests, frozen

CHANGELOG = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")


def told_in(text: str) -> set[str]:
    """Return the sentences that a text names, alone or as ends of a range."""
    told = set(re.findall(r"\b[A-Z]+-[0-9]+\b", text))
    for first, last in re.findall(r"\b([A-Z]+-[0-9]+) to ([A-Z]+-[0-9]+)\b", text):
        prefix, begin = first.split("-")
        told |= {f"{prefix}-{number}" for number in range(int(begin), int(last.split("-")[1]) + 1)}
    return told


def test_version_1_stands_as_it_was_frozen() -> None:
    changed = differing(frozen()["digests"], digests())

    assert changed == [], (
        "version 1 is frozen. If this is an erratum or an extension, say why: "
        '.venv/bin/python -m tests.spec.frozen --because "…", and name it in CHANGELOG.md'
    )


def test_every_change_has_its_reason_and_stands_in_the_changelog() -> None:
    for change in frozen()["changes"]:
        assert len(change["because"]) > 10
        sentences = {name for name in change["names"] if re.fullmatch(r"[A-Z]+-[0-9]+", name)}
        assert sentences - told_in(CHANGELOG) == set()


def test_a_word_makes_a_difference_and_the_order_of_members_none() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest("A server MUST.") != digest("A server MAY.")
    assert differing({"RUN-1": "x", "RUN-2": "y"}, {"RUN-1": "x", "RUN-2": "z", "RUN-3": "w"}) == [
        "RUN-2",
        "RUN-3",
    ]


def test_ranges_of_sentences_are_told() -> None:
    assert told_in("MSG-7 to MSG-9, RUN-1") == {"MSG-7", "MSG-8", "MSG-9", "RUN-1"}
