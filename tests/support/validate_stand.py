"""Files as browsers, proxies and terminals write them, for tests of `runwire validate`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from runwire_conformance.tools.validate import ValidationResult, judged, read

RUN = "mZ0bV4cQ2Jt8uY6wK1xR3A"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEGAN = 1795514400.0

READY = {
    "type": "ready",
    "protocol": "runwire",
    "version": 1,
    "connection_id": "c-1",
    "trace_id": TRACE,
    "limits": {"heartbeat_s": 15},
    "features": [],
}
START = {"prompt": "hi"}
STARTED = {
    "type": "started",
    "run_id": RUN,
    "epoch": "e1",
    "session_id": "kQ7yP2nL9sD4fG6hJ8aZ1w",
    "trace_id": TRACE,
    "status": "running",
}
TOKEN = {"type": "token", "run_id": RUN, "seq": 1, "data": "Héllo 🚀 \u2028"}
DONE = {"type": "done", "run_id": RUN, "seq": 2, "data": "ok", "status": "completed", "trace_id": TRACE}

#: A talk without fault, and one in which `seq` has a hole ([RUN-28]).
GOOD: list[tuple[str, dict[str, Any]]] = [
    *(("receive", READY), ("send", START), ("receive", STARTED)),
    *(("receive", TOKEN), ("receive", DONE)),
]
HOLE = [*GOOD[:-1], ("receive", {**DONE, "seq": 3})]


def entry(url: str, **members: Any) -> dict[str, Any]:
    """Return an entry of a HAR file as Chromium writes it."""
    plain: dict[str, Any] = {
        "startedDateTime": "2026-11-24T10:00:00.000Z",
        "time": 100,
        "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": []},
        "response": {"status": 101, "headers": [], "content": {"size": 0, "mimeType": "x-unknown"}},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }
    return plain | copy.deepcopy(members)


def socket(talk: list[tuple[str, dict[str, Any]]], **changes: Any) -> dict[str, Any]:
    """Return the entry of a WebSocket on which a talk was held."""
    messages = [
        {"type": kind, "time": BEGAN + 0.01 * number, "opcode": 1, "data": json.dumps(said)}
        for number, (kind, said) in enumerate(talk, start=1)
    ]
    plain = entry("ws://localhost:8080/ws/generate", _resourceType="websocket", _webSocketMessages=messages)
    return plain | changes


def body(talk: list[tuple[str, dict[str, Any]]], end: str = "\n") -> str:
    """Return what a stream with the server's part of a talk holds."""
    lines = [f"retry: 2000{end}id: e1.0{end}{end}"]
    for kind, said in talk:
        if kind == "receive" and said["type"] != "ready":
            place = f"id: e1.{said['seq']}{end}" if "seq" in said else ""
            lines.append(f"{place}data: {json.dumps(said, ensure_ascii=False)}{end}{end}")
    return "".join(lines)


def stream(talk: list[tuple[str, dict[str, Any]]], **changes: Any) -> dict[str, Any]:
    """Return the entry of an event stream on which a talk was held."""
    request = {
        "method": "POST",
        "url": "http://localhost:8080/v1/runs",
        "headers": [{"name": "Accept", "value": "text/event-stream"}],
        "postData": {"mimeType": "application/json", "text": json.dumps(START)},
    }
    response = {
        "status": 200,
        "headers": [{"name": "Content-Type", "value": "text/event-stream"}],
        "content": {"mimeType": "text/event-stream", "text": body(talk)},
    }
    return entry("", request=request, response=response, _resourceType="fetch") | changes


def har(*entries: Any) -> str:
    """Return a HAR file with some entries."""
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": list(entries)}})


def looked_at(folder: Path, content: str | bytes, name: str = "file") -> ValidationResult:
    """Return what is said of a file; raises Unreadable."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return judged(read(str(path)))


def broken(folder: Path, content: str | bytes) -> list[str]:
    """Return the requirements that a file breaks."""
    return [problem.requirement for problem in looked_at(folder, content).problems]
