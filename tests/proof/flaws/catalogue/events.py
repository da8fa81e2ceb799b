"""Flaws of chapter 5: the events of a run."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, misstates, says
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Pause, Rewrite, is_event, is_refusal, is_terminal, less

SMALL_EVENTS = {"max_event_bytes": 2048}


@says("EVENT-1")
def thinking_is_answer_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The thoughts of the agent are sent as tokens."""
    if message.get("type") == "thinking":
        yield {
            **less(message, "content", "agent", "parent_call_id"),
            "type": "token",
            "data": message["content"],
        }
    else:
        yield message


@says("EVENT-1")
def partial_observations_are_answer_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """What a sub-agent says, a partial observation, is sent as a token."""
    if message.get("partial") is True and message.get("type") == "observation":
        own = ("run_id", "seq")
        yield {"type": "token", "data": message["content"], **{name: message[name] for name in own}}
    else:
        yield message


@flaw("EVENT-2")
class PairsDivided(Inserting):
    """A character outside the basic plane is divided between two tokens."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        text = event.get("data", "")
        place = (
            next((i for i, c in enumerate(text) if ord(c) > 0xFFFF), None)
            if event["type"] == "token"
            else None
        )
        if place is None:
            return [event]
        high, low = text[place].encode("utf-16-be")[:2], text[place].encode("utf-16-be")[2:]
        parts = (text[:place] + _half(high), _half(low) + text[place + 1 :])
        return [{**event, "data": part} for part in parts]


def _half(data: bytes) -> str:
    return data.decode("utf-16-be", "surrogatepass")


@flaw("EVENT-2")
class CharactersCutIntoBytes(Inserting):
    """A character of several bytes is divided between two tokens, each with a replacement character."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        data = event.get("data", "").encode() if event["type"] == "token" else b""
        place = next((i for i, byte in enumerate(data) if byte >= 0xC0), None)
        if place is None:
            return [event]
        parts = (data[: place + 1], data[place + 1 :])
        return [{**event, "data": part.decode("utf-8", "replace")} for part in parts]


