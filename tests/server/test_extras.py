"""A command that lacks an extra is one line that names it, and exit code 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.patience import patience

#: Runs the command as its console script does, as if some packages were not installed.
BLOCKED = """
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from {module}.cli import main
main()
"""

#: What the extra `server` brings.
SERVER = {
    "msgspec",
    "prometheus_client",
    "jwt",
    "cryptography",
    "starlette",
    "structlog",
    "uvicorn",
    "uvloop",
}


def run(module: str, absent: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without these packages."""
    code = BLOCKED.format(absent=absent, module=module)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(100),
    )


AGENT = ("--agent-url", "http://127.0.0.1:1/v1", "--agent-model", "m")


LACKING = [
    (SERVER, ["--help"]),
    *(({name}, ["--port", "0"]) for name in sorted(SERVER - {"cryptography", "uvloop"})),
]


@pytest.mark.parametrize(("absent", "arguments"), [(SERVER, []), *LACKING])
def test_the_server_without_its_extra_is_one_line(absent: set[str], arguments: list[str]) -> None:
    result = run("runwire_reference_server", absent, *arguments)

    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "pip install 'runwire[server]'" in result.stderr


@pytest.mark.parametrize(
    ("absent", "extra", "arguments"),
    [
        ("redis", "redis", ["--redis", "redis://127.0.0.1:1"]),
        ("openai", "openai", ["--agent", "openai", *AGENT]),
        ("httpx2", "dify", ["--agent", "dify", *AGENT]),
        ("ag_ui", "ag-ui", ["--agent", "ag-ui", *AGENT[:2]]),
        ("ag_ui", "ag-ui", ["--ag-ui"]),
    ],
)
def test_an_option_without_its_extra_is_one_line(
    absent: str, extra: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("DIFY_API_KEY", "k")

    result = run("runwire_reference_server", {absent}, "--port", "0", *arguments)

    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "pip install 'runwire[" in result.stderr and extra in result.stderr


def test_the_judge_needs_no_extra() -> None:
    absent = SERVER | {"redis", "openai", "httpx2", "jsonschema_rs"}

    result = run("runwire_conformance", absent, "explain", "RUN-4")

    assert result.returncode == 0, result.stderr
    assert "RUN-4" in result.stdout
