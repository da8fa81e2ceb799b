"""Readers that take nothing or little: what they cost, and that nobody else notices."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.auth_stand import HANDSHAKE
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience, tries

pytestmark = pytest.mark.whole

#: What the run says: 20 MB in pieces of a hundred kilobytes, so that a page of entries is all of it.
PIECES, PIECE = 200, "x" * 100_000
SCRIPT = json.dumps({"runwire_script": [{"repeat": PIECES, "steps": [{"token": PIECE}]}]})
RUN_ID = "mZ0bV4cQ2Jt8uY6wK1xR3A"

BUFFER = 262144
BLOCKED = 4  # readers of each transport


@contextlib.contextmanager
def serving(**limits: float) -> Iterator[tuple[str, int]]:
    """Run a server of its own; yields its URL and process id."""
    given = {"log_bytes": 64_000_000, "send_buffer_bytes": BUFFER, "run_s": 60, "pong_timeout_s": 3}
    server = subprocess.Popen(command(**(given | limits)), stdout=subprocess.PIPE, text=True)
    try:
        yield listening(server), server.pid
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def peak_bytes(pid: int) -> int:
    """Return the most memory a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024


def asking(url: str, head: str, *headers: tuple[str, str]) -> socket.socket:
    """Return a socket with a small buffer of its own that has sent a request and reads nothing."""
    address = url.removeprefix("http://")
    host, _, port = address.partition(":")
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    peer.settimeout(patience(20))
    peer.connect((host, int(port)))
    lines = [head, f"Host: {address}", *(f"{name}: {value}" for name, value in headers), "", ""]
    peer.sendall("\r\n".join(lines).encode())
    return peer


def blocked_websocket(url: str) -> socket.socket:
    """Resume the run on a WebSocket that reads the handshake and nothing else."""
    peer = asking(url, "GET /ws/generate HTTP/1.1", *HANDSHAKE)
    assert peer.recv(12) == b"HTTP/1.1 101"
    message = json.dumps({"type": "resume", "run_id": RUN_ID, "after": 0}).encode()
    peer.sendall(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    return peer


def blocked_stream(url: str) -> socket.socket:
    """Ask for the events of the run and read nothing."""
    return asking(url, f"GET /v1/runs/{RUN_ID}/events HTTP/1.1", ("Accept", "text/event-stream"))


def watched(url: str, after_start: contextlib.ExitStack | None = None) -> int:
    """Play the run for a reader that takes everything, with blocked ones beside it; return what the reader got."""
    got = 0
    with connect(f"{url.replace('http', 'ws', 1)}/ws/generate", compression=None, max_size=None) as reader:
        reader.send(json.dumps({"prompt": SCRIPT, "run_id": RUN_ID, "on_disconnect": "continue"}))
        while (message := json.loads(reader.recv(timeout=patience(30))))["type"] != "done":
            if message["type"] == "started" and after_start is not None:
                for _ in range(BLOCKED):
                    after_start.enter_context(blocked_websocket(url))
                    after_start.enter_context(blocked_stream(url))
            got += len(message.get("data", ""))
    return got


def sample(url: str, name: str) -> float:
    """Return the value of a metric."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=patience(10)) as response:
        lines = response.read().decode().splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), 0.0)


def test_readers_that_never_read_cost_a_bounded_buffer_each_and_are_dropped() -> None:
    with serving() as (url, pid):
        assert watched(url) == PIECES * len(PIECE)
        alone = peak_bytes(pid)

    with serving() as (url, pid), contextlib.ExitStack() as blocked:
        assert watched(url, blocked) == PIECES * len(PIECE)
        for _ in tries(30, 0.02):
            if sample(url, "runwire_slow_readers_total") == 2 * BLOCKED:
                break
            time.sleep(0.02)
        beside_blocked = peak_bytes(pid)

        assert sample(url, 'runwire_disconnects_total{reason="slow"}') == 2 * BLOCKED
        assert sample(url, 'runwire_connections{transport="sse"}') == 0

    # Unbounded, they would hold 20 MB each. What is written to one is a page, or an event.
    assert beside_blocked - alone < 2 * BLOCKED * BUFFER + 8_000_000


def test_a_stream_that_is_read_slowly_is_not_dropped() -> None:
    with serving(pong_timeout_s=1) as (url, _):
        watched(url)
        with blocked_stream(url) as peer:
            taken = 0
            until = time.monotonic() + 6
            while time.monotonic() < until:
                piece = peer.recv(2048)
                assert piece, f"dropped after {taken} bytes"
                taken += len(piece)
                time.sleep(0.05)

        assert sample(url, 'runwire_disconnects_total{reason="slow"}') == 0


@pytest.mark.parametrize("blocked", [blocked_websocket, blocked_stream])
def test_a_drain_waits_for_readers_that_lag(blocked: Callable[[str], socket.socket]) -> None:
    transport = "websocket" if blocked is blocked_websocket else "sse"
    with serving(drain_s=60, pong_timeout_s=60) as (url, pid):
        watched(url)
        with blocked(url) as peer:
            for _ in tries(20, 0.05):
                if sample(url, f'runwire_connections{{transport="{transport}"}}') == 1:
                    break
                time.sleep(0.05)
            os.kill(pid, signal.SIGTERM)
            time.sleep(3.5)  # any time above what a server that does not wait takes to end
            said = b""
            while piece := peer.recv(65536):
                said = said[-PIECES:] + piece
                if b'"type":"done"' in said:
                    break
        assert b'"type":"done"' in said


def test_replays_are_rationed_whichever_way_they_are_asked_for() -> None:
    """One way uses up what the caller has, and no other brings more."""
    start = json.dumps(
        {"prompt": json.dumps({"runwire_script": [{"token": "x" * 1000}] * 55}), "run_id": RUN_ID}
    )
    with serving(log_bytes=65_536, max_event_bytes=8192) as (url, _):
        asked = f"{url.replace('http', 'ws', 1)}/ws/generate"
        again = {
            "start over SSE": lambda: posted(url, start),
            "text": lambda: posted(f"{url}/v1/runs/{RUN_ID}", None, "application/json"),
            "poll": lambda: posted(f"{url}/v1/runs/{RUN_ID}/events", None, "application/json"),
            "events": lambda: posted(f"{url}/v1/runs/{RUN_ID}/events", None),
            "resume": lambda: answered(asked, json.dumps({"type": "resume", "run_id": RUN_ID, "after": 0})),
            "start": lambda: answered(asked, start),
        }
        assert posted(url, start) == 200
        codes = [again["events"]() for _ in range(12)]
        assert (codes[:5], codes[-1]) == ([200] * 5, 429)
        assert {name: ask() for name, ask in again.items()} == {
            "start over SSE": 429,
            "text": 429,
            "poll": 429,
            "events": 429,
            "resume": "rate_limited",
            "start": "rate_limited",
        }


def posted(url: str, body: str | None, accepted: str = "text/event-stream") -> int:
    """Ask for a stream, or for what is `accepted` in its place, and read it; return the status."""
    path = url if body is None else f"{url}/v1/runs"
    headers = {"Accept": accepted, "Content-Type": "application/json"}
    call = urllib.request.Request(path, body.encode() if body is not None else None, headers)
    try:
        with urllib.request.urlopen(call, timeout=patience(20)) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def answered(url: str, text: str) -> str:
    """Send a message on a connection of its own; return the type of its answer, or the code that it is refused with."""
    with connect(url, compression=None) as socket:
        socket.recv(timeout=patience(20))
        socket.send(text)
        answer = json.loads(socket.recv(timeout=patience(20)))
        return str(answer.get("code", answer["type"]))
