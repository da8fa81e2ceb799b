"""Flaws of chapter 4: starting runs, their end, several runs on a connection."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import Describes, flaw, hears, misstates, says
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Later,
    Message,
    Rewrite,
    is_event,
    is_terminal,
    less,
    refusal,
)

RUN_ID = "mZ0bV4cQ2Jt8uY6wK1x{:05d}"


def is_start(message: Message) -> bool:
    """Tell whether a message of the client asks for a run."""
    return bool(message.get("type", "start") == "start")


@hears("RUN-1")
def prompts_need_a_type(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A prompt without a type is refused."""
    yield message if "type" in message else Answer(refusal("bad_request", message))


@hears("RUN-1")
def first_prompt_needs_a_type(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A prompt without a type is refused as the first message of a connection."""
    is_first = link.notes.setdefault("first", message) is message
    yield Answer(refusal("bad_request", message)) if is_first and "type" not in message else message


@says("RUN-2")
def nothing_follows_started(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run is accepted, and none of its events is ever sent."""
    if not is_event(message):
        yield message


@hears("RUN-2")
def starts_swallowed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Starts have no consequence."""
    if not is_start(message):
        yield message


@flaw("RUN-3")
class StartedAfterTheFirstEvent(Rewrite):
    """The first event of a run comes before its `started`."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["started"] = message
            return
        yield message
        if is_event(message) and (started := link.notes.pop("started", None)):
            yield started


@flaw("RUN-3")
class FailingAtOnceIsNotStarted(Rewrite):
    """A run that fails at once has no `started`."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["started"] = message
            return
        started = link.notes.pop("started", None)
        if started and not (message.get("type") == "error" and message.get("seq") == 1):
            yield started
        yield message


@says("RUN-3")
def accepted_without_started(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The events of a run begin without `started` when the start had no id."""
    if message.get("type") != "started" or "re" in message:
        yield message


@says("RUN-4")
def no_terminal(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Runs have no terminal."""
    if not is_terminal(message):
        yield message


@says("RUN-4")
def no_terminal_on_the_second_run(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The second run of a connection has no terminal."""
    if not (is_terminal(message) and flaw.nth(link.number) == 2):
        yield message


@says("RUN-4")
def terminal_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The terminal of a run comes twice."""
    yield message
    if is_terminal(message):
        yield {**message, "seq": message["seq"] + 1}


@says("RUN-4")
def done_after_error(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that failed ends with an error and then with done."""
    yield message
    if is_terminal(message) and message["type"] == "error":
        yield {
            **less(message, "code", "retryable"),
            "type": "done",
            "status": "completed",
            "seq": message["seq"] + 1,
        }


@says("RUN-5")
def token_after_the_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A token comes after `done`."""
    yield message
    if is_terminal(message):
        yield {"type": "token", "run_id": message["run_id"], "seq": message["seq"] + 1, "data": "x"}


@says("RUN-5")
def late_thinking(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A moment after its `done` a run still thinks."""
    yield message
    if is_terminal(message):
        thought = {"type": "thinking", "run_id": message["run_id"], "seq": message["seq"] + 1, "content": "x"}
        yield Later(0.15, thought)


@hears("RUN-6")
def one_run_a_connection(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The second start of a connection is refused although the first run has ended."""
    again = is_start(message) and flaw.nth(link.number) > 1 and not link.followed
    yield Answer(refusal("busy", message, retryable=True)) if again else message


@hears("RUN-7")
def second_prompt_runs_beside_the_first(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A prompt without run_id starts a second run beside the first."""
    if is_start(message) and "run_id" not in message:
        yield {**message, "run_id": RUN_ID.format(flaw.nth())}
    else:
        yield message


@says("RUN-7")
def second_prompt_conflicts(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A second prompt is refused with another code than busy."""
    busy = message.get("code") == "busy"
    yield {**message, "code": "conflict", "retryable": False} if busy else message


@flaw("RUN-7")
class SecondPromptReplacesTheFirst(Rewrite):
    """A second prompt cancels the first run and is then refused."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_start(message) and "run_id" not in message and link.followed:
            yield {"type": "cancel"}
            yield Answer(refusal("busy", message, retryable=True))
        else:
            yield message


@says("RUN-13")
def failing_runs_do_not_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose agent fails has no terminal."""
    if not (is_terminal(message) and message["type"] == "error"):
        yield message


@says("RUN-13", limits={"run_s": 2})
def timed_out_runs_do_not_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose deadline passes has no terminal."""
    if message.get("code") != "timeout":
        yield message


@says("RUN-13")
def completed_after_cancelled(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancelled run ends as cancelled and then as completed."""
    yield message
    if message.get("status") == "cancelled" and is_terminal(message):
        yield {**less(message, "reason"), "status": "completed", "seq": message["seq"] + 1}


@says("RUN-14")
def failure_with_an_unknown_code(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose agent fails ends with a code that is neither registered nor a vendor's."""
    failed = is_terminal(message) and message["type"] == "error"
    yield {**message, "code": "agent_crashed"} if failed else message


@says("RUN-14")
def failure_is_done(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose agent fails ends with `done`."""
    if is_terminal(message) and message["type"] == "error":
        yield {**less(message, "code", "retryable"), "type": "done", "status": "completed"}
    else:
        yield message


misstates("runs_outlive_run_s", "RUN-15", {"run_s": 2}, "Runs go on beyond run_s.", limits={"run_s": 60})


@says("RUN-15", limits={"run_s": 2})
def timeout_is_an_agent_error(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that outlives run_s ends with another code than timeout."""
    timeout = message.get("code") == "timeout"
    yield {**message, "code": "agent_error", "retryable": False} if timeout else message


@says("RUN-15", limits={"run_s": 2})
def timeout_is_incomplete(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that outlives run_s ends with done and status incomplete."""
    if message.get("code") == "timeout":
        done = {"type": "done", "status": "incomplete", "reason": "length"}
        yield {**less(message, "code", "retryable"), **done}
    else:
        yield message


@flaw("RUN-15", limits={"run_s": 5})
class QueuedTimeIsCounted(Rewrite):
    """The time for which a run is queued counts towards its run_s."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if message.get("type") == "started" and message.get("status") == "queued":
            link.notes[run_id] = time.monotonic()
        begun = link.notes.get(run_id)
        if begun is not None and time.monotonic() - begun > self.seconds("run_s") and is_terminal(message):
            failed = {"type": "error", "data": "too long", "code": "timeout", "retryable": True}
            yield {**less(message, "status", "reason"), **failed}
        else:
            yield message


@flaw("RUN-15", limits={"run_s": 60})
class HalfOfRunS(Describes):
    """Runs end after half of run_s."""

    def described(self, description: Message) -> Message:
        return {**description, "limits": {**description["limits"], "run_s": 5}}

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if is_start(message) and "run_id" in message:
            yield Later(2, {"type": "cancel", "run_id": message["run_id"]})

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "ready":
            yield self.described(message)
        elif message.get("status") == "cancelled" and is_terminal(message):
            ended = {"type": "error", "code": "timeout", "retryable": True}
            yield {**less(message, "status", "reason"), **ended}
        elif message.get("code") != "not_active":
            yield message


misstates(
    "one_run_fewer_at_once",
    "RUN-23",
    {"runs_per_connection": 5},
    "A connection may follow one run fewer than runs_per_connection.",
    limits={"runs_per_connection": 4},
)


misstates(
    "one_run_more_at_once",
    "RUN-24",
    {"runs_per_connection": 3},
    "A connection may follow one run more than runs_per_connection.",
    limits={"runs_per_connection": 4},
)


@says("RUN-24")
def too_many_runs_conflict(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start beyond runs_per_connection is refused with another code than busy."""
    busy = message.get("code") == "busy"
    yield {**message, "code": "unavailable"} if busy else message


@flaw("RUN-25")
class TwoReadersOfOneRun(Rewrite):
    """A resume of a run that the connection follows adds a second reader beside the first."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if message.get("type") == "resumed" and run_id in link.followed:
            link.notes[run_id] = link.followed[run_id]
        yield message
        if is_event(message) and message["seq"] > link.notes.get(str(run_id), 2**53):
            yield message


@flaw("RUN-26")
class OneRunAtATime(Rewrite):
    """The events of a run wait until every run that the connection began to follow earlier has ended."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        waiting: list[Message] = link.notes.setdefault("waiting", [])
        order: list[str] = link.notes.setdefault("order", [])
        if message.get("type") == "started":
            order.append(message["run_id"])
        if not is_event(message) or message["run_id"] not in order or order[0] == message["run_id"]:
            yield message
        else:
            waiting.append(message)
        if is_terminal(message) and order[:1] == [message["run_id"]]:
            order.clear()
            yield from waiting
            waiting.clear()


@flaw("RUN-13")
class CancelledWhileQueuedNeverEnds(Inserting):
    """A run that was cancelled while it was queued has no terminal."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        return (
            [] if event["seq"] == 1 and is_terminal(event) and event.get("status") == "cancelled" else [event]
        )
