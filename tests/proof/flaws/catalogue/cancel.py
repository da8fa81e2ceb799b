"""Flaws of chapter 6: cancelling a run."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Close,
    Later,
    Message,
    Rewrite,
    is_terminal,
    less,
    refusal,
)

from .runs import is_start


def is_cancelled(message: Message) -> bool:
    """Tell whether a message ends a run as cancelled."""
    return is_terminal(message) and message.get("status") == "cancelled"


@says("CANCEL-1")
def cancelled_by_the_client(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancelled run gives another reason than user."""
    yield {**message, "reason": "disconnected"} if message.get("reason") == "user" else message


@says("CANCEL-1")
def cancelled_is_completed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancelled run ends as completed."""
    yield {**less(message, "reason"), "status": "completed"} if is_cancelled(message) else message


@says("CANCEL-1")
def cancelled_is_an_error(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancelled run ends with an error."""
    if is_cancelled(message):
        failed = {"type": "error", "code": "agent_error", "retryable": False}
        yield {**less(message, "status", "reason"), **failed}
    else:
        yield message


class EndsLate(Rewrite):
    """Lets a cancelled run fall silent in time and end later than cancel_deadline_ms."""

    def late(self, link: Link, run_id: str) -> bool:
        """Tell whether the end of this run comes late."""
        return True

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_cancelled(message) and self.late(link, message["run_id"]):
            yield Later(self.seconds("cancel_deadline_ms") + 1.2, message)
        else:
            yield message


@flaw("CANCEL-2")
class CancelledRunEndsLate(EndsLate):
    """A cancelled run ends later than cancel_deadline_ms."""


@flaw("CANCEL-2")
class NamedRunEndsLate(EndsLate):
    """A run that is cancelled by its name ends later than cancel_deadline_ms."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel" and "run_id" in message:
            self.nth("named", message["run_id"])
        yield message

    def late(self, link: Link, run_id: str) -> bool:
        return self.seen["named", run_id] > 0


@hears("CANCEL-3")
def text_goes_on(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Tokens are appended later than cancel_quiet_ms after the cancel."""
    if message.get("type") == "cancel" and link.followed:
        quiet, deadline = flaw.seconds("cancel_quiet_ms"), flaw.seconds("cancel_deadline_ms")
        for run_id in [message["run_id"]] if "run_id" in message else list(link.followed):
            yield Later((quiet + 2 * deadline) / 3, {**message, "run_id": run_id})
    else:
        yield message


@flaw("CANCEL-3")
class CancelledRunsGoOnQuietly(Rewrite):
    """A cancelled run says no more text, and goes on with calls and corrections until its deadline."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel" and link.followed:
            for run_id in [message["run_id"]] if "run_id" in message else list(link.followed):
                self.nth("cancelled", run_id)
                yield Later(0.95 * self.seconds("cancel_deadline_ms"), {**message, "run_id": run_id})
        else:
            yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        text = message.get("type") in {"token", "thinking"} and self.seen["cancelled", message.get("run_id")]
        yield (
            {**message, "type": "tool_delta", "call_id": "c9", "name": "x", "data": "x"} if text else message
        )


def _blocks(link: Link, message: Message) -> bool:
    runs = [message["run_id"]] if "run_id" in message else list(link.followed)
    return any("block_ms" in link.proxy.book.prompt(str(run)) for run in runs)


@flaw("CANCEL-4")
class BlockedToolIsWaitedFor(Rewrite):
    """A cancelled run ends only when its blocked tool has come back."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel" and _blocks(link, message):
            for run_id in [message["run_id"]] if "run_id" in message else list(link.followed):
                yield Later(self.seconds("cancel_deadline_ms") + 1.2, {**message, "run_id": run_id})
        else:
            yield message


@flaw("CANCEL-4")
class BlockedToolSpeaksLate(Inserting):
    """What a blocked tool says late goes into the log of the cancelled run before its end."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        if not is_cancelled(event) or "block_ms" not in link.proxy.book.prompt(event["run_id"]):
            return [event]
        return [event, {"type": "token", "run_id": event["run_id"], "data": "late"}]


@flaw("CANCEL-4")
class BlockedToolThinksLate(Rewrite):
    """A second after a cancelled run's end its blocked tool still adds a thought."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if is_cancelled(message):
            thought = {
                "type": "thinking",
                "run_id": message["run_id"],
                "seq": message["seq"] + 1,
                "content": "late",
            }
            yield Later(0.4, thought)


