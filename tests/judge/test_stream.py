"""A stream as the judge reads it: block by block, to its end or to where it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from runwire_conformance.case import Broken
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.wire.http import Response, Unanswered
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.trace import RESPONSE_ENDED, Trace
from runwire_conformance.trace.transcript import transcript
from tests.support.patience import patience
from tests.support.virtual_time import virtual_time


class Body:
    """The body of a response that comes in these pieces; an exception is how it breaks off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces, self.ends = pieces, list[str]()

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece
        if not self.pieces:
            await asyncio.sleep(60)

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")


def opened(body_: Body, trace: Trace | None = None, clock: Clock | None = None) -> Stream:
    """Return a stream with this body, which is read as soon as something waits."""
    return Stream(
        body_,  # type: ignore[arg-type]
        Response(200, (), b""),
        trace or Trace("sse", "GET", 0.0),
        Limits({"heartbeat_s": 3}),
        (clock or Clock()).begun(),
        "/place",
    )


def test_a_stream_is_read_block_by_block_to_its_end() -> None:
    async def read() -> None:
        pieces = (b'retry: 1\n\ndata: {"type":"resumed","run_id":"r1"}\n\nda', b"ta: no json\n\nid: 9\n")
        stream = opened(Body(*pieces))
        assert (stream.place, stream.limits["heartbeat_s"]) == ("/place", 3.0)
        assert stream.response.status == 200
        assert stream.cut_off is None
        assert (await stream.first_block()).values("retry") == ["1"]
        run = await stream.run()
        await stream.finished()
        assert (run.run_id, run.opening, run.conversation) == ("r1", stream.messages[0], stream)
        assert stream.complete
        assert stream.cut_off is not None
        assert stream.cut_off.values("id") == ["9"]
        records = [(r.side, r.kind, r.payload, r.message is not None) for r in stream.trace.records]
        assert records == [
            ("server", "block", "retry: 1", False),
            ("server", "block", 'data: {"type":"resumed","run_id":"r1"}', True),
            ("server", "block", "data: no json", False),
            ("server", "lost", RESPONSE_ENDED, False),
        ]

    asyncio.run(read())


