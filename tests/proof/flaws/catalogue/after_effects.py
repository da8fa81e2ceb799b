"""Flaws of chapters 6, 8 and 13: what a message, a wait and a slow line leave behind."""

# ruff: noqa: ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, Up


@flaw("ERR-9")
class VainCancelStopsTheNextRun(Rewrite):
    """A cancel that found nothing ends the next run of the connection."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if message.get("code") == "not_active":
            link.notes["stops"] = True
        elif message.get("type") == "started" and link.notes.pop("stops", False):
            yield Up({"type": "cancel", "run_id": message["run_id"]})


@flaw("ERR-9")
class VainCancelIsKeptForItsName(Rewrite):
    """A cancel of a run that is not known ends the run that is later started under that name."""

    def __init__(self) -> None:
        super().__init__()
        self.doomed: set[str] = set()

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "cancel" and run_id not in link.proxy.book.logs and "run_id" in message:
            self.doomed.add(run_id)
        yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if message.get("type") == "started" and message["run_id"] in self.doomed:
            yield Up({"type": "cancel", "run_id": message["run_id"]})


@flaw("BEAT-12")
class PongsWantedInsideFrames(Rewrite):
    """Bytes of a frame that is still arriving are no sign of life."""

    holds_frames = True

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message


class CutsReaders(Rewrite):
    """Ends whatever has followed a run for some heartbeats."""

    streams_only = False
    heartbeats = 2.4

    async def watch(self, link: Link) -> None:
        if self.streams_only and not link.is_stream:
            return
        await asyncio.sleep(self.heartbeats * self.limits["heartbeat_s"])
        if link.followed and not link.over:
            await link.close(1012)


@flaw("CLOSE-10")
class StreamsCutForTheirAge(CutsReaders):
    """A stream is ended after two and a half heartbeats, whatever becomes of its run."""

    streams_only = True


@flaw("CLOSE-10")
class ReadersCutForTheirAge(CutsReaders):
    """A connection that follows a run is closed after two and a half heartbeats."""
