"""Hostile clients at byte level, and a bystander that must still be served.

What a harmful connection brings is read and forgotten, so that a flood of answers costs the judge nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from websockets.frames import Opcode

from runwire_conformance.case import Broken, TooUnsteady, Violation, explains
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.connection import IDLE
from runwire_conformance.client.target import SMALL_BUFFER, Target
from runwire_conformance.client.wire.http import address_of, open_socket
from runwire_conformance.client.wire.websocket import BadFrame, FramePeer, MessageTooLarge
from runwire_conformance.trace.clock import Interval, now

#: The code with which a connection is closed whose Pong is overdue ([BEAT-13]).
PONG_OVERDUE = 1011

#: What a server that one client has stopped breaks by being silent.
SILENCE = ("BEAT-1", "BEAT-3", "SSE-12")

#: Seconds within which others are served, and a message is refused ([LIMIT-17], [LIMIT-18]).
ANSWERED_S = 5.0

#: Seconds for which a flood lasts that the server does not end; any will do.
FLOOD_S = 2.0

#: The heartbeat behind a flood, and how its answer is known.
MARK = b"after-the-flood"
LAST = b'{"type":"heartbeat","id":"%b"}' % MARK

#: How much of a core a server has to have before it is accused of being slow, and seconds of CPU to find it out by.
LEAST_SHARE, BUSY_S = 0.4, 0.3

#: Seconds between two heartbeats of the client that is to be served; any will do.
BEAT_S = 0.1

Value = TypeVar("Value")


class HostileWebSocket:
    """An open WebSocket connection whose client says what it likes and keeps nothing of what comes."""

    def __init__(self, peer: FramePeer) -> None:
        self._peer = peer
        #: Messages and Close frames that came.
        self.answers = 0
        self.ended = False
        self._is_through = False
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def text(self, data: bytes) -> None:
        """Send one text message."""
        await self.send(FramePeer.frame(Opcode.TEXT, data))

    async def send(self, data: bytes) -> None:
        """Send bytes; a server that ended the connection takes none."""
        self._peer.send_bytes(data)
        await self._peer.drain()

    async def flood(self, data: bytes, seconds: float = FLOOD_S) -> None:
        """Send it and a heartbeat behind it; wait for its answer or the end, for at most so many seconds.

        A server that throttles leaves the rest unread.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.send(data + FramePeer.frame(Opcode.TEXT, LAST))
                while not self._is_through and not self.ended:
                    self._news.clear()
                    await self._news.wait()

    def stop_reading(self) -> None:
        """Take nothing more."""
        self._peer.may_read.clear()

    async def acted(self, before: int) -> None:
        """Wait until more answers came than `before`, or the connection ended."""
        while self.answers <= before and not self.ended:
            self._news.clear()
            await self._news.wait()

    async def end(self) -> None:
        """Let go of it, and of the runs that it began."""
        await self.send(
            FramePeer.frame(Opcode.TEXT, b'{"type":"cancel"}') + FramePeer.frame(Opcode.CLOSE, b"")
        )
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        self._peer.close()

    async def _read(self) -> None:
        with suppress(BadFrame, MessageTooLarge):
            async for frame in self._peer.frames():
                if frame.opcode is Opcode.PING:
                    self._peer.send_frame(Opcode.PONG, bytes(frame.data))
                elif frame.opcode is not Opcode.PONG:
                    self.answers += frame.fin
                    self._is_through = self._is_through or MARK in frame.data
                    self._news.set()
                if frame.opcode is Opcode.CLOSE:
                    break
        self.ended = True
        self._news.set()


@asynccontextmanager
async def hostile_websocket(
    target: Target, harm: str, *, small_buffer: bool = False
) -> AsyncIterator[HostileWebSocket]:
    """Open a connection past its `ready`, whose client is about to do some harm, in words; raises Broken."""
    peer, response, trace = await target.handshake(small_buffer=small_buffer)
    trace.not_reading = True
    if response.status != 101:
        peer.close()
        said = f"expected the handshake to be accepted; it was refused with {response.status}"
        raise Broken(said, ("CONN-6",), status=response.status)
    trace.add("client", "raw", harm)
    line = HostileWebSocket(peer)
    try:
        await timely(target.clock, line.acted(0), "LIMIT-17", "a handshake")
        yield line
    finally:
        await line.end()


