"""The ways to install of the page on it, by pipx, by uv and by a wheel, each from an empty folder beside a clone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_told_commands import ended, listens, started
from tests.support.pip_stand import python_with
from tests.support.wheel_stand import ROOT, called

pytestmark = pytest.mark.whole

PAGE = ROOT / "docs/pages/install.md"
#: A page's settings of pip, by the names that uv gives to them.
UV_NAMES = {
    "global.index-url": "UV_DEFAULT_INDEX",
    "global.extra-index-url": "UV_INDEX",
    "global.cert": "SSL_CERT_FILE",
}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "node_modules", "__pycache__", ".*_cache", ".hypothesis"
)


def told(word: str) -> list[str]:
    """Return the lines of the page's blocks of code in which `word` stands."""
    blocks = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks if word in block for line in block.splitlines()]


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder with pipx and uv."""
    return python_with("pipx==1.18.4", "uv==0.13.9").parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a clone in `runwire`."""
    shutil.copytree(ROOT, tmp_path / "runwire", ignore=LEFT_OUT)
    return tmp_path


@pytest.fixture
def variables(tools: Path, folder: Path) -> dict[str, str]:
    """What a shell has in which only these tools are installed, and whose home is the folder."""
    said = called(tools / "python", "-m", "pip", "config", "list", cwd=folder).stdout
    settings = dict(re.findall(r"^(\S+)='(.*)'$", said, re.MULTILINE))
    home = {"HOME": str(folder), "UV_CACHE_DIR": str(folder / "uv"), "PIPX_HOME": str(folder / "pipx")}
    home |= {
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PATH": f"{folder / 'bin'}:{tools}:/usr/local/bin:/usr/bin:/bin",
    }
    home["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip takes the best of several indexes
    return home | {name: settings[key] for key, name in UV_NAMES.items() if key in settings}


@pytest.fixture
def server_address(server_url: str) -> str:
    """Host and port of a server."""
    return server_url.partition("://")[2]


def ran(line: str, folder: Path, variables: dict[str, str], address: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the page against a server, for one requirement where it judges."""
    line = line.replace("http://localhost:8080", f"http://{address} --requirement CONN-6")
    result = called("bash", "-c", line, cwd=folder, variables=variables, seconds=900)
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    return result


def test_pipx_installs_both_commands(folder: Path, variables: dict[str, str], server_address: str) -> None:
    (line,) = told("pipx install")

    ran(line, folder, variables, server_address)

    ran("runwire check http://localhost:8080", folder, variables, server_address)
    assert "runwire-server" in ran("runwire-server --version", folder, variables, server_address).stdout


def test_uv_runs_both_commands(folder: Path, variables: dict[str, str], server_address: str) -> None:
    judge, server = told("uvx --from")

    assert "exit 0" in ran(judge, folder, variables, server_address).stdout
    process = started(["bash", "-c", f"exec {server} --port=0"], folder, PYTHONUNBUFFERED="1", **variables)
    try:
        assert listens(process)
    finally:
        ended(process)


def test_a_wheel_of_a_clone_is_installed(
    folder: Path, variables: dict[str, str], server_address: str
) -> None:
    for line in told("pip wheel"):
        ran(line, folder, variables, server_address)

    extra = re.search(r"`(judge/bin/pip install [^`]*\[server\][^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert extra is not None
    ran(extra[1], folder, variables, server_address)
    assert (
        "runwire-server"
        in ran("judge/bin/runwire-server --version", folder, variables, server_address).stdout
    )
