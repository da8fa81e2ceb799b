"""Flaws of cost (chapters 10 and 12): what one client does stops the server for everyone."""

# ruff: noqa: ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from contextlib import suppress

from tests.proof.flaws.flaw import Flaw, Stand, flaw, register
from tests.proof.flaws.frames import Frame, Opcode
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Frames, Hold, Message, Rewrite

STOPPED_S = 12.0
"""For how long the server does nothing for anyone: longer than any answer may take, and soon over."""

MANY_FRAMES, MANY_TIMES, LONG = 2500, 10, 500

SMALL = {"max_message_bytes": 65_536}
"""A proxy looks into messages of this size."""


class Stops(Rewrite):
    """Stops for everyone when something is done that it cannot bear."""

    holds_frames = True
    until = 0.0

    def stop(self) -> None:
        """Do nothing for anyone from now on, for a while."""
        self.until = max(self.until, time.monotonic() + STOPPED_S)

    @property
    def goes_on(self) -> bool:
        """Whether it serves."""
        return time.monotonic() >= self.until

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not self.goes_on:
            yield Hold(lambda: self.goes_on)
        yield message


def stopped_by_text(name: str, piece: bytes, description: str) -> None:
    """Register a flaw: a text in which `piece` stands stops the server."""

    class StoppedByText(Stops):
        def client_data(self, link: Link, frames: tuple[Frame, ...]) -> None:
            if any(piece in frame.payload for frame in frames):
                self.stop()

    register(Flaw(name, "LIMIT-17", description, StoppedByText, Stand(limits=SMALL)))


stopped_by_text("quotes_are_read_again_and_again", b'\\"' * LONG, "Quotes that never close stop the server.")
stopped_by_text("nesting_stops_the_server", b"[" * LONG, "A text that nests very deep stops the server.")
stopped_by_text("digits_stop_the_server", b"9" * LONG, "A number of very many digits stops the server.")
stopped_by_text("members_stop_the_server", b'"m%d":0' % LONG, "An object of many members stops the server.")
stopped_by_text("largest_prompts_stop_the_server", b" " * 20 * LONG, "A very large prompt stops the server.")


@flaw("LIMIT-18", limits=SMALL)
class CostlyTextsAreRefusedLate(Rewrite):
    """A text of very many quotes is refused only after twelve seconds, while others are served."""

    holds_frames = True

    def client_data(self, link: Link, frames: tuple[Frame, ...]) -> None:
        if any(b'\\"' * LONG in frame.payload for frame in frames):
            link.notes["until"] = time.monotonic() + STOPPED_S

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        until: float = link.notes.get("until", 0.0)
        yield Hold(lambda: time.monotonic() >= until)
        yield Frames((frame,))

    async def server_left(self, link: Link) -> None:
        await asyncio.sleep(link.notes.get("until", 0.0) - time.monotonic())


class StoppedByFrames(Stops):
    """Very many control frames of a kind stop the server."""

    opcode = Opcode.PING

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode == self.opcode and self.nth(link.number) == MANY_FRAMES:
            self.stop()
        yield Frames((frame,))


@flaw("LIMIT-17")
class PingsStopTheServer(StoppedByFrames):
    """Very many Pings stop the server."""


@flaw("LIMIT-17")
class PongsStopTheServer(StoppedByFrames):
    """Very many Pongs that nobody asked for stop the server."""

    opcode = Opcode.PONG


@flaw("LIMIT-17")
class HeartbeatsStopTheServer(Stops):
    """Very many heartbeats stop the server."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "heartbeat" and self.nth(link.number) == MANY_FRAMES:
            self.stop()
        yield message


@flaw("LIMIT-17")
class ReplaysStopTheServer(Stops):
    """A run that is resumed ten times by one connection stops the server."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resume" and self.nth(link.number, message.get("run_id")) == MANY_TIMES:
            self.stop()
        yield message


@flaw("LIMIT-17")
class RepeatedStartsStopTheServer(Stops):
    """A run that is started ten times by one connection stops the server."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        named = message.get("type") == "start" and "run_id" in message
        if named and self.nth(link.number, message["run_id"]) == MANY_TIMES:
            self.stop()
        yield message


@flaw("LIMIT-17")
class StreamsOfOneRunStopTheServer(Stops):
    """A run that is asked for as a stream ten times stops the server."""

    def request(self, request: Request) -> Request | Response:
        if request.path.endswith("/events") and self.nth(request.path) == MANY_TIMES:
            self.stop()
        return request


@flaw("LIMIT-17")
class ReadersThatTakeNothingStopTheServer(Stops):
    """A reader that takes nothing stops the server."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if any(other is not link and other.judge.blocked_for > 0.1 for other in link.proxy.links):
            self.stop()
        yield from super().server_message(link, message)


@flaw("LIMIT-17")
class HalfSentRequestsStopTheServer(Stops):
    """A request of which only a part arrives stops the server."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if any(
            data.startswith((b"GET ", b"POST ")) and b"\r\n\r\n" not in data for data in link.proxy.unread
        ):
            self.stop()
        yield from super().server_message(link, message)


@flaw("LIMIT-17")
class SmallChunksStopTheServer(Stops):
    """A body of very many small chunks stops the server."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if any(b"1\r\nx\r\n" * LONG in data for data in link.proxy.unread):
            self.stop()
        yield from super().server_message(link, message)


@flaw("LIMIT-17")
class PatternsStopTheServer(Stops):
    """An answer to a form whose pattern looks back at each letter stops the server."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "input" and "a" * 30 in str(message.get("data")):
            self.stop()
        yield message


@flaw("INPUT-23")
class SchemasAreFetched(Rewrite):
    """What the schema of a form refers to is fetched."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if found := re.search(r"http://127\.0\.0\.1:([0-9]+)/", str(message.get("prompt"))):
            link.start(send_request(int(found[1])))
        yield message


async def send_request(port: int) -> None:
    """Send a request there."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /schema.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await writer.drain()
        writer.close()
