"""HAR files of a browser's network panel, read as recorded conversations.

Chromium's panel and its drivers write the messages of a WebSocket as `_webSocketMessages` of its entry, with times in
seconds or in milliseconds; the body of an event stream stands in `response.content`, without times.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from runwire_conformance.recording import Recorded, Recording, Unreadable, meaning_of
from runwire_conformance.trace import Message, Record, Side, Trace, parsed
from runwire_conformance.wire.sse import BlockParser
from runwire_schemas import SERVER_TYPES

#: A time in a HAR file above this is one in milliseconds: as seconds it would lie in the year 5138.
MOST_SECONDS = 1e11

TEXT, BINARY = 1, 2


def is_har(value: object) -> bool:
    """Whether a JSON value is a HAR file."""
    return isinstance(value, dict) and isinstance(value.get("log"), dict) and "entries" in value["log"]


def read_har(name: str, value: Mapping[str, Any]) -> Recording:
    """Return the Runwire conversations in a HAR file; raises Unreadable when it has none."""
    entries = value["log"]["entries"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unreadable(f"{name}: log.entries is no list of objects, as it is in a HAR file")
    found: list[Recorded] = []
    for number, entry in enumerate(entries):
        place = f"{name}: log.entries[{number}]"
        try:
            recorded = _socket(place, entry) if "_webSocketMessages" in entry else _stream(place, entry)
        except (KeyError, TypeError, ValueError) as problem:
            raise Unreadable(f"{place}: not as in a HAR file: {problem!r}") from None
        if recorded is not None:
            found.append(recorded)
    if not found:
        sockets = sum(entry.get("_resourceType") == "websocket" for entry in entries)
        raise Unreadable(
            f"{name}: {len(entries)} entries, {sockets} of them WebSockets, and no conversation of Runwire; open the "
            "network panel before the page connects, and export the HAR file with content"
        )
    return Recording(sorted(found, key=lambda one: one.trace.began))


def _socket(place: str, entry: Mapping[str, Any]) -> Recorded | None:
    began = _seconds(entry["startedDateTime"])
    url = urlsplit(entry["request"]["url"])
    recorded = Recorded(Trace("websocket", url.path, began), origin=url.netloc)
    for number, message in enumerate(entry["_webSocketMessages"]):
        at = float(message["time"])
        seconds = at / 1000 if at > MOST_SECONDS else at
        side: Side = "client" if message["type"] == "send" else "server"
        opcode, data = message.get("opcode", TEXT), str(message.get("data", ""))
        where = f"{place}._webSocketMessages[{number}]"
        if opcode == TEXT:
            recorded.add(where, Record(seconds, side, "text", data, parsed(data)))
        elif opcode == BINARY:
            recorded.add(where, Record(seconds, side, "binary", _size(data)))
    return recorded if _speaks_runwire(recorded) else None


def _stream(place: str, entry: Mapping[str, Any]) -> Recorded | None:
    request, response = entry["request"], entry["response"]
    content = response.get("content") or {}
    media = str(content.get("mimeType") or "").partition(";")[0].strip()
    if media != "text/event-stream" or response.get("status") != 200:
        return None
    began = _seconds(entry["startedDateTime"])
    url = urlsplit(request["url"])
    title = f"{request['method']} {url.path}"
    # A body has no times in it, so nothing can be said of a silence.
    recorded = Recorded(Trace("sse", title, began, deaf=True), origin=url.netloc)
    sent = _sent(request, url.path, url.query)
    shown = Record(began, "client", "request", title, sent)
    recorded.add(f"{place}.request", shown)
    parser = BlockParser()
    for number, block in enumerate(parser.feed(_body(content))):
        lines = "\n".join(f"{name}: {value}" for name, value in block.fields)
        message = parsed(block.data) if block.data is not None else None
        where = f"{place}.response.content event {number}"
        recorded.add(where, Record(began, "server", "block", lines, message))
    return recorded if _speaks_runwire(recorded) else None


def _sent(request: Mapping[str, Any], path: str, query: str) -> Message | None:
    headers = {str(line["name"]).lower(): str(line["value"]) for line in request.get("headers", [])}
    body = str((request.get("postData") or {}).get("text", ""))
    return meaning_of(request["method"], path, query, headers.get("last-event-id"), body)


def _body(content: Mapping[str, Any]) -> bytes:
    text = str(content.get("text") or "")
    return base64.b64decode(text) if content.get("encoding") == "base64" else _as_sent(text)


def _as_sent(text: str) -> bytes:
    """Return the bytes of a body. Browsers write one of UTF-8 that names no charset as if it were windows-1252."""
    try:
        data = bytes(ord(letter) if ord(letter) < 256 else letter.encode("cp1252")[0] for letter in text)
        data.decode()
        return data
    except UnicodeError:
        return text.encode()


def _speaks_runwire(recorded: Recorded) -> bool:
    return any(message.type in SERVER_TYPES for message in _served(recorded))


def _served(recorded: Recorded) -> Iterator[Message]:
    return recorded.trace.messages("server")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _size(data: str) -> str:
    try:
        return f"{len(base64.b64decode(data, validate=True))} bytes"
    except binascii.Error:
        return f"{len(data)} characters"
