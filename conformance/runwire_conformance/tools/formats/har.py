"""HAR import: files of browsers and proxies as recorded conversations.

Chromium's panel, its drivers and most proxies write the messages of a WebSocket as `_webSocketMessages` of its entry,
with times in seconds or in milliseconds, and those of an EventSource as `_eventSourceMessages`; the body of an event
stream stands in `response.content`, without times. Whatever a file holds in the place of these, each entry is read by
itself: what cannot be understood is told in a remark, and is neither guessed nor judged.
"""

import base64
import binascii
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from runwire_conformance.client.wire.sse import BlockParser, EndlessLine
from runwire_conformance.tools.formats.file_text import GZIP, MOST_BYTES, gunzipped
from runwire_conformance.tools.formats.har_entry import HarEntry, clock_of, member, moment, number, text
from runwire_conformance.tools.formats.recognition import is_of_a_server, is_turned_round
from runwire_conformance.tools.formats.recording import Recorded, Recording, Unreadable, meaning_of
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import Record, Side, Trace

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

#: Who speaks, by the `type` of a message of a WebSocket.
SIDES: dict[str, Side] = {"send": "client", "receive": "server"}

#: How many of the remarks stand in the complaint about a file in which nothing can be judged.
MOST_TOLD = 3


def is_har(value: object) -> bool:
    """Whether a JSON value is a HAR file, or is meant to be one."""
    return isinstance(value, dict) and "log" in value and not {"type", "prompt", "from"} & value.keys()


def read_har(name: str, value: object) -> Recording:
    """Return the Runwire conversations in a HAR file; raises Unreadable when it has none."""
    entries = member(value, "log", "entries")
    if not isinstance(entries, list):
        raise Unreadable(f"{name}: log.entries is not a list, as it is in a HAR file")
    found: list[Recorded] = []
    remarks: list[str] = []
    for count, one in enumerate(entries):
        entry = HarEntry(f"{name}: log.entries[{count}]", one, [])
        recorded = _conversation(entry)
        remarks += entry.remarks
        if recorded is not None:
            found.append(recorded)
    if not found:
        sockets = sum(text(member(entry, "_resourceType")).lower() == "websocket" for entry in entries)
        seen = "; ".join(remarks[:MOST_TOLD])
        raise Unreadable(
            seen
            or f"{name}: {len(entries)} entries, {sockets} of them WebSockets, and no conversation of Runwire; "
            "open the network panel before the page connects, and export the HAR file with content"
        )
    return Recording(sorted(found, key=lambda one: one.trace.began), remarks=tuple(remarks))


def _conversation(entry: HarEntry) -> Recorded | None:
    if not isinstance(entry.value, dict):
        entry.remark("is no object")
        return None
    messages = entry.extension("_webSocketMessages")
    if isinstance(messages, list):
        return _socket(entry, messages)
    if messages is not None:
        entry.remark("_webSocketMessages is not a list")
    elif entry.kind == "websocket":
        entry.remark(
            "is a WebSocket without _webSocketMessages; export it from a browser or a proxy that keeps them"
        )
    return _stream(entry)


def _socket(entry: HarEntry, messages: Sequence[Any]) -> Recorded | None:
    began = moment(entry.member("startedDateTime"))
    clock = clock_of([member(one, "time") for one in messages], began)
    url = entry.url
    trace = Trace("websocket", url.path, began if began is not None else clock[0] if clock else 0.0)
    recorded = Recorded(trace, origin=url.netloc)
    unread: list[str] = []
    for count, one in enumerate(messages):
        record = _frame(one, clock[count] if clock else trace.began)
        if isinstance(record, Record):
            recorded.add(f"{entry.place}._webSocketMessages[{count}]", record)
        elif record:
            unread.append(f"_webSocketMessages[{count}] {record}")
    if not (_speaks_runwire(recorded) or any(map(is_of_a_server, _binary(messages)))):
        if unread and any(is_of_a_server(parsed(text(member(one, "data")))) for one in messages):
            entry.remark(f"is not judged: {unread[0]}")
        return None
    if is_turned_round(recorded.trace):
        entry.remark(
            "is not judged: its messages have the wrong directions (sent and received are exchanged)"
        )
        return None
    if clock is None:
        trace.timed, trace.not_reading = False, True
        recorded.dated = False
        entry.remark("the times of its messages are invalid, so no time bound is judged")
    if unread:
        trace.whole = False
        more = f", and {len(unread) - 1} more" if len(unread) > 1 else ""
        entry.remark(f"{unread[0]}{more}, so its messages are judged separately")
    return recorded


def _frame(one: Any, at: float) -> Record | str:
    """Return what a message of a WebSocket's entry is, or why it is not understood; empty for one that says nothing."""
    kind, opcode, data = text(member(one, "type")).lower(), number(member(one, "opcode")), member(one, "data")
    if kind not in SIDES:
        return f"has the type {text(member(one, 'type')) or '?'!r}, and neither send nor receive"
    side = SIDES[kind]
    if opcode == CLOSE:
        return ""  # nobody writes the code in a way that others know
    if opcode in {PING, PONG}:
        return Record(at, side, "ping" if opcode == PING else "pong")
    if not isinstance(data, str):
        return "has no data"
    if opcode == BINARY:
        return Record(at, side, "binary", _size(data))
    message = parsed(data)
    if opcode != TEXT and not (member(one, "opcode") is None and message is not None):
        return f"has the opcode {member(one, 'opcode')!r}"
    return Record(at, side, "text", data, message)


