"""The reference server as a process: how it is called, and what it leaves behind."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn
from websockets.asyncio.client import connect

from runwire_reference_server.access.slots import MemorySlots
from runwire_reference_server.app import create_server
from runwire_reference_server.cli import parser
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.registry import LIMITS
from runwire_reference_server.service.settings import Settings, checked_limits
from runwire_reference_server.transports.server import DrainingServer
from tests.support.patience import patience, tries

pytestmark = pytest.mark.whole

BIN = Path(sys.executable).parent
PACKAGE = Path(__file__).parents[2] / "reference_server" / "runwire_reference_server"
README = Path(__file__).parents[2] / "reference_server" / "README.md"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--heartbeat-s", "60"], "heartbeat_s must be at least 0.1 and at most 25, not 60"),
        (["--agent", "nonsense"], "--agent must be openai, dify, ag-ui or MODULE:CLASS"),
        (["--agent", "openai"], "--agent openai needs --agent-model, or the variable OPENAI_MODEL"),
        (
            ["--agent", "openai", "--agent-model=m"],
            "--agent openai needs a key: one word in --agent-key-file",
        ),
        (["--agent", "dify", "--agent-url=example.org"], "--agent-url must be an address such as http://"),
        (["--agent", "dify", "--agent-key-file=nowhere"], "--agent-key-file nowhere: No such file"),
        (["--agent", "json:JSONDecoder"], "--agent json:JSONDecoder: it has no method run(task)"),
        (["--agent", "no_such_module:Agent"], "no module named no_such_module"),
        (["--agent", "json:Agent"], "json has no Agent"),
        (["--host", "192.0.2.1", "--behind-proxy"], "cannot listen at 192.0.2.1"),
        (["--host", "192.0.2.1"], "use --tls-cert and --tls-key, or --behind-proxy"),
        (["--port", "99999"], "--port must be between 0 and 65535, not 99999"),
        (["--nonsense"], "unrecognized arguments"),
        (["--redis", "http://127.0.0.1"], "--redis must be redis://HOST:PORT/DB"),
        (["--redis", "redis://:hunter2@127.0.0.1:1"], "cannot use the Redis that --redis names"),
    ],
)
def test_a_wrong_call_is_one_clear_line(options: list[str], said: str) -> None:
    result = subprocess.run(
        [str(BIN / "runwire-server"), "--port=0", *options],
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=False,
    )

    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


def test_the_readme_tells_every_option_that_is_no_limit() -> None:
    told = set(re.findall(r"`(--[a-z-]+)", README.read_text(encoding="utf-8")))
    options = {
        name for action in parser()._actions for name in action.option_strings if action.dest not in LIMITS
    }

    assert options - told == {"-h", "--help"}


def test_the_readme_has_a_place_for_every_file_in_the_order_of_reading() -> None:
    table = README.read_text(encoding="utf-8").partition("## Read it in this order")[2].partition("##")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = re.findall(r"`([\w./]+\.(?:py|lua))`", " ".join(rows))

    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua"}}
    assert sorted(named) == sorted(
        name for name in files if not name.endswith("__init__.py") or name == "agents/__init__.py"
    )


def test_nothing_is_left_behind() -> None:
    async def play() -> None:
        limits = checked_limits(
            {
                "connections_per_principal": 20,
                "detach_grace_s": 0.1,
                "heartbeat_s": 0.2,
                "pong_timeout_s": 0.5,
            }
        )
        app = create_server(Settings(port=0, limits=limits, script_agent=True))
        server = DrainingServer(app, app.service)
        serving = asyncio.create_task(uvicorn.Server.serve(server))
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        before = len(asyncio.all_tasks())

        await asyncio.gather(*(visit(port, place) for place in range(12)))

        await until(lambda: len(asyncio.all_tasks()) <= before and not app.service.connections)
        assert isinstance(app.slots, MemorySlots)
        assert app.slots.taken == {}
        assert app.service._workers == {}
        assert app.service._graces == {}
        assert isinstance(app.service.store, MemoryStore)
        assert all(run.status.finished for run in app.service.store._runs.values())
        server.should_exit = True
        await serving

    asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, for ten seconds at most."""
    for _ in tries(10, 0.02):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that within ten seconds")


async def visit(port: int, place: int) -> None:
    """Start a run and leave in one of several ways."""
    script = json.dumps({"runwire_script": [{"token": "x"}, {"wait_ms": 300 * (place % 4)}, {"token": "y"}]})
    address = f"ws://127.0.0.1:{port}/ws/generate"
    async with connect(address) as socket:
        await socket.recv()
        await socket.send(json.dumps({"prompt": script}))
        await socket.recv()
        if place % 3 == 0:
            socket.transport.abort()
        elif place % 3 == 1:
            await socket.send('{"type":"cancel"}')
