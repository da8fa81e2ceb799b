"""Recording format (JSON lines), and its conversion from and to traces.

`recording.schema.json` describes a line. The transcripts of `runwire_schemas` are recordings too.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from runwire_conformance.rules.messages import data_of, faults_of
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace, Transport
from runwire_conformance.trace.transcript import masked

#: The members of which a line has exactly one that says what crossed the wire, beside `request` with a `message`.
CONTENTS = ("message", "text", "block", "close", "request", "response", "ping", "pong", "note")

#: A time in a recording that is none: three thousand years.
MOST_MS = 1e14

#: Digits of a number that is no `seq`.
LONGEST_SEQ = 20

#: The close code of a connection that was lost without a Close frame, in browsers as here.
LOST = 1006


#: How a message is written that stands in a recording as an object.
_WRITTEN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Unreadable(Exception):
    """A file cannot be judged; the message says where and why."""


@dataclass(slots=True)
class Recorded:
    """One connection of a recording: its trace, where each of its records stands in the file, and its server."""

    trace: Trace
    places: list[str] = field(default_factory=list)
    #: The server's origin, where one recording can be of several.
    origin: str = ""
    #: Whether it is known when the client spoke and when all ended, so that connections can be put in order.
    dated: bool = True

    def add(self, place: str, record: Record) -> None:
        """Append a record that stands at `place`."""
        self.trace.records.append(record)
        self.places.append(place)


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording; `basic` when its server is to be judged as a basic one only.

    `remarks` say what of the file was not understood, and is not judged for that.
    """

    connections: Sequence[Recorded]
    basic: bool = False
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RecordingLine:
    """A line of a file of JSON lines: where it stands, the object, and its text."""

    place: str
    value: Mapping[str, Any]
    text: str


def is_recording(lines: Iterable[RecordingLine]) -> bool:
    """Whether lines are a recorded conversation, and not messages alone."""
    return any("from" in line.value and "type" not in line.value for line in lines)


def read_recording(lines: Iterable[RecordingLine]) -> Recording:
    """Return the conversations of a recording; a line that is none is a remark. Raises Unreadable when all are."""
    connections: dict[str, Recorded] = {}
    basic = False
    torn: set[str] = set()
    unread: list[Unreadable] = []
    for number, line in enumerate(lines):
        if number == 0 and "from" not in line.value:
            basic = line.value.get("class") == "basic"
            continue
        named = line.value.get("connection", 1)
        key = str(named) if type(named) is int else json.dumps(named)
        try:
            record, transport = _record(line), _transport(line)
        except Unreadable as problem:
            unread.append(problem)
            torn.add(key)
            continue
        if key not in connections:
            connections[key] = Recorded(Trace(transport, _title(line.value, transport), record.at))
        connections[key].add(line.place, record)
    if unread and not connections:
        raise unread[0]
    for key in torn & connections.keys():
        connections[key].trace.whole = False
    more = "; not judged, and the other messages of its connection are judged separately"
    return Recording(list(connections.values()), basic, [f"{problem}{more}" for problem in unread])


def _record(line: RecordingLine) -> Record:
    value, place = line.value, line.place
    side, at = value.get("from"), value.get("at_ms", 0)
    if side != "client" and side != "server":
        raise Unreadable(f'{place}: a line of a recording needs "from", either "client" or "server"')
    if not isinstance(at, int | float) or isinstance(at, bool) or not abs(at) < MOST_MS:
        raise Unreadable(f'{place}: "at_ms" must be a number of milliseconds')
    seconds = at / 1000
    message = value.get("message")
    if isinstance(message, dict) and "request" in value:
        return Record(seconds, side, "request", str(value["request"]), Message(message))
    if isinstance(message, dict):
        return Record(seconds, side, "text", _WRITTEN.encode(message), Message(message))
    if isinstance(text := value.get("text"), str):
        return Record(seconds, side, "text", text, parsed(text))
    if isinstance(block := value.get("block"), str):
        return Record(seconds, side, "block", block, parsed(data_of(block)))
    code = value.get("close")
    if isinstance(code, int) and not isinstance(code, bool):
        lost = code == LOST or value.get("transport") == "sse"
        return Record(seconds, side, "lost" if lost else "close", "", None, code)
    for kind in ("request", "response", "ping", "pong", "note"):
        if isinstance(said := value.get(kind), str):
            return Record(seconds, side, "raw" if kind == "note" else kind, said)
    raise Unreadable(f"{place}: a line needs one of: {', '.join(CONTENTS)}")


def _transport(line: RecordingLine) -> Transport:
    match line.value.get("transport", "websocket"):
        case "websocket":
            return "websocket"
        case "sse":
            return "sse"
        case "http":
            return "http"
        case other:
            raise Unreadable(f'{line.place}: "transport" is websocket, sse or http, not {json.dumps(other)}')


def _title(first: Mapping[str, Any], transport: Transport) -> str:
    """Return the title of a trace; that of a stream tells how it was asked for ([SSE-3], [SSE-4])."""
    if transport != "sse":
        return str(first.get("request") or transport)
    message = first.get("message")
    resumes = isinstance(message, dict) and message.get("type") == "resume"
    return str(first.get("request") or ("GET (resume)" if resumes else "POST (start)"))


def meaning_of(method: str, path: str, query: str, last_event_id: str | None, body: str) -> Message | None:
    """Return the request for a stream as the message with the same meaning: a `start` or a `resume`."""
    if method == "POST":
        return parsed(body)
    cursor = last_event_id or next(iter(parse_qs(query).get("after", [])), "0")
    epoch, _, after = cursor.rpartition(".")
    if not (after.isdecimal() and len(after) < LONGEST_SEQ) or not path.endswith("/events"):
        return None
    resume = {"type": "resume", "run_id": path.split("/")[-2], "after": int(after)}
    return Message(resume | ({"epoch": epoch} if epoch else {}))


def content_of(record: Record) -> dict[str, Any]:
    """Return the members of a line that say what crossed the wire."""
    if record.kind == "text":
        plain = record.message is not None and not faults_of(record.payload)
        return {"message": record.message} if plain else {"text": record.payload}
    if record.kind in {"close", "lost"}:
        ended = 1000 if record.payload == RESPONSE_ENDED else LOST
        return {"close": record.code or ended}
    if record.kind == "request" and record.message is not None:
        return {"request": masked(record.payload), "message": record.message}
    if record.kind in CONTENTS:
        return {record.kind: masked(record.payload)}
    return {"note": f"{record.kind} {record.payload}".strip()}
