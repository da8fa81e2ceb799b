"""The wheel in an empty environment, in a folder full of namesakes: it works, and runs nothing of the user's."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from runwire_schemas import names, transcripts, vectors
from tests.support.wheel_stand import built, called, installed

pytestmark = pytest.mark.whole

BOOBY_TRAP = "raise SystemExit('a file of the user was run')\n"


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it in an empty environment, and return the folder of its commands."""
    return installed(built(tmp_path_factory.mktemp("wheel")))


@pytest.fixture
def namesakes(tmp_path: Path) -> Path:
    """Return a folder with files that a careless tool would run or import in place of its own."""
    for name in ("conformance", "schemas", "spec", "runwire_conformance"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(BOOBY_TRAP)
    for name in ("conftest.py", "test_own.py", "websockets.py", "jsonschema.py", "cases.py"):
        (tmp_path / name).write_text(BOOBY_TRAP)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--no-such-option"\n')
    return tmp_path


def test_the_wheel_judges_beside_namesakes(binaries: Path, namesakes: Path, server_url: str) -> None:
    result = called(
        binaries / "runwire", "check", server_url, "--requirement", "CONN-6,RUN-6,MSG-3", "--report", "out",
        cwd=namesakes,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr
    assert "exit 0" in result.stdout
    assert "<title>" in (namesakes / "out/report.html").read_text(encoding="utf-8")
    assert not list(namesakes.rglob("__pycache__")) and not list(namesakes.rglob(".pytest_cache"))


def test_the_wheel_knows_schemas_and_specification(binaries: Path, namesakes: Path) -> None:
    (namesakes / "talk.jsonl").write_text('{"type":"heartbeat"}\n{"type":"token","data":7}\n')

    shown = called(binaries / "runwire", "spec", "show", "RUN-4", cwd=namesakes)
    judged = called(binaries / "runwire", "validate", "talk.jsonl", cwd=namesakes)
    code = "import runwire_schemas as s; print(len(s.names()), len([*s.vectors()]), len([*s.transcripts('valid')]))"
    packed = called(binaries / "python", "-c", code, cwd=binaries)

    assert (shown.returncode, judged.returncode) == (0, 1), shown.stderr + judged.stderr
    assert packed.stdout.split() == [
        str(len([*found])) for found in (names(), vectors(), transcripts("valid"))
    ]
    assert "talk.jsonl:2:" in judged.stdout


def test_the_wheel_brings_no_generic_names(binaries: Path) -> None:
    code = "import importlib.metadata as m; print(*{str(f).split('/')[0] for f in m.files('runwire')})"

    result = called(binaries / "python", "-c", code, cwd=binaries)

    names = set(result.stdout.split())
    assert {name for name in names if not name.startswith(("runwire", ".."))} == set()
    assert names >= {"runwire_conformance", "runwire_schemas", "runwire_spec"}


def test_the_wheel_holds_modules_and_what_they_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(tmp_path)) as wheel:
        names = [Path(name) for name in wheel.namelist()]

    data = [name for name in names if name.suffix != ".py"]
    assert len(data) <= 60 and len(names) <= 400, Counter(name.parent for name in names).most_common(5)
    assert {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")} == {
        *(
            "runwire_client",
            "runwire_conformance",
            "runwire_reference_server",
            "runwire_schemas",
            "runwire_spec",
        )
    }
    assert not [name for name in names if name.name.startswith(("test_", "conftest"))]
