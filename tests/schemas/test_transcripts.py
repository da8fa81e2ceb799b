"""The transcripts are well formed, say what they break, and break it where they say."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from runwire_schemas import client_message_violations, server_message_violations, transcripts
from runwire_spec import catalogue

Line = dict[str, Any]

EVENTS = frozenset(
    (
        *("token", "replace", "thinking", "tool_delta", "tool_call", "observation"),
        *("input_request", "input_closed", "done", "error"),
    )
)

#: Breaking these shows in the schema; every other transcript holds valid messages of the server only.
ABOUT_THE_SCHEMA = {"MSG-2", "MSG-3", "MSG-6"}

#: Breaking these shows in the numbers of a reader's events, which `misnumbered` reads.
ABOUT_THE_NUMBERS = {"RUN-5", "RUN-28", "RESUME-10", "RESUME-16", "RESUME-25"}

ALL = [
    pytest.param(name, lines, id=f"{verdict}-{name}")
    for verdict in ("valid", "invalid")
    for name, lines in transcripts(verdict)
]
VALID = [pytest.param(lines, id=name) for name, lines in transcripts("valid")]
INVALID = [pytest.param(lines, id=name) for name, lines in transcripts("invalid")]
MISNUMBERED = [
    pytest.param(lines, id=name)
    for name, lines in transcripts("invalid")
    if ABOUT_THE_NUMBERS & set(lines[0]["breaks"])
]


def numbered(lines: list[Line]) -> Iterator[tuple[int, Line]]:
    """Yield the lines after the header with their number in the file."""
    return enumerate(lines[1:], 2)


def connection(line: Line) -> int:
    number = line.get("connection", 1)
    assert isinstance(number, int)
    return number


def misnumbered(lines: list[Line]) -> Iterator[int]:
    """Yield the lines whose event does not follow from what its reader was sent, or follows a terminal."""
    cursors: dict[tuple[int, str], float] = {}
    ended: set[tuple[int, str]] = set()
    for number, line in numbered(lines):
        message = line.get("message", {})
        run = (connection(line), message.get("run_id", ""))
        if line["from"] == "client" or "seq" not in message:
            if message.get("type") == "started":
                cursors.setdefault(run, 0)
            if message.get("type") == "resumed":
                cursors[run] = message["next_seq"] - 1
                ended.discard(run)
            continue
        if message.get("first_seq", message["seq"]) != cursors.get(run, 0) + 1 or run in ended:
            yield number
        cursors[run] = message["seq"]
        if message["type"] in {"done", "error"}:
            ended.add(run)


@pytest.mark.parametrize(("name", "lines"), ALL)
def test_a_transcript_has_a_header_and_lines_of_the_documented_shape(name: str, lines: list[Line]) -> None:
    header, *rest = lines

    assert header.keys() - {"class", "line"} == {"transcript", "breaks"}, name
    assert header.get("class", "basic") == "basic"
    assert ("line" in header) == bool(header["breaks"])
    for line in rest:
        assert line.keys() - {"connection"} in (
            {"at_ms", "from", "transport", "message"},
            {"at_ms", "from", "transport", "close"},
        )
        assert line["from"] in {"client", "server"}
        assert line["transport"] in {"websocket", "sse"}
        assert type(line.get("close", 1000)) is type(line["at_ms"]) is int
    assert all(before["at_ms"] <= after["at_ms"] for before, after in pairwise(rest))


@pytest.mark.parametrize("lines", VALID)
def test_a_valid_transcript_breaks_nothing(lines: list[Line]) -> None:
    assert lines[0]["breaks"] == []


@pytest.mark.parametrize("lines", INVALID)
def test_an_invalid_transcript_names_requirements_that_bind_a_server_and_can_be_seen(
    lines: list[Line],
) -> None:
    broken = [catalogue()[identifier] for identifier in lines[0]["breaks"]]

    assert broken
    assert [one.id for one in broken if one.role != "server" or not one.observable] == []


@pytest.mark.parametrize("lines", INVALID)
def test_the_marked_line_of_an_invalid_transcript_is_one_of_the_server(lines: list[Line]) -> None:
    marked = dict(numbered(lines))[lines[0]["line"]]

    assert marked["from"] == "server"


@pytest.mark.parametrize(("name", "lines"), ALL)
def test_the_messages_of_the_server_are_valid_unless_that_is_what_is_broken(
    name: str, lines: list[Line]
) -> None:
    wrong = [
        number
        for number, line in numbered(lines)
        if line["from"] == "server" and "message" in line and server_message_violations(line["message"])
    ]

    assert wrong == ([lines[0]["line"]] if ABOUT_THE_SCHEMA & set(lines[0]["breaks"]) else []), name


@pytest.mark.parametrize(("name", "lines"), ALL)
def test_the_messages_of_the_client_are_valid_unless_they_are_refused(name: str, lines: list[Line]) -> None:
    for position, line in enumerate(lines):
        if line.get("from") != "client" or not client_message_violations(line.get("message", {"type": "x"})):
            continue
        answer = next(later for later in lines[position + 1 :] if connection(later) == connection(line))

        assert (answer["message"]["type"], answer["message"].get("seq")) == ("error", None), name


@pytest.mark.parametrize("lines", VALID)
def test_the_events_of_a_valid_transcript_follow_one_another(lines: list[Line]) -> None:
    assert list(misnumbered(lines)) == []


@pytest.mark.parametrize("lines", MISNUMBERED)
def test_a_transcript_about_the_numbers_is_marked_where_the_first_wrong_one_stands(lines: list[Line]) -> None:
    assert next(misnumbered(lines)) == lines[0]["line"]


@pytest.mark.parametrize("lines", VALID)
def test_every_run_that_a_valid_transcript_starts_ends_in_it(
    lines: list[Line],
) -> None:
    messages = [line["message"] for line in lines[1:] if line["from"] == "server" and "message" in line]
    started = {message["run_id"] for message in messages if message["type"] == "started"}
    ended = {message.get("run_id") for message in messages if message["type"] in {"done", "error"}}

    assert started - ended == set()


@pytest.mark.parametrize("lines", [given for given in VALID if "basic" not in str(given.id)])
def test_every_websocket_connection_of_a_valid_transcript_begins_with_ready(lines: list[Line]) -> None:
    first: dict[int, str] = {}
    for line in lines[1:]:
        if line["transport"] == "websocket" and line["from"] == "server" and "message" in line:
            first.setdefault(connection(line), line["message"]["type"])

    assert set(first.values()) <= {"ready"}


def test_the_valid_transcripts_show_every_type_of_message() -> None:
    shown = {
        line["message"].get("type", "start")
        for _, lines in transcripts("valid")
        for line in lines[1:]
        if "message" in line
    }

    assert EVENTS | {"ready", "started", "resumed", "notice", "heartbeat"} <= shown
    assert {"start", "resume", "cancel", "input"} <= shown
