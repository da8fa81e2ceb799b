"""`runwire validate` on HAR files: one that Chromium makes now, and one kept from its network panel."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from runwire_conformance.tools.formats.recording import Recording, Unreadable
from runwire_conformance.tools.validate import read, validate_file
from tests.support.browsers import FLAGS, served_page
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

KEPT = Path(__file__).parent / "har" / "network-panel.har"

SCRIPT = json.dumps({"runwire_script": [{"thinking": "hm"}, {"token": "ü"}, {"token": "x"}]})
PAGE = """<!doctype html><meta charset="utf-8"><p id="end"></p>
<script>
  const server = "%s", prompt = %s, runs = server + "/v1/runs";
  const post = (accept) => fetch(runs, {method: "POST", body: JSON.stringify({prompt}),
    headers: {"Content-Type": "application/json", Accept: accept}});
  const socket = new WebSocket(server.replace("http", "ws") + "/ws/generate");
  socket.onopen = () => socket.send(JSON.stringify({prompt}));
  socket.onmessage = async ({data}) => {
    if (JSON.parse(data).type !== "done") return;
    socket.close();
    await (await post("text/event-stream")).text();
    const {run_id} = await (await post("application/json")).json();
    const source = new EventSource(`${runs}/${run_id}/events`);
    // The body of a stream is kept when it ended; the server ends it, and then the source is told by its onerror.
    source.onerror = () => { source.close(); document.getElementById("end").textContent = "end"; };
  };
</script>
"""


@pytest.fixture(scope="module")
def recorded(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HAR file that Chromium wrote while a page talked to the reference server in three ways."""
    chromium = require_program("chromium", apt="chromium")
    folder = tmp_path_factory.mktemp("har")

    async def play(url: str) -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            context = await browser.new_context(
                record_har_path=folder / "page.har", record_har_content="embed"
            )
            page = await context.new_page()
            await page.goto(url)
            await page.wait_for_function(
                "document.getElementById('end').textContent", timeout=patience(20_000)
            )
            await context.close()
            await browser.close()

    with served_page(folder / "page", PAGE % (server_url, json.dumps(SCRIPT))) as url:
        asyncio.run(play(url))
    return folder / "page.har"


def test_a_har_file_of_chromium_holds_three_conversations_and_no_fault(recorded: Path) -> None:
    recording = read(str(recorded))

    assert isinstance(recording, Recording)
    traces = [one.trace for one in recording.connections]
    assert [trace.transport for trace in traces] == ["websocket", "sse", "sse"]
    assert [trace.title.split()[0] for trace in traces[1:]] == ["POST", "GET"]
    for trace in traces:
        answer = "".join(m["data"] for m in trace.messages("server") if m.type == "token")
        assert answer == "üx"
    assert validate_file(str(recorded)) == []


def test_the_kept_file_of_the_network_panel_has_no_fault() -> None:
    assert validate_file(str(KEPT)) == []


def broken(tmp_path: Path, change: Any) -> list[str]:
    """Return what is said of the kept file after a change."""
    har = copy.deepcopy(json.loads(KEPT.read_text()))
    change(har["log"]["entries"])
    (tmp_path / "page.har").write_text(json.dumps(har))
    name = str(tmp_path / "page.har")
    return [str(problem).removeprefix(f"{name}: ") for problem in validate_file(name)]


def test_a_fault_on_a_socket_is_named_with_entry_and_message(tmp_path: Path) -> None:
    def second_terminal(entries: list[Any]) -> None:
        messages = entries[1]["_webSocketMessages"]
        messages.append(messages[-1])

    said = broken(tmp_path, second_terminal)

    last = len(json.loads(KEPT.read_text())["log"]["entries"][1]["_webSocketMessages"])
    told = "done with seq 4 in a run, after the done with seq 4 had ended it"
    assert f"log.entries[1]._webSocketMessages[{last}]: [RUN-4] {told}" in said


def test_a_fault_in_a_stream_is_named_with_entry_and_event(tmp_path: Path) -> None:
    def event_line(entries: list[Any]) -> None:
        content = entries[2]["response"]["content"]
        content["text"] = content["text"].replace('data: {"type":"done"', 'event: end\ndata: {"type":"done"')

    assert broken(tmp_path, event_line) == ["log.entries[2].response.content event 5: [SSE-8] an event line"]


def test_a_fault_of_the_page_names_its_role(tmp_path: Path) -> None:
    def null(entries: list[Any]) -> None:
        entries[1]["_webSocketMessages"][0]["data"] = '{"prompt":"x","session_id":null}'

    said = broken(tmp_path, null)

    assert any(
        "_webSocketMessages[0]: [MSG-21] the client: session_id of start is null" in line for line in said
    )


@pytest.mark.parametrize("other", [False, True], ids=["the same server", "another server"])
def test_servers_of_one_file_are_judged_apart(tmp_path: Path, other: bool) -> None:
    def again(entries: list[Any]) -> None:
        entry = copy.deepcopy(entries[1])
        if other:
            entry["request"]["url"] = "ws://another.example/ws/generate"
        entries.append(entry)

    same_name = [line for line in broken(tmp_path, again) if "[CONN-18]" in line]

    assert bool(same_name) is not other


def test_a_body_in_base64_is_read_the_same(tmp_path: Path) -> None:
    import base64

    def encoded(entries: list[Any]) -> None:
        content = entries[2]["response"]["content"]
        content |= {"encoding": "base64", "text": base64.b64encode(content["text"].encode()).decode()}

    assert broken(tmp_path, encoded) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries.__delitem__(slice(1, None)), "no conversation of Runwire"),
        (lambda entries: entries.__setitem__(slice(None), [7]), "log.entries[0]: is no object"),
    ],
)
def test_a_file_without_a_conversation_is_told_apart(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        broken(tmp_path, change)

    assert words in str(refused.value)
