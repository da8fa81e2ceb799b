"""Flaws of chapter 4: the log of a run."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import math
import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, misstates, says
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, is_event, is_terminal, less, refusal

from .runs import is_start


@says(
    "RUN-19",
)
def joined_without_resumed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A repeated start gets `started` and the events, but no `resumed`."""
    if message.get("type") != "resumed" or "re" in message:
        yield message


@flaw("RUN-19")
class JoinedWhereItStands(Rewrite):
    """A repeated start gets the events from where the run stands, not from the first."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "started":
            link.notes[run_id] = link.proxy.book.top(run_id)
        if not is_event(message) or message["seq"] > link.notes.get(run_id, 0) or is_terminal(message):
            yield message


@says("RUN-19")
def joined_under_another_epoch(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Every `started` names an epoch of its own."""
    started = message.get("type") == "started"
    yield {**message, "epoch": f"{message['epoch']}{flaw.nth()}"} if started else message


@hears("RUN-19")
def repeated_starts_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A repeated start is refused with conflict although its body is the same."""
    again = is_start(message) and "run_id" in message and flaw.nth(message["run_id"]) > 1
    yield Answer(refusal("conflict", message)) if again else message


@hears("RUN-19")
def member_order_matters(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A repeated start is refused unless it spells out the same members, defaults included."""
    first = link.proxy.book.starts.get(str(message.get("run_id")))
    differs = first and is_start(message) and set(less(first, "id")) != set(less(message, "id"))
    yield Answer(refusal("conflict", message)) if differs else message


def _without(member: str, kind: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, member) if is_event(message) and message["type"] == kind else message

    server_message.__name__ = f"{kind}_without_{member}"
    server_message.__doc__ = f"A `{kind}` has no {member}."
    says("RUN-27")(server_message)


_without("run_id", "token")
_without("run_id", "observation")
_without("seq", "thinking")
_without("seq", "done")


@says("RUN-28")
def numbered_from_zero(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The first event of a run has seq 0."""
    yield {**message, "seq": message["seq"] - 1} if is_event(message) else message


@says("RUN-28")
def a_number_left_out(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The terminal leaves out a number."""
    yield {**message, "seq": message["seq"] + 1} if is_terminal(message) else message


@says("RUN-28")
def a_number_used_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The terminal has the number of the event before it."""
    repeats = is_terminal(message) and message["seq"] > 1
    yield {**message, "seq": message["seq"] - 1} if repeats else message


@flaw("RUN-28")
class SecondRunCountsOn(Rewrite):
    """The second run of a connection goes on counting where the first one stopped."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        ended = link.notes.get("ended")
        yield {**message, "seq": message["seq"] + ended} if ended and is_event(message) else message
        if is_terminal(message) and not ended:
            link.notes["ended"] = message["seq"]


@flaw("RUN-29")
class NeighboursSwapped(Rewrite):
    """The second and third event of a run come in the wrong order."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held: dict[str, Message] = link.notes.setdefault("held", {})
        if not is_event(message):
            yield from held.values()
            held.clear()
            yield message
        elif message["seq"] == 2 and not is_terminal(message):
            held[message["run_id"]] = message
        else:
            late = held.pop(message["run_id"], None)
            yield message
            if late is not None:
                yield late


@flaw("RUN-29")
class ReplayedBackwards(Rewrite):
    """After a resume the first two events come in the wrong order."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["first"] = message["next_seq"]
        held = link.notes.pop("held", None)
        is_first = is_event(message) and message["seq"] == link.notes.get("first")
        if is_first and not is_terminal(message):
            link.notes["held"] = message
            return
        yield message
        if held:
            yield held


@flaw("RUN-30")
class SecondReaderReadsOtherText(Rewrite):
    """Whoever resumes a run reads other text than whoever started it."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["resumed"] = True
        is_token = message.get("type") == "token" and link.notes.get("resumed")
        yield {**message, "data": message["data"].swapcase() + "."} if is_token else message


@says("RUN-30")
def streams_tell_less(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Readers of streams do not get the input of tool calls."""
    is_call = link.is_stream and message.get("type") == "tool_call"
    yield {**message, "input": {}} if is_call else message


@flaw("RUN-30")
class ReplayForgetsThinking(Rewrite):
    """Whoever resumes a run reads empty thoughts."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["resumed"] = True
        forgets = message.get("type") == "thinking" and link.notes.get("resumed")
        yield {**message, "content": ""} if forgets else message


@flaw("RUN-33")
class LogGoneAtTheEnd(Rewrite):
    """The log of a run is gone as soon as the run has ended."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        gone = message.get("type") == "resume" and str(message.get("run_id")) in link.proxy.book.finished
        yield Answer(refusal("not_found", message)) if gone else message


@flaw("RUN-33")
class BeginningForgotten(Rewrite):
    """The log of a long run loses its beginning while the run is unfinished."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["floor"] = link.proxy.book.top(message["run_id"]) - 2
        if not is_event(message) or message.get("first_seq", message["seq"]) > link.notes.get("floor", 0):
            yield message


@flaw("RUN-33")
class LogKeptForASecond(Rewrite):
    """A second after its end the log of a run is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, float] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_terminal(message):
            self.ended.setdefault(message["run_id"], time.monotonic())
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        ended = self.ended.get(str(message.get("run_id")), math.inf)
        gone = message.get("type") == "resume" and time.monotonic() - ended > 1
        yield Answer(refusal("not_found", message)) if gone else message


misstates(
    "logs_outgrow_log_bytes",
    "RUN-34",
    {"log_bytes": 65536},
    "Logs grow beyond log_bytes.",
    limits={"log_bytes": 1048576},
)


@says("RUN-34", limits={"log_bytes": 65536})
def full_logs_end_as_completed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that fills its log ends as completed."""
    full = message.get("reason") == "length"
    yield {**less(message, "reason"), "status": "completed"} if full else message


@says("RUN-34", limits={"log_bytes": 65536})
def full_logs_end_for_another_reason(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that fills its log ends with another reason than length."""
    yield {**message, "reason": "content_filter"} if message.get("reason") == "length" else message


@flaw("RUN-28")
class EmptyThoughtUncounted(Inserting):
    """An event in the middle of a run has the number of the event before it."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        return [event]

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield {**message, "seq": 1} if is_event(message) and message["seq"] == 2 else message
