"""How runs, streams and the process end: agents that break every rule, a drain, messages that would cost memory."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from runwire_reference_server.agents import (
    AgentError,
    Task,
    done,
    error,
    input_request,
    observation,
    token,
    tool_call,
)
from tests.support.auth_stand import HANDSHAKE, Stand, message, message_of, served
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience

pytestmark = pytest.mark.whole


class Swallowed(Exception):
    """Raised by nobody but the agents below."""


async def raises(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise Swallowed


async def raises_at_once(_task: Task) -> AsyncIterator[Any]:
    raise Swallowed
    yield token("never")


async def cancels_itself(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise asyncio.CancelledError


async def exits(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    sys.exit("over")


async def exits_at_once(_task: Task) -> AsyncIterator[Any]:
    raise SystemExit
    yield token("never")


async def exits_as_a_generator(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise GeneratorExit


async def interrupts(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise KeyboardInterrupt


async def raises_a_group(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise BaseExceptionGroup("several", [SystemExit(), Swallowed()])


async def exits_while_it_is_closed(_task: Task) -> AsyncIterator[Any]:
    try:
        yield done("over")
    finally:
        raise SystemExit


async def goes_on_after_its_end(_task: Task) -> AsyncIterator[Any]:
    yield done("first")
    yield token("late")
    yield done("second")


async def yields_its_failure(_task: Task) -> AsyncIterator[Any]:
    yield error("agent_error", "x", False)
    yield token("late")


async def yields_a_failure_of_no_run(_task: Task) -> AsyncIterator[Any]:
    yield error("unauthorized", "x", True)


async def fails_with_an_unknown_code(_task: Task) -> AsyncIterator[Any]:
    yield token("a")
    raise AgentError("vendor:strange", "x", retryable=True)


async def makes_an_unknown_event(_task: Task) -> AsyncIterator[Any]:
    yield {"type": "tokn", "data": "a"}


async def makes_no_event(_task: Task) -> AsyncIterator[Any]:
    yield "a"


async def makes_a_token_of_a_number(_task: Task) -> AsyncIterator[Any]:
    yield {"type": "token", "data": 5}


async def makes_what_json_cannot_say(_task: Task) -> AsyncIterator[Any]:
    yield observation("c1", object())


async def says_it_is_a_vendor(_task: Task) -> AsyncIterator[Any]:
    yield {"type": "vendor:chart", "points": [1, 2]}


async def calls_with_too_much(_task: Task) -> AsyncIterator[Any]:
    yield tool_call("c1", "t", "x" * 300_000)


async def calls_too_deeply(_task: Task) -> AsyncIterator[Any]:
    arguments: Any = 1
    for _ in range(40):
        arguments = [arguments]
    yield tool_call("c1", "t", arguments)


async def observes_too_much(_task: Task) -> AsyncIterator[Any]:
    yield tool_call("c1", "t", {})
    yield observation("c1", {"rows": ["ü" * 1000] * 1000})


async def shows_too_much(_task: Task) -> AsyncIterator[Any]:
    yield {"type": "vendor:chart", "points": "x" * 300_000}


async def asks_too_much(_task: Task) -> AsyncIterator[Any]:
    yield input_request("q", "form", schema={"title": "x" * 300_000})


async def marks_an_error_with_a_word(_task: Task) -> AsyncIterator[Any]:
    yield tool_call("c1", "t", {})
    yield observation("c1", "x") | {"is_error": "yes"}


async def writes_the_place_itself(_task: Task) -> AsyncIterator[Any]:
    yield token("x") | {"seq": 7}


async def ends_without_a_status(_task: Task) -> AsyncIterator[Any]:
    yield {"type": "done", "data": "x"}


async def ends_with_half_a_character(_task: Task) -> AsyncIterator[Any]:
    yield token("a\ud83d")


async def says_nothing(_task: Task) -> AsyncIterator[Any]:
    yield token("")


ENDS: dict[Callable[[Task], AsyncIterator[Any]], tuple[str, str]] = {
    raises: ("error", "agent_error"),
    raises_at_once: ("error", "agent_error"),
    cancels_itself: ("error", "agent_error"),
    exits: ("error", "agent_error"),
    exits_at_once: ("error", "agent_error"),
    exits_as_a_generator: ("error", "agent_error"),
    interrupts: ("error", "agent_error"),
    raises_a_group: ("error", "agent_error"),
    exits_while_it_is_closed: ("error", "agent_error"),
    goes_on_after_its_end: ("done", "completed"),
    yields_its_failure: ("error", "agent_error"),
    yields_a_failure_of_no_run: ("error", "agent_error"),
    fails_with_an_unknown_code: ("error", "vendor:strange"),
    makes_an_unknown_event: ("error", "agent_error"),
    makes_no_event: ("error", "agent_error"),
    makes_a_token_of_a_number: ("error", "agent_error"),
    makes_what_json_cannot_say: ("error", "agent_error"),
    says_it_is_a_vendor: ("done", "completed"),
    calls_with_too_much: ("error", "payload_too_large"),
    calls_too_deeply: ("error", "payload_too_large"),
    observes_too_much: ("done", "completed"),
    shows_too_much: ("error", "payload_too_large"),
    asks_too_much: ("error", "payload_too_large"),
    marks_an_error_with_a_word: ("error", "agent_error"),
    writes_the_place_itself: ("error", "agent_error"),
    ends_without_a_status: ("error", "agent_error"),
    ends_with_half_a_character: ("done", "completed"),
    says_nothing: ("done", "completed"),
}


class Misbehaving:
    """An agent that misbehaves as its prompt says."""

    def run(self, task: Task) -> AsyncIterator[Any]:
        """Hand the task to the function of that name."""
        return next(function for function in ENDS if function.__name__ == task.prompt)(task)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whose agent misbehaves."""
    folder = tmp_path_factory.mktemp("misbehaving")
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with served(folder, f"--agent={__name__}:Misbehaving", env=env) as running:
        yield running


