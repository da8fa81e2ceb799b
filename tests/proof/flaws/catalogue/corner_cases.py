"""Flaws that show only in a corner: between two fragments, at an empty text, at a reset, when somebody talks."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import flaw, says
from tests.proof.flaws.frames import Frame, Opcode
from tests.proof.flaws.link import Link, Socket
from tests.proof.flaws.rewrite import Action, Frames, Message, Rewrite, less

from .cancel import Reports
from .clauses import LogsKeptForEighteenSeconds
from .heartbeat import AnswersPings

#: Steps of scripts that hand over an empty text, and what comes of two halves around each.
EMPTY = {"thinking": '"thinking":""', "token": '"token":""'}
MEMBER = {"thinking": "content", "token": "data"}


@flaw("CONN-12", clause="a Pong: between two fragments")
class PingsBetweenFragmentsUnanswered(Rewrite):
    """A Ping between two fragments of a message gets no Pong."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode != Opcode.PING or not link.interrupted:
            yield Frames((frame,))


@flaw("CONN-12", clause="a Pong: before the message is whole")
class PingsWaitForTheMessage(Rewrite):
    """A Ping between two fragments gets its Pong only when the message is whole."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode == Opcode.PING and link.interrupted:
            link.notes.setdefault("held", []).append(frame)
        else:
            yield Frames((frame,))

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if held := link.notes.pop("held", None):
            yield Frames(tuple(held))


def _completed_by_nothing(name: str, kind: str, description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        member = MEMBER[kind]
        text: Any = message.get(member) if message.get("type") == kind else None
        if isinstance(text, str) and EMPTY[kind] in link.proxy.book.prompt(str(message.get("run_id"))):
            yield {**message, member: text.replace("🚀", "\ufffd\ufffd")}
        else:
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says("EVENT-31", clause=f"an empty text completes nothing: `{kind}`")(server_message)


_completed_by_nothing(
    "empty_tokens_end_a_half", "token", "An empty token takes the place of a character's other half."
)
_completed_by_nothing(
    "empty_thoughts_end_a_half", "thinking", "An empty thought takes the place of a character's other half."
)


@flaw("SCRIPT-5", clause="at once")
class WaitsLookTwiceASecond(Reports):
    """A wait_ms notices a cancellation only when it looks, twice a second."""

    def reported(self, report: Message) -> Message:
        return {**report, "stopped_after_ms": max(report["stopped_after_ms"], 450)}


@flaw("RUN-37", clause="an absent `session_id`: not the one that was chosen")
class TheChosenSessionFits(Rewrite):
    """A `start` sent again with the session that the server chose for it is taken for the same."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: dict[str, str] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            started = link.proxy.book.starts.get(message["run_id"], {})
            if "session_id" not in started:
                self.chosen.setdefault(message["run_id"], message["session_id"])
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        chosen = self.chosen.get(str(message.get("run_id")))
        yield less(message, "session_id") if chosen and message.get("session_id") == chosen else message


class LeavesUnnoticed(Rewrite):
    """Learns late of some of those who leave."""

    async def client_left(self, link: Link) -> None:
        if not link.is_stream and self.overlooks(link):
            await asyncio.sleep(5)  # longer than any wait of the judge for a run that has to end at once

    def overlooks(self, link: Link) -> bool:
        """Tell whether this one is not noticed to have left."""
        raise NotImplementedError


@flaw("RESUME-3", clause="was lost")
class ResetsUnnoticed(LeavesUnnoticed):
    """A reader whose connection was reset is waited for."""

    def overlooks(self, link: Link) -> bool:
        return link.judge.was_reset


@flaw("RESUME-3", clause="left by itself: ended its side")
class EndsWithoutCloseUnnoticed(LeavesUnnoticed):
    """A reader that ended its side without a Close frame is waited for."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        link.notes["closed"] = frame.opcode == Opcode.CLOSE
        yield Frames((frame,))

    def overlooks(self, link: Link) -> bool:
        return not link.judge.was_reset and not link.notes.get("closed")


@flaw("BEAT-7", clause="no Pong", limits={"heartbeat_s": 1, "pong_timeout_s": 1, "idle_s": 3})
class MessagesCountAsPongs(AnswersPings):
    """Whoever has said something since the last Ping need not answer it."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode == Opcode.PING and isinstance(link, Socket) and time.monotonic() - link.heard_at < 1:
            yield from tuple(super().server_frame(link, frame))
        else:
            yield Frames((frame,))

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message


@flaw("RUN-33", clause="for the whole `resume_window_s`", patience_s=70, limits={"resume_window_s": 60})
class LogsKeptForTwoThirds(LogsKeptForEighteenSeconds):
    """Forty seconds after its end the log of a run is gone, of the sixty that it has to be kept."""

    kept_s = 40.0
