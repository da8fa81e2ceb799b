"""Flaws of chapter 3: what a server's messages look like, and how it answers."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.frames import Frame, Opcode
from tests.proof.flaws.link import Link, encode
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Frames,
    Later,
    Message,
    Rewrite,
    Text,
    is_event,
    is_refusal,
    is_terminal,
    less,
)


@says("MSG-1")
def tokens_as_binary(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Tokens travel in binary messages."""
    if message.get("type") == "token":
        yield Frames((Frame(Opcode.BINARY, encode(message).encode()),))
    else:
        yield message


@says("MSG-1")
def two_objects_in_one_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The terminal shares its message with a heartbeat, one object a line."""
    yield Text(encode(message) + "\n" + '{"type":"heartbeat"}') if is_terminal(message) else message


@says("MSG-1")
def terminal_in_an_array(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Messages come as arrays of one object."""
    yield Text(f"[{encode(message)}]") if is_terminal(message) else message


@says("MSG-2")
def heartbeats_without_type(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat is an empty object."""
    yield {} if message.get("type") == "heartbeat" else message


@says("MSG-2")
def type_as_a_number(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The type of `done` is a number."""
    yield {**message, "type": 6} if message.get("type") == "done" else message


@says("MSG-3")
def token_data_as_an_object(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The data of a token is an object."""
    yield {**message, "data": {"text": message["data"]}} if message.get("type") == "token" else message


@says("MSG-3")
def done_without_data(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`done` has no data."""
    yield less(message, "data") if message.get("type") == "done" else message


@says("MSG-3")
def thinking_in_data(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`thinking` carries its text in data rather than in content."""
    if message.get("type") == "thinking":
        yield {**less(message, "content"), "data": message["content"]}
    else:
        yield message


@says("MSG-5")
def member_name_repeated(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`done` names its data twice."""
    is_done = message.get("type") == "done"
    yield Text(encode(message)[:-1] + f',"data":{json.dumps(message["data"])}}}') if is_done else message


@says("MSG-5")
def usage_is_not_a_number(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The usage of `done` holds a NaN."""
    is_done = message.get("type") == "done"
    yield Text(encode(message)[:-1] + ',"vendor:cost":NaN}') if is_done else message


@says("MSG-5")
def lone_surrogate_in_a_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The data of `done` ends in half a surrogate pair, escaped."""
    if message.get("type") == "done":
        yield Text(json.dumps({**message, "data": message["data"] + "\ud83d"}))
    else:
        yield message


@says("MSG-37")
def depth_with_a_fraction(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` writes the limit `json_depth`, an integer, with a fraction of 0."""
    if message.get("type") == "ready":
        yield {
            **message,
            "limits": {**message["limits"], "json_depth": float(message["limits"]["json_depth"])},
        }
    else:
        yield message


@says("MSG-6")
def null_re(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`started` has a null `re` when the start had no id."""
    yield {"re": None, **message} if message.get("type") == "started" else message


@says("MSG-6")
def null_reason(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A completed run's `done` has a null reason."""
    yield {"reason": None, **message} if message.get("type") == "done" else message


@says("MSG-28")
def started_without_re(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`started` does not repeat the id of the start."""
    yield less(message, "re") if message.get("type") == "started" else message


@says("MSG-28")
def refusals_without_re(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Refusals do not repeat the id of what they refuse."""
    yield less(message, "re") if is_refusal(message) else message


@says("MSG-28")
def heartbeats_without_re(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The answer to a heartbeat does not repeat its id."""
    yield less(message, "re") if message.get("type") == "heartbeat" else message


@says("MSG-28")
def notices_without_re(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Notices do not repeat the id of what they answer."""
    yield less(message, "re") if message.get("type") == "notice" else message


@says("MSG-28")
def re_cut_to_32(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A long id is repeated only in part."""
    yield {**message, "re": message["re"][:32]} if len(message.get("re", "")) > 32 else message


@flaw("MSG-29")
class ReOnEveryEvent(Rewrite):
    """The id of the start stands as `re` on every event of its run."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["re"] = message.get("re")
        is_stray = is_event(message) and link.notes.get("re")
        yield {**message, "re": link.notes["re"]} if is_stray else message


@says("MSG-29")
def re_invented(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`started` has a `re` although the start had no id."""
    yield {"re": "0", **message} if message.get("type") == "started" else message


@says("MSG-29")
def re_on_own_heartbeats(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat of the server's own accord has a `re`."""
    yield {"re": "0", **message} if message.get("type") == "heartbeat" else message


@hears("MSG-30")
def cancel_acknowledged(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel that works is answered with a notice besides."""
    if message.get("type") == "cancel" and link.followed:
        re = {"re": message["id"]} if "id" in message else {}
        yield Answer({"type": "notice", **re, "code": "vendor:cancelling", "data": "cancelling"})
    yield message


@says("MSG-30")
def unknown_types_answered_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of unknown type gets two notices."""
    yield message
    if message.get("code") == "unknown_type":
        yield message


@says("MSG-30")
def started_and_confirmed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start gets its `started` twice."""
    yield message
    if message.get("type") == "started" and not link.is_stream:
        yield message


@says("MSG-30")
def refusal_said_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A refused message gets two refusals."""
    yield message
    if is_refusal(message):
        yield message


@flaw("MSG-31")
class AnswersOvertake(Rewrite):
    """Every other start and resume of a connection is dealt with a little later than the next one."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type", "start") in {"start", "resume"} and self.nth(link.number) % 2:
            yield Later(0.15, message)
        else:
            yield message


@flaw("MSG-31")
class ResumesFirst(Rewrite):
    """A start is dealt with a little later than a resume behind it."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield Later(0.15, message) if message.get("type", "start") == "start" else message
