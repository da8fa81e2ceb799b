"""What the server says of itself: its start, its runs and connections, its drain; JSON from the first line."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.check_reference_server import command, listening
from tests.support.patience import patience, tries

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

PROMPT = "planted-prompt"


def started(*options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server and return it with its URL."""
    server = subprocess.Popen(
        [*command(drain_s=0.5), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return server, listening(server)


def answering(url: str) -> None:
    """Wait until a server answers: before that it has no handler of the signal."""
    for _ in tries(10, 0.05):
        try:
            urlopen(url + "/healthz", timeout=patience(5)).close()
            return
        except OSError:
            time.sleep(0.05)


def drained(server: subprocess.Popen[str]) -> list[str]:
    """End a server and return the lines of its log."""
    server.send_signal(signal.SIGTERM)
    return server.communicate(timeout=patience(20))[1].splitlines()


async def begun(url: str, seconds: float = 0) -> ClientConnection:
    """Return a connection on which a run has begun that lasts so long."""
    socket = await connect(url.replace("http", "ws") + "/ws/generate")
    script = {"runwire_script": [{"token": PROMPT}, {"wait_ms": seconds * 1000}]}
    await socket.send(json.dumps({"prompt": json.dumps(script)}))
    async for text in socket:
        if json.loads(text)["type"] == ("token" if seconds else "done"):
            break
    return socket


async def test_a_line_for_each_run_and_connection() -> None:
    server, url = started("--log-level=info", "--log-format=json")
    socket = await begun(url)
    await socket.close()
    lines: list[dict[str, Any]] = [json.loads(line) for line in drained(server)]
    named = {line["event"]: line for line in lines}

    assert lines[0]["event"] == "listening" and lines[0]["url"] == url
    assert named["a run began"]["address"] == named["a connection ended"]["address"] == "127.0.0.1"
    assert named["a run began"]["trace_id"] == named["a run ended"]["trace_id"]
    assert named["a run ended"]["status"] == "completed"
    assert named["a connection ended"]["reason"] == "client"
    assert 0 <= named["a run ended"]["duration_s"] <= named["a connection ended"]["duration_s"]
    assert PROMPT not in json.dumps(lines)


async def test_the_default_level_shows_start_drain_and_trouble() -> None:
    server, url = started("--log-format=text")
    sockets = [await begun(url, 30), await begun(url, 30)]
    said = "\n".join(drained(server))
    for socket in sockets:
        await socket.close()

    for words in (
        "draining, 2 runs left",
        "ending 2 runs after 0.5 s of draining",
        "drained",
    ):
        assert words in said
    assert "a run ended" not in said and PROMPT not in said


def test_with_json_the_first_line_is_json() -> None:
    server = subprocess.Popen(
        [*command(), "--log-format=json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())

    answering(told["url"])
    assert told["event"] == "listening" and told["url"].startswith("http://127.0.0.1:")
    assert [json.loads(line)["event"] for line in drained(server)] == [
        "listening",
        "draining, 0 runs left",
        "drained",
    ]


def test_errors_alone_are_silent_in_peace() -> None:
    server, url = started("--log-level=error")
    answering(url)

    assert drained(server) == []
