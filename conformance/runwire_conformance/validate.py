"""Judges messages and recorded conversations without a server: schemas, and the invariants of a log."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwire_conformance.bounds import Limits
from runwire_conformance.invariants import Facts, findings
from runwire_conformance.trace import Message, Record, Trace, Transport
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, client_message_violations, server_message_violations
from runwire_spec import catalogue


class Unreadable(Exception):
    """A file cannot be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and in which line of which file."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def validate_file(name: str) -> list[Problem]:
    """Return what is wrong with a file of messages, JSON lines or a conversation; raises Unreadable."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as problem:
        raise Unreadable(f"{name}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{name}: not UTF-8") from None
    if not text.strip():
        raise Unreadable(f"{name}: empty; give a message, JSON lines, or a recorded conversation")
    lines = list(_objects(name, text))
    if any("from" in value for _, value, _ in lines):
        return validate_conversation(name, lines)
    return [problem for number, value, _ in lines for problem in _message(name, number, value)]


def validate_conversation(name: str, lines: list[tuple[int, Mapping[str, Any], str]]) -> list[Problem]:
    """Return what is wrong with a recorded conversation: schemas of both sides, invariants of the server's."""
    problems: list[Problem] = []
    traces: dict[object, tuple[Trace, list[int]]] = {}
    began: dict[object, float] = {}
    only_basic = bool(lines) and lines[0][1].get("class") == "basic"
    for number, value, raw in lines:
        side = value.get("from")
        if side not in {"client", "server"}:
            if "from" in value or number > 1:
                problems.append(Problem(name, number, 'a line needs "from", "client" or "server"'))
            continue
        key = value.get("connection", 1)
        if key not in traces:
            transport: Transport = "sse" if value.get("transport") == "sse" else "websocket"
            at = float(value.get("at_ms", 0)) / 1000
            traces[key] = (Trace(transport, f"connection {key}", at), [])
            began[key] = at
        trace, places = traces[key]
        places.append(number)
        record = record_of(value, raw)
        trace.records.append(record)
        if record.message is not None and side == "client" and not _refused(lines, number):
            problems += _message(name, number, record.message, client=True)
        if record.message is None and record.code is None:
            problems.append(Problem(name, number, 'a line needs "message", an object, or "close", a code'))
    for trace, places in traces.values():
        trace.deaf = trace.transport == "sse" or len(trace.records) < 2
        for finding in findings(trace, stated_facts(trace)):
            if only_basic and catalogue()[finding.requirement].conformance_class != "basic":
                continue
            line = places[finding.record] if finding.record >= 0 else places[-1]
            problems.append(Problem(name, line, f"[{finding.requirement}] {finding.text}"))
    return sorted(problems, key=lambda problem: problem.line)


def _refused(lines: list[tuple[int, Mapping[str, Any], str]], number: int) -> bool:
    """Whether the server refused the client's message in line `number` as it should: that is no problem."""
    later = [value for line, value, _ in lines if line > number and value.get("from") == "server"]
    answers = [value.get("message") for value in later]
    return any(isinstance(answer, dict) and answer.get("code") == "bad_request" for answer in answers)


def stated_facts(trace: Trace) -> Facts:
    """Return what a conversation's own `ready` says of the limits, and the smallest tolerance."""
    ready = next((message for message in trace.messages("server") if message.type == "ready"), Message())
    limits = ready.get("limits")
    return Facts(Limits(limits if isinstance(limits, dict) else {}))


def record_of(value: Mapping[str, Any], raw: str) -> Record:
    at = float(value.get("at_ms", 0)) / 1000
    message = value.get("message")
    if isinstance(message, dict):
        text = json.dumps(message, ensure_ascii=False)
        return Record(at, value["from"], "text", text, Message(message))
    close = value.get("close")
    code = close if isinstance(close, int) else None
    return Record(at, value["from"], "close" if code is not None else "raw", raw, None, code)


def _message(
    name: str, number: int, value: Mapping[str, Any], client: bool | None = None
) -> Iterator[Problem]:
    kind = value.get("type")
    from_client = (
        client
        if client is not None
        else (kind is None or (kind in CLIENT_TYPES and kind not in SERVER_TYPES))
    )
    check = client_message_violations if from_client else server_message_violations
    for violation in check(dict(value)):
        yield Problem(name, number, f"{kind or 'start'}{violation.pointer}: {violation.message}")


def _objects(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any], str]]:
    """Yield line number, object and text: of the whole file if it is one JSON value, else of each line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        yield 1, whole, text
        return
    if isinstance(whole, list):
        for number, value in enumerate(whole, start=1):
            if not isinstance(value, dict):
                raise Unreadable(f"{name}: element {number} is no JSON object")
            yield number, value, json.dumps(value)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise Unreadable(f"{name}:{number}: not a JSON text: {problem}") from None
            if not isinstance(value, dict):
                raise Unreadable(f"{name}:{number}: not a JSON object")
            yield number, value, line
