"""The plug-in under a pytest of the user's own: its options work, and it adds no words of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support.patience import patience

pytestmark = pytest.mark.whole

SUITE = "runwire_conformance.cases"
FEW = "CONN-6,RUN-6,MSG-19"


def played(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder on some cases of the suite."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", SUITE, f"--runwire-url={url}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=patience(100),
        check=False,
    )


def names(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the cases that pytest told of with -v."""
    return [line.split("::")[1].split()[0] for line in result.stdout.splitlines() if "::" in line]


def test_quiet_is_quiet(tmp_path: Path, server_url: str) -> None:
    result = played(tmp_path, server_url, "-q", f"--runwire-requirement={FEW}")

    assert result.returncode == 0, result.stdout + result.stderr
    dots, summary = result.stdout.strip().splitlines()
    assert set(dots.split()[0]) == {"."}
    assert " passed" in summary
    assert result.stderr == ""


def test_a_keyword_selects(tmp_path: Path, server_url: str) -> None:
    result = played(tmp_path, server_url, "-v", "-k", "neither_type_nor_prompt")

    assert result.returncode == 0, result.stdout
    assert names(result) == ["neither_type_nor_prompt_is_refused"]


def test_collecting_needs_no_server(tmp_path: Path) -> None:
    result = played(tmp_path, "http://127.0.0.1:1", "--collect-only", "-q", f"--runwire-requirement={FEW}")

    assert result.returncode == 0, result.stdout
    assert "neither_type_nor_prompt_is_refused" in result.stdout


def test_junit_counts_every_case(tmp_path: Path, server_url: str) -> None:
    result = played(tmp_path, server_url, "-q", "--junitxml=r.xml", f"--runwire-requirement={FEW},DRAIN-1")

    assert result.returncode == 0, result.stdout
    suite = ElementTree.parse(tmp_path / "r.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("skipped") or 0) >= 1
    assert len(suite.findall("testcase")) == int(suite.get("tests") or 0)


def test_without_a_url_it_is_a_wrong_call(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", SUITE, "-q"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(100), check=False,
    )  # fmt: skip

    assert result.returncode == 4
    assert "--runwire-url" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_plug_in_leaves_other_tests_alone(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert True\n")

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(100), check=False,
    )  # fmt: skip

    assert result.returncode == 0
    assert "1 passed" in result.stdout
