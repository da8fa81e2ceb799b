"""Flaws of chapter 7: resuming and merging."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, is_event, is_terminal, less, refusal


def is_resume(message: Message) -> bool:
    """Tell whether a message of the client asks for a log."""
    return bool(message.get("type") == "resume")


@says("RESUME-9")
def next_seq_is_after(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """next_seq repeats `after`."""
    yield {**message, "next_seq": message["next_seq"] - 1} if message.get("type") == "resumed" else message


@says("RESUME-9")
def resumed_unsaid(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume brings the events without `resumed`."""
    if message.get("type") != "resumed" or link.is_stream:
        yield message


@hears("RESUME-9")
def epoch_demanded(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume without epoch is refused."""
    yield (
        Answer(refusal("bad_request", message)) if is_resume(message) and "epoch" not in message else message
    )


@flaw("RESUME-9")
class NothingNewIsNotFound(Rewrite):
    """A resume after the last event of the log is refused."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id", "")
        at_the_end = is_resume(message) and 0 < link.proxy.book.top(str(run_id)) == message.get("after")
        yield Answer(refusal("not_found", message)) if at_the_end else message


@hears("RESUME-9")
def whole_logs_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume after 0 is refused."""
    whole = is_resume(message) and message.get("after") == 0
    yield Answer(refusal("bad_request", message)) if whole else message


class Seam(Rewrite):
    """Knows where the log stood when a reader was attached."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "resumed":
            link.notes[run_id] = max(message["next_seq"], link.proxy.book.top(run_id))
        if is_event(message) and run_id in link.notes and not is_terminal(message):
            yield from self.event(message, link.notes[run_id])
        else:
            yield message

    def event(self, event: Message, seam: int) -> Iterable[Message]:
        """Yield what stands for `event`; `seam` is the last `seq` of the replay."""
        raise NotImplementedError


@flaw("RESUME-10")
class SeamDoubled(Seam):
    """The last event of the replay comes again as the first live one."""

    def event(self, event: Message, seam: int) -> Iterable[Message]:
        yield event
        if event["seq"] == seam:
            yield event


@flaw("RESUME-10")
class SeamLost(Seam):
    """The first live event after the replay is lost."""

    def event(self, event: Message, seam: int) -> Iterable[Message]:
        if event["seq"] != seam + 1:
            yield event


@flaw("RESUME-10")
class ReplayOffByOne(Rewrite):
    """The replay begins with the event that the client already has."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        known = link.proxy.book.logs[str(message.get("run_id"))] if message.get("type") == "resumed" else {}
        if (last := message.get("next_seq", 0) - 1) in known:
            yield known[last]


@flaw("RESUME-10")
class NoLiveEventsAfterAResume(Seam):
    """A reader that resumed gets the replay and none of the live events before the terminal."""

    def event(self, event: Message, seam: int) -> Iterable[Message]:
        if event["seq"] <= seam:
            yield event


@says("RESUME-11")
def unknown_run_is_a_bad_request(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume of an unknown run is refused with bad_request."""
    yield {**message, "code": "bad_request"} if message.get("code") == "not_found" else message


