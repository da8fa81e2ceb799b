"""`runwire try`: exact text through drops and fallbacks, questions, Ctrl-C, and what a terminal must not obey."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runwire_conformance.client.target import Options
from runwire_conformance.tools.terminal.answers import InteractiveDisplay, NoAnswer, answer_to, followed
from runwire_conformance.tools.terminal.following import GaveUp, begun, ended
from runwire_conformance.tools.terminal.screen import Plain, Screen, harmless
from tests.support.patience import patience

pytestmark = pytest.mark.whole

RUNWIRE = str(Path(sys.executable).parent / "runwire")
WORDS = [f"word{number} " for number in range(40)]
TEXT = "".join(WORDS)
SCRIPT = json.dumps(
    {"runwire_script": [step for word in WORDS for step in ({"token": word}, {"wait_ms": 10})]}
)


class Shown:
    """Keeps what a user would see."""

    def __init__(self) -> None:
        self.text = ""
        self.notes: list[str] = []
        self.noted = lambda: None

    def event(self, message: dict[str, Any]) -> None:
        """Take text in."""
        if message["type"] == "token":
            self.text += message["data"]
        elif message["type"] == "replace":
            self.text = message["data"]

    def control(self, message: dict[str, Any]) -> None:
        """Take a refusal in."""
        self.notes.append(message["data"])

    def note(self, text: str) -> None:
        """Take a note in."""
        self.notes.append(text)
        self.noted()


@asynccontextmanager
async def proxy(upstream: str, *, cut_after: int = 0, block: str = "", hold: str = "") -> AsyncIterator[str]:
    """Stand before a server: cut every connection after so many bytes, refuse or hold back some requests.

    `block` are words of a request that is answered with 502; `hold` of one whose response body never arrives.
    """
    host, port = upstream.removeprefix("http://").split(":")
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int, headers_only: bool
    ) -> None:
        passed, head = 0, b""
        while data := await reader.read(65536):
            if headers_only:
                head += data
                data = head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if b"\r\n\r\n" in head else b""
                headers_only = not data
                writer.write(data)
                if data:
                    await asyncio.sleep(30)
                continue
            passed += len(data)
            if most and passed > most:
                return
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        head = await reader.readuntil(b"\r\n\r\n")
        if block and block.encode() in head:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            return
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        writers.append(up_writer)
        up_writer.write(
            re.sub(rb"(?i)connection: keep-alive", b"Connection: close", head)
        )  # one request each
        cut = cut_after if b"well-known" not in head else 0
        held = bool(hold) and hold.encode() in head
        pumps = [
            asyncio.create_task(pump(reader, up_writer, 0, False)),
            asyncio.create_task(pump(up_reader, writer, cut, held)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in pumps:
                one.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            up_writer.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # an aborted transport closes its socket a turn later


async def travelled(url: str, prompt: str) -> tuple[Shown, dict[str, Any]]:
    """Return what a user saw of a run, and its terminal."""
    shown = Shown()
    async with asyncio.timeout(patience(40)):
        return shown, dict(await ended(await begun(url, prompt, Options(), shown)))


@pytest.mark.parametrize("block", ["", "Upgrade: websocket"], ids=["websocket", "sse"])
def test_the_text_is_exact_however_often_the_connection_breaks(server_url: str, block: str) -> None:
    async def play() -> tuple[Shown, dict[str, Any]]:
        async with proxy(server_url, cut_after=3500, block=block) as url:
            return await travelled(url, SCRIPT)

    shown, terminal = asyncio.run(play())

    assert shown.text == TEXT, shown.notes
    assert terminal["status"] == "completed"
    assert sum("resuming after" in note for note in shown.notes) >= 1, shown.notes
    assert any("falling back to an event stream" in note for note in shown.notes) is bool(block)


def test_a_stream_that_a_proxy_holds_back_is_polled(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_client.http.OPEN_S", 0.5)

    async def play() -> tuple[Shown, dict[str, Any]]:
        async with proxy(server_url, block="Upgrade: websocket", hold="text/event-stream") as url:
            return await travelled(url, SCRIPT)

    shown, terminal = asyncio.run(play())

    assert shown.text == TEXT, shown.notes
    assert terminal["status"] == "completed"
    assert any("a proxy buffers the stream" in note for note in shown.notes)


def test_it_gives_up_where_nothing_comes(monkeypatch: pytest.MonkeyPatch, server_url: str) -> None:
    monkeypatch.setattr("runwire_client.retry.MOST_BACKOFF_S", 0.01)

    async def play() -> None:
        async with proxy(server_url, block="/ws/generate") as url:
            shown = Shown()
            run = await begun(url, "x", Options(), shown)
            run._session.options = replace(run._session.options, transport="websocket")
            with pytest.raises(GaveUp, match="after 8 attempts in a row without progress"):
                await ended(run)
            assert len(shown.notes) == 8

    asyncio.run(play())


@pytest.mark.parametrize(
    ("kind", "line", "data"),
    [
        ("approval", "Y", True),
        ("approval", "no", False),
        ("question", "the first", "the first"),
        ("form", '{"a": 1}', {"a": 1}),
    ],
)
def test_a_line_answers_a_question(kind: str, line: str, data: Any) -> None:
    assert answer_to({"kind": kind}, line) == data


@pytest.mark.parametrize(("kind", "line"), [("approval", "maybe"), ("form", "[1]"), ("form", "{")])
def test_a_line_that_is_no_answer_is_asked_for_again(kind: str, line: str) -> None:
    with pytest.raises(NoAnswer):
        answer_to({"kind": kind}, line)


def test_nothing_that_a_terminal_would_obey_reaches_it() -> None:
    evil = "\x1b[2J\x1b]0;title\x07a\x9b31m\u202eb\r\nc\td"

    assert harmless(evil) == "\ufffd[2J\ufffd]0;title\ufffda\ufffd31m\ufffdb\nc\td"
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=False, width=60))
    for message in (
        {"type": "token", "data": evil},
        {"type": "tool_call", "name": evil, "input": {evil: evil}},
        {"type": "observation", "content": evil},
        {"type": "input_request", "kind": "question", "data": evil},
        {"type": "done", "data": evil, "status": evil},
    ):
        screen.event(message)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out.getvalue())


def test_a_terminal_shows_thinking_dimmed_and_tools_in_boxes() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, color_system="standard", width=40))

    screen.event({"type": "thinking", "content": "hm"})
    screen.event({"type": "tool_call", "call_id": "c", "name": "search", "input": {"q": "[b]x[/b]"}})
    screen.event({"type": "observation", "call_id": "c", "content": "no", "is_error": True})
    screen.event({"type": "token", "data": "[bold]as is[/bold]"})

    written = out.getvalue()
    assert "\x1b[2mhm" in written
    assert "⚙ search" in written and "✗ search" in written and "╭" in written
    assert "[b]x[/b]" in written and "[bold]as is[/bold]" in written


def test_plain_output_is_the_answer_alone() -> None:
    out, aside = io.StringIO(), io.StringIO()
    plain = Plain(out, aside)

    for message in ({"type": "thinking", "content": "hm"}, {"type": "token", "data": "a"}):
        plain.event(message)
    plain.event({"type": "done", "data": "x", "status": "completed"})

    assert out.getvalue() == "a\n"
    assert aside.getvalue() == "thinking: hm\ncompleted\n"


def tried(url: str, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command and return what it wrote."""
    return subprocess.run(
        [RUNWIRE, "try", url, *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        env={**os.environ, "RUNWIRE_TOKEN": ""},
    )


def test_questions_are_answered_from_standard_input(server_url: str) -> None:
    steps = [
        {"input_request": {"request_id": "q1", "kind": "approval", "data": "Send?"}},
        {"input_request": {"request_id": "q2", "kind": "question", "data": "Name?"}},
        {"echo_input": "q1"},
        {"echo_input": "q2"},
    ]

    result = tried(server_url, json.dumps({"runwire_script": steps}), said="maybe\ny\nAda\n")

    assert (result.returncode, result.stdout) == (0, 'true"Ada"\n'), result.stderr
    assert "answer with y or n" in result.stderr


@pytest.mark.parametrize(
    ("prompt", "code", "words"),
    [
        ('{"runwire_script":[{"token":"a"}]}', 0, "completed"),
        ('{"runwire_script":[{"fail":{"code":"agent_error","data":"on purpose"}}]}', 1, "failed: on purpose"),
        ("x" * 2_000_000, 2, "bytes are too many, the server takes 1048576"),
    ],
    ids=["completed", "failed", "too large"],
)
def test_the_exit_code_tells_how_it_ended(server_url: str, prompt: str, code: int, words: str) -> None:
    result = tried(server_url, "-", said=prompt)

    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_cancels(server_url: str) -> None:
    script = json.dumps({"runwire_script": [{"token": "first"}, {"block_ms": 4000}, {"token": "late"}]})
    process = subprocess.Popen(
        [RUNWIRE, "try", server_url, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == "first"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=patience(30))

    assert process.returncode == 130
    assert "late" not in out
    assert "cancelled (user)" in err


def test_a_second_ctrl_c_leaves_a_run_that_does_not_end(server_url: str) -> None:
    script = json.dumps({"runwire_script": [{"token": "first"}, {"block_ms": 4000}]})

    async def play() -> dict[str, Any] | None:
        asked = InteractiveDisplay(shown)
        run = await begun(server_url, script, Options(), asked)
        run.on("event", lambda _: os.kill(os.getpid(), signal.SIGINT))
        shown.noted = lambda: asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        async with asyncio.timeout(patience(20)):
            return await followed(run, asked)

    shown = Shown()

    assert asyncio.run(play()) is None
    assert shown.notes == ["stopping; Ctrl-C again to leave without waiting"]
