"""A server that sends more than anyone can hold: bounded in bytes, and told once as what it is."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from runwire_conformance.case import Broken
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.frame_tap import FrameTap
from runwire_conformance.client.wire.sse import BlockParser, EndlessLine
from runwire_conformance.client.wire.websocket import most_message_bytes
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.trace.clock import Clock
from runwire_conformance.trace.limits import Limits

Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]
MIB = 1 << 20


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    """Return a frame of a server."""
    return Frame(opcode, data, fin).serialize(mask=False, extensions=[])


async def one_large_frame(writer: asyncio.StreamWriter) -> None:
    writer.write(frame(Opcode.TEXT, b'{"type":"token","data":"' + b"x" * (31 * MIB) + b'"}'))
    await writer.drain()


async def large_fragments(writer: asyncio.StreamWriter) -> None:
    opcode = Opcode.TEXT
    while True:
        writer.write(frame(opcode, b"x" * MIB, fin=False))
        await writer.drain()
        opcode = Opcode.CONT


async def empty_fragments(writer: asyncio.StreamWriter) -> None:
    writer.write(frame(Opcode.TEXT, b"", fin=False))
    while True:
        writer.write(frame(Opcode.CONT, b"", fin=False) * 1000)
        await writer.drain()


async def fragments_amid_pings(writer: asyncio.StreamWriter) -> None:
    writer.write(frame(Opcode.TEXT, b"", fin=False))
    while True:
        writer.write((frame(Opcode.CONT, b"", fin=False) * 50 + frame(Opcode.PONG, b"")) * 20)
        await writer.drain()


async def pings(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(frame(Opcode.PING, b"") * 500)
        await writer.drain()


async def talk_with(serve: Serve) -> tuple[Target, str]:
    """Return the target that connected to a server which then does its worst, and what a case was told of it."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        request = protocol.events_received()[0]
        protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
        writer.write(b"".join(protocol.data_to_send()))
        try:
            await serve(writer)
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    target = Target(ServerProfile(url), Options(), Clock())
    client = await target.connect(ready=False)
    told = ""
    try:
        await client.message(lambda _: False, "a message", seconds=20)
    except Broken as problem:
        told = str(problem)
    await target.end()
    server.close()
    return target, told


@pytest.mark.parametrize(
    ("serve", "requirement", "words"),
    [
        (one_large_frame, "EVENT-20", "a message of more than 4194304 bytes"),
        (large_fragments, "EVENT-20", "a message of more than 4194304 bytes"),
        (empty_fragments, "FLOW-8", "fragments of one message arrived without end"),
        (pings, "FLOW-8", "unsolicited messages arrived without end: Pings"),
        (fragments_amid_pings, "FLOW-8", "fragments of one message arrived without end"),
    ],
)
def test_what_is_too_much_is_told_once_as_what_it_is(serve: Serve, requirement: str, words: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    target, told = asyncio.run(talk_with(serve))

    flood = flood_of(target.traces)
    assert flood is not None
    assert (flood.requirement, words in flood.text) == (requirement, True), flood
    assert words in told
    assert target.budget.bytes < 20 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_message_in_as_many_fragments_as_bytes_is_a_message() -> None:
    async def serve(writer: asyncio.StreamWriter) -> None:
        text = b'{"type":"token","data":"' + b"x" * 9000 + b'"}'
        last = len(text) - 1
        kinds = [Opcode.TEXT, *[Opcode.CONT] * last]
        pieces = [frame(kind, text[n : n + 1], n == last) for n, kind in enumerate(kinds)]
        writer.write(b"".join(pieces))
        await writer.drain()
        writer.write(frame(Opcode.CLOSE, b"\x03\xe8"))

    target, _ = asyncio.run(talk_with(serve))

    assert flood_of(target.traces) is None
    assert [message.type for message in target.traces[0].messages("server")] == ["token"]


def test_a_message_that_does_not_end_is_told_with_its_bytes() -> None:
    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Opcode.TEXT, b"x" * 1000)[:200] + b"")
        await writer.drain()
        writer.close()

    _, told = asyncio.run(talk_with(serve))

    assert "bytes of a message that did not end" in told


def test_the_bound_follows_what_a_server_advertises() -> None:
    assert most_message_bytes(Limits({})) == 4 * MIB
    assert most_message_bytes(Limits({"max_event_bytes": 1024})) == 4 * MIB
    assert most_message_bytes(Limits({"max_event_bytes": MIB})) == 16 * MIB
    assert most_message_bytes(Limits({"max_event_bytes": 10**9})) == 32 * MIB


@pytest.mark.parametrize(
    "line", [b"data: " + b"x" * 1000 + b"\n", b":" + b"x" * 1000 + b"\n", b"x" * 1000, b"id: 1\n" * 100]
)
def test_a_block_without_end_is_not_held(line: bytes) -> None:
    parser = BlockParser(most_bytes=MIB)

    with pytest.raises(EndlessLine):
        for _ in range(3000):
            parser.feed(line)


def test_beats_that_a_comment_carries_are_no_endless_block() -> None:
    parser = BlockParser(most_bytes=MIB)

    for _ in range(3000):
        parser.feed(b": " + b"x" * 1000 + b"\n\n")


def test_a_recording_proxy_holds_no_message_without_end() -> None:
    for piece in (b"", b"x" * MIB):
        tap = FrameTap("server")
        kinds = [record.kind for record in tap.feed(frame(Opcode.TEXT, piece, False))]
        more = frame(Opcode.CONT, piece, False) * (1 if piece else 10_000)
        for _ in range(200):
            kinds += [record.kind for record in tap.feed(more)]

        assert kinds == ["raw"]