@says("EVENT-3")
def tokens_name_their_agent(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Tokens name the agent that speaks."""
    yield {**message, "agent": "main"} if message.get("type") == "token" else message


@says("EVENT-3")
def replacements_name_their_call(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A `replace` names the call it works for."""
    yield {**message, "parent_call_id": "c1"} if message.get("type") == "replace" else message


class Gathers(Rewrite):
    """Holds the events of a run back until its terminal."""

    def gathers(self, link: Link) -> bool:
        """Tell whether this reader is treated so."""
        return True

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held: list[Message] = link.notes.setdefault("held", [])
        if message.get("type") == "token" and self.gathers(link):
            held.append(message)
            return
        if message.get("type") != "heartbeat":
            yield from held
            held.clear()
        yield message


@flaw("EVENT-4")
class AnswerGathered(Gathers):
    """Tokens are held back until another event comes."""


@flaw("EVENT-4")
class AnswerGatheredOnStreams(Gathers):
    """On streams, tokens are held back until another event comes."""

    def gathers(self, link: Link) -> bool:
        return link.is_stream


@says("EVENT-4")
def tokens_come_late(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The first token of an answer is held back for three seconds."""
    if message.get("type") == "token" and message["seq"] == 1:
        yield Pause(3)
    yield message


def _without_call_id(kind: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, "call_id") if message.get("type") == kind else message

    server_message.__name__ = f"{kind}_without_call_id"
    server_message.__doc__ = f"A `{kind}` has no call_id."
    says("EVENT-7")(server_message)


for _kind in ("tool_delta", "tool_call", "observation"):
    _without_call_id(_kind)


@flaw("EVENT-8")
class ToolCallTwice(Inserting):
    """A tool call is announced twice."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        return [event, event] if event["type"] == "tool_call" else [event]


@says("EVENT-8")
def tool_call_without_its_input(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The input of a tool call is left to its previews."""
    yield {**message, "input": {}} if message.get("type") == "tool_call" else message


@says("EVENT-8")
def second_call_under_the_same_name(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """All tool calls of a run have one call_id."""
    yield {**message, "call_id": "c"} if message.get("type") in {"tool_call", "observation"} else message


@says("EVENT-10")
def observation_of_no_call(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An observation names a call_id that no tool call had."""
    observed = message.get("type") == "observation"
    yield {**message, "call_id": f"{message['call_id']}-1"} if observed else message


@flaw("EVENT-10")
class ObservationBeforeItsCall(Rewrite):
    """The observation of a call comes before the call."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held = link.notes.pop("held", None)
        if message.get("type") == "tool_call":
            link.notes["held"] = message
        elif held and message.get("type") == "observation":
            yield {**message, "seq": held["seq"]}
            yield {**held, "seq": message["seq"]}
        else:
            if held:
                yield held
            yield message


@flaw("EVENT-11")
class TwoFinalObservations(Inserting):
    """A call gets its final observation twice."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        final = event["type"] == "observation" and not event.get("partial")
        return [event, event] if final else [event]


@flaw("EVENT-11")
class PartialsAreFinal(Rewrite):
    """Partial observations are not marked as such."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, "partial") if message.get("type") == "observation" else message


@flaw("EVENT-12")
class PartialAfterFinal(Inserting):
    """A partial observation follows the final one."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        final = event["type"] == "observation" and not event.get("partial")
        return [event, {**event, "content": "more", "partial": True}] if final else [event]


@says("EVENT-13")
def observations_never_final(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """All observations are partial."""
    observed = message.get("type") == "observation"
    text = message.get("content") if isinstance(message.get("content"), str) else ""
    yield {**message, "content": text, "partial": True} if observed else message


@flaw("EVENT-13")
class LastObservationLost(Inserting):
    """The final observation of a call is not sent."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        return [] if event["type"] == "observation" and not event.get("partial") else [event]


@says("EVENT-14")
def partial_content_in_a_list(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The content of a partial observation is a list of strings."""
    partial = message.get("type") == "observation" and message.get("partial")
    yield {**message, "content": [message["content"]]} if partial else message


@flaw("EVENT-14")
class PartialsRepeatEverything(Rewrite):
    """A partial observation repeats all that was shown before it."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "observation" and message.get("partial"):
            key = ("shown", message["run_id"], message["call_id"])
            link.notes[str(key)] = link.notes.get(str(key), "") + message["content"]
            yield {**message, "content": link.notes[str(key)]}
        else:
            yield message


@says("EVENT-18", limits=SMALL_EVENTS)
def cut_without_saying_so(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An observation that was cut is not marked as truncated."""
    yield less(message, "truncated") if message.get("truncated") else message


@says("EVENT-18", limits=SMALL_EVENTS)
def large_results_left_out(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An observation too large is replaced by an object that says so."""
    yield {**message, "content": {"too_large": True}} if message.get("truncated") else message


@flaw("EVENT-18", limits=SMALL_EVENTS)
class LargeResultsEndTheRun(Rewrite):
    """An observation too large ends the run."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["trace_id"] = message["trace_id"]
        if message.get("truncated"):
            link.notes["over"] = True
            ended = {"type": "error", "data": "too large", "code": "payload_too_large", "retryable": False}
            beside = {name: message[name] for name in ("run_id", "seq")}
            yield {**ended, **beside, "trace_id": link.notes["trace_id"]}
        elif not (link.notes.get("over") and is_event(message)):
            yield message


@says("EVENT-18", limits={"json_depth": 16})
def deep_results_cut_to_nothing(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An observation that was cut holds other text than its content had."""
    yield {**message, "content": "(result too large)"} if message.get("truncated") else message


misstates(
    "large_calls_sent",
    "EVENT-19",
    {"max_event_bytes": 1024},
    "A tool call larger than max_event_bytes is sent.",
    limits={"max_event_bytes": 65536},
)


@says("EVENT-19", limits=SMALL_EVENTS)
def large_calls_fail_otherwise(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run whose tool call is too large ends with another code."""
    large = message.get("code") == "payload_too_large" and is_terminal(message)
    yield {**message, "code": "agent_error"} if large else message


misstates(
    "deep_calls_sent",
    "EVENT-19",
    {"json_depth": 8},
    "A tool call deeper than json_depth is sent.",
    limits={"json_depth": 32},
)
misstates(
    "large_events_sent",
    "EVENT-20",
    {"max_event_bytes": 1024},
    "Events larger than max_event_bytes are sent.",
    limits={"max_event_bytes": 65536},
)


@says("EVENT-20", limits={"max_event_bytes": 2048})
def events_padded(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Large events grow beyond max_event_bytes by what is put around their text."""
    large = len(json.dumps(message)) > 1500
    yield {**message, "vendor:padding": "x" * 1024} if large else message


@says("EVENT-21")
def done_without_status(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`done` has no status."""
    yield less(message, "status") if message.get("type") == "done" else message


@says("EVENT-21")
def done_with_a_status_of_its_own(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`done` says `success` where `completed` belongs."""
    completed = message.get("type") == "done" and message.get("status") == "completed"
    yield {**message, "status": "success"} if completed else message


@says("EVENT-22")
def refusals_without_retryable(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Refusals do not say whether to try again."""
    yield less(message, "retryable") if is_refusal(message) else message


@says("EVENT-22")
def failures_without_code(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An error that ends a run has no code."""
    failed = message.get("type") == "error" and is_terminal(message)
    yield less(message, "code") if failed else message


@says("EVENT-23")
def cancelled_without_reason(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancelled run does not say for what reason."""
    yield less(message, "reason") if message.get("type") == "done" else message


@says("EVENT-23", limits={"log_bytes": 65536})
def incomplete_without_reason(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that was cut does not say for what reason."""
    yield less(message, "reason") if message.get("status") == "incomplete" else message


@says("EVENT-28")
def cached_tokens_beside_the_prompt(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The tokens that a cache gave are counted beside those of the prompt."""
    usage = {"input_tokens": 12, "cached_input_tokens": 1024, "output_tokens": 3}
    yield {**message, "usage": usage} if message.get("type") == "done" else message


@says("EVENT-28")
def reasoning_beside_the_output(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The tokens of the reasoning are counted beside those of the output."""
    usage = {"output_tokens": 3, "reasoning_tokens": 256}
    yield {**message, "usage": usage} if message.get("type") == "done" else message


@says("EVENT-24")
def refusals_name_a_run(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A refusal names the run that the connection follows."""
    run_id = next(iter(link.followed), None)
    yield {**message, "run_id": run_id} if run_id and is_refusal(message) else message


@says("EVENT-24")
def refusals_have_a_number(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A refusal has a seq."""
    yield {**message, "seq": 1} if is_refusal(message) else message


@flaw("EVENT-26")
class AnswerBeginsWithNothing(Inserting):
    """An answer begins with an empty token."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        return [{**event, "data": ""}, event] if event["type"] == "token" and event["seq"] == 1 else [event]
