"""Judges messages and recorded conversations without a server: schemas, and the invariants of both roles."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwire_conformance.bounds import Limits
from runwire_conformance.clock import LEAST_TOLERANCE_S
from runwire_conformance.har import is_har, read_har
from runwire_conformance.invariants import Facts, recorded_findings
from runwire_conformance.invariants.answers import round_trip
from runwire_conformance.invariants.client import client_findings
from runwire_conformance.recording import (
    Line,
    Recorded,
    Recording,
    Unreadable,
    is_recording,
    read_recording,
)
from runwire_conformance.trace import Message, Trace
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, client_message_violations, server_message_violations
from runwire_spec import catalogue, registries

#: The most of a file that is read; a recording of a day is smaller.
MOST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and where; `requirement` is empty for what breaks a schema and no sentence of its own."""

    place: str
    text: str
    requirement: str = ""

    @property
    def is_advice(self) -> bool:
        """Whether only a SHOULD is broken."""
        return bool(self.requirement) and "SHOULD" in catalogue()[self.requirement].keyword

    def __str__(self) -> str:
        if not self.requirement:
            return f"{self.place}: {self.text}"
        role = catalogue()[self.requirement].role
        told = "advice to the client: " if role == "client" else "advice: "
        said = told if self.is_advice else ("the client: " if role == "client" else "")
        return f"{self.place}: [{self.requirement}] {said}{self.text}"


def validate_file(name: str) -> list[Problem]:
    """Return what is wrong with a file of messages, JSON lines, a recording or a HAR file; raises Unreadable."""
    content = read(name)
    if isinstance(content, Recording):
        return problems_of(content)
    return [problem for line in content for problem in message_problems(line.place, line.value)]


def read(name: str) -> Recording | list[Line]:
    """Return the recording in a file, or else its messages; `-` is standard input; raises Unreadable."""
    text = _text(name)
    whole = _whole(text)
    if isinstance(whole, dict) and is_har(whole):
        return read_har(name, whole)
    lines = list(_lines(name, text, whole))
    return read_recording(lines) if is_recording(lines) else lines


def problems_of(recording: Recording) -> list[Problem]:
    """Return what a recording breaks: schemas of both sides, invariants of the server's, then of the client's."""
    problems: list[Problem] = []
    for origin in dict.fromkeys(one.origin for one in recording.connections):
        problems += _problems_with([one for one in recording.connections if one.origin == origin])
    places = {
        place: number for number, place in enumerate(p for one in recording.connections for p in one.places)
    }
    ordered = sorted(problems, key=lambda problem: places[problem.place])
    return [problem for problem in ordered if not (recording.basic and _beyond_basic(problem))]


def _problems_with(connections: Sequence[Recorded]) -> Iterator[Problem]:
    """Yield what the connections to one server break."""
    traces = [one.trace for one in connections]
    for trace in traces:
        trace.deaf = trace.deaf or len(trace.records) < 2
    # T of chapter 17, from what the recording shows of the way to the server.
    facts = Facts(stated_limits(connections), max(LEAST_TOLERANCE_S, 2 * round_trip(traces)))
    for recorded in connections:
        yield from _schema_problems(recorded)
    for connection, finding in (*recorded_findings(traces, facts), *client_findings(traces)):
        yield Problem(connections[connection].places[finding.record], finding.text, finding.requirement)


def stated_limits(connections: Sequence[Recorded]) -> Limits:
    """Return the limits that a `ready` of the connections states, or else those that no server can go beyond."""
    for recorded in connections:
        for message in recorded.trace.messages("server"):
            if message.type == "ready" and isinstance(limits := message.get("limits"), dict):
                return Limits(limits)
    return Limits({row["limit"]: float(row["max"]) for row in registries()["limits"] if row["max"]})


def message_problems(place: str, value: Any, client: bool | None = None) -> Iterator[Problem]:
    """Yield where a message breaks its schema; whose it is follows from its type unless it is told."""
    kind = value.get("type")
    if client is None:
        client = kind is None or (kind in CLIENT_TYPES and kind not in SERVER_TYPES)
    check = client_message_violations if client else server_message_violations
    for violation in check(dict(value)):
        yield Problem(place, f"{kind or 'start'}{violation.pointer}: {violation.message}")


def _schema_problems(recorded: Recorded) -> Iterator[Problem]:
    """Yield what is wrong with the client's messages; one that the server refused as it should is no problem."""
    for number, (place, record) in enumerate(zip(recorded.places, recorded.trace.records, strict=True)):
        sent = record.message if record.side == "client" else None
        if sent is not None and not _refused(recorded.trace, number, sent):
            yield from message_problems(place, sent, client=True)


def _refused(trace: Trace, number: int, message: Message) -> bool:
    """Whether a message of the client's was refused as one that cannot be understood."""
    for record in trace.records[number + 1 :]:
        answer = record.message if record.side == "server" else None
        if answer is None or answer.type != "error" or "seq" in answer:
            continue
        its_own = answer["re"] == message.get("id") if "re" in answer else True
        if its_own and answer.get("code", "bad_request") == "bad_request":
            return True
    return False


def _beyond_basic(problem: Problem) -> bool:
    requirement = catalogue()[problem.requirement] if problem.requirement else None
    return requirement is not None and requirement.conformance_class != "basic"


def _text(name: str) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as problem:
        raise Unreadable(f"{name}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise Unreadable(f"{name}: not UTF-8 at byte {problem.start}") from None
    if len(data) > MOST_BYTES:
        raise Unreadable(f"{name}: larger than {MOST_BYTES >> 20} MiB; give a part of it")
    if not text.strip():
        raise Unreadable(f"{name}: empty; give a message, JSON lines, a recorded conversation or a HAR file")
    return text


def _whole(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lines(name: str, text: str, whole: Any) -> Iterator[Line]:
    """Yield the objects of a file: the whole if it is one JSON value, else each line."""
    if isinstance(whole, dict):
        yield Line(f"{name}:1", whole, text)
    elif isinstance(whole, list):
        for number, value in enumerate(whole):
            if not isinstance(value, dict):
                raise Unreadable(f"{name}: element {number} of the list is no JSON object")
            yield Line(f"{name}: element {number}", value, json.dumps(value))
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield Line(f"{name}:{number}", _object(f"{name}:{number}", line), line)


def _object(place: str, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"{place}: not a JSON text: {problem}") from None
    if not isinstance(value, dict):
        raise Unreadable(f"{place}: not a JSON object")
    return value
