"""Every command that README and site tell of the judge and the server, run from an environment with the wheel alone.

What a line leaves to its reader is put in: the server's address, files, and numbers that only say how much.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.patience import patience
from tests.support.redis_stand import RedisStand
from tests.support.wheel_stand import ROOT, built, called, installed, outside

pytestmark = pytest.mark.whole

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs/pages").rglob("*.md")),
    *(ROOT / name / "README.md" for name in ("conformance", "reference_server", "schemas", "spec", "deploy")),
]
PROGRAM = re.compile(
    r"^\s*(?:\$ )?(?:judge/bin/|\.venv/bin/)?((?:runwire|runwire-server|python smallest\.py)(?: .*)?)$"
)

#: What says how much, so that each command takes seconds.
LESS = {"-n 500 -c 50": "-n 20 -c 5", "--examples 1000": "--examples 2", "--wait 30": "--wait 5"}

#: A stream of AG-UI.
AG_UI = (
    '{"type":"RUN_STARTED","threadId":"t","runId":"r"}',
    '{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}',
    '{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"a"}',
    '{"type":"TEXT_MESSAGE_END","messageId":"m"}',
    '{"type":"RUN_FINISHED","threadId":"t","runId":"r"}',
)

#: Commands that go on until they are told to stop.
STAYING = re.compile(r"^(runwire-server|python smallest\.py|runwire record --listen)(?!.*--(help|version))")


def told() -> dict[str, str]:
    """Return the commands in blocks of code, with the first place that tells each."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:text|sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if match := PROGRAM.match(line):
                    command = re.sub(r"\s{2,}.*|\s#.*", "", match[1]).strip()
                    found.setdefault(command, str(page.relative_to(ROOT)))
    return found


def test_commands_are_found() -> None:
    commands = told()

    assert len(commands) > 30
    assert {command.split()[1] for command in commands if command.startswith("runwire ")} >= {
        *("check", "init", "try", "record", "replay", "validate", "load", "matrix")
    }


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands in an environment with the wheel and the extras of the server."""
    return installed(built(tmp_path_factory.mktemp("wheel")), "server,redis,openai,dify,ag-ui")


@pytest.fixture(scope="module")
def address(binaries: Path) -> Iterator[str]:
    """Host and port of a server from the wheel, with the limits that the page on test servers names."""
    page = (ROOT / "docs/pages/test-servers.md").read_text(encoding="utf-8")
    line = next(command for command in told() if command.startswith("runwire-server --heartbeat-s"))
    assert line in page.replace("\\\n", " ")
    server = started([*shlex.split(f"{binaries}/{line}"), "--port=0", "--script-agent"], binaries.parent)
    yield listens(server).partition("://")[2].strip("/")
    ended(server)


def started(words: list[str], folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start something that stays."""
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**outside(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def listens(process: subprocess.Popen[str]) -> str:
    """Wait until a process says a URL at which it listens, and return that."""
    assert process.stdout is not None
    seen = []
    while line := process.stdout.readline():
        seen.append(line)
        if found := re.search(r"(?:https?|wss?)://[^\s\",]+", line):
            return found[0]
    raise AssertionError("".join(seen))


def ended(process: subprocess.Popen[str]) -> None:
    """Stop a process that stays, and let its output go."""
    process.terminate()
    process.communicate(timeout=patience(30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, binaries: Path, address: str) -> Path:
    """A folder with the files that the commands read."""
    place = tmp_path_factory.mktemp("folder")
    runwire = binaries / "runwire"
    for name in ("a.json", "b.json"):
        called(runwire, "check", address, "--requirement", "CONN-6", "--json", name, cwd=place)
    called(runwire, "record", address, "hello", "-o", "talk.jsonl", cwd=place)
    (place / "page.har").write_bytes((ROOT / "tests/judge/har/network-panel.har").read_bytes())
    (place / "messages.json").write_text('[{"type":"token","data":"a"}]\n')
    (place / "known.toml").write_text("")
    (place / "ten_lines.mjs").write_bytes((ROOT / "examples/ten_lines.mjs").read_bytes())
    (place / "tokens").write_text(f"alice {'a' * 64}\n")
    (place / "smallest.py").write_bytes(
        (ROOT / "reference_server/runwire_reference_server/smallest.py").read_bytes()
    )
    (place / "mymodule.py").write_text(
        "from runwire_reference_server.agents.demo import DemoAgent as MyAgent\n"
    )
    (place / "stream").write_text("".join(f"data: {line}\n\n" for line in AG_UI))
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    pair.private_key_pem.write_to_path(place / "key.pem")
    for number, blob in enumerate(pair.cert_chain_pems):
        blob.write_to_path(place / "chain.pem", append=number > 0)
    called(runwire, "init", address, cwd=place)
    return place


def put_in(command: str, address: str) -> str:
    """Return a command with what it leaves to its reader."""
    for more, less in LESS.items():
        command = command.replace(more, less)
    command = re.sub(r"\bURL\b", f"http://{address}", command)
    command = command.replace("localhost:8080", address)
    if "--listen" in command:
        command = command.replace("--listen 9090", "--listen 0").replace("talk.jsonl", "nothing.jsonl")
    command = re.sub(r"^runwire init", "runwire init --force", command)
    command = command.replace("--host 0.0.0.0", "--host 127.0.0.1")
    command = re.sub(r"--port[ =]\d+", "--port=0", command)
    command = command.replace("runwire check-client", "runwire check-client --requirement CLOSE-6")
    if command.startswith("runwire check ") and not re.search(r"--(requirement|class|lf)", command):
        command = command.replace("runwire check", "runwire check --requirement CONN-6,MSG-3", 1)
    return command


@pytest.mark.parametrize("command", told())
def test_a_told_command_works(
    command: str, binaries: Path, folder: Path, address: str, tmp_path: Path
) -> None:
    words = put_in(command, address)
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    if STAYING.match(words):
        store = RedisStand(tmp_path) if "--redis" in words else None
        line = re.sub(r"redis://\S+", store.url, words) if store is not None else words
        line += "" if "--port" in line or line.startswith("runwire record") else " --port=0"
        keys = {"OPENAI_API_KEY": "k", "DIFY_API_KEY": "k", "DIFY_BASE_URL": "http://127.0.0.1:9/v1"}
        process = started(["bash", "-c", f"exec {line}"], folder, PATH=path, PYTHONUNBUFFERED="1", **keys)
        try:
            assert listens(process)
        finally:
            ended(process)
            if store is not None:
                store.kill()
        return
    home = {"PATH": path, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    result = called("bash", "-c", f"{words}\nexit $?", cwd=folder, variables=home)

    assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
