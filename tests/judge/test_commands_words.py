"""What every command understands: how a server is named, versions, help, completion, colours, and a first file."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runwire_conformance import __version__
from runwire_conformance.cli import COMMANDS
from runwire_conformance.cli.shared.connection import named
from runwire_conformance.client.discovery.server_url import server_url
from runwire_conformance.runner.forecast import Forecast
from runwire_conformance.settings import commented_settings
from runwire_conformance.trace.limits import SHORT_LIMITS
from runwire_reference_server.cli import parser
from runwire_reference_server.integrations.options import plays_scripts
from runwire_reference_server.run_log.registry import LIMITS
from runwire_reference_server.service.settings import checked_limits
from runwire_spec import registries
from tests.support.commands import runwire

pytestmark = pytest.mark.whole

SERVER = str(Path(sys.executable).parent / "runwire-server")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("my-server_2.example:1", "http://my-server_2.example:1"),
        ("http://a", "http://a"),
        ("ws://a:1/x", "ws://a:1/x"),
        ("hello", "hello"),
        ("hello: world", "hello: world"),
        ("note:5 things", "note:5 things"),
        ("a:123456", "a:123456"),
        ("", ""),
    ],
)
def test_host_and_port_are_a_server(said: str, meant: str) -> None:
    assert server_url(said) == meant


def test_a_host_and_port_alone_are_no_prompt() -> None:
    assert named("localhost:8080", "") == ("localhost:8080", "")
    assert named("hello", "") == ("", "hello")


@pytest.mark.parametrize("command", [["check"], ["try"], ["load", "-n", "1"]])
def test_commands_understand_host_and_port(tmp_path: Path, server_url: str, command: list[str]) -> None:
    prompt = ["hello"] if command == ["try"] else []
    chosen = ["--requirement", "CONN-6"] if command == ["check"] else []
    place = server_url.removeprefix("http://")

    result = runwire(tmp_path, command[0], place, *prompt, *command[1:], *chosen)

    assert result.returncode == 0, result.stdout + result.stderr


def test_both_commands_tell_their_versions(tmp_path: Path) -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    said = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True).stdout

    assert runwire(tmp_path, "--version").stdout == f"runwire {__version__} · protocol 1 · Python {python}\n"
    assert said == f"runwire-server {__version__} · protocol 1 · Python {python}\n"


@pytest.mark.parametrize(
    "words", [[], *([name] for name in COMMANDS), ["spec", "list"], ["spec", "show"]], ids=str
)
def test_h_is_help_that_fits_eighty_columns(tmp_path: Path, words: list[str]) -> None:
    result = runwire(tmp_path, *words, "-h", COLUMNS="80")

    assert result.returncode == 0, result.stderr
    assert "Usage: runwire" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_server_s_help_has_no_number_with_an_exponent() -> None:
    told = parser().format_help()

    assert "1048576" in told
    assert "e+0" not in told
    assert str(Forecast(1, (("log_bytes", 16777216.0),))).endswith("`log_bytes` is 16777216")


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    def completed(words: str) -> list[str]:
        asked = {
            "_RUNWIRE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        return runwire(tmp_path, **asked).stdout.split()

    assert completed("runwire che") == ["check", "check-client"]
    assert completed("runwire check --pat") == ["--patience"]


def test_colours_can_be_switched_off_anywhere(tmp_path: Path) -> None:
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}

    assert "\x1b[" in runwire(tmp_path, "validate", "-h", **colours).stdout
    for words in (["--no-color", "validate", "-h"], ["validate", "--no-color", "-h"]):
        told = runwire(tmp_path, *words, **colours)
        assert told.returncode == 0
        assert "\x1b[3" not in told.stdout


def test_the_first_file_carries_the_server_and_quick_limits(tmp_path: Path) -> None:
    assert runwire(tmp_path, "init", "localhost:9000").returncode == 0
    text = (tmp_path / "runwire.toml").read_text(encoding="utf-8")

    assert tomllib.loads(text)["target"] == {"url": "http://localhost:9000"}
    for name, advice in SHORT_LIMITS.items():
        assert f"{name} {advice.value}" in text and advice.why in text
    assert max(map(len, commented_settings().splitlines())) <= 120


def test_the_quick_limits_are_limits_of_the_registry() -> None:
    checked_limits({name: advice.value for name, advice in SHORT_LIMITS.items()})

    assert set(SHORT_LIMITS) <= {row["limit"] for row in registries()["limits"]} & set(LIMITS)


@pytest.mark.parametrize("page", ["test-servers.md", "zh/test-servers.md"])
def test_the_page_tells_the_quick_limits(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs/pages" / page).read_text(encoding="utf-8")
    defaults = {row["limit"]: row["default"] for row in registries()["limits"]}

    for name, advice in SHORT_LIMITS.items():
        row = f"| `{name}` | {defaults[name]} | {advice.value} | "
        assert (row if page.startswith("zh/") else f"{row}{advice.why} |") in text


@pytest.mark.parametrize(
    ("words", "plays"),
    [
        ([], True),
        (["--host", "::1"], True),
        (["--no-script-agent"], False),
        (["--agent", "openai"], False),
        (["--agent", "openai", "--script-agent"], True),
        (["--host", "0.0.0.0"], False),
        (["--host", "0.0.0.0", "--script-agent"], True),
        (["--behind-proxy"], False),
        (["--allow-host", "app.example"], False),
        (["--trust-proxy", "10.0.0.0/8"], False),
        (["--root-path", "/agents"], False),
    ],
    ids=str,
)
def test_the_demo_of_one_machine_plays_scripts(words: list[str], plays: bool) -> None:
    options: argparse.Namespace = parser().parse_args(words)

    assert plays_scripts(options) is plays
