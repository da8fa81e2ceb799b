"""`runwire validate` on HAR files of many tools: what is understood is judged, and nothing else is."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwire_conformance.tools.formats.recording import Unreadable
from tests.support.patience import examples
from tests.support.validate_stand import (
    BEGAN,
    DONE,
    GOOD,
    HOLE,
    TOKEN,
    body,
    broken,
    entry,
    har,
    looked_at,
    socket,
    stream,
)

BEAT = {"type": "heartbeat"}


def changed(one: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return an entry whose messages have other members, each made from its number and the message."""
    made = copy.deepcopy(one)
    for number, message in enumerate(made["_webSocketMessages"]):
        message |= {name: change(number, message) for name, change in members.items()}
    return made


@pytest.mark.parametrize("other", [None, 7, "x", [], {}, {"request": None}, {"request": {"url": 7}},
    {"response": None, "request": {"headers": [{"name": "Accept", "value": "text/event-stream"}]}},
    {"_webSocketMessages": None}, {"_webSocketMessages": 7}, {"_webSocketMessages": [None]},
    {"startedDateTime": 7, "_webSocketMessages": [{"type": "receive", "data": "{}"}]},
    entry("http://[::1", response={"status": 200, "content": {"mimeType": "text/event-stream", "text": 7}}),
])  # fmt: skip
def test_an_entry_that_cannot_be_read_hides_no_other(tmp_path: Path, other: Any) -> None:
    assert broken(tmp_path, har(other, socket(HOLE), other)) == ["RUN-28"]
    assert broken(tmp_path, har(other, socket(GOOD), stream(GOOD), other)) == []


@pytest.mark.parametrize("kind", ["request", "SENT", "out", None, 7, "", "incoming"])
def test_a_direction_that_is_not_understood_is_refused(tmp_path: Path, kind: Any) -> None:
    strange = changed(socket(HOLE), type=lambda *_: kind)

    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, har(strange))

    assert "neither send nor receive" in str(refused.value)
    found = looked_at(tmp_path, har(strange, socket(GOOD)))
    assert found.problems == []
    assert "log.entries[0]" in found.remarks[0]


def test_one_direction_that_is_not_understood_leaves_only_single_messages_to_judge(tmp_path: Path) -> None:
    one = socket(
        [*GOOD[:3], ("receive", {**TOKEN, "data": ""}), ("what", TOKEN), ("receive", {**DONE, "seq": 9})]
    )

    found = looked_at(tmp_path, har(one))

    assert [problem.requirement for problem in found.problems] == ["EVENT-26"]
    assert any("judged separately" in remark for remark in found.remarks)


def test_directions_that_are_turned_round_are_refused(tmp_path: Path) -> None:
    turned = changed(socket(GOOD), type=lambda _, one: {"send": "receive", "receive": "send"}[one["type"]])

    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, har(turned))

    assert "wrong directions" in str(refused.value)


