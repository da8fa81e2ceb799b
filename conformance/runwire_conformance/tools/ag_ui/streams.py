"""AG-UI streams in SSE bodies and HAR files, judged separately from Runwire."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runwire_conformance.client.wire.sse import BlockParser, EndlessLine
from runwire_conformance.tools.ag_ui.rules import REQUIRED, Event, StreamJudge
from runwire_conformance.tools.formats.har_entry import HarEntry, member, text
from runwire_conformance.tools.formats.recording import Unreadable
from runwire_conformance.tools.single_message import Problem
from runwire_conformance.trace.json_reading import TooDeep, read_json

_FIRST = re.compile(r"^data:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams of a file; each event stands with its place, and is None where a block holds no JSON object."""

    streams: Sequence[Sequence[tuple[str, Event | None]]]
    remarks: Sequence[str] = ()


def stream_in(name: str, body: str) -> Streams | None:
    """Return the stream of AG-UI that a body is, None when it is none."""
    found = _stream(name, body)
    return Streams([found]) if found else None


def streams_in_har(name: str, value: object) -> Streams | None:
    """Return the streams of AG-UI in a HAR file, None when it has none."""
    entries = member(value, "log", "entries")
    found = []
    for count, one in enumerate(entries if isinstance(entries, list) else ()):
        entry = HarEntry(f"{name}: log.entries[{count}]", one, [])
        body = _body(entry) if isinstance(one, dict) else ""
        if stream := _stream(entry.place, body):
            found.append(stream)
    return Streams(found) if found else None


def _body(entry: HarEntry) -> str:
    body = text(entry.member("response", "content", "text"))
    if text(entry.member("response", "content", "encoding")).lower() != "base64":
        return body
    try:
        return base64.b64decode(body).decode(errors="replace")
    except ValueError:
        return ""


def _stream(place: str, body: str) -> Sequence[tuple[str, Event | None]]:
    """Return the events of a body, none unless its first one is of AG-UI."""
    first = _FIRST.search(body)
    kind = (_object(first[1]) or {}).get("type") if first else None
    if not isinstance(kind, str) or kind not in REQUIRED:
        return ()
    parser = BlockParser()
    try:
        blocks = parser.feed(body.encode(errors="replace"))
    except EndlessLine as problem:
        raise Unreadable(f"{place}: {problem}") from None
    last = parser.end()
    events: list[tuple[str, Event | None]] = []
    for count, block in enumerate([*blocks, *([last] if last is not None else [])], 1):
        if block.data is None:
            continue
        events.append((f"{place}: event {count}", _object(block.data)))
    return events


def _object(data: str) -> Event | None:
    try:
        value = read_json(data)
    except (ValueError, TooDeep):
        return None
    return value if isinstance(value, dict) else None


def problems(content: Streams) -> Iterator[Problem]:
    """Yield what is wrong with the streams of a file."""
    for stream in content.streams:
        judge = StreamJudge()
        for place, event in stream:
            for chapter, fault in judge.see(event):
                yield Problem(place, f"[AG-UI {chapter}] {fault}")
        for chapter, fault in judge.end():
            yield Problem(stream[-1][0], f"[AG-UI {chapter}] {fault}")
