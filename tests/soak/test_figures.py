"""The soak's own judgement: what has grown is told, and the page shows what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.figures import Figures, grown
from tests.soak.page import BEGIN, END, write_page

BEGUN = Figures(memory=70 << 20, files=16, tasks=5, objects=70_000, redis_memory=2 << 20, redis_keys=3)

REPORT = {
    "machine": "2 cores",
    "date": "2026-01-01",
    "seconds": 1800,
    "visits": {"play": 1234},
    "ends": {"completed": 1200},
    "attacks": {"unclosed_quotes": 7},
    "start": BEGUN.as_dict(),
    "end": BEGUN.as_dict(),
    "meanwhile": [{"second": 30, **replace(BEGUN, memory=90 << 20).as_dict()}],
    "problems": [],
}


@pytest.mark.parametrize(
    "end",
    [
        replace(BEGUN, memory=200 << 20),
        replace(BEGUN, files=40),
        replace(BEGUN, tasks=40),
        replace(BEGUN, objects=80_000),
        replace(BEGUN, redis_memory=20 << 20),
        replace(BEGUN, redis_keys=4),
    ],
    ids=lambda end: next(name for name, value in end.as_dict().items() if value != getattr(BEGUN, name)),
)
def test_what_has_grown_is_told(end: Figures) -> None:
    assert len(list(grown(BEGUN, end))) == 1
    assert list(grown(BEGUN, BEGUN)) == []


def test_the_page_shows_start_peak_and_end(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")

    write_page(page, REPORT)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| memory of the node that ran all the time | 70.0 MB | 90.0 MB | 70.0 MB |" in text
    assert "unclosed quotes 7" in text and "1,234" in text and "nothing" in text