@pytest.mark.parametrize("problem", [Unanswered("reset"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")])
def test_a_stream_that_breaks_off_is_not_complete(problem: Exception) -> None:
    async def read() -> None:
        stream = opened(Body(b"retry: 1\nretry: 2\n\n", problem))
        await stream.finished()
        assert not stream.complete
        assert stream.cut_off is None
        assert [record.payload for record in stream.trace.records] == [
            "retry: 1\nretry: 2", str(problem), RESPONSE_ENDED,
        ]  # fmt: skip
        assert {(r.side, r.kind) for r in stream.trace.records[1:]} == {("server", "lost")}

    asyncio.run(read())


@pytest.mark.parametrize(("endless_bytes", "is_endless"), [(30, True), (1000, False)])
def test_of_a_flood_only_the_bytes_are_counted(endless_bytes: int, is_endless: bool) -> None:
    class Flooded(Trace):
        def flood(self) -> bool:
            self.flooded_at = len(self.records)
            return True

    async def read() -> None:
        trace = Flooded("sse", "GET", 0.0, endless_bytes=endless_bytes)
        stream = opened(Body(*[b"data: {}\n\n"] * 6), trace)
        await stream._reading
        assert (len(stream.messages), stream.trace.is_endless) == (1, is_endless)
        assert (stream.flooded, stream.complete) == (True, not is_endless)

    asyncio.run(read())


def test_a_stream_is_let_go_in_order_or_cut() -> None:
    async def both() -> None:
        orderly, cut = Body(), Body()
        ended, dropped = opened(orderly), opened(cut)
        await asyncio.sleep(0)
        await ended.end()
        assert ended._reading.cancelled()
        dropped.drop()
        await asyncio.gather(dropped._reading, return_exceptions=True)
        assert (orderly.ends, cut.ends) == (["closed"], ["aborted"])
        assert dropped._reading.cancelled()
        last = dropped.trace.records[-1]
        assert (last.side, last.kind, last.payload) == ("client", "lost", "cut by the client")

    asyncio.run(both())


def test_a_stream_of_a_new_run_opens_with_started() -> None:
    async def read() -> str | None:
        stream = opened(Body(b'data: {"type":"heartbeat"}\n\ndata: {"type":"started","run_id":"r1"}\n\n'))
        return (await stream.run()).run_id

    assert asyncio.run(read()) == "r1"


def test_an_opening_that_never_comes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_conformance.client.conversations.stream.ANSWER_S", 0.01)

    async def read() -> None:
        stream = opened(Body())
        try:
            async with asyncio.timeout(patience(5)):
                await stream.first_block()
        finally:
            await stream.end()

    with pytest.raises(Broken, match=r"expected the opening block; waited 0\.01 s"):
        asyncio.run(read())


def test_what_a_stream_does_not_bring_is_named() -> None:
    async def wait() -> list[str]:
        said = []
        for waiting in ("first_block", "run"):
            stream = opened(Body(b"\n"))
            with pytest.raises(Broken) as problem:
                await getattr(stream, waiting)()
            said.append(str(problem.value))
        endless = opened(Body())
        with pytest.raises(Broken) as problem:
            await endless.finished(0.01)
        await endless.end()
        return [*said, str(problem.value)]

    assert asyncio.run(wait()) == [
        "expected the opening block; the sse connection ended; got nothing",
        "expected started or resumed; the sse connection ended; got nothing",
        "expected the response to end; waited 0.01 s; got nothing",
    ]


@pytest.mark.parametrize(
    ("title", "waiting", "expected", "owner"),
    [
        ("POST /v1/runs", "run", "started or resumed", "SSE-3"),
        ("GET /v1/runs/r1/events", "run", "started or resumed", "SSE-4"),
        ("POST /v1/runs", "first_block", "the opening block", "SSE-2"),
        ("GET /v1/runs/r1/events", "finished", "the response to end", "SSE-10"),
    ],
)
@virtual_time
async def test_silence_is_held_against_the_sentence_that_orders_what_is_missing(
    title: str, waiting: str, expected: str, owner: str
) -> None:
    stream = opened(Body(), Trace("sse", title, 0.0))

    with pytest.raises(Broken, match=f"expected {expected}; waited") as problem:
        await getattr(stream, waiting)()
    await stream.end()

    assert (problem.value.owners, problem.value.certain) == ((owner,), True)


@pytest.mark.parametrize(
    ("title", "waiting", "owner"),
    [
        ("POST /v1/runs", "run", "SSE-3"),
        ("GET /v1/runs/r1/events", "run", "SSE-4"),
        ("POST /v1/runs", "first_block", "SSE-2"),
    ],
)
@virtual_time
async def test_what_a_response_ends_before_is_held_against_its_end_first(
    title: str, waiting: str, owner: str
) -> None:
    stream = opened(Body(b"\n"), Trace("sse", title, 0.0))

    with pytest.raises(Broken, match="the sse connection ended") as problem:
        await getattr(stream, waiting)()

    assert (problem.value.owners, problem.value.certain) == (("SSE-10", owner), False)


@virtual_time
async def test_each_message_stands_beside_the_block_that_brought_it() -> None:
    beat, resumed = 'data: {"type":"heartbeat"}', 'data: {"type":"resumed","run_id":"r1"}'
    blocks = ("retry: 2000\nid: e.1", ": a comment", resumed, "data: no json", "data: 7", f"{beat}\nid: e.2")
    stream = opened(Body("".join(f"{block}\n\n" for block in blocks).encode()))

    await stream.finished()

    assert [(block.values("id"), message.type) for block, message in stream.blocks_and_messages] == [
        ([], "resumed"), (["e.2"], "heartbeat"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("piece", "what"),
    [(b"data: " + b"x" * 3_000_000, "a line"), (b"x\n" * 20_000, "an event")],
    ids=["line", "event"],
)
@virtual_time
async def test_an_event_beyond_all_bounds_is_held_against_its_sentence_and_read_no_further(
    piece: bytes, what: str
) -> None:
    body = Body(piece, piece, piece)
    stream = opened(body)

    await stream.finished()

    text = f"{what} of more than 4194304 bytes"
    assert stream.trace.excess == ("EVENT-20", text)
    assert (stream.trace.not_reading, stream.complete, body.ends) == (True, False, ["aborted"])
    with pytest.raises(Broken, match=f"got {text}; there the judge stopped reading"):
        await stream.run()


@virtual_time
async def test_a_stream_is_judged_with_the_tolerance_of_the_time_that_it_took() -> None:
    clock = Clock()
    clock.stalled(9.0)
    await asyncio.sleep(2.0)
    clock.answered_in(1.5)
    stream = opened(Body(b"retry: 2000\n\n"), Trace("sse", "GET", now() - 1.0), clock)

    await stream.finished()

    assert stream.trace.tolerance == 3.0


def test_a_response_that_ended_reads_like_no_fault() -> None:
    trace = Trace("sse", "GET /v1/runs")
    trace.add("server", "lost", RESPONSE_ENDED)

    assert transcript(trace).endswith("← the response ended")
