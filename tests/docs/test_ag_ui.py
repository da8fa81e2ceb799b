"""The table of the page on AG-UI: each of its rows is shown by a test of its name, alone and on Runwire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ag_ui_clients import SUPPORT, Cutting, Node, langgraph, node_in
from tests.support.ag_ui_stand import UNHURRIED, new_id, script
from tests.support.auth_stand import Stand, served
from tests.support.check_reference_server import command, listening
from tests.support.npm_stand import installed
from tests.support.patience import patience, tries
from tests.support.programs import require_program
from tests.support.proxy_stand import PROXIES, behind

PAGE = Path(__file__).parents[2] / "docs/pages/ag-ui.md"

pytestmark = [pytest.mark.whole, pytest.mark.anyio]

SIXTY = "".join(f"w{place} " for place in range(60))


class PlainAgent:
    """An agent of AG-UI as a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.base = process.stdout.readline().strip()
        self.url = f"{self.base}/agent"

    @property
    def runs(self) -> int:
        """How often it was started."""
        with urllib.request.urlopen(f"{self.base}/runs", timeout=patience(20)) as answer:
            count: int = json.load(answer)["runs"]
            return count


@contextlib.contextmanager
def plain_agent() -> Iterator[PlainAgent]:
    process = subprocess.Popen(
        [sys.executable, SUPPORT / "plain_ag_ui_agent.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield PlainAgent(process)
    finally:
        process.kill()
        process.communicate(timeout=patience(20))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return node_in(tmp_path_factory.mktemp("node"))


@pytest.fixture
def agent() -> Iterator[PlainAgent]:
    with plain_agent() as agent:
        yield agent


def on_runwire(agent: PlainAgent, folder: Path) -> contextlib.AbstractContextManager[Stand]:
    return served(folder, "--agent=ag-ui", f"--agent-url={agent.url}", "--ag-ui", *UNHURRIED)


async def test_return(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    step = {"runId": new_id(), "prompt": "hello"}
    async with Cutting(agent.base).listening() as url:
        (alone,) = await node.stock(f"{url}/agent", step, thread=new_id(), returns=False)
    before = agent.runs
    with on_runwire(agent, tmp_path) as stand:
        async with Cutting(stand.url).listening() as url:
            (seen,) = await node.stock(f"{url}/ag-ui", step, thread=new_id())

    assert (alone["terminals"], len(alone["text"]) < len(SIXTY)) == ([], True)
    assert (seen["failed"], seen["text"], agent.runs - before) == (None, SIXTY, 1)


async def test_second_viewer(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    step, thread = {"runId": new_id(), "prompt": "hello"}, new_id()
    await asyncio.gather(*(node.stock(agent.url, step, thread=thread, returns=False) for _ in range(2)))
    alone = agent.runs
    with on_runwire(agent, tmp_path) as stand:
        url = f"{stand.url}/ag-ui"
        views = await asyncio.gather(*(node.stock(url, step, thread=thread) for _ in range(2)))

    assert [seen["text"] for (seen,) in views] == [SIXTY, SIXTY]
    assert (alone, agent.runs - alone) == (2, 1)


async def test_duplicate_start(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    step, thread = {"runId": new_id(), "prompt": "hello", "anew": True}, new_id()
    await node.stock(agent.url, step, step, thread=thread, returns=False)
    alone = agent.runs
    with on_runwire(agent, tmp_path) as stand:
        first, second = await node.stock(f"{stand.url}/ag-ui", step, step, thread=thread)

    assert first["text"] == second["text"] == SIXTY
    assert (alone, agent.runs - alone) == (2, 1)


async def test_stop(node: Node, tmp_path: Path) -> None:
    run, thread = new_id(), new_id()
    with langgraph() as framework:
        step = {"runId": run, "prompt": "without end", "stopAfter": 200}
        await node.stock(f"{framework.url}/agent", step, thread=thread, returns=False)
        said = framework.seen["words"]
        for _ in tries(20, 0.1):
            if framework.seen["words"] > said + 10:
                break
            await asyncio.sleep(0.1)
        alone = framework.seen["words"]
        options = ("--agent=ag-ui", f"--agent-url={framework.url}/agent", "--ag-ui", *UNHURRIED)
        with served(tmp_path, *options) as stand:
            await node.stock(f"{stand.url}/ag-ui", step, thread=new_id())
            limits = stand.ask("GET", "/.well-known/runwire").json["limits"]
            for _ in tries(limits["cancel_deadline_ms"] / 1000, 0.1):
                if (told := stand.ask("GET", f"/v1/runs/{run}").json)["status"] != "running":
                    break
                await asyncio.sleep(0.1)
            with stand.connection() as socket:
                socket.send(json.dumps({"type": "resume", "run_id": run, "after": told["seq"] - 1}))
                events = [json.loads(socket.recv(patience(20))) for _ in range(2)]

    assert alone > said + 10, "the agent works on, and nobody can tell it to stop"
    assert told["status"] == "cancelled", "the stop did not end the run within the deadline"
    assert (events[1]["type"], events[1]["status"], events[1]["reason"]) == ("done", "cancelled", "user")


async def test_silent_tool(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    kind = PROXIES["nginx"]
    require_program(kind.program, kind.package)
    step = {"runId": new_id(), "prompt": "silent"}
    with on_runwire(agent, tmp_path) as stand:
        async with behind(kind, agent.base) as bare, behind(kind, stand.url) as carried:
            (alone,), (seen,) = await asyncio.gather(
                node.stock(f"{bare}/agent", step, thread=new_id(), returns=False),
                node.stock(f"{carried}/ag-ui", step, thread=new_id(), returns=False),
            )

    assert (alone["terminals"], alone["text"]) == ([], "")
    assert (seen["text"], seen["terminals"][0]["outcome"]) == (SIXTY, {"type": "success"})


async def test_truncated_upstream(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    step = {"runId": new_id(), "prompt": "truncated"}
    (alone,) = await node.stock(agent.url, step, thread=new_id(), returns=False)
    with on_runwire(agent, tmp_path) as stand:
        (seen,) = await node.stock(f"{stand.url}/ag-ui", step, thread=new_id())

    assert (alone["failed"], alone["terminals"]) == (None, []), "the client reports a success"
    (terminal,) = seen["terminals"]
    assert (terminal["type"], terminal["code"]) == ("RUN_ERROR", "upstream_error")
    assert seen["text"] == alone["text"]


@contextlib.contextmanager
def server_on(agent: PlainAgent, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server in front of an agent, as a process that can be told to stop, and give its URL."""
    arguments = [*command(), "--agent=ag-ui", f"--agent-url={agent.url}", "--ag-ui", *UNHURRIED, *options]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield server, listening(server)
    finally:
        server.kill()
        server.communicate(timeout=patience(20))


async def test_drain(agent: PlainAgent, node: Node) -> None:
    step = {"runId": new_id(), "prompt": "long"}
    alone = asyncio.create_task(node.stock(agent.url, step, thread=new_id(), returns=False))
    await began(agent, 1)
    agent.process.send_signal(signal.SIGTERM)
    (cut,) = await alone
    with plain_agent() as other, server_on(other, "--drain-s=1") as (server, url):
        seen = asyncio.create_task(node.stock(f"{url}/ag-ui", step, thread=new_id()))
        await began(other, 1)
        server.send_signal(signal.SIGTERM)
        (drained,) = await seen

    assert cut["terminals"] == []
    assert [(one["type"], one["code"]) for one in drained["terminals"]] == [("RUN_ERROR", "worker_lost")]
    assert drained["terminals"][0]["metadata"] == {"runwire": {"retryable": True}}


async def began(agent: PlainAgent, runs: int) -> None:
    """Wait until the agent was started so often, and has said something."""
    for _ in tries(20, 0.1):
        if agent.runs >= runs:
            break
        await asyncio.sleep(0.1)
    assert agent.runs == runs
    await asyncio.sleep(0.5)  # its first words are on their way


async def test_approval_across_a_reload(agent: PlainAgent, node: Node, tmp_path: Path) -> None:
    run, thread = new_id(), new_id()
    asking, reloading = {"runId": run, "prompt": "ask"}, {"runId": run, "anew": True}
    approving = {"approve": {"approved": True}}
    _, alone = await node.stock(agent.url, asking, reloading, thread=thread, returns=False)
    before = agent.runs
    with on_runwire(agent, tmp_path) as stand:
        url = f"{stand.url}/ag-ui"
        asked, reloaded, approved = await node.stock(url, asking, reloading, approving, thread=thread)

    assert (alone["interrupts"], alone["text"]) == ([], SIXTY), (
        "asking again starts another run, which asks nobody"
    )
    assert (reloaded["interrupts"], reloaded["pendingBefore"]) == (asked["interrupts"], 1)
    assert (approved["text"], agent.runs - before) == (SIXTY, 2)


async def test_the_page_of_copilotkit_shows_the_answer(node: Node, tmp_path: Path) -> None:
    installed("@ag-ui/client@1.0.0", "@copilotkit/core@1.75.0")
    (code,) = re.findall(r"```js\n// copilotkit\.mjs\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (node.folder / "copilotkit.mjs").write_text(code.replace('"runwire/ag-ui"', '"./src/ag_ui.js"'))
    with served(tmp_path, "--ag-ui") as stand:
        process = await asyncio.create_subprocess_exec(
            node.program,
            "copilotkit.mjs",
            f"{stand.url}/ag-ui",
            script({"token": "Hel"}, {"wait_ms": 100}, {"token": "lo"}),
            cwd=node.folder,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(patience(60)):
            out, _ = await process.communicate()

    assert out.decode().splitlines()[-1] == "Hello"


def test_the_table_has_these_rows() -> None:
    table = (
        PAGE.read_text(encoding="utf-8")
        .partition("| AG-UI alone | AG-UI on Runwire |")[2]
        .partition("\n\n")[0]
    )

    rows = re.findall(r"^\| \*\*(.+?)\*\*", table, re.MULTILINE)

    shown = [name for name in globals() if name.startswith("test_") and not name.startswith("test_the_")]
    assert [f"test_{row.lower().replace(' ', '_').replace('-', '_')}" for row in rows] == shown