def _stream(entry: HarEntry) -> Recorded | None:
    pieces = entry.extension("_eventSourceMessages")
    media = {text(entry.member("response", "content", "mimeType")), entry.header("response", "content-type")}
    named = any(one.partition(";")[0].strip().lower() == "text/event-stream" for one in media)
    status = number(entry.member("response", "status"))
    if not (named or pieces or entry.kind == "eventsource"):
        if entry.value.get("response") is None and "text/event-stream" in entry.header("request", "accept"):
            entry.remark("has no response")
        return None
    if status not in {200, None}:
        return None
    began = moment(entry.member("startedDateTime"))
    lasted = number(entry.member("time"))
    method, url = text(entry.member("request", "method")).upper(), entry.url
    # A body has no times in it: the client's request came at the beginning, all of the answer at the end at the latest.
    trace = Trace("sse", f"{method} {url.path}", began or 0.0, not_reading=True, timed=False)
    recorded = Recorded(trace, origin=url.netloc, dated=began is not None and lasted is not None)
    end = trace.began + (lasted / 1000 if lasted is not None and 0 <= lasted < math.inf else 0.0)
    sent = meaning_of(
        method, url.path, url.query, entry.header("request", "last-event-id") or None,
        text(entry.member("request", "postData", "text")),
    )  # fmt: skip
    recorded.add(f"{entry.place}.request", Record(trace.began, "client", "request", trace.title, sent))
    try:
        body = _body(entry)
        blocks = BlockParser().feed(body)
    except (ValueError, EndlessLine) as problem:  # UnicodeDecodeError and binascii.Error among them
        entry.remark(f"response.content cannot be read: {problem}")
        return None
    for count, block in enumerate(blocks):
        lines = "\n".join(f"{name}: {value}" for name, value in block.fields)
        message = parsed(block.data) if block.data is not None else None
        recorded.add(
            f"{entry.place}.response.content event {count}", Record(end, "server", "block", lines, message)
        )
    if not body.strip():
        if not isinstance(pieces, list) or not pieces:
            entry.remark(
                "is an event stream without its body; export the HAR file with content, when the stream has ended"
            )
            return None
        _dispatched(entry, recorded, pieces, end)
    return recorded if _speaks_runwire(recorded) else None


def _dispatched(entry: HarEntry, recorded: Recorded, pieces: Sequence[Any], end: float) -> None:
    """Take in the messages of an EventSource: what each said, without the lines that it came in."""
    trace = recorded.trace
    clock = clock_of([member(one, "time") for one in pieces], moment(entry.member("startedDateTime")))
    for count, one in enumerate(pieces):
        data = member(one, "data")
        if not isinstance(data, str):
            trace.whole = False
            entry.remark(f"_eventSourceMessages[{count}] has no data; so the others are judged separately")
            continue
        at = clock[count] if clock else end
        where = f"{entry.place}._eventSourceMessages[{count}]"
        recorded.add(where, Record(at, "server", "text", data, parsed(data)))
    if (first := next(trace.messages("server"), None)) is not None and first.type not in {
        "started",
        "resumed",
    }:
        trace.whole = False
        entry.remark("its messages begin in the middle of a run, so they are judged separately")


def _body(entry: HarEntry) -> bytes:
    written = text(entry.member("response", "content", "text"))
    if text(entry.member("response", "content", "encoding")).lower() != "base64":
        return _as_sent(written)
    body = base64.b64decode(written)
    if body.startswith(GZIP):  # a proxy may keep what was sent
        try:
            body, _ = gunzipped(body, MOST_BYTES)
        except zlib.error as problem:
            raise ValueError(f"damaged gzip ({problem})") from None
    return body


def _as_sent(text: str) -> bytes:
    """Return the bytes of a body. Browsers write one of UTF-8 that names no charset as if it were windows-1252."""
    try:
        data = bytes(ord(letter) if ord(letter) < 256 else letter.encode("cp1252")[0] for letter in text)
        data.decode()
        return data
    except UnicodeError:
        return text.encode()


def _speaks_runwire(recorded: Recorded) -> bool:
    return any(
        is_of_a_server(record.message) for record in recorded.trace.records if record.kind != "request"
    )


def _binary(messages: Sequence[Any]) -> Iterator[Message | None]:
    for one in messages:
        if number(member(one, "opcode")) == BINARY:
            try:
                yield parsed(base64.b64decode(text(member(one, "data")), validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue


def _size(data: str) -> str:
    try:
        return f"{len(base64.b64decode(data, validate=True))} bytes"
    except (binascii.Error, ValueError):
        return f"{len(data)} characters"
