"""Flaws of chapter 8: the heartbeat, Pings and Pongs."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, misstates, says
from tests.proof.flaws.frames import Frame, Opcode
from tests.proof.flaws.link import Link, Socket
from tests.proof.flaws.rewrite import Action, Close, Drop, Frames, Message, Rewrite, is_terminal

from .runs import is_start

STUCK = {"heartbeat_s": 1, "pong_timeout_s": 1}


def is_own_heartbeat(message: Message) -> bool:
    """Tell whether a message is a heartbeat that answers none with an id."""
    return message.get("type") == "heartbeat" and "re" not in message


@says("BEAT-1")
def no_heartbeats(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The server sends no heartbeats of its own accord."""
    if not is_own_heartbeat(message):
        yield message


misstates(
    "heartbeats_too_rare",
    "BEAT-1",
    {"heartbeat_s": 1},
    "Heartbeats come more than two seconds later than heartbeat_s.",
    limits={"heartbeat_s": 5},
)


@flaw("BEAT-1")
class OneHeartbeatAConnection(Rewrite):
    """Only the first silence of a connection is broken by a heartbeat."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not is_own_heartbeat(message) or self.nth(link.number) == 1:
            yield message


@flaw("BEAT-2")
class NoHeartbeatsWhileBlocked(Rewrite):
    """There are no heartbeats while a tool blocks."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_start(message):
            link.notes["blocks"] = "block_ms" in str(message.get("prompt"))
        yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not (is_own_heartbeat(message) and link.followed and link.notes.get("blocks")):
            yield message


@flaw("BEAT-2")
class NoHeartbeatsDuringRuns(Rewrite):
    """There are no heartbeats while a run is unfinished."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not (is_own_heartbeat(message) and link.followed):
            yield message


@says("BEAT-3")
def no_heartbeats_without_a_run(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """There are no heartbeats on a connection that follows no run."""
    if not is_own_heartbeat(message) or link.followed or link.is_stream:
        yield message


@flaw("BEAT-3")
class NoHeartbeatsAfterTheRun(Rewrite):
    """There are no more heartbeats when the connection's first run has ended."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_terminal(message):
            link.notes["ended"] = True
        if not (is_own_heartbeat(message) and link.notes.get("ended")):
            yield message


@says("BEAT-4")
def heartbeats_name_the_run(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat names the run that the connection follows."""
    run_id = next(iter(link.followed), None)
    beats = message.get("type") == "heartbeat" and run_id
    yield {**message, "run_id": run_id} if beats else message


@says("BEAT-4")
def heartbeats_are_numbered(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat has a seq."""
    beats = message.get("type") == "heartbeat"
    yield {**message, "seq": max(link.followed.values(), default=0)} if beats else message


@hears("BEAT-5")
def heartbeats_unanswered(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat of the client is not answered."""
    if message.get("type") != "heartbeat":
        yield message


@hears("BEAT-5")
def heartbeats_answered_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat of the client is answered twice."""
    yield message
    if message.get("type") == "heartbeat":
        yield message


@hears("BEAT-5")
def heartbeats_answered_once(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Only the first heartbeat of a connection is answered."""
    if message.get("type") != "heartbeat" or flaw.nth(link.number) == 1:
        yield message


class AnswersPings(Rewrite):
    """Answers the server's Pings in the judge's place."""

    passes_pings = True

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode == Opcode.PING and isinstance(link, Socket):
            link.start(link.send_up([Frames((Frame(Opcode.PONG, frame.payload),))]))
        if frame.opcode != Opcode.PING or self.passes_pings:
            yield Frames((frame,))


@flaw("BEAT-6")
class NoPings(AnswersPings):
    """The server sends no Pings."""

    passes_pings = False


@flaw("BEAT-6")
class OnePing(AnswersPings):
    """The server sends one Ping a connection."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        self.passes_pings = self.nth(link.number) == 1 or frame.opcode != Opcode.PING
        yield from tuple(super().server_frame(link, frame))


@flaw("BEAT-7")
class SilentPeersKept(AnswersPings):
    """A peer that answers no Ping is never dropped."""


misstates(
    "silent_peers_kept_long",
    "BEAT-7",
    {"pong_timeout_s": 0.5, "heartbeat_s": 0.5},
    "A peer that answers no Ping is dropped several times later than it must be.",
    limits={"pong_timeout_s": 4, "heartbeat_s": 2},
)


class DropsLaggards(Rewrite):
    """Drops a reader that lags though it goes on taking bytes."""

    share = 1.0
    """For which share of `pong_timeout_s` a reader may lag."""

    async def watch(self, link: Link) -> None:
        if link.is_stream:
            return
        busy_since: float | None = None
        while not link.over:
            await asyncio.sleep(0.05)
            if not link.judge.unsent:
                busy_since = None
            busy_since = busy_since or time.monotonic()
            if link.judge.unsent and time.monotonic() - busy_since > self.share * self.seconds(
                "pong_timeout_s"
            ):
                await link.send([Drop()])


@flaw("BEAT-8", limits=STUCK)
class PongTimeRunsOn(DropsLaggards):
    """A slow reader is dropped because its Pong waits behind data that it is still taking."""


@flaw("FLOW-3", limits=STUCK)
class LaggardsDropped(DropsLaggards):
    """A reader that lags is dropped though it goes on taking bytes."""

    share = 0.3


@flaw("BEAT-9")
class SilentClientsClosed(Rewrite):
    """A connection whose client sends no messages is closed although it answers Pings."""

    async def watch(self, link: Link) -> None:
        allowed = self.seconds("heartbeat_s") + 2 * self.seconds("pong_timeout_s")
        while time.monotonic() - link.heard_at < allowed:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if not link.is_stream:
            await link.send([Close(1011)])
