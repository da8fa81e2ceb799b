"""The reader of event streams against the WHATWG algorithm, written down a second time and plainly, cut anywhere."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_conformance.client.wire import sse
from runwire_conformance.client.wire.sse import (
    FIELD_BYTES,
    Block,
    BlockParser,
    EndlessLine,
    Event,
    EventReader,
)

BOM = b"\xef\xbb\xbf"

#: (stream, events, last event id, retry): the edges of the standard, one each.
EDGES: list[tuple[bytes, list[Event], str, int | None]] = [
    (b"data: a\n\n", [Event("a")], "", None),
    (b"data: a\r\rdata: b\r\n\r\n", [Event("a"), Event("b")], "", None),
    (b"data: a\ndata: b\n\n", [Event("a\nb")], "", None),
    (b"data: a\r\ndata: b\r\n\r\n", [Event("a\nb")], "", None),
    (b"data\n\n", [Event("")], "", None),
    (b"data\ndata\n\n", [Event("\n")], "", None),
    (b"data:\n\n", [Event("")], "", None),
    (b"data:  two\n\n", [Event(" two")], "", None),
    (b"data:\ttab\n\n", [Event("\ttab")], "", None),
    (b"data: a:b: c\n\n", [Event("a:b: c")], "", None),
    (BOM + b"data: a\n\n", [Event("a")], "", None),
    (BOM + BOM + b"data: a\n\n", [], "", None),
    (b"data: a\n\n" + BOM + b"data: b\n\n", [Event("a")], "", None),
    (b": comment\n\n:\n\ndata: a\n:x\n\n", [Event("a")], "", None),
    (b"id: 1\n\n", [], "1", None),
    (b"id: 1\n\ndata: a\n\n", [Event("a", last_event_id="1")], "1", None),
    (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [Event("a", last_event_id="1"), Event("b")], "", None),
    (b"id: 1\n\nid: 2\x003\ndata: a\n\n", [Event("a", last_event_id="1")], "1", None),
    (
        b"id: 1\ndata: a\n\ndata: b\n\n",
        [Event("a", last_event_id="1"), Event("b", last_event_id="1")],
        "1",
        None,
    ),
    (b"event: e\ndata: a\n\ndata: b\n\n", [Event("a", "e"), Event("b")], "", None),
    (b"event: e\n\ndata: b\n\n", [Event("b")], "", None),
    (b"event: e\nevent\ndata: b\n\n", [Event("b")], "", None),
    (b"retry: 2000\n\n", [], "", 2000),
    (b"retry: 2000\nretry: 1_0\nretry: -1\nretry: 1.5\nretry: +1\nretry\n\n", [], "", 2000),
    ("retry: ٣\n\n".encode(), [], "", None),
    (b"retry:0070\n\n", [], "", 70),
    (b"Data: a\nDATA: b\ndata : c\n data: d\n\n", [], "", None),
    (b"\n\n\r\n\rdata: a\n\n\n\n", [Event("a")], "", None),
    (b"data: cut off", [], "", None),
    (b"id: 1\n\nid: 2\n", [], "1", None),
    (b"retry: 2000\n\nretry: 3000\n", [], "", 3000),
    (b"retry: 2000\n\nretry: 3000", [], "", 2000),
    (b"data: cut off\n", [], "", None),
    (b"data: a\n\r\n", [Event("a")], "", None),
    (b"data: a\r\n\n", [Event("a")], "", None),
    ("data: ü\u2028\u0085\x0b\x0c\n\n".encode(), [Event("ü\u2028\u0085\x0b\x0c")], "", None),
]


def read(stream: bytes, cuts: list[int]) -> tuple[list[Event], str, int | None]:
    """Return what the reader makes of a stream that arrives cut."""
    reader = EventReader()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    events = [event for begin, end in pairwise(places) for event in reader.feed(stream[begin:end])]
    return events, reader.last_event_id, reader.retry_ms


def interpreted(stream: bytes) -> tuple[list[Event], str, int | None]:
    """Return what the standard makes of a whole stream, line by line."""
    text = stream.decode().removeprefix("\ufeff")
    events: list[Event] = []
    data, kind, identifier, last, retry = "", "", "", "", None
    *lines, _unended = re.split("\r\n|\r|\n", text)
    for line in lines:
        if line == "":
            last = identifier
            if data:
                events.append(Event(data[:-1], kind or "message", last))
            data, kind = "", ""
        elif line[0] != ":":
            name, _, value = line.partition(":")
            value = value[1:] if value[:1] == " " else value
            match name:
                case "event":
                    kind = value
                case "data":
                    data += value + "\n"
                case "id" if "\0" not in value:
                    identifier = value
                case "retry" if value and set(value) <= set("0123456789"):
                    retry = int(value)
    return events, last, retry


@pytest.mark.parametrize(("stream", "events", "last", "retry"), EDGES)
def test_an_edge_reads_as_the_standard_says(
    stream: bytes, events: list[Event], last: str, retry: int | None
) -> None:
    assert read(stream, []) == (events, last, retry)
    assert read(stream, list(range(len(stream)))) == (events, last, retry)
    for place in range(len(stream)):
        assert read(stream, [place]) == (events, last, retry)


NAMES = ["data", "id", "retry", "event", "x"]
ENDS = ["\n", "\r", "\r\n", "\n\n", "\r\n\r\n"]
PIECES = st.sampled_from([*NAMES, *ENDS, ":", ": ", " ", "\0", "12", "ü😀", "\ufeff"])


@given(st.lists(PIECES, max_size=40), st.lists(st.integers(0, 120), max_size=12))
def test_any_stream_cut_anywhere_reads_as_the_standard_says(pieces: list[str], cuts: list[int]) -> None:
    stream = "".join(pieces).encode()

    assert read(stream, cuts) == interpreted(stream)


def test_bytes_that_are_no_utf_8_are_refused_where_they_stand() -> None:
    reader = EventReader()

    assert reader.feed(b"data: good\n\ndata: \xc3") == [Event("good")]
    with pytest.raises(UnicodeDecodeError):
        reader.feed(b"(\n")


def test_a_line_that_does_not_end_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_LINE_BYTES", 1000)
    parser = BlockParser()
    parser.feed(b"data: " + b"x" * 900)

    with pytest.raises(EndlessLine):
        parser.feed(b"x" * 200)


@pytest.mark.parametrize("cut", [1, 400, 999])
def test_a_line_may_be_as_long_as_the_bound(cut: int) -> None:
    parser = BlockParser(most_bytes=1000)
    for piece in (b"x" * cut, b"x" * (1000 - cut)):
        parser.feed(piece)

    assert parser.unfinished == 1000
    with pytest.raises(EndlessLine, match="a line of more than 1000 bytes"):
        parser.feed(b"x")


@pytest.mark.parametrize(
    "line", [b"data: " + b"x" * 994, b":" + b"x" * 999, b"data:" + b"\xc3\xbc" * 495 + b"x" * 5]
)
def test_the_lines_of_an_event_may_be_as_long_as_the_bound_together(line: bytes) -> None:
    parser = BlockParser(most_bytes=3 * (1000 + FIELD_BYTES))
    for number in range(3):
        assert parser.feed(line + b"\n") == []
        assert parser.unfinished == (number + 1) * (1000 + FIELD_BYTES)

    with pytest.raises(EndlessLine, match=f"an event of more than {parser.most_bytes} bytes"):
        parser.feed(b"id\n")


def test_a_blank_line_closes_what_was_held() -> None:
    parser = BlockParser(most_bytes=2000)

    for _ in range(10):
        (block,) = parser.feed(b"data: " + b"x" * 994 + b"\n\n")
        assert (block.closed, len(block.data or "")) == (True, 994)
        assert parser.unfinished == 0


def test_the_end_cuts_off_what_was_begun() -> None:
    parser = BlockParser()
    assert parser.feed(b": note\nid: 9\nda") == parser.feed(b"ta: x") == []

    assert parser.end() == Block((("id", "9"), ("data", "x")), (" note",), closed=False)
    assert BlockParser().end() is None