@hears("CANCEL-5")
def only_one_run_cancelled(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel without run_id cancels one of several runs."""
    one = next(iter(link.followed), None)
    nameless = message.get("type") == "cancel" and "run_id" not in message and one
    yield {**message, "run_id": one} if nameless else message


@flaw("CANCEL-5")
class ResumedRunsNotCancelled(Rewrite):
    """A cancel without run_id leaves alone the runs that the connection did not start."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes.setdefault("own", set()).add(message["run_id"])
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        own = link.notes.get("own", set())
        if message.get("type") == "cancel" and "run_id" not in message and link.followed:
            yield from ({**message, "run_id": run_id} for run_id in link.followed if run_id in own)
        else:
            yield message


@flaw("CANCEL-6")
class CancelOvertakesItsStart(Rewrite):
    """A cancel that follows its start at once finds no run."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_start(message):
            link.notes["asked"] = time.monotonic()
        early = message.get("type") == "cancel" and time.monotonic() - link.notes.get("asked", 0) < 0.05
        notice = {"type": "notice", "code": "not_active", "data": "no run"}
        yield Answer({**notice, **({"re": message["id"]} if "id" in message else {})}) if early else message


@flaw("CANCEL-7")
class SecondCancelEndsAgain(Rewrite):
    """A repeated cancel brings a second terminal."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if is_cancelled(message):
            link.notes["end"] = message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        end = link.notes.get("end")
        if message.get("type") == "cancel" and end and self.nth(end["run_id"]) == 1:
            yield Answer({**end, "seq": end["seq"] + 1})
        yield message


@flaw("CANCEL-7")
class SecondCancelRefused(Rewrite):
    """A repeated cancel is refused as a conflict."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        again = message.get("type") == "cancel" and self.nth(link.number) > 1
        yield Answer(refusal("conflict", message)) if again else message


class Reports(Rewrite):
    """Rewrites what the script agent reports about a cancelled run."""

    def reported(self, report: Message) -> Message:
        """Return what is reported instead of `report`."""
        raise NotImplementedError

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "token" and "stopped_after_ms" in message["data"]:
            yield {**message, "data": json.dumps(self.reported(json.loads(message["data"])))}
        else:
            yield message


@flaw("CANCEL-8")
class AgentWorksOn(Reports):
    """The agent of a cancelled run plays its script to the end."""

    def reported(self, report: Message) -> Message:
        return {"stopped_after_ms": 8000, "steps_after_cancel": 40}


@flaw("CANCEL-8")
class AgentBeginsOneMoreStep(Reports):
    """The agent of a cancelled run stops late, after ten seconds."""

    def reported(self, report: Message) -> Message:
        return {**report, "stopped_after_ms": 10000}


@flaw("CANCEL-9")
class QueuedRunRunsFirst(Inserting):
    """A queued run that is cancelled still says something before it ends."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        if not is_cancelled(event) or event["seq"] != 1:
            return [event]
        return [{"type": "token", "run_id": event["run_id"], "data": "x"}, event]


@flaw("CANCEL-9")
class QueuedRunIsNotCancelled(Rewrite):
    """A cancel of a queued run has no effect before the run's turn."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started" and message["status"] == "queued":
            self.seen[message["run_id"]] = 1
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        queued = message.get("type") == "cancel" and self.seen.get(message.get("run_id"))
        yield Later(4, message) if queued else message


@says("CANCEL-10")
def nothing_to_cancel_unsaid(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel that finds nothing is not answered."""
    if message.get("code") != "not_active":
        yield message


@says("CANCEL-10")
def nothing_to_cancel_is_an_error(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel that finds nothing is refused with not_found."""
    nothing = message.get("code") == "not_active"
    yield {**message, "type": "error", "code": "not_found", "retryable": False} if nothing else message


@flaw("CANCEL-11")
class OnlyTheStarterCancels(Rewrite):
    """A cancel from a connection that does not follow the run finds nothing."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        foreign = message.get("type") == "cancel" and message.get("run_id", "") not in {*link.followed, ""}
        notice = {"type": "notice", "code": "not_active", "data": "no run"}
        yield Answer({**notice, **({"re": message["id"]} if "id" in message else {})}) if foreign else message


@says("CANCEL-12", limits={"run_s": 2})
def timeout_is_a_cancellation(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that outlives run_s ends as cancelled."""
    if message.get("code") == "timeout":
        done = {"type": "done", "status": "cancelled", "reason": "vendor:timeout"}
        yield {**less(message, "code", "retryable"), **done}
    else:
        yield message


@says("CANCEL-13")
def cancel_closes_the_connection(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The connection is closed after a cancelled run."""
    yield message
    if is_cancelled(message):
        yield Close(1001)


@hears("CANCEL-13")
def cancel_ends_all_runs(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel of one run cancels every run of the connection."""
    yield less(message, "run_id") if message.get("type") == "cancel" and link.followed else message


@flaw("CANCEL-13")
class DeafAfterCancel(Rewrite):
    """After a cancel the connection takes no further start."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel":
            link.notes["cancelled"] = True
        deaf = is_start(message) and link.notes.get("cancelled")
        yield Answer(refusal("busy", message, retryable=True)) if deaf else message
