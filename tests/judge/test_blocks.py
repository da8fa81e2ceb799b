"""The edges of what a stream of events may be: its blocks, their ids, and what stands in them."""

from __future__ import annotations

import json

import pytest

from runwire_conformance.rules import Finding
from runwire_conformance.rules.messages import data_of
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record
from tests.support.conversations import RESUMED, RUN, TRACE, done, ready, token
from tests.support.talks import BEAT, READY, STARTED, message, said, sign


def stream(*blocks: str, at: tuple[float, ...] = ()) -> list[Finding]:
    """Return what is found in a resumed stream of these blocks, behind its first two."""
    records = [sign("block", "retry: 2000\nid: e.2")]
    opening = {
        "type": "resumed",
        "run_id": RUN,
        "epoch": "e",
        "trace_id": TRACE,
        "status": "running",
        "next_seq": 3,
    }
    for number, payload in enumerate((f"data: {json.dumps({**opening, 'session_id': RUN})}", *blocks)):
        data = data_of(payload)
        moment = at[number - 1] if number and at else 0.0
        records.append(
            Record(moment, "server", "block", payload, Message(json.loads(data)) if data else None)
        )
    return said(*records, transport="sse", title="GET events")


NEXT = json.dumps(token(3)[1])
END = json.dumps(done(3)[1])


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((f"id: e.3\ndata: {NEXT}",), []),
        ((f"id: e.3\nid: e.3\ndata: {NEXT}",), [Finding("SSE-7", "token 3 has id ['e.3', 'e.3']", 2)]),
        ((f"id: f.3\ndata: {NEXT}",), [Finding("SSE-7", "token 3 has id ['f.3']", 2)]),
        ((f"event: token\nid: e.3\ndata: {NEXT}",), [Finding("SSE-8", "an event line", 2)]),
        (('data: {"type":"heartbeat"\ndata: }',), [Finding("SSE-6", "2 data lines in one event", 2)]),
        (('data: {"type":"heartbeat"}\nid: e.3',), [Finding("SSE-13", "heartbeat has id e.3", 2)]),
        (('data: {"type":"acme:x"}\nid: e.3',), []),
        (('data: {"type":"acme:x","seq":3}\nid: f.3',), []),
        ((f'id: e.3\ndata: {{"type":"acme:x","run_id":"{RUN}","seq":3}}',), []),
        ((f'id: f.3\ndata: {{"type":"acme:x","run_id":"{RUN}","seq":3}}',),
         [Finding("SSE-7", "acme:x 3 has id ['f.3']", 2)]),
        (('data: {"type": "heartbeat"\ndata: }',), [Finding("SSE-6", "2 data lines in one event", 2)]),
        ((f'id: e.3\ndata: {{"type":"token","run_id":"{RUN}","data":"x"}}',),
         [Finding("RUN-27", "token has no seq", 2)]),
        (('data: {"type":"notice","code":"a:b","data":""}\nid: e.2',),
         [Finding("SSE-13", "notice has id e.2", 2)]),
        (("retry: 5", f"id: e.3\ndata: {NEXT}"), []),
        (("event: x", f"id: f.3\ndata: {NEXT}"),
         [Finding("SSE-8", "an event line", 2), Finding("SSE-7", "token 3 has id ['f.3']", 3)]),
    ],
)  # fmt: skip
def test_the_edge_of_a_block(blocks: tuple[str, ...], expected: list[Finding]) -> None:
    assert sorted(stream(*blocks), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    "first", ["retry: 2000\nid: e.x", "retry: 2000\nid: .2", "retry: 2000\nid: 2", "retry: 1000\nid: e.2",
              "retry: 2000\nid: e.2\nid: e.2", "id: e.2", "retry: 2000\nid: e.2\ndata"],
)  # fmt: skip
def test_a_stream_opens_with_the_time_and_the_cursor(first: str) -> None:
    found = said(sign("block", first), transport="sse", title="GET events")

    assert found == [Finding("SSE-2", f"the first block is {first!r}", 0)]


@pytest.mark.parametrize("opening", [STARTED, message(RESUMED[1])], ids=["started", "resumed"])  # type: ignore[arg-type]
def test_an_opening_has_no_id(opening: Record) -> None:
    opened = Record(0.0, "server", "block", f"id: e.2\ndata: {opening.payload}", opening.message)
    kind = opening.message.type if opening.message else ""

    found = said(sign("block", "retry: 2000\nid: e.2"), opened, transport="sse")

    assert Finding("SSE-13", f"{kind} has id e.2", 1) in found


def test_ids_are_not_judged_behind_a_wrong_first_one() -> None:
    event_ = Record(0.0, "server", "block", f"id: f.3\ndata: {NEXT}", Message(token(3)[1]))  # type: ignore[arg-type]

    found = {finding.requirement for finding in said(sign("block", "id: e.2"), event_, transport="sse")}

    assert "SSE-2" in found
    assert "SSE-7" not in found


def test_only_a_stream_is_over_with_its_run() -> None:
    assert said(READY, STARTED, message(done(1)[1], 1.0), message(BEAT, 2.0)) == []  # type: ignore[arg-type]


def test_a_stream_is_over_with_its_run() -> None:
    block, beat = f"id: e.3\ndata: {END}", 'data: {"type":"heartbeat"}'

    assert stream(block, beat, at=(1.0, 1.25)) == []
    assert stream(block, beat, beat, at=(1.0, 1.3, 2.0)) == [
        Finding("SSE-10", "a heartbeat 0.3 s after the terminal", 3)
    ]


def test_the_data_of_a_block_is_held_to_what_a_text_is() -> None:
    block = Record(0.0, "server", "block", 'data: {"type":"heartbeat","x":1,"x":1}', Message(BEAT))

    assert Finding("MSG-5", "a member name is repeated", 0) in said(block, transport="sse")


def test_a_ready_in_a_stream_is_named() -> None:
    block = Record(0.0, "server", "block", f"data: {json.dumps(ready()[1])}", Message(ready()[1]))  # type: ignore[arg-type]

    assert Finding("SSE-11", "ready in a stream", 0) in said(block, transport="sse")


def test_the_data_of_a_block_is_what_its_lines_say() -> None:
    assert data_of("id: 1\ndata: a\ndata:b\ndata:  c") == "a\nb\n c"