@says("RESUME-11")
def unknown_run_is_empty(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume of an unknown run is answered with `resumed` of an empty log."""
    if message.get("code") == "not_found" and not link.is_stream:
        told = {"type": "resumed", "run_id": "x" * 22, "epoch": "e1", "next_seq": 1, "status": "failed"}
        yield {**told, "trace_id": "1" * 32, **({"re": message["re"]} if "re" in message else {})}
    else:
        yield message


@hears("RESUME-12")
def epoch_not_looked_at(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The epoch of a resume is not looked at."""
    yield less(message, "epoch") if is_resume(message) else message


@flaw("RESUME-12")
class EpochLookedAtOnlyWhileLive(Rewrite):
    """The epoch of a resume is not looked at when the run has ended."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        ended = is_resume(message) and message.get("run_id") in link.proxy.book.finished
        yield less(message, "epoch") if ended else message


@says("RESUME-12")
def other_epoch_is_a_conflict(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume in another epoch is refused with conflict."""
    yield {**message, "code": "conflict"} if message.get("code") == "not_found" else message


class Clamps(Rewrite):
    """Reads a cursor beyond the log as its end."""

    beyond = 1
    ended_only = False

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id, after = str(message.get("run_id")), message.get("after")
        top = link.proxy.book.top(run_id)
        applies = not self.ended_only or run_id in link.proxy.book.finished
        clamp = is_resume(message) and top and type(after) is int and after >= top + self.beyond and applies
        yield {**message, "after": top} if clamp else message


@flaw("RESUME-13")
class CursorBeyondTheLog(Clamps):
    """A resume beyond the last event is taken for one at it."""


@flaw("RESUME-13")
class CursorBeyondTheEnd(Clamps):
    """A resume beyond the terminal is taken for one at it."""

    ended_only = True


@says("RESUME-13")
def beyond_the_log_is_not_found(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume beyond the last event is refused with not_found."""
    yield {**message, "code": "not_found"} if message.get("code") == "bad_request" else message


@flaw("RESUME-14")
class TwoReadersAtMost(Rewrite):
    """A third reader of a run is refused."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        third = is_resume(message) and sum(run_id in other.followed for other in link.proxy.links) >= 2
        yield Answer(refusal("busy", message, retryable=True)) if third else message


@flaw("RESUME-15")
class LastReaderWins(Rewrite):
    """A resume on another connection ends the reader before it."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if message.get("type") in {"started", "resumed"}:
            for other in link.proxy.links:
                other.notes[f"muted {run_id}"] = other is not link
        if not is_event(message) or not link.notes.get(f"muted {run_id}"):
            yield message


@flaw("RESUME-15")
class ReplayForEverybody(Rewrite):
    """When a second reader comes, the first one gets an event once more."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "resumed":
            for other in link.proxy.links:
                if other is not link and run_id in other.followed:
                    other.notes["again"] = link.proxy.book.logs[run_id].get(message["next_seq"] - 1)
        if (again := link.notes.pop("again", None)) and is_event(message):
            yield again
        yield message


@flaw("RESUME-16")
class ReaderStaysWhereItIs(Rewrite):
    """A resume of a run that the connection follows is answered and does not move its reader."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if is_resume(message) and run_id in link.followed:
            link.notes[run_id] = message["after"] + 1
            yield {**message, "after": link.followed[run_id]}
        else:
            yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        told = link.notes.get(str(message.get("run_id")))
        yield {**message, "next_seq": told} if told and message.get("type") == "resumed" else message


@flaw("RESUME-16")
class OneMoreFromTheOldPosition(Rewrite):
    """After `resumed` one event still comes from the old position of the moved reader."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        last = link.proxy.book.logs[run_id].get(link.followed.get(run_id, 0))
        yield message
        if message.get("type") == "resumed" and last:
            yield last


@says("RESUME-17", features=())
def resume_not_found_without_resume(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A server without resume refuses a resume with not_found."""
    yield {**message, "code": "not_found"} if message.get("code") == "unsupported" else message


@hears("RESUME-17", features=())
def resume_unknown_without_resume(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A server without resume answers a resume as a message of unknown type."""
    yield {**message, "type": "vendor:resume"} if is_resume(message) else message


@hears("RESUME-18")
def resumed_finished_run_is_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume of a finished run is refused."""
    finished = is_resume(message) and message.get("run_id") in link.proxy.book.finished
    yield Answer(refusal("not_found", message)) if finished else message


@flaw("RESUME-18")
class FinishedRunsResumeWithoutTheirEnd(Rewrite):
    """A resumed finished run brings all events but the terminal."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["ended"] = message["run_id"] in link.proxy.book.finished
        if not (is_terminal(message) and link.notes.get("ended")):
            yield message


@flaw("RESUME-18")
class FinishedReaderStays(Rewrite):
    """A connection that resumed a finished run counts as following it for ever."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_resume(message) and str(message.get("run_id")) in link.proxy.book.finished:
            link.notes["stays"] = True
        starts = message.get("type", "start") == "start" and "run_id" not in message
        busy = starts and link.notes.get("stays")
        yield Answer(refusal("busy", message, retryable=True)) if busy else message


@says("RESUME-24")
def first_seq_on_everything(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Events that were not merged have a first_seq."""
    alone = message.get("type") == "token" and "first_seq" not in message
    yield {**message, "first_seq": message["seq"]} if alone else message


class Merges(Rewrite):
    """Merges two adjacent events when `merged` says so."""

    def merged(self, first: Message, second: Message) -> Message | None:
        """Return one event for two adjacent ones, or `None` to leave them apart."""
        raise NotImplementedError

    def holds(self, event: Message) -> bool:
        """Tell whether `event` may wait for the next one."""
        return bool(event["type"] == "token")

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held = link.notes.pop("held", None)
        if held and (one := self.merged(held, message)):
            yield one
            return
        if held:
            yield held
        if is_event(message) and self.holds(message):
            link.notes["held"] = message
        else:
            yield message


def are_adjacent(first: Message, second: Message, *kinds: str) -> bool:
    """Tell whether two events of the same run stand side by side and are of `kinds`."""
    same_run = is_event(second) and first["run_id"] == second["run_id"]
    begins = second.get("first_seq", second.get("seq"))
    return same_run and begins == first["seq"] + 1 and {first["type"], second["type"]} <= set(kinds)


@flaw("RESUME-24")
class MergedWithoutFirstSeq(Merges):
    """Merged tokens have no first_seq."""

    def merged(self, first: Message, second: Message) -> Message | None:
        if not are_adjacent(first, second, "token"):
            return None
        return {**less(second, "first_seq"), "data": first["data"] + second["data"]}


@flaw("RESUME-25")
class MergedAcrossTheCursor(Rewrite):
    """After a resume the first token is merged with one that the client already has."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        log = link.proxy.book.logs[str(message.get("run_id"))]
        if message.get("type") == "resumed":
            link.notes["cursor"] = message["next_seq"] - 1
        begins = message.get("first_seq", message.get("seq", 0))
        known = log.get(begins - 1) if begins == link.notes.get("cursor", -1) + 1 else None
        if known and message.get("type") == known["type"] == "token":
            first = known.get("first_seq", known["seq"])
            yield {**message, "first_seq": first, "data": known["data"] + message["data"]}
        else:
            yield message


@flaw("RESUME-26")
class ThoughtsOfTwoAgentsMerged(Merges):
    """Thoughts of different agents are merged."""

    def holds(self, event: Message) -> bool:
        return bool(event["type"] == "thinking")

    def merged(self, first: Message, second: Message) -> Message | None:
        if not are_adjacent(first, second, "thinking") or first.get("agent") == second.get("agent"):
            return None
        begins = first.get("first_seq", first["seq"])
        return {**second, "first_seq": begins, "content": first["content"] + second["content"]}


@flaw("RESUME-26")
class CallsMerged(Merges):
    """Previews and partial observations of different calls are merged."""

    def holds(self, event: Message) -> bool:
        partial = event["type"] == "observation" and event.get("partial")
        return bool(event["type"] == "tool_delta" or partial)

    def merged(self, first: Message, second: Message) -> Message | None:
        if not are_adjacent(first, second, first["type"]) or first["call_id"] == second["call_id"]:
            return None
        text = "data" if first["type"] == "tool_delta" else "content"
        begins = first.get("first_seq", first["seq"])
        return {**second, "first_seq": begins, text: str(first[text]) + str(second[text])}


@flaw("RESUME-26")
class TokensMergedIntoReplace(Merges):
    """A token behind a `replace` is merged into it."""

    def holds(self, event: Message) -> bool:
        return bool(event["type"] == "replace")

    def merged(self, first: Message, second: Message) -> Message | None:
        if not are_adjacent(first, second, "replace", "token") or second["type"] != "token":
            return None
        return {
            **first,
            "first_seq": first["seq"],
            "seq": second["seq"],
            "data": first["data"] + second["data"],
        }
