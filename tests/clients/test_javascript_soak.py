"""The JavaScript client against the reference server, over a line that breaks at random: exact, and judged good."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.proof.relays import RandomResets
from tests.support.check_reference_server import BIN, command, listening
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

CLIENT = Path(__file__).parents[2] / "clients/javascript"


@asynccontextmanager
async def recorded(url: str, path: Path) -> AsyncIterator[str]:
    """Record into `path` what is said through the URL that this gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["record", url, f"--listen={port}", "-o", str(path)]
    recorder = await asyncio.create_subprocess_exec(BIN / "runwire", *options, stderr=subprocess.PIPE)
    assert recorder.stderr is not None
    assert b"point the client at" in await recorder.stderr.readline()
    yield f"http://127.0.0.1:{port}"
    recorder.send_signal(signal.SIGINT)
    await recorder.communicate()


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_line_that_breaks_at_random_loses_nothing(transport: str, tmp_path: Path) -> None:
    node = require_program("node", apt="nodejs")
    recording = tmp_path / "recording.jsonl"

    async def play(url: str) -> tuple[int | None, str]:
        async with RandomResets(url).listening() as relay, recorded(relay, recording) as through:
            script = [node, "--experimental-websocket", "tests/soak.js", through, transport, "4"]
            client = await asyncio.create_subprocess_exec(*script, cwd=CLIENT, stdout=subprocess.PIPE)
            out, _ = await asyncio.wait_for(client.communicate(), patience(120))
            return client.returncode, out.decode()

    with subprocess.Popen(command(detach_grace_s=60, run_s=60), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert asyncio.run(play(listening(server))) == (0, "")
        finally:
            server.terminate()
    judged = subprocess.run(
        [BIN / "runwire", "validate", recording], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in recording.read_text(encoding="utf-8").split("\n") if line]

    assert judged.returncode == 0, judged.stdout
    assert len({line.get("connection") for line in lines}) > 4