@pytest.mark.parametrize("agent", ENDS, ids=lambda agent: agent.__name__)
def test_a_run_ends_once_whatever_its_agent_does(stand: Stand, agent: Callable[..., Any]) -> None:
    with stand.connection() as socket:
        socket.send(json.dumps({"prompt": agent.__name__, "id": "s"}))
        events = [message(socket)]
        until = time.monotonic() + 5
        while events[-1]["type"] not in {"done", "error"}:
            assert time.monotonic() < until, events
            events.append(message(socket))
        socket.send('{"type":"heartbeat","id":"after"}')
        after = message_of(socket, "heartbeat", "done", "error", "token")
    log = stand.ask("GET", f"/v1/runs/{events[0]['run_id']}/events", ("Accept", "text/event-stream"))

    end = events[-1]
    assert (end["type"], end.get("code") or end.get("status")) == ENDS[agent]
    assert re.fullmatch("[0-9a-f]{32}", end["trace_id"])
    assert after == {"type": "heartbeat", "re": "after"}
    in_log = [
        json.loads(line) for line in re.findall(r"^id: .*\ndata: (.*)$", log.body.decode(), re.MULTILINE)
    ]
    assert [event["seq"] for event in in_log] == list(range(1, end["seq"] + 1))
    assert [event["type"] in {"done", "error"} for event in in_log] == [False] * (len(in_log) - 1) + [True]
    assert {event["type"] for event in in_log} <= {
        "token", "tool_call", "observation", "vendor:chart", "done", "error",
    }  # fmt: skip


def test_a_drain_ends_streams_cleanly_and_the_process(tmp_path: Path) -> None:
    server = subprocess.Popen(command(drain_s=1), stdout=subprocess.PIPE, text=True)
    try:
        stand = Stand(listening(server), tmp_path)
        script = json.dumps({"runwire_script": [{"token": "a"}, {"wait_ms": 60_000}]})
        body = json.dumps({"prompt": script})
        with stand.dial() as peer:
            head = f"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\nAccept: text/event-stream\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            peer.sendall((head + body).encode())
            said = b""
            while b'"token"' not in said:
                said += peer.recv(65536)
            server.send_signal(signal.SIGTERM)
            while piece := peer.recv(65536):
                said += piece
                if said.endswith(b"0\r\n\r\n"):
                    break
        assert b'"code":"worker_lost"' in said
        assert said.endswith(b"0\r\n\r\n")
        assert server.wait(patience(10)) == 0
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def resident(pid: int) -> int:
    """Return the most memory a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def test_what_is_too_large_is_refused_before_it_costs_memory(tmp_path: Path) -> None:
    server = subprocess.Popen(command(), stdout=subprocess.PIPE, text=True)
    try:
        stand = Stand(listening(server), tmp_path)
        before = resident(server.pid)
        endless_body = stand.raw(
            "POST /v1/runs HTTP/1.1",
            [("Content-Type", "application/json"), ("Content-Length", str(10**12))],
            b'{"prompt":"',
        )
        chunked = pour(
            stand,
            b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" % stand.port,
            b"10000\r\n" + b"x" * 65536 + b"\r\n",
        )
        shake = "\r\n".join(f"{name}: {value}" for name, value in HANDSHAKE)
        frame = pour(
            stand,
            f"GET /ws/generate HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\n{shake}\r\n\r\n".encode(),
            b"x" * 65536,
            opening=b"\x81\xff" + (10**12).to_bytes(8, "big") + b"\0\0\0\0",
        )
        fragments = pour(
            stand,
            f"GET /ws/generate HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\n{shake}\r\n\r\n".encode(),
            b"\x00\xff" + (65536).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 65536,
            opening=b"\x01\x80\0\0\0\0",
        )

        assert endless_body.status == 413
        assert b" 413 " in chunked.splitlines()[0]
        assert b"\x03\xf1" in frame[-130:]  # 1009
        assert b"\x03\xf1" in fragments[-130:]
        assert resident(server.pid) - before < 16_000_000
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def pour(stand: Stand, head: bytes, piece: bytes, opening: bytes = b"") -> bytes:
    """Send a head, read the answer to it if there is an opening, then up to 30 MB; return what came back."""
    said = b""
    with stand.dial() as peer:
        peer.sendall(head)
        if opening:
            said += peer.recv(65536)
            peer.sendall(opening)
        until = time.monotonic() + 10
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(500):
                peer.settimeout(patience(10))
                peer.sendall(piece)
                peer.settimeout(0.0)
                with contextlib.suppress(BlockingIOError):
                    said += peer.recv(65536)
                if b" 413 " in said or time.monotonic() > until:
                    break
        with contextlib.suppress(ConnectionError, TimeoutError):
            peer.settimeout(patience(2))
            while time.monotonic() < until and (more := peer.recv(65536)):
                said += more
    return said
