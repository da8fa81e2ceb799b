"""The judge's readers and invariants: cut anywhere, silent on what is right, loud on what is wrong."""

import asyncio
import math
import socket
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_conformance.client.wire.http import Address, open_socket
from runwire_conformance.client.wire.sse import Block, BlockParser
from runwire_conformance.client.wire.websocket import Pace
from runwire_conformance.rules import RuleContext, findings
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace, Transport
from tests.support.transcripts import INVALID, VALID, found

STREAM = (
    b"\xef\xbb\xbfretry: 2000\r\nid: e1.0\r\n\r\n: a comment\n\ndata: {\"a\":1}\nid:e1.1\n\n"
    b"data\rdata:  two\r\r\r\nevent: x\ndata: \xc3\xbc\n\ndata: cut off"
)  # fmt: skip
BLOCKS = [
    Block((("retry", "2000"), ("id", "e1.0"))),
    Block((), (" a comment",)),
    Block((("data", '{"a":1}'), ("id", "e1.1"))),
    Block((("data", ""), ("data", " two"))),
    Block((("event", "x"), ("data", "ü"))),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    parser = BlockParser()

    blocks = [block for begin, end in pairwise(places) for block in parser.feed(STREAM[begin:end])]

    assert blocks == BLOCKS
    assert parser.end() == Block((("data", "cut off"),), closed=False)


def test_the_data_of_a_block_is_its_lines() -> None:
    assert BLOCKS[3].data == "\n two"
    assert BLOCKS[0].data is None


def test_a_stream_byte_by_byte_reads_the_same() -> None:
    parser = BlockParser()

    assert [block for byte in STREAM for block in parser.feed(bytes([byte]))] == BLOCKS


@pytest.mark.parametrize("name", VALID)
def test_a_valid_transcript_is_accused_of_nothing(name: str) -> None:
    assert found(VALID[name]) == []


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_transcript_is_accused_where_it_breaks_its_sentence_and_of_nothing_else(name: str) -> None:
    header, problems = INVALID[name][0], found(INVALID[name])

    assert {requirement for requirement, _ in problems} <= set(header["breaks"])
    assert header["line"] in {line for _, line in problems}


def beats(gap: float, transport: str = "websocket") -> Trace:
    """Return a conversation whose second heartbeat comes `gap` seconds after the first."""
    trace = Trace("sse" if transport == "sse" else "websocket", "beats", 0.0)
    beat = Message({"type": "heartbeat"})
    ready = Message({"type": "vendor:ready"})
    trace.records = [
        Record(0.0, "server", "text", '{"type":"vendor:ready"}', ready),
        Record(gap, "server", "text", '{"type":"heartbeat"}', beat),
    ]
    return trace


@pytest.mark.parametrize(("gap", "silent"), [(2.9, False), (3.2, False), (3.4, True), (60, True)])
def test_silence_is_found_beyond_its_bound_and_tolerance(gap: float, silent: bool) -> None:
    context = RuleContext(Limits({"heartbeat_s": 1}), 0.25)

    broken = {finding.requirement for finding in findings(beats(gap), context)}

    assert ("BEAT-3" in broken) is silent


@pytest.mark.parametrize(
    "between",
    [Record(2.0, "server", "lost", "the connection ended"), Record(3.0, "server", "text", "no JSON text")],
    ids=["the end of the connection", "a text that nobody can read"],
)
def test_silence_is_not_found_beyond(between: Record) -> None:
    trace = beats(5.0)
    trace.records.insert(1, between)

    broken = {
        finding.requirement for finding in findings(trace, RuleContext(Limits({"heartbeat_s": 1}), 0.25))
    }

    assert "BEAT-3" not in broken


@pytest.mark.parametrize(
    ("code", "ended_at", "overtaken"),
    [("timeout", 6.1, True), ("timeout", 5.9, True), ("timeout", 4.0, False), ("agent_error", 6.1, False)],
)
def test_a_run_whose_time_was_over_is_told_apart(code: str, ended_at: float, overtaken: bool) -> None:
    trace = Trace("websocket", "one", began=0.0)
    started = Message({"type": "started", "run_id": "r"})
    error = Message({"type": "error", "code": code, "data": "", "run_id": "r", "seq": 1})
    trace.records.append(Record(1.0, "server", "text", "", started))
    trace.records.append(Record(ended_at, "server", "text", "", error))

    assert trace.limit_expired(3.0, 5.0, 600.0) is overtaken


@pytest.mark.parametrize(
    ("outcome", "closed_at", "overtaken"),
    [("expired", 2.1, True), ("expired", 1.2, False), ("withdrawn", 2.1, False)],
)
def test_a_question_that_expired_is_told_apart(outcome: str, closed_at: float, overtaken: bool) -> None:
    trace = Trace("websocket", "one", began=0.0)
    asked = Message({"type": "input_request", "request_id": "q"})
    closed = Message({"type": "input_closed", "request_id": "q", "outcome": outcome})
    trace.records.append(Record(1.0, "server", "text", "", asked))
    trace.records.append(Record(closed_at, "server", "text", "", closed))

    assert trace.limit_expired(3.0, 5.0, 1.0) is overtaken


@pytest.mark.parametrize(
    ("sent_at", "closed_at", "code", "idled"),
    [
        (1.0, 4.2, 1000, True),
        (1.0, 3.3, 1000, False),
        (1.0, 3.5, 1000, True),
        (None, 3.1, 1000, True),
        (4.1, 4.2, 1000, True),
        (1.0, 9.0, 4000, False),
    ],
)
def test_a_connection_that_the_judge_left_idle_is_told_apart(
    sent_at: float | None, closed_at: float, code: int, idled: bool
) -> None:
    trace = Trace("websocket", "one", began=0.0)
    if sent_at is not None:
        trace.records.append(Record(sent_at, "client", "text", "{}"))
    trace.records.append(Record(closed_at - 0.5, "server", "text", '{"type":"heartbeat"}'))
    trace.records.append(Record(closed_at, "server", "close", code=code))

    assert trace.closed_for_idleness(3.0) is idled
    beats = [
        Record(at, "client", "text", "{}", Message({"type": "heartbeat"})) for at in (0.5, closed_at - 1.5)
    ]
    trace.records[:0] = beats
    assert trace.closed_for_idleness(3.0) is idled
    trace.records.insert(0, Record(closed_at - 2.3, "server", "text", "{}", Message({"type": "done"})))
    assert not trace.closed_for_idleness(3.0)


@pytest.mark.skipif(sys.platform != "linux", reason="the sizes are those of Linux")
def test_the_network_takes_little_for_a_reader_that_is_slow() -> None:
    async def taken(listening: socket.socket) -> int:
        _, writer = await open_socket(Address(*listening.getsockname(), tls=False), None, 16 * 1024)
        server, _ = listening.accept()
        server.setblocking(False)
        count = 0
        for _ in range(20):
            try:
                while True:
                    count += server.send(bytes(4096))
            except BlockingIOError:
                await asyncio.sleep(0.01)
        server.close()
        writer.close()
        return count

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert asyncio.run(taken(listening)) < 1_000_000


@pytest.mark.parametrize("first", [("::1", 1, 0, 0), ("127.0.0.1", 1)], ids=["IPv6", "IPv4"])
def test_a_host_of_several_addresses_is_reached_at_the_one_that_accepts(
    first: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `localhost`, many systems name ::1 first, where a server that listens on 127.0.0.1 is not."""

    async def reached(port: int) -> object:
        async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
            family = socket.AF_INET6 if len(first) > 2 else socket.AF_INET
            return [
                (kind, socket.SOCK_STREAM, 6, "", place)
                for kind, place in [(family, first), (socket.AF_INET, ("127.0.0.1", port))]
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        _, writer = await open_socket(Address("a.test", port, tls=False), None)
        try:
            return writer.get_extra_info("peername")
        finally:
            writer.close()
            await writer.wait_closed()

    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        assert asyncio.run(reached(place[1])) == place


@pytest.mark.parametrize("piece", [8192, 1400, 100])
@pytest.mark.parametrize("stall_s", [0.0, 1.0])
def test_a_slow_reader_keeps_its_pace_in_small_pieces_and_on_a_machine_that_stalls(
    piece: int, stall_s: float
) -> None:
    """It rests by what it took, and makes good what its machine was late by; else a server drops it with reason."""
    pace, moment, count = Pace(8192, 20_000), 100.0, 400_000 // piece

    for number in range(count):
        late = stall_s if number % (count // 8) == 1 else 0.0
        moment += max(pace.rest(piece, moment), late)

    assert moment - 100.0 == pytest.approx(count * piece / 20_000, abs=1.0)


def test_a_slow_reader_does_not_make_good_what_it_was_late_by_for_long() -> None:
    pace = Pace(8192, 8192)
    pace.rest(8192, 0.0)

    assert pace.rest(8192, 60.0) == 0.0
    assert [pace.rest(8192, 60.0) > 0.0 for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("transport", "kind", "code", "at", "aged"),
    [
        ("websocket", "close", 4000, 2.1, True),
        ("websocket", "close", 1012, 1.95, True),
        ("websocket", "close", 4000, 1.5, False),
        ("websocket", "close", 1009, 2.1, False),
        ("websocket", "close", 4403, 2.1, False),
        ("websocket", "close", 4077, 2.1, False),
        ("websocket", "lost", None, 2.1, False),
        ("sse", "lost", None, 2.1, True),
        ("sse", "lost", None, 1.5, False),
    ],
)
def test_an_end_at_the_stated_age_is_told_apart(
    transport: Transport, kind: str, code: int | None, at: float, aged: bool
) -> None:
    trace = Trace(transport, "one", began=0.0)
    trace.records.append(Record(at, "server", kind, RESPONSE_ENDED if kind == "lost" else "", code=code))

    assert trace.closed_for_age(2.0) is aged
    assert not trace.closed_for_age(math.inf)


def test_what_the_client_or_a_drain_ended_was_ended_for_no_age() -> None:
    for before in (
        Record(0.5, "client", "close", code=1000),
        Record(0.5, "server", "text", "{}", Message({"type": "notice", "code": "draining"})),
    ):
        trace = Trace(
            "websocket", "one", began=0.0, records=[before, Record(2.5, "server", "close", code=4000)]
        )
        assert not trace.closed_for_age(2.0)
    done = Record(0.5, "server", "block", "{}", Message({"type": "done"}))
    read = Trace("sse", "one", began=0.0, records=[done, Record(2.5, "server", "lost", RESPONSE_ENDED)])
    assert not read.closed_for_age(2.0)
