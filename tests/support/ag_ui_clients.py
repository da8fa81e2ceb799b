"""Real clients and agents of AG-UI as processes: the stock client, a page's client of Runwire, a LangGraph agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.proof.relays import Carried, Relay
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.pip_stand import python_with
from tests.support.programs import require_program

SUPPORT = Path(__file__).parent
CLIENT = SUPPORT.parents[1] / "clients/javascript"

WORDS = "".join(f"w{place} " for place in range(114))
"""What the LangGraph agent answers."""

CUT_S = 0.7


class Cutting(Relay):
    """Each connection is reset 0.7 s after it was opened."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.cuts = 0

    async def down(self, carried: Carried) -> None:
        try:
            async with asyncio.timeout(CUT_S):
                await super().down(carried)
        except TimeoutError:
            self.cuts += 1
            carried.reset()
            raise ConnectionResetError from None


@dataclass(frozen=True, slots=True)
class Node:
    """A folder from which Node runs the clients."""

    program: str
    folder: Path

    async def _run(self, script: str, told: dict[str, Any]) -> list[dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            self.program,
            "--experimental-websocket",
            script,
            json.dumps(told),
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(patience(120)):
                out, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, complaint.decode()
        return [json.loads(line) for line in out.decode().splitlines()]

    async def stock(
        self, url: str, *steps: dict[str, Any], thread: str, returns: bool = True
    ) -> list[dict[str, Any]]:
        """Have the stock client take some steps; returns what it saw in each."""
        told = {"url": url, "threadId": thread, "steps": steps, "returns": returns}
        return await self._run("stock_ag_ui.mjs", told)

    async def watch(self, discovery: str, **options: Any) -> dict[str, Any]:
        """Have a page's client start or follow a run to its end."""
        (seen,) = await self._run("watch_run.mjs", {"discovery": discovery, **options})
        return seen


def node_in(folder: Path) -> Node:
    """Return Node with the stock client and that of Runwire; skips where one is missing."""
    program = require_program("node", apt="nodejs")
    modules = installed("@ag-ui/client@1.0.0")
    shutil.copytree(CLIENT / "src", folder / "src")
    for script in ("stock_ag_ui.mjs", "watch_run.mjs"):
        shutil.copy(SUPPORT / script, folder / script)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(modules)
    return Node(program, folder)


@dataclass(frozen=True, slots=True)
class LangGraph:
    """A LangGraph agent behind the framework's own endpoint."""

    url: str

    @property
    def seen(self) -> dict[str, Any]:
        """What model and tool did so far."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=patience(20)) as answer:
            seen: dict[str, Any] = json.load(answer)
            return seen


@contextlib.contextmanager
def langgraph() -> Iterator[LangGraph]:
    """Run the agent; skips where the framework cannot be installed."""
    python = python_with("ag-ui-langgraph==0.0.47", "ag-ui-protocol==1.0.0", "fastapi", "uvicorn")
    server = subprocess.Popen(
        [python, SUPPORT / "langgraph_agent.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        yield LangGraph(server.stdout.readline().strip())
    finally:
        server.kill()
        server.communicate(timeout=patience(20))


@contextlib.asynccontextmanager
async def cut(url: str) -> AsyncIterator[str]:
    """Give the URL of a line to a server that breaks every 0.7 s, and did so at least once in the end."""
    relay = Cutting(url)
    async with relay.listening() as listening:
        yield listening
    assert relay.cuts
