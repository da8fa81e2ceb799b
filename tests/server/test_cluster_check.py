"""The judge finds nothing to blame in three nodes of the reference server that share one Redis."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

HERE = Path(__file__).parent.parent


def test_the_judge_finds_three_nodes_conformant(tmp_path: Path) -> None:
    require_program("redis-server", "redis-server")
    call = [sys.executable, "-m", "tests.support.check_cluster", "--report", str(tmp_path)]

    check = subprocess.run(
        call, cwd=HERE.parent, capture_output=True, text=True, timeout=patience(150), check=False
    )

    assert check.returncode == 0, check.stdout + check.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {row["class"]: row["standing"] for row in report["classes"]}["cluster"] == "conformant"
    assert {row["standing"] for row in report["classes"]} == {"conformant"}
    verdicts = {row["id"]: row["verdict"] for row in report["requirements"]}
    assert [verdicts[f"NODE-{number}"] for number in (1, 2, 3, 4, 6, 7)] == ["pass"] * 6
    assert verdicts["OBS-7"] == "pass"
