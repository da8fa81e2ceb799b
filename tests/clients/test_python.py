"""The Python client: the scenarios of the JavaScript client, and what is Python's alone."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from runwire_client import Run
from runwire_client.event_reader import EventReader
from runwire_client.problem import RunwireError, problem_of
from runwire_client.retry import MOST_BACKOFF_S, Retry
from runwire_client.server import _resolved
from tests.support.patience import patience
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
WORDS = [f"word{number} " for number in range(30)]
SCRIPT = json.dumps(
    {"runwire_script": [step for word in WORDS for step in ({"token": word}, {"wait_ms": 5})]}
)


@pytest.mark.whole
def test_it_keeps_the_rules() -> None:
    node = require_program("node", apt="nodejs")
    played = subprocess.run(
        [node, "clients/javascript/tests/of_a_command.js", sys.executable, "-m", "tests.clients.play"],
        cwd=ROOT, capture_output=True, text=True, timeout=patience(300), check=False,
    )  # fmt: skip

    failed = re.findall(r"^not ok .*(?:\n .*)*", played.stdout, re.MULTILINE)
    assert (played.returncode, failed) == (0, []), played.stderr
    assert played.stdout.count("ok ") > 50


@pytest.mark.whole
@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_run_is_whole_however_often_it_is_dropped(server_url: str, transport: Any) -> None:
    async def play() -> tuple[str, Run]:
        text = ""
        async with Run(SCRIPT, discovery=server_url, transport=transport) as run:
            async for event in run:
                text += event.get("data", "") if event["type"] == "token" else ""
                if event["seq"] % 10 == 0:
                    run.drop()
            return text, await run.finished

    text, run = asyncio.run(play())

    assert text == run.text == "".join(WORDS)
    assert run.ended is not None and run.ended["status"] == "completed"
    assert (run.failure, run.transport, run.state) == (None, transport, "ended")


@pytest.mark.whole
def test_a_question_is_asked_again_when_its_answer_was_refused(server_url: str) -> None:
    steps = [
        {"input_request": {"request_id": "q1", "kind": "approval", "data": "Send?"}},
        {"echo_input": "q1"},
    ]

    async def play() -> tuple[list[Any], str]:
        notices: list[Any] = []
        run = Run(json.dumps({"runwire_script": steps}), discovery=server_url)

        def refused(notice: dict[str, Any]) -> None:
            notices.append((notice["code"], notice["request_id"]))
            run.answer(notice["request_id"], True)

        run.on("notice", refused)
        async for event in run:
            if event["type"] == "input_request":
                run.answer(event["request_id"], "certainly")
        return notices, run.text

    assert asyncio.run(play()) == ([("bad_request", "q1")], "true")


@pytest.mark.whole
def test_who_leaves_after_a_cancel_has_sent_it(server_url: str) -> None:
    script = json.dumps({"runwire_script": [{"token": "a"}, {"wait_ms": 60_000}]})

    async def play() -> Run:
        async with Run(script, discovery=server_url, on_disconnect="continue") as first:
            async for _ in first:
                first.cancel()
                break
        return await Run(None, discovery=server_url, run_id=first.id).finished

    ended = asyncio.run(play()).ended

    assert ended is not None and (ended["status"], ended["reason"]) == ("cancelled", "user")


def test_two_that_iterate_both_come_to_the_end() -> None:
    async def play() -> list[list[Any]]:
        run = Run("x", discovery="http://127.0.0.1:9")
        run.cancel()  # before it began

        async def events() -> list[Any]:
            return [event async for event in run]

        async with asyncio.timeout(patience(20)):
            return await asyncio.gather(events(), events())

    assert asyncio.run(play()) == [[], []]


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "/v1"])
def test_what_is_no_url_of_a_server_is_said(url: str) -> None:
    async def play() -> None:
        Run("x", discovery=url)

    with pytest.raises(ValueError, match="has to be a URL of a server"):
        asyncio.run(play())


def test_a_token_that_cannot_be_had_is_a_failure() -> None:
    def broken(_: str | None) -> str:
        raise OSError("no key chain")

    async def play() -> Run:
        return await Run("x", discovery="http://127.0.0.1:9", token=broken).finished

    failure = asyncio.run(play()).failure

    assert failure is not None and failure.code == "unauthorized" and "no key chain" in str(failure)


def test_waits_grow_and_are_spread_over_their_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr("random.uniform", lambda low, high: asked.append((low, high)) or high)
    retry = Retry()

    waits = [retry.delay(7, at_once=True), *(retry.delay(7, at_once=True) for _ in range(9))]

    assert waits[0] == 0 and waits[1:] == sorted(waits[1:])
    assert waits[1] < waits[3] < waits[-1] == MOST_BACKOFF_S
    assert {low for low, _ in asked} == {0.0}
    assert retry.delay(8, at_once=True, least_s=2) == 2


@pytest.mark.parametrize(
    ("status", "after", "body", "retryable", "wait"),
    [
        (503, "7", b"<h1>busy</h1>", True, 7),
        (503, "", b'{"code":"unavailable","retryable":true,"retry_after_ms":1500}', True, 1.5),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", b"", True, 0),
        (503, "9" * 400, b"", True, 24 * 3600),
        (404, "x" * 9, b"[" * 100_000, True, 0),
        (400, "", b'{"code":"bad_request","retryable":1}', False, 0),
    ],
)
def test_a_refusal_says_when_to_come_back(
    status: int, after: str, body: bytes, retryable: bool, wait: float
) -> None:
    problem = problem_of(status, after, body)

    assert (problem.retryable, problem.retry_after_s) == (retryable, wait)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_stream_is_read_as_it_is_cut(size: int) -> None:
    text = "\ufeffdata: é\r\n\r\n: hm\rdata:a\rdata: b\u2028c\r\r\n\nid: 7\n\ndata\n\ndata: cut"
    data, reader = text.encode(), EventReader()

    events = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]

    assert events == ["é", "a\nb\u2028c", ""]


@pytest.mark.parametrize("line", [b"x" * 1_000_000, b"data: " + b"x" * 999_000 + b"\n"])
def test_an_event_without_an_end_is_given_up(line: bytes) -> None:
    reader = EventReader()

    with pytest.raises(RunwireError, match="without end"):
        for _ in range(20):
            reader.feed(line)


@pytest.mark.parametrize("where", ["http://[::1", "http://127.0.0.1:99999/", "file:///etc/passwd", "http://"])
def test_a_redirect_to_what_is_no_url_is_said(where: str) -> None:
    class Moved(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    async def play(url: str) -> Run:
        async with asyncio.timeout(patience(20)):
            return await Run("x", discovery=url).finished

    with ThreadingHTTPServer(("127.0.0.1", 0), Moved) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        failure = asyncio.run(play(f"http://127.0.0.1:{server.server_port}")).failure
        server.shutdown()

    assert failure is not None and failure.code == "unsupported"


@pytest.mark.parametrize(
    ("where", "url"),
    [
        ("../v1/runs", "http://h:1/v1/runs"),
        ("//h:1/x/../v1/./runs", "http://h:1/v1/runs"),
        ("http://h:1/../a//b/../c?x=/../y", "http://h:1/a//c?x=/../y"),
    ],
)
def test_dot_segments_of_an_endpoint_are_removed_whatever_it_names(where: str, url: str) -> None:
    """RFC 3986, 5.2.4."""
    assert _resolved("http://h:1/.well-known/runwire", "runs", where) == url
