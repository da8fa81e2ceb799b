"""Input detection for offline judging: messages, recordings, HAR files, terminal output."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from runwire_conformance.tools.ag_ui import streams as ag_ui
from runwire_conformance.tools.formats.file_text import text_of
from runwire_conformance.tools.formats.har import is_har, read_har
from runwire_conformance.tools.formats.recording import (
    Recording,
    RecordingLine,
    Unreadable,
    is_recording,
    read_recording,
)
from runwire_conformance.tools.formats.terminal_output import (
    is_aside,
    is_stream,
    is_talk,
    plain,
    read_stream,
    read_talk,
)
from runwire_conformance.trace.json_reading import TooDeep, exceeds_depth, read_json

#: How a HAR file begins.
_HAR = re.compile(r"\s*\{\s*\"log\"\s*:")

#: A byte that was no UTF-8, as `text_of` leaves it.
_SPOILT = re.compile("[\udc80-\udcff]")

#: How many values that go on over several lines are looked for in vain, each to the end of the file.
MOST_TRIES = 20


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages alone, in no conversation; `broken` are the places that hold none, each with the reason."""

    lines: Sequence[RecordingLine]
    broken: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()


def read(name: str) -> Recording | Messages | ag_ui.Streams:
    """Return the conversation in a file, or else its messages; `-` is standard input; raises Unreadable."""
    text, remarks = text_of(name)
    content = _content(name, text)
    return replace(content, remarks=(*remarks, *content.remarks))


def _content(name: str, text: str) -> Recording | Messages | ag_ui.Streams:
    begun = text.lstrip()[:1]
    if begun in {"{", "["}:
        try:
            whole = read_json(text)
        except TooDeep as problem:
            raise Unreadable(f"{name}: {problem}, which cannot be read") from None
        except ValueError as problem:
            whole = None
            if _HAR.match(text):
                raise Unreadable(
                    f"{name}: a HAR file that is not valid JSON ({problem}); if it is truncated, export it again"
                ) from None
        if whole is not None and (spoilt := _SPOILT.search(text)):
            line = text.count("\n", 0, spoilt.start()) + 1
            raise Unreadable(f"{name}:{line}: not UTF-8")
        if is_har(whole):
            try:
                return read_har(name, whole)
            except Unreadable:
                if (streams := ag_ui.streams_in_har(name, whole)) is None:
                    raise
                return streams
        if isinstance(whole, list):
            return _sorted(name, list(_elements(name, text)))
    elif (stream := ag_ui.stream_in(name, text)) is not None:
        return stream
    lines = plain(text).split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if is_talk(lines):
        return read_talk(name, lines)
    if is_stream(lines):
        return read_stream(name, lines)
    return _sorted(name, list(_values(name, lines)))


def _sorted(name: str, found: Sequence[RecordingLine | tuple[str, str]]) -> Recording | Messages:
    """Return what was found as a recording or as messages; a recording is whole as far as nothing amid it is broken."""
    lines = [one for one in found if isinstance(one, RecordingLine)]
    broken = [one for one in found if not isinstance(one, RecordingLine)]
    if not lines:
        place, reason = broken[0] if broken else (name, "holds no message")
        raise Unreadable(f"{place}: {reason}")
    if not is_recording(lines):
        return Messages(lines, broken)
    recording = read_recording(lines)
    remarks = [f"{place}: {reason}; not judged" for place, reason in broken]
    if (broken and not isinstance(found[-1], tuple)) or len(broken) > 1:
        for one in recording.connections:
            one.trace.whole = False
        remarks.append(f"{name}: its messages are judged separately, because part of it is missing")
    return replace(recording, remarks=(*remarks, *recording.remarks))


def _elements(name: str, text: str) -> Iterator[RecordingLine | tuple[str, str]]:
    """Yield the elements of a JSON array, each as it was written."""
    decoder, at, number = json.JSONDecoder(), text.index("[") + 1, 0
    blank = re.compile(r"[\s,]*")
    while (begin := _skip(blank, text, at)) < len(text) and text[begin] != "]":
        value, at = decoder.raw_decode(text, begin)
        yield _line(f"{name}: element {number}", value, text[begin:at])
        number += 1


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _values(name: str, lines: Sequence[str]) -> Iterator[RecordingLine | tuple[str, str]]:
    """Yield the JSON objects of a text: each in a line, or over several as `jq` writes them."""
    begins = [0, *accumulate(len(line) + 1 for line in lines)]
    text, tries, after = "", MOST_TRIES, 0
    for number, line in enumerate(lines):
        place = f"{name}:{number + 1}"
        if number < after or not line.strip():
            continue
        try:
            yield _line(place, read_json(line), line)
            continue
        except ValueError as problem:
            reason = str(problem) if isinstance(problem, TooDeep) else f"not a JSON text: {problem}"
        if line.lstrip().startswith("{") and tries and number + 1 < len(lines):
            text = text or "\n".join(lines)
            begin = begins[number] + len(line) - len(line.lstrip())
            try:
                value, end = json.JSONDecoder().raw_decode(text, begin)
            except (ValueError, RecursionError):
                tries -= 1
            else:
                after = bisect_right(begins, end - 1)
                if not exceeds_depth(value) and not text[end : begins[after] - 1].strip():
                    yield _line(place, value, text[begin:end])
                    continue
        if not is_aside(line):
            yield place, reason


def _line(place: str, value: Any, text: str) -> RecordingLine | tuple[str, str]:
    if _SPOILT.search(text):
        return place, "not UTF-8"
    return RecordingLine(place, value, text) if isinstance(value, dict) else (place, "no JSON object")
