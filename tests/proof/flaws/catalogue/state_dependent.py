"""Flaws that show only now and then, or only in a conversation with some history: what the model is for."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_event, is_terminal, less


def is_text(message: Message) -> bool:
    """Tell whether a message is an event of answer text."""
    return is_event(message) and message["type"] == "token"


def is_cancelled_by_user(message: Message) -> bool:
    """Tell whether a message says that the user cancelled."""
    return message.get("type") == "done" and message.get("reason") == "user"


@flaw("RUN-30")
class OneTokenInFiftyAltered(Rewrite):
    """One token in fifty has other text on the connection that started the run."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") in {"started", "resumed"}:
            link.notes[message["run_id"]] = message["type"]
        own = is_text(message) and link.notes.get(message["run_id"]) == "started" and not link.is_stream
        yield {**message, "data": f"{message['data']}?"} if own and self.nth("token") % 50 == 0 else message


@flaw("RUN-30")
class SecondRunDoublesText(Rewrite):
    """From the second run of a connection on, the first token says its text twice."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["runs"] = link.notes.get("runs", 0) + 1
        first = is_text(message) and self.nth(link.number, message["run_id"]) == 1
        again = first and link.notes.get("runs", 0) > 1
        yield {**message, "data": message["data"] * 2} if again else message


@flaw("RESUME-10")
class ReplayTrimsText(Rewrite):
    """A reader that resumed gets thinking and tokens without the white space around them."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") in {"started", "resumed"}:
            link.notes[message["run_id"]] = message["type"]
        member = {"token": "data", "thinking": "content"}.get(str(message.get("type")), "")
        trimmed = str(message.get(member, "")).strip()
        again = is_event(message) and link.notes.get(message["run_id"]) == "resumed"
        trims = again and bool(trimmed) and not link.is_stream
        yield {**message, member: trimmed} if trims else message


@says("SSE-21")
def streams_of_a_cursor_trim_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream from a cursor leaves out what stands before the last line end in a text."""
    member = {"token": "data", "thinking": "content", "observation": "content"}.get(
        str(message.get("type")), ""
    )
    text = message.get(member)
    reread = link.is_stream and link.request.method == "GET"
    cuts = reread and isinstance(text, str) and "\n" in text.rstrip("\n")
    yield {**message, member: text.rsplit("\n", 1)[1]} if cuts and isinstance(text, str) else message


@flaw("SSE-5")
class StreamsTakeAnswersForThoughts(Rewrite):
    """The stream of a start shows as thinking the token that follows an event of another type."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        before = link.notes.get("last")
        if is_event(message):
            link.notes["last"] = message["type"]
        started = link.is_stream and link.request.method == "POST"
        wrong = started and is_text(message) and before not in {None, "token"}
        changed = {**less(message, "data"), "type": "thinking", "content": message.get("data")}
        yield changed if wrong else message


@flaw("CANCEL-1")
class CancelledBetweenToolsCompletes(Rewrite):
    """A run that is cancelled when it last spoke of a tool or reasoned ends as completed."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        last = link.proxy.book.logs[run_id].get(message.get("seq", 0) - 1, {"type": "token"})
        wrong = is_cancelled_by_user(message) and last["type"] != "token"
        yield {**less(message, "reason"), "status": "completed"} if wrong else message


@flaw("RUN-4")
class TwoTerminalsWhenACancelRacesTheEnd(Rewrite):
    """A run whose script says something within its last moments before a cancel ends twice."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        raced = is_cancelled_by_user(message) and message["seq"] > 2 and not link.is_stream
        if raced:
            yield {**less(message, "reason"), "seq": message["seq"] + 1, "status": "completed"}


@flaw("RUN-5")
class FencedToolSpeaksAfterTheEnd(Rewrite):
    """A tool that could not be interrupted is heard after the run's end."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        blocked = "block_ms" in link.proxy.book.prompt(str(message.get("run_id")))
        if is_cancelled_by_user(message) and blocked and not link.is_stream:
            yield {"type": "token", "run_id": message["run_id"], "seq": message["seq"] + 1, "data": "late"}


@flaw("RUN-28")
class HeartbeatsCount(Rewrite):
    """An answer to a heartbeat takes a number of the run's log."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["beats"] = 0
        if message.get("type") == "heartbeat" and "re" in message and link.followed:
            link.notes["beats"] = link.notes.get("beats", 0) + 1
        beats = link.notes.get("beats", 0) if is_event(message) else 0
        yield {**message, "seq": message["seq"] + beats} if beats else message


@flaw("RUN-28")
class AnotherRunsName(Rewrite):
    """With two runs on a connection, every fifth event goes under the name of the other."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        others = [name for name in link.followed if name != message.get("run_id")]
        astray = is_event(message) and not is_terminal(message) and others and self.nth("event") % 5 == 0
        yield {**message, "run_id": others[0]} if astray else message


@flaw("RESUME-9")
class CursorOffByOne(Rewrite):
    """A resume behind the third event or later begins one event too early, and says so."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        late = message.get("type") == "resume" and type(message.get("after")) is int and message["after"] >= 3
        run_id = str(message.get("run_id"))
        known = late and link.proxy.book.top(run_id) >= message["after"]
        yield {**message, "after": message["after"] - 1} if known else message
