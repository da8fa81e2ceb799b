"""The judge finds nothing to blame in three nodes of the reference server that share one Redis."""

import json
import subprocess
import sys
from pathlib import Path

from conftest import require_program

HERE = Path(__file__).parent

#: What other nodes have most part in. `check_cluster.py` without options judges everything, on a machine that is idle.
CLASSES = "cluster,resume,tickets"


def test_the_judge_finds_three_nodes_conformant(tmp_path: Path) -> None:
    require_program("redis-server", "redis-server")
    call = [sys.executable, str(HERE / "check_cluster.py"), "--class", CLASSES, "--report", str(tmp_path)]

    check = subprocess.run(call, capture_output=True, text=True, timeout=150, check=False)

    assert check.returncode == 0, check.stdout + check.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    verdicts = {row["id"]: row["verdict"] for row in report["requirements"]}
    judged = [verdict for name, verdict in verdicts.items() if name.startswith("NODE-")]
    assert judged.count("pass") == 6