@asynccontextmanager
async def request_begun(target: Target, data: bytes, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection, send the bytes of a request or of a part of one, and leave its answer to the caller."""
    trace = target.noted("http", "a request of bytes")
    trace.not_reading = True
    trace.add("client", "raw", f"{data[:60]!r}, {len(data)} bytes")
    reader, writer = await open_socket(address_of(url), target.options.tls, SMALL_BUFFER)
    try:
        writer.write(data)
        yield reader
    finally:
        writer.transport.abort()


def head(target: Target, method: str, path: str, url: str, *lines: str) -> bytes:
    """Return the head of a request with the caller's credentials, without the empty line that ends it."""
    own = [f"{name}: {value}" for name, value in target.options.sent_headers]
    whole: Sequence[str] = (f"{method} {path} HTTP/1.1", f"Host: {address_of(url).authority}", *own, *lines)
    return "".join(f"{line}\r\n" for line in whole).encode()


def share_of_a_core() -> float:
    """Return how much of a core a process gets here that has much to do: 1.0 when nobody else wants it.

    The judge's own stalls do not show it: who mostly waits is served first when it has something to do.
    """
    begun, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < BUSY_S and time.monotonic() - begun < BUSY_S / LEAST_SHARE * 2:
        sum(range(1000))
    return (time.thread_time() - used) / (time.monotonic() - begun)


async def timely(clock: Interval, work: Coroutine[Any, Any, Value], requirement: str, expected: str) -> Value:
    """Return what comes of `work`; raises Violation of `requirement` when it takes more than ANSWERED_S and T.

    Raises NotJudged where this machine left nobody the time for it, or T alone is why the answer was not late.
    """
    begun, task = now(), asyncio.create_task(work)
    try:
        while not task.done():
            left = begun + ANSWERED_S + clock.tolerance_since(begun) - now()
            if left <= 0:
                bound = f"{ANSWERED_S:g} s plus T = {clock.tolerance_since(begun):.2f} s"
                share = await asyncio.to_thread(share_of_a_core)
                if share < LEAST_SHARE:
                    raise TooUnsteady(f"others left a busy process {share:.0%} of a core of this machine")
                raise Violation(requirement, f"expected {expected} to be answered within {bound}", late=True)
            await asyncio.wait({task}, timeout=left)
        value = await task
        if (took := now() - begun) > ANSWERED_S:
            raise TooUnsteady(f"{expected} took {took:.1f} s, and T was {clock.tolerance_since(begun):.1f} s")
        return value
    finally:
        task.cancel()


async def while_others_are_served(target: Target, harm: Awaitable[None]) -> None:
    """Do harm, and expect meanwhile and after it that another client is answered in time ([LIMIT-17]).

    What the harm itself shows broken counts only where others are served: who stops for all refuses nothing in time.
    Raises NotJudged where this machine stood still for so long that a server which did would not have been noticed.
    """
    over = asyncio.Event()
    asking, harming = asyncio.create_task(_asks(target, over)), asyncio.ensure_future(harm)
    try:
        with explains(*SILENCE):
            await asyncio.wait({asking, harming}, return_when=asyncio.FIRST_COMPLETED)
            over.set()
            await asking
            await harming
            await _served(target, None)
            if target.clock.tolerance > ANSWERED_S:
                raise TooUnsteady(target.clock.unsteady or f"T was {target.clock.tolerance:.1f} s")
    finally:
        harming.cancel()
        asking.cancel()
        await asyncio.gather(asking, harming, return_exceptions=True)


async def expect_another_served(target: Target) -> None:
    """Expect that a client which comes now is answered in time ([LIMIT-17]): for harm that lasts while it is held."""
    await (await _served(target, None)).leave()


async def _asks(target: Target, over: asyncio.Event) -> None:
    client: Client | None = None
    while not over.is_set():
        client = await _served(target, client)
        await asyncio.sleep(BEAT_S)


async def _served(target: Target, client: Client | None) -> Client:
    """Return the connection on which a heartbeat was answered, a new one where that of before was idle too long."""
    if client is None or client.ended:
        client = await timely(target.clock, target.connect(), "LIMIT-17", "a handshake")
    whole = ANSWERED_S * 3  # the bound is looked at by `timely`
    try:
        await timely(target.clock, client.ask({"type": "heartbeat"}, whole), "LIMIT-17", "a heartbeat")
    except Broken:
        # One that waits for the judge's Pong no longer was slow, or the judge was; how slow, `timely` has seen.
        if client.close_code not in {IDLE, PONG_OVERDUE} and not client.trace.closed_for_age(
            target.limits.stream_s
        ):
            raise
    return client
