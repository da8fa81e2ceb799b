"""The FastAPI server of the tutorial, as its reader starts it: the judge finds nothing in its class."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.example_stand import example
from tests.support.patience import patience

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def test_the_mended_server_keeps_its_class(tmp_path: Path) -> None:
    with example("basic") as address:
        judged = subprocess.run(
            [BIN / "runwire", "check", address, "--class=basic", "--wait=30", "--json=report.json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=patience(300), check=False,
        )  # fmt: skip

    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    (basic,) = [one for one in report["classes"] if one["class"] == "basic"]
    assert basic["passed"] == basic["total"] > 15


def test_the_tutorial_shows_both() -> None:
    page = (ROOT / "docs/pages/tutorial.md").read_text(encoding="utf-8")

    assert '--8<-- "twenty_lines.py"' in page and '--8<-- "basic.py"' in page
