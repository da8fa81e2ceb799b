"""A LangGraph agent with a tool and an interrupt, in front of it Runwire, watched by every kind of client.

Two servers stand in a row: one beside the agent, as its framework's endpoint can be asked only once, and one behind a
line that breaks every 0.7 s. Between that one and its clients the line breaks as often.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright, expect

from tests.support.ag_ui_clients import CLIENT, WORDS, LangGraph, Node, cut, langgraph, node_in
from tests.support.ag_ui_stand import UNHURRIED, new_id
from tests.support.auth_stand import Stand, served
from tests.support.browsers import FLAGS, served_page
from tests.support.commands import RUNWIRE
from tests.support.patience import patience, tries
from tests.support.programs import require_program

pytestmark = [pytest.mark.whole, pytest.mark.anyio]


@pytest.fixture(scope="module")
def agent() -> Iterator[LangGraph]:
    with langgraph() as agent:
        yield agent


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return node_in(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def beside(agent: LangGraph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The server beside the agent."""
    options = ("--agent=ag-ui", f"--agent-url={agent.url}/agent", "--ag-ui", *UNHURRIED)
    with served(tmp_path_factory.mktemp("beside"), *options) as stand:
        yield stand


def behind(line: str, folder: Path, *options: str) -> Any:
    """Run the server behind a line."""
    return served(folder, "--agent=ag-ui", f"--agent-url={line}/ag-ui", "--ag-ui", *UNHURRIED, *options)


#: A page that follows a run and shows its text, and that it has ended.
FOLLOWING = """<!doctype html><pre id="text"></pre><output id="end"></output>
<script type="module">
  import { Run } from "./src/runwire.js";
  const [discovery, runId] = decodeURIComponent(location.hash.slice(1)).split(" ");
  const run = new Run(null, { discovery, runId });
  run.addEventListener("event", () => { document.getElementById("text").textContent = run.text; });
  await run.finished;
  document.getElementById("end").textContent = run.ended?.status ?? String(run.failure);
</script>"""


async def shown_in_chromium(page_url: str, discovery: str, run: str) -> tuple[str | None, str | None]:
    """Return the text and the end that a page in a browser shows of a run."""
    chromium = require_program("chromium", apt="chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page()
        await page.goto(f"{page_url}#{discovery}%20{run}")
        await expect(page.locator("#end")).not_to_be_empty(timeout=patience(60_000))
        shown = await page.text_content("#text"), await page.text_content("#end")
        await browser.close()
    return shown


async def tried(url: str, prompt: str) -> str:
    """Return what `runwire try` shows."""
    process = await asyncio.create_subprocess_exec(
        RUNWIRE, "try", url, prompt,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(patience(120)):
        out, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return out.decode()


async def test_every_client_sees_the_whole_answer_over_lines_that_break(
    agent: LangGraph, beside: Stand, node: Node, tmp_path: Path
) -> None:
    before = agent.seen
    run, thread = new_id(), new_id()
    async with contextlib.AsyncExitStack() as stands:
        line = await stands.enter_async_context(cut(beside.url))
        page_url = stands.enter_context(served_page(tmp_path / "page", FOLLOWING))
        shutil.copytree(CLIENT / "src", tmp_path / "page/src")
        origin = page_url.removesuffix("/index.html")
        stand = stands.enter_context(behind(line, tmp_path, f"--allow-origin={origin}"))
        url = await stands.enter_async_context(cut(stand.url))
        starting = {"discovery": url, "prompt": "please transfer", "runId": run, "sessionId": thread}
        watching = asyncio.create_task(node.watch(**starting))
        await status_at(stand, run, "waiting")
        browsing = asyncio.create_task(shown_in_chromium(page_url, url, run))
        approving = [{"runId": run}, {"runId": run, "anew": True}, {"approve": {"approved": True}}]
        asked, reloaded, approved = await node.stock(f"{url}/ag-ui", *approving, thread=thread)
        watched, browser = await watching, await browsing
        again = await node.watch(discovery=url, runId=run, transport="sse")
        terminal = await tried(url, "hello")

    assert [asked["text"], reloaded["text"]] == ["", ""]
    assert asked["interrupts"] == reloaded["interrupts"]
    assert [one["message"] for one in reloaded["interrupts"]] == ["Transfer $50?"]
    assert approved["text"] == watched["text"] == again["text"] == WORDS
    assert (approved["failed"], approved["terminals"][-1]["outcome"]) == (None, {"type": "success"})
    assert watched["ended"]["status"] == "completed"
    assert browser == (WORDS, "completed")
    assert watched["ended"]["usage"] == {"input_tokens": 20, "output_tokens": 10, "cached_input_tokens": 8}
    assert WORDS.strip() in " ".join(terminal.split())
    after = agent.seen
    assert (after["answers"] - before["answers"], after["transfers"] - before["transfers"]) == (2, 1)


async def test_a_second_turn_knows_the_first(agent: LangGraph, beside: Stand, node: Node) -> None:
    thread = new_id()
    for prompt in ("first", "second"):
        seen = await node.watch(beside.url, prompt=prompt, runId=new_id(), sessionId=thread)
        assert seen["text"] == WORDS

    assert agent.seen["prompts"][-1] == ["first", "second"]


async def test_a_stop_ends_the_run_on_both_servers(beside: Stand, node: Node, tmp_path: Path) -> None:
    run, thread = new_id(), new_id()
    async with cut(beside.url) as line:
        with behind(line, tmp_path) as stand:
            stopping = {"runId": run, "prompt": "without end", "stopAfter": 200}
            (seen,) = await node.stock(f"{stand.url}/ag-ui", stopping, thread=thread)
            for server in (stand, beside):
                await status_at(server, run, "cancelled", within_s=cancel_deadline_s(server))

    assert len(seen["text"]) >= 200


def cancel_deadline_s(stand: Stand) -> float:
    """Return the seconds within which a server ends a run that is cancelled, as it advertises."""
    deadline_ms: float = stand.ask("GET", "/.well-known/runwire").json["limits"]["cancel_deadline_ms"]
    return deadline_ms / 1000


async def status_at(stand: Stand, run: str, *wanted: str, within_s: float = 30.0) -> str:
    """Return the status of a run once it is one of these."""
    for _ in tries(within_s, 0.1):
        status: str = stand.ask("GET", f"/v1/runs/{run}").json.get("status", "")
        if status in wanted:
            return status
        await asyncio.sleep(0.1)
    raise AssertionError(f"the run is {status}")


async def test_an_endpoint_that_asks_by_a_custom_event_alone_is_answered(
    agent: LangGraph, node: Node, tmp_path: Path
) -> None:
    run, thread = new_id(), new_id()
    options = ("--agent=ag-ui", f"--agent-url={agent.url}/legacy", "--ag-ui", *UNHURRIED)
    with served(tmp_path, *options) as stand:
        steps = [{"runId": run, "prompt": "please transfer"}, {"approve": {"approved": True}}]
        asked, approved = await node.stock(f"{stand.url}/ag-ui", *steps, thread=thread)

    assert [one["message"] for one in asked["interrupts"]] == ["Transfer $50?"]
    assert approved["text"] == WORDS
