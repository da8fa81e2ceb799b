"""The wheel in an empty environment, in a folder full of namesakes: it works, and runs nothing of the user's."""

from __future__ import annotations

import hashlib
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from runwire_schemas import names, transcripts, vectors
from tests.support.example_stand import example
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
    (tmp_path / "runwire.toml").write_text('[prompts]\nshort = "Say hello."\n')
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


def test_the_wheel_accuses_and_remembers_what_failed(binaries: Path, namesakes: Path) -> None:
    def played(*options: str) -> tuple[int, set[str]]:
        result = called(
            binaries / "runwire", "check", address, "--wait", "60", "--junitxml", "junit.xml", *options,
            cwd=namesakes, variables={"XDG_CACHE_HOME": str(namesakes / "cache")},
        )  # fmt: skip
        names = {case.get("name", "") for case in ElementTree.parse(namesakes / "junit.xml").iter("testcase")}
        return result.returncode, names

    with example("twenty_lines") as address:
        code, names = played("--requirement", "CLOSE-2,CONN-6")
        again, failed = played("--requirement", "CLOSE-2,CONN-6", "--lf", "-x")
        _, chosen = played("--requirement", "CLOSE-2,CONN-6", "-k", "c13_errors")

    assert (code, again) == (1, 1)
    assert failed and failed < names and chosen and chosen < names


def test_an_assertion_of_the_wheel_is_told_in_words(binaries: Path) -> None:
    code = """
from types import SimpleNamespace
from runwire_conformance.cases import c07_caught_up
from runwire_conformance.runner.assertion import in_words, line_of
try:
    c07_caught_up.abandon(SimpleNamespace(conversation=7))
except AssertionError as problem:
    print(in_words(problem), line_of(problem))
"""

    told = called(binaries / "python", "-c", code, cwd=binaries)

    assert told.stdout.startswith("expected conversation; got no conversation c07_caught_up.py:"), told.stderr


def test_the_suite_of_the_wheel_is_that_of_a_clone(binaries: Path, tmp_path: Path) -> None:
    words = (
        "-m",
        "pytest",
        "--pyargs",
        "runwire_conformance.cases",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
    )

    packed, plain = (
        called(python, *words, "--runwire-url=http://127.0.0.1:1", cwd=tmp_path)
        for python in (binaries / "python", sys.executable)
    )

    assert (packed.returncode, plain.returncode) == (0, 0), packed.stdout + packed.stderr
    in_wheel, in_clone = (
        [line.partition("cases/")[2] for line in each.stdout.splitlines() if "::" in line]
        for each in (packed, plain)
    )
    assert in_wheel == in_clone and len(in_wheel) > 500


def test_a_client_is_judged_by_the_wheel(binaries: Path, namesakes: Path) -> None:
    result = called(
        binaries / "runwire", "check-client", "--claim", "resumes", "--requirement", "CLOSE-6", "--",
        binaries / "runwire", "try", "{url}", "{prompt}",
        cwd=namesakes,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr


def test_another_version_of_python_compiles_the_modules(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(tmp_path)) as wheel:
        wheel.extractall(tmp_path / "site")
    packed = tmp_path / "site/runwire_conformance/modules.zip"
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, b"\0\0\r\n" + content[4:] if name.endswith(".pyc") else content)
    code = "from runwire_conformance.runner import suite as s; print(s.__file__, len(s.suite()))"

    told = called(sys.executable, "-c", code, cwd=tmp_path, variables={"PYTHONPATH": str(tmp_path / "site")})

    assert told.stdout.split()[0].endswith("modules.zip/runner/suite.py"), told.stderr


def test_nothing_is_left_of_the_wheel(tmp_path: Path) -> None:
    binaries = installed(built(tmp_path))
    called(binaries / "runwire", "spec", "list", cwd=tmp_path)

    removed = called(binaries / "python", "-m", "pip", "uninstall", "-y", "runwire", cwd=tmp_path)

    assert removed.returncode == 0, removed.stderr
    assert not list(binaries.parent.rglob("runwire*"))


def test_the_same_files_make_the_same_wheel(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    one, other = (hashlib.sha256(built(tmp_path / name).read_bytes()) for name in ("one", "other"))

    assert one.hexdigest() == other.hexdigest()


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
    assert len(data) <= 60 and len(names) < 200, Counter(name.parent for name in names).most_common(5)
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
