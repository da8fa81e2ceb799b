"""`runwire record` and `replay`: what is kept, what never is, and what is said of it afterwards."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runwire_conformance import rules
from runwire_conformance.client.target import Options
from runwire_conformance.client.wire.frame_tap import FrameTap
from runwire_conformance.client.wire.http import address_of
from runwire_conformance.tools.formats.recording import (
    Recording,
    RecordingLine,
    Unreadable,
    is_recording,
    read_recording,
)
from runwire_conformance.tools.recorder import Proxy, RecordingWriter
from runwire_conformance.tools.replay import report_of
from runwire_conformance.tools.validate import problems_of, read
from runwire_schemas import transcripts
from tests.support.commands import closed_port, runwire
from tests.support.patience import patience

RUNWIRE = str(Path(sys.executable).parent / "runwire")
SCHEMA = json.loads(
    resources.files("runwire_conformance.tools.formats").joinpath("recording.schema.json").read_text()
)
SECRET = "a-very-s3cret-token"
ENCODED = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
SCRIPT = json.dumps({"runwire_script": [{"token": "ü"}, {"token": "x"}]})


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the lines of a recording, each as its schema wants it."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    return lines


def recording_of(text: str) -> Recording:
    """Return a recording as it is read back."""
    return read_recording(
        RecordingLine(f"r:{n}", json.loads(line), line) for n, line in enumerate(text.splitlines(), start=1)
    )


def spoken(recording: Recording) -> list[tuple[str, str]]:
    """Return transport and answer text of each conversation."""
    found = []
    for one in recording.connections:
        text = "".join(m["data"] for m in one.trace.messages("server") if m.type == "token")
        if one.trace.transport != "http":
            found.append((one.trace.transport, text))
    return found


@pytest.mark.parametrize("options", [[], ["--sse"]], ids=["websocket", "sse"])
def test_a_prompt_is_recorded_and_judged_again(tmp_path: Path, server_url: str, options: list[str]) -> None:
    made = runwire(
        tmp_path, "record", server_url, SCRIPT, "-o", "r.jsonl", *options, "--header", f"Authorization: Bearer {SECRET}"
    )  # fmt: skip

    assert made.returncode == 0, made.stderr
    text = (tmp_path / "r.jsonl").read_text()
    assert lines_of(text)[0]["recording"] == 1
    assert SECRET not in text
    assert stat.S_IMODE((tmp_path / "r.jsonl").stat().st_mode) == 0o600
    replayed = report_of(recording_of(text))
    assert replayed.exit_code(strict=True) == 0, replayed.text
    assert replayed.verdicts["RUN-4"] == "pass"
    assert replayed.verdicts["SSE-7"] == ("pass" if options else "not exercised")


def test_a_proxy_records_every_transport_and_no_credential(server_url: str) -> None:
    file = io.StringIO()

    async def request(at: int, head: str, body: str = "") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", at)
        secret = f"Authorization: Bearer {SECRET}\r\nCookie: session={SECRET}\r\nHost: localhost:{at}\r\n"
        writer.write(f"{head}\r\n{secret}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def socket(at: int) -> None:
        from websockets.asyncio.client import connect
        from websockets.typing import Subprotocol

        offered = [Subprotocol("runwire.v1"), Subprotocol(f"bearer.{ENCODED}")]
        async with connect(f"ws://127.0.0.1:{at}/ws/generate?ticket={SECRET}", subprotocols=offered) as one:
            await one.send(json.dumps({"prompt": SCRIPT.replace("x", SECRET)}))
            while json.loads(await one.recv())["type"] != "done":
                pass

    async def play() -> None:
        proxy = Proxy(address_of(server_url), Options(), RecordingWriter(file, server_url))
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        at = server.sockets[0].getsockname()[1]
        json_body = "Content-Type: application/json"
        found = await request(at, "GET /.well-known/runwire HTTP/1.1")
        assert b'"runwire"' in found
        await socket(at)
        body = json.dumps({"prompt": SCRIPT})
        await request(at, f"POST /v1/runs HTTP/1.1\r\nAccept: text/event-stream\r\n{json_body}", body)
        await request(at, f"POST /v1/runs HTTP/1.1\r\n{json_body}", body)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.1)

    asyncio.run(play())

    text = file.getvalue()
    lines_of(text)
    assert SECRET not in text and ENCODED not in text
    recording = recording_of(text)
    assert spoken(recording) == [("websocket", "ü***"), ("sse", "üx")]
    assert [str(problem) for problem in problems_of(recording)] == []


def test_connections_that_open_at_once_are_told_apart(server_url: str) -> None:
    from websockets.asyncio.client import connect

    file = io.StringIO()

    async def one(at: int) -> None:
        async with connect(f"ws://127.0.0.1:{at}/ws/generate") as socket:
            await socket.send(json.dumps({"prompt": SCRIPT}))
            while json.loads(await socket.recv())["type"] != "done":
                pass

    async def play() -> None:
        proxy = Proxy(address_of(server_url), Options(), RecordingWriter(file, server_url))
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        await asyncio.gather(*(one(server.sockets[0].getsockname()[1]) for _ in range(6)))
        server.close()
        await server.wait_closed()

    asyncio.run(play())

    recording = recording_of(file.getvalue())
    assert spoken(recording) == [("websocket", "üx")] * 6
    assert [str(problem) for problem in problems_of(recording)] == []


def test_the_command_listens_until_ctrl_c(tmp_path: Path, server_url: str) -> None:
    process = subprocess.Popen(
        [RUNWIRE, "record", "--listen", "0", server_url, "-o", "r.jsonl"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    here = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    assert here is not None
    tried = subprocess.run(
        [RUNWIRE, "try", here[0], SCRIPT], capture_output=True, text=True, timeout=patience(60), check=False
    )
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=patience(30))

    assert (tried.returncode, tried.stdout) == (0, "üx\n"), tried.stderr
    assert "recorded " in said and "Traceback" not in said
    recording = read(str(tmp_path / "r.jsonl"))
    assert isinstance(recording, Recording)
    assert spoken(recording) == [("websocket", "üx")]
    assert [str(problem) for problem in problems_of(recording)] == []


@pytest.mark.parametrize("earlier", ["earlier\n", None], ids=["over-a-file", "new"])
def test_a_recording_of_nothing_replaces_nothing(
    tmp_path: Path, server_url: str, earlier: str | None
) -> None:
    file = tmp_path / "r.jsonl"
    if earlier is not None:
        file.write_text(earlier)
        file.chmod(0o644)
    process = subprocess.Popen(
        [RUNWIRE, "record", "--listen", "0", server_url, "-o", "r.jsonl"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None and "point the client at" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=patience(30))

    assert "nothing was recorded" in said and "Traceback" not in said
    assert (file.read_text() if file.exists() else None) == earlier
    assert earlier is None or stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_server_that_is_not_there_replaces_no_recording(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("earlier\n")

    result = runwire(tmp_path, "record", f"http://127.0.0.1:{closed_port()}", "x", "-o", "r.jsonl")

    assert result.returncode == 2
    assert (tmp_path / "r.jsonl").read_text() == "earlier\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["record", "http://127.0.0.1:1"], "give either a prompt, or --listen PORT"),
        (["record", "http://127.0.0.1:{port}", "x"], "is the server running there?"),
        (["record", "nonsense", "x"], "'nonsense' is not the URL of a server"),
        (["replay", "none.jsonl"], "none.jsonl: No such file"),
        (["replay", "messages.jsonl"], "use: runwire validate messages.jsonl"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "messages.jsonl").write_text('{"type":"heartbeat"}\n')

    result = runwire(tmp_path, *(argument.format(port=closed_port()) for argument in arguments))

    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


def test_a_broken_recording_is_named_and_explained(tmp_path: Path) -> None:
    lines = dict(transcripts("invalid"))["two-terminals"]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))

    result = runwire(tmp_path, "replay", "r.jsonl")

    assert result.returncode == 1
    assert f"r.jsonl:{lines[0]['line']}: [RUN-4]" in result.stdout
    assert "A server MUST end every run with exactly one terminal event." in result.stdout


def test_every_sentence_that_a_rule_finds_broken_is_registered() -> None:
    named: set[str] = set()
    for path in Path(os.fspath(rules.__path__[0])).glob("*.py"):
        unregistered = re.sub(r"^@rule\(.*?\)$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        named |= set(re.findall(r'"([A-Z]+-[0-9]+)"', unregistered))

    assert named == rules.shown_by().keys()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"from": "nobody", "at_ms": 0}, 'needs "from"'),
        ({"from": "server", "at_ms": "x", "message": {}}, '"at_ms" must be a number'),
        ({"from": "server", "at_ms": 0}, "a line needs one of: message"),
        ({"from": "server", "at_ms": 0, "transport": "pigeon", "message": {}}, '"transport" is websocket'),
    ],
)
def test_a_line_that_is_none_is_refused_with_its_place(line: dict[str, Any], words: str) -> None:
    lines = [RecordingLine("r:1", line, "")]

    assert is_recording(lines)
    with pytest.raises(Unreadable) as refused:
        read_recording(lines)
    assert str(refused.value).startswith("r:1: ")
    assert words in str(refused.value)


def test_frames_are_read_cut_anywhere_and_garbage_is_told_once() -> None:
    tap = FrameTap("server")

    wire = b'\x01\x03{"a\x80\x04":1}\x89\x01p\x82\x02\x00\x01\x88\x02\x03\xe8'
    records = [record for byte in wire for record in tap.feed(bytes([byte]))]

    assert [record.kind for record in records] == ["text", "ping", "binary", "close"]
    assert records[0].payload == '{"a":1}'
    assert records[-1].code == 1000
    assert len(FrameTap("server").feed(b"\xf3\x00" * 20)) == 1