#: Talks that break a sentence by the clock alone, if the clock is believed.
SILENT = [*GOOD, ("receive", BEAT)]
FLOOD = [*GOOD[:1], *[("receive", BEAT)] * 400]
LATE = [*GOOD[:3], ("send", {"type": "cancel"}), ("receive", TOKEN), ("receive", DONE)]
TIMES: dict[str, Any] = {
    "relative to the beginning": lambda number, _: 10.0 * number,
    "microseconds": lambda number, _: (BEGAN + 10 * number) * 1e6,
    "nanoseconds": lambda number, _: (BEGAN + 10 * number) * 1e9,
    "of a clock since the start of the machine": lambda number, _: 52_000.123 + 10 * number,
    "whole seconds": lambda number, _: int(BEGAN) + 60 * number,
    "backwards": lambda number, _: BEGAN + 1000.5 - 10 * number,
    "of a day long gone": lambda number, _: BEGAN - 1e6 + 10 * number,
    "a date": lambda *_: "2026-11-24T10:00:00Z",
    "none": lambda *_: None,
    "a list": lambda *_: [1],
    "no number": lambda *_: float("nan"),
    "without end": lambda *_: float("inf"),
    "huge": lambda *_: 10**400,
    "of some": lambda number, _: None if number == 3 else BEGAN + 60 * number,
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("talk", [SILENT, FLOOD, LATE], ids=["silent", "flood", "late"])
def test_times_that_are_not_understood_accuse_nobody(tmp_path: Path, name: str, talk: Any) -> None:
    found = looked_at(tmp_path, har(changed(socket(talk), time=TIMES[name])))

    assert found.problems == []
    assert any("times" in remark for remark in found.remarks)
    hole = changed(socket(HOLE), time=TIMES[name])
    assert broken(tmp_path, har(hole)) == ["RUN-28"]


def test_an_entry_without_its_beginning_is_judged_without_times(tmp_path: Path) -> None:
    for began in (None, 7, "yesterday", "0001-01-01T00:00:00"):
        assert broken(tmp_path, har(socket(SILENT, startedDateTime=began))) == []
        assert broken(tmp_path, har(socket(HOLE, startedDateTime=began))) == ["RUN-28"]


@pytest.mark.parametrize("factor", [1, 1000], ids=["seconds", "milliseconds"])
def test_times_that_are_understood_are_judged(tmp_path: Path, factor: int) -> None:
    slow = changed(socket(SILENT), time=lambda number, _: (BEGAN + 0.101 * number) * factor)
    silent = copy.deepcopy(slow)
    silent["_webSocketMessages"][-1]["time"] += 20 * factor

    assert broken(tmp_path, har(slow)) == []
    assert broken(tmp_path, har(silent)) == ["BEAT-3"]


def with_headers(**members: Any) -> dict[str, Any]:
    """Return a stream with a hole whose response is written otherwise."""
    one = stream(HOLE)
    one["response"] |= members
    return one


PLAIN = {"mimeType": "", "text": body(HOLE)}


@pytest.mark.parametrize(
    "one",
    [
        with_headers(content=PLAIN, headers=[{"name": "content-type", "value": "text/event-stream"}]),
        with_headers(content=PLAIN, headers=[{"name": "CONTENT-TYPE", "value": "Text/Event-Stream; charset=UTF-8"}]),
        with_headers(content=PLAIN, headers={"Content-Type": "text/event-stream"}),
        with_headers(content={**PLAIN, "mimeType": "application/octet-stream"}),
        with_headers(content={**PLAIN, "mimeType": "TEXT/EVENT-STREAM"}, headers=[None, 7, {"name": None}]),
        with_headers(content={**PLAIN, "mimeType": "text/event-stream;charset=utf-8"}, headers=None),
        with_headers(status="200"),
        with_headers(content={**PLAIN, "text": base64.b64encode(body(HOLE).encode()).decode(), "encoding": "BASE64"}),
        with_headers(
            content={"text": base64.b64encode(gzip.compress(body(HOLE).encode())).decode(), "encoding": "base64"}
        ),
        with_headers(content={**PLAIN, "text": body(HOLE, "\r\n")}),
        stream(HOLE, time=None, startedDateTime=None),
    ],
)  # fmt: skip
def test_a_stream_is_found_however_it_is_written(tmp_path: Path, one: dict[str, Any]) -> None:
    assert broken(tmp_path, har(one)) == ["RUN-28"]


def messages_of(talk: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what the network panel shows of an EventSource."""
    return [
        {"time": BEGAN + 0.1 * n, "eventName": "message", "eventId": "e1.0", "data": json.dumps(said)}
        for n, (kind, said) in enumerate(talk)
        if kind == "receive" and said["type"] != "ready"
    ]


def event_source(pieces: Any, **response: Any) -> dict[str, Any]:
    """Return the entry of an EventSource as Chromium writes it."""
    one = stream(HOLE, _resourceType="eventsource", _eventSourceMessages=pieces)
    one["response"] |= {"content": {"size": 0, "mimeType": "text/event-stream"}, **response}
    return one


def test_the_messages_of_an_event_source_are_judged_without_their_lines(tmp_path: Path) -> None:
    assert broken(tmp_path, har(event_source(messages_of(HOLE)))) == ["RUN-28"]
    assert broken(tmp_path, har(event_source(messages_of(GOOD)))) == []
    assert broken(tmp_path, har(event_source(messages_of(HOLE), headers=None, content=None))) == ["RUN-28"]


def test_an_event_source_that_was_seen_from_amid_a_run_is_judged_message_by_message(tmp_path: Path) -> None:
    late = [*GOOD[3:4], ("receive", {**TOKEN, "seq": 7, "data": ""})]

    found = looked_at(tmp_path, har(event_source(messages_of(late))))

    assert [problem.requirement for problem in found.problems] == ["EVENT-26"]
    assert any("in the middle of a run" in remark for remark in found.remarks)


def test_many_beats_in_a_body_without_times_are_no_flood(tmp_path: Path) -> None:
    assert broken(tmp_path, har(stream([*GOOD[2:4], *[("receive", BEAT)] * 400, *GOOD[4:]]))) == []


@pytest.mark.parametrize("content", [None, {}, {"text": None}, {"mimeType": "text/event-stream", "text": ""}])
def test_a_stream_without_its_body_is_told(tmp_path: Path, content: Any) -> None:
    one = stream(GOOD)
    one["response"]["content"] = content

    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, har(one))

    assert "without its body" in str(refused.value)


def test_binary_frames_are_reported_as_such(tmp_path: Path) -> None:
    def encoded(_: int, message: dict[str, Any]) -> str:
        return base64.b64encode(message["data"].encode()).decode()

    found = looked_at(tmp_path, har(changed(socket(HOLE), data=encoded, opcode=lambda *_: 2)))

    assert [problem.requirement for problem in found.problems] == ["MSG-1"]
    assert "a binary message of" in found.problems[0].text


@pytest.mark.parametrize("opcode", [None, "1", 1.0])
def test_an_opcode_is_read_as_far_as_it_is_one(tmp_path: Path, opcode: Any) -> None:
    assert broken(tmp_path, har(changed(socket(HOLE), opcode=lambda *_: opcode))) == ["RUN-28"]


@pytest.mark.parametrize("opcode", [-1, 3, 2**70, True, "text", []])
def test_a_frame_of_an_unknown_kind_is_refused(tmp_path: Path, opcode: Any) -> None:
    one = socket(HOLE)
    one["_webSocketMessages"][3]["opcode"] = opcode

    found = looked_at(tmp_path, har(one))

    assert found.problems == []
    assert any("opcode" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "said",
    [
        [{"type": "connected"}, {"type": "error", "err": {"message": "x"}}],
        [{"type": "ready"}, {"type": "heartbeat"}, {"type": "error"}],
        [{"id": "1", "type": "connection_ack"}, {"type": "notice", "data": 7}],
    ],
)
def test_another_protocol_is_left_alone(tmp_path: Path, said: list[dict[str, Any]]) -> None:
    other = socket([("receive", one) for one in said])

    assert broken(tmp_path, har(other, socket(GOOD))) == []


@pytest.mark.parametrize("log", [None, 7, [], {}, {"entries": None}, {"entries": {}}, {"entries": []}])
def test_a_file_that_is_hardly_a_har_file_is_told_in_a_line(tmp_path: Path, log: Any) -> None:
    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, json.dumps({"log": log}))

    assert "\n" not in str(refused.value)


def test_a_har_file_that_was_cut_is_told_so(tmp_path: Path) -> None:
    whole = json.dumps(json.loads(har(socket(GOOD))), indent=1)
    for text in (whole[:-40], har(socket(GOOD))[:-40]):
        with pytest.raises(Unreadable) as refused:
            looked_at(tmp_path, text)
        assert "export it again" in str(refused.value)


#: What may stand anywhere in a file of a stranger's.
ANYTHING: list[Any] = [None, True, 7, -1, 0.5, 2**70, 10**400, float("nan"), float("inf"), "", "x", "\ud800", [], {},
                       [None], [[]], {"a": []}, "2026-11-24T10:00:00Z", "http://[", "send", {"name": "x"}]  # fmt: skip


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a JSON value."""
    found = [path] if path else []
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in members:
        found += places_in(inner, (*path, name))
    return found


SAMPLE = json.loads(
    har(socket(GOOD), stream(GOOD), event_source(messages_of(GOOD)), entry("http://localhost:8080/x.css"))
)
PLACES = places_in(SAMPLE)


@pytest.mark.property
@settings(max_examples=examples(400), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_stands_in_a_har_file_nobody_is_accused_of_it(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    made = copy.deepcopy(SAMPLE)
    for path in data.draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=5)):
        value = made
        for name in path[:-1]:
            value = value[name] if isinstance(value, dict | list) and _has(value, name) else None
        if isinstance(value, dict | list) and _has(value, path[-1]):
            if data.draw(st.booleans()) and isinstance(value, dict):
                del value[path[-1]]
            elif path[-1] != "data":  # what was said is the server's, and what is said of it is no guess
                value[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(ANYTHING)))

    try:
        found = looked_at(tmp_path_factory.getbasetemp(), json.dumps(made))
    except Unreadable as problem:
        assert len(str(problem).splitlines()) == 1
        return
    said = {problem.requirement for problem in found.problems}
    assert said <= ALLOWED, found


#: What an altered file shows that is no guess: a body without its text, a request that is another, or a `ready` that
#: the client says.
ALLOWED = {"SSE-4", "SSE-3", "MSG-28", "CONN-15", ""}


def _has(value: Any, name: Any) -> bool:
    return name in value if isinstance(value, dict) else isinstance(name, int) and name < len(value)
