"""Flaws of the second halves of sentences, and of what a state or an ending leaves behind."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable

from tests.proof.flaws.flaw import flaw, says
from tests.proof.flaws.frames import Frame, Opcode, text_frame
from tests.proof.flaws.link import Link, Socket, encode
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, Up, is_event, is_terminal, refusal

from .heartbeat import AnswersPings, is_own_heartbeat
from .runs import is_start

ASTRAL = re.compile("[\U00010000-\U0010ffff]")
TEXTS = {"token": "data", "thinking": "content", "tool_delta": "data", "observation": "content"}


def _halves_lost(name: str, kind: str, least: int, description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        member = TEXTS[kind]
        text = message.get(member) if message.get("type") == kind else None
        partial = kind != "observation" or message.get("partial")
        if isinstance(text, str) and partial and len(text) >= least and ASTRAL.search(text):
            yield {**message, member: ASTRAL.sub("\ufffd", text)}
        else:
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says("EVENT-2")(server_message)


_halves_lost(
    "halves_of_thoughts_lost", "thinking", 1, "Characters of a thought that come in halves are lost."
)
_halves_lost(
    "halves_of_previews_lost", "tool_delta", 1, "Characters of a preview that come in halves are lost."
)
_halves_lost(
    "halves_of_parts_lost", "observation", 1, "Characters of a partial observation in halves are lost."
)
_halves_lost(
    "long_tokens_lose_characters", "token", 900, "Long tokens lose the characters at which they are cut."
)


@says("MSG-5")
def text_behind_a_lone_half_lost(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """What stands behind half a character is lost with it."""
    member = TEXTS.get(str(message.get("type")), "")
    text = message.get(member)
    cut = isinstance(text, str) and "\ufffd" in text[:-1]
    yield {**message, member: str(text).partition("\ufffd")[0] + "\ufffd"} if cut else message


class CancelsLate(Rewrite):
    """Ends runs that it takes for too old or unread."""

    async def end(self, link: Link, run_id: str) -> None:
        """Cancel a run on a connection or aside."""
        message = {"type": "cancel", "run_id": run_id}
        if isinstance(link, Socket):
            await link.server.write(text_frame(encode(message)).encode(masked=True))
        else:
            await link.proxy.send_aside(message)


@flaw("RESUME-6")
class StreamsAreNoReaders(CancelsLate):
    """A stream that follows a run of a WebSocket does not keep it alive."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task[None]] = set()

    async def client_left(self, link: Link) -> None:
        if not link.is_stream and link.followed:
            task = asyncio.create_task(self._later(link, list(link.followed)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _later(self, link: Link, runs: list[str]) -> None:
        await asyncio.sleep(self.limits["detach_grace_s"])
        sockets = {run for other in link.proxy.links if not other.is_stream for run in other.followed}
        for run_id in runs:
            if run_id not in sockets:
                await link.proxy.send_aside({"type": "cancel", "run_id": run_id})


@flaw("RUN-33", patience_s=20)
class LogsKeptForEighteenSeconds(Rewrite):
    """Eighteen seconds after its end the log of a run is gone."""

    kept_s = 18.0

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, float] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_terminal(message):
            self.ended.setdefault(message["run_id"], time.monotonic())
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        ended = self.ended.get(str(message.get("run_id")), float("inf"))
        gone = message.get("type") == "resume" and time.monotonic() - ended > self.kept_s
        yield Answer(refusal("not_found", message)) if gone else message


class CountsMore(CancelsLate):
    """Ends runs that were started `run_s` ago, whatever they did meanwhile."""

    def counts(self, message: Message) -> bool:
        """Tell whether the time from this message on is counted."""
        raise NotImplementedError

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if self.counts(message):
            link.start(self._expire(link, str(message["run_id"])))

    async def _expire(self, link: Link, run_id: str) -> None:
        await asyncio.sleep(self.limits["run_s"] - 0.2)
        if run_id in link.followed:
            await self.end(link, run_id)


@flaw("RUN-15")
class QueuedTimeCounts(CountsMore):
    """The time that a run was queued counts as running."""

    def counts(self, message: Message) -> bool:
        return message.get("type") == "started" and message.get("status") == "queued"


@flaw("RUN-15")
class WaitingTimeCounts(CountsMore):
    """The time that a run waits for its user counts as running."""

    def counts(self, message: Message) -> bool:
        return message.get("type") == "input_request"


@flaw("RUN-16")
class ThirdRunDoesNotWait(Rewrite):
    """The third run of a session does not wait for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, int] = {}
        self.named: dict[str, str] = {}

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        session_id = message.get("session_id")
        if not is_start(message) or not isinstance(session_id, str) or "run_id" not in message:
            yield message
            return
        self.sessions[session_id] = self.sessions.get(session_id, 0) + 1
        if self.sessions[session_id] == 3:
            self.named[message["run_id"]] = session_id
            yield {**message, "session_id": session_id[::-1]}
        else:
            yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        named = self.named.get(str(message.get("run_id"))) if message.get("type") == "started" else None
        yield {**message, "session_id": named} if named else message


@flaw("BEAT-6")
class HalfOfThePings(AnswersPings):
    """Of two Pings only one is sent."""

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        self.passes_pings = frame.opcode != Opcode.PING or self.nth("ping", link.number) % 2 == 1
        yield from tuple(super().server_frame(link, frame))


@says("SSE-5")
def streams_end_where_their_run_fails(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream does not tell that its run failed: it just ends."""
    if not (link.is_stream and message.get("type") == "error" and "seq" in message):
        yield message


def _silent(
    name: str, requirement: str, is_silent: Callable[[Message, bool], bool], description: str
) -> None:
    streams = requirement.startswith("SSE")

    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if is_event(message) or message.get("type") == "started":
            link.notes["last", run_id] = message
        lasts = [link.notes.get(("last", run), {}) for run in link.followed]
        held = any(is_silent(last, last.get("type") == "started") for last in lasts)
        if not (is_own_heartbeat(message) and held and link.is_stream == streams):
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says(requirement)(server_message)


def _queued(last: Message, opening: bool) -> bool:
    return opening and last.get("status") == "queued"


def _calling(last: Message, _: bool) -> bool:
    return last.get("type") == "tool_call"


def _asking(last: Message, _: bool) -> bool:
    return last.get("type") == "input_request"


_silent("no_heartbeats_while_queued", "BEAT-2", _queued, "There are no heartbeats while a run is queued.")
_silent(
    "no_heartbeats_in_a_call", "BEAT-2", _calling, "There are no heartbeats between a call and what it gives."
)
_silent(
    "no_heartbeats_while_waiting",
    "BEAT-2",
    _asking,
    "There are no heartbeats while a run waits for its user.",
)
_silent("streams_silent_while_queued", "SSE-12", _queued, "Streams have no heartbeats while a run is queued.")
_silent(
    "streams_silent_in_a_call",
    "SSE-12",
    _calling,
    "Streams have no heartbeats between a call and what it gives.",
)


class Sticks(Rewrite):
    """Lets a session be stuck after an ending."""

    def sticks(self, terminal: Message, prompt: str) -> bool:
        """Tell whether this terminal leaves its session stuck."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.stuck: set[object] = set()

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        stuck = is_start(message) and str(message.get("session_id")) in self.stuck
        silent = json.dumps({"runwire_script": [{"wait_ms": 30_000}]})
        yield {**message, "prompt": silent} if stuck else message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["session", message["run_id"]] = message["session_id"]
        elif is_terminal(message):
            run_id = message["run_id"]
            if self.sticks(message, link.proxy.book.prompt(run_id)):
                self.stuck.add(link.notes.get(("session", run_id)))
        yield message


@flaw("RUN-2")
class SessionsStickAfterAFailure(Sticks):
    """After a run that failed the next of its session never begins to work."""

    def sticks(self, terminal: Message, prompt: str) -> bool:
        return terminal["type"] == "error"


@flaw("RUN-2")
class SessionsStickAfterACancel(Sticks):
    """After a run that was cancelled the next of its session never begins to work."""

    def sticks(self, terminal: Message, prompt: str) -> bool:
        return terminal.get("status") == "cancelled"


@flaw("RUN-6")
class StopFlagStays(Rewrite):
    """A connection on which a run was cancelled ends its next run as well."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if is_terminal(message) and message.get("status") == "cancelled":
            link.notes["stop"] = True
        elif message.get("type") == "started" and link.notes.pop("stop", False):
            yield Up({"type": "cancel", "run_id": message["run_id"]})


@flaw("RUN-6")
class FailedConnectionsTakeNoMore(Rewrite):
    """A connection on which a run has failed takes no further start."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_terminal(message) and message["type"] == "error":
            link.notes["failed"] = True
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        failed = is_start(message) and link.notes.get("failed")
        yield Answer(refusal("busy", message, retryable=True)) if failed else message
