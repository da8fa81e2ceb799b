"""Flaws of chapter 3: what a server does with what it cannot use."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests.proof.flaws.flaw import controls, flaw, hears, misstates, reads, says
from tests.proof.flaws.frames import Frame, Opcode, close_frame, text_frame
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Close, Drop, Frames, Message, Rewrite, refusal

Data = tuple[Frame, ...]
KNOWN = {
    "type",
    "id",
    "prompt",
    "run_id",
    "session_id",
    "inputs",
    "on_disconnect",
    "traceparent",
    "after",
    "epoch",
}
TYPES = {"start", "cancel", "resume", "heartbeat", "input"}
LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")


@reads("MSG-4")
def only_the_first_fragment_read(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """Of a fragmented message only the first fragment is read."""
    return (replace(frames[0], final=True),) if len(frames) > 1 else None


@reads("MSG-4")
def empty_fragments_end_a_message(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """An empty fragment in the middle of a message ends it."""
    empty = next((i for i, frame in enumerate(frames) if i and not frame.payload), None)
    return None if empty is None else (*frames[: empty - 1], replace(frames[empty - 1], final=True))


@flaw("MSG-4")
class FragmentsRefused(Rewrite):
    """A fragmented message is refused as if it could not be understood."""

    def client_data(self, link: Link, frames: Data) -> Data | None:
        link.notes["fragments"] = len(frames)
        return None

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield Answer(refusal("bad_request", message)) if link.notes["fragments"] > 1 else message


def _closes(name: str, requirement: str, proper: int, instead: int | None, description: str) -> None:
    def server_frame(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.close_code != proper:
            yield Frames((frame,))
        elif instead is None:
            yield Drop()
        else:
            yield Frames((close_frame(instead),))

    server_frame.__name__, server_frame.__doc__ = name, description
    controls(requirement)(server_frame)


_closes("bad_json_closed_with_1007", "MSG-7", 4400, 1007, "What is no JSON is closed with 1007.")
_closes("bad_json_dropped", "MSG-7", 4400, None, "What is no JSON breaks the connection off.")
_closes("no_object_closed_with_1003", "MSG-8", 4400, 1003, "What is no object is closed with 1003.")
_closes("binary_closed_with_1008", "MSG-9", 1003, 1008, "A binary message is closed with 1008.")
_closes("bad_text_closed_with_1002", "MSG-10", 1007, 1002, "What is not UTF-8 is closed with 1002.")
_closes("large_closed_with_1008", "MSG-11", 1009, 1008, "A message too large is closed with 1008.")
_closes("bad_frame_closed_with_1008", "MSG-13", 1002, 1008, "A bad frame is closed with 1008.")
_closes("bad_frame_dropped", "MSG-13", 1002, None, "A bad frame breaks the connection off.")


def _text(frames: Data) -> bytes:
    return b"".join(frame.payload for frame in frames) if frames[0].opcode == Opcode.TEXT else b""


@reads("MSG-7")
def nan_accepted(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """NaN and Infinity are read as numbers."""
    text = re.sub(rb"-?(NaN|Infinity)\b", b"0", _text(frames))
    return (Frame(Opcode.TEXT, text),) if text != _text(frames) else None


@reads("MSG-7")
def byte_order_mark_accepted(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """A leading byte order mark is skipped."""
    text = _text(frames)
    return (Frame(Opcode.TEXT, text[3:]),) if text.startswith(b"\xef\xbb\xbf") else None


@reads("MSG-7")
def empty_message_ignored(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """An empty message is ignored."""
    return () if frames[0].opcode == Opcode.TEXT and not _text(frames) else None


@reads("MSG-7")
def bytes_after_the_value_ignored(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """What stands behind the JSON value is ignored."""
    try:
        value, end = json.JSONDecoder().raw_decode(_text(frames).decode())
    except ValueError:
        return None
    return (text_frame(json.dumps(value)),) if _text(frames)[end:].strip() else None


@reads("MSG-7")
def nonsense_is_a_bad_request(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """A text that is no JSON is refused with bad_request, and the connection stays open."""
    try:
        json.loads(_text(frames) or b"null")
    except ValueError:
        return (text_frame('{"type":"start"}'),)
    return None


def _value(frames: Data) -> Any:
    try:
        return json.loads(_text(frames))
    except (ValueError, RecursionError):
        return {}


@reads("MSG-8")
def strings_ignored(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """A JSON text that is no object is ignored."""
    return None if isinstance(_value(frames), dict) else ()


@reads("MSG-8")
def arrays_are_batches(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """An array is read as a batch of messages."""
    value = _value(frames)
    return tuple(text_frame(json.dumps(entry)) for entry in value) if isinstance(value, list) else None


@reads("MSG-9")
def binary_read_as_text(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """A binary message is read like a text message."""
    if frames[0].opcode != Opcode.BINARY:
        return None
    return (replace(frames[0], opcode=Opcode.TEXT), *frames[1:])


@reads("MSG-10")
def bad_utf8_replaced(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """Bytes that are not UTF-8 are replaced by question marks."""
    text = _text(frames)
    good = text.decode("utf-8", "replace").encode()
    return (Frame(Opcode.TEXT, good),) if good != text else None


misstates(
    "larger_messages_accepted",
    "MSG-11",
    {"max_message_bytes": 65536},
    "Messages of twice max_message_bytes are accepted.",
    limits={"max_message_bytes": 131072},
)


@flaw("MSG-11", limits={"max_message_bytes": 65536})
class SizeCountedByFrame(Rewrite):
    """The size of a message is checked frame by frame, and fragments of an oversize message pass."""

    def client_data(self, link: Link, frames: Data) -> Data | None:
        size = sum(len(frame.payload) for frame in frames)
        too_large = len(frames) > 1 and size > self.limits["max_message_bytes"]
        return (text_frame('{"type":"heartbeat"}'),) if too_large else None


@hears("MSG-14")
def invalid_messages_close(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message that fails its schema closes the connection."""
    yield Close(4400) if _invalid(message) else message


@hears("MSG-14")
def unknown_policy_ignored(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An on_disconnect that does not exist is read as the default."""
    known = message.get("on_disconnect", "grace") in ("grace", "cancel", "continue")
    yield message if known else {**message, "on_disconnect": "grace"}


@says("MSG-14")
def invalid_is_internal(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message that fails its schema is refused with internal."""
    bad = message.get("code") == "bad_request"
    yield {**message, "code": "internal", "retryable": True} if bad else message


@hears("MSG-14")
def long_ids_accepted(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An id of more than 64 characters is accepted and cut."""
    too_long = isinstance(message.get("id"), str) and len(message["id"]) > 64
    yield {**message, "id": message["id"][:64]} if too_long else message


def _invalid(message: Message) -> bool:
    texts = ("prompt", "run_id", "session_id", "on_disconnect", "id")
    wrong = any(not isinstance(message.get(name, ""), str) for name in texts)
    return wrong or not isinstance(message.get("inputs", {}), dict)


misstates(
    "one_level_deeper_accepted",
    "MSG-15",
    {"json_depth": 16},
    "Messages are accepted that nest one level deeper than json_depth.",
    limits={"json_depth": 17},
)


@hears("MSG-15")
def deep_messages_close(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message that nests too deeply closes the connection."""
    yield Close(4400) if depth(message) > flaw.limits["json_depth"] else message


@reads("MSG-16")
def lone_surrogates_replaced(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """An escaped lone surrogate is read as the replacement character."""
    text = LONE_SURROGATE.sub(rb"\\ufffd", _text(frames))
    return (Frame(Opcode.TEXT, text),) if text != _text(frames) else None


@reads("MSG-16")
def lone_surrogates_close(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """An escaped lone surrogate closes the connection."""
    return (Frame(Opcode.TEXT, b"\xff"),) if LONE_SURROGATE.search(_text(frames)) else None


def _reads_integers(name: str, wrong: type, description: str) -> None:
    def client_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        after = message.get("after")
        is_wrong = isinstance(after, int | float) and type(after) is wrong and math.isfinite(after)
        yield {**message, "after": max(0, int(message["after"]))} if is_wrong else message

    client_message.__name__, client_message.__doc__ = name, description
    hears("MSG-17")(client_message)


_reads_integers("booleans_are_integers", bool, "A boolean is read as an integer.")
_reads_integers("fractions_are_cut", float, "A number with a fraction is read as an integer.")


@hears("MSG-17")
def negative_means_from_the_start(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A negative integer is read as 0."""
    after = message.get("after")
    yield {**message, "after": 0} if type(after) is int and after < 0 else message


@hears("MSG-17")
def large_integers_wrap(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An integer above 2^53-1 is read modulo 2^53."""
    after = message.get("after")
    yield {**message, "after": after % 2**53} if type(after) is int and after >= 2**53 else message


@reads("MSG-18")
def repeated_names_accepted(flaw: Rewrite, link: Link, frames: Data) -> Data | None:
    """Of members of the same name the last is taken."""
    repeated: list[bool] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    try:
        value = json.loads(_text(frames), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return (text_frame(json.dumps(value)),) if any(repeated) else None


@hears("MSG-19")
def nothing_at_all_ignored(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message without type and prompt is ignored."""
    if "type" in message or "prompt" in message:
        yield message


@hears("MSG-19")
def nothing_at_all_is_unknown(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message without type and prompt is answered as one of unknown type."""
    yield message if "type" in message or "prompt" in message else {**message, "type": "vendor:none"}


misstates(
    "large_messages_refused",
    "MSG-20",
    {"max_message_bytes": 131072},
    "Messages near max_message_bytes are not accepted.",
    limits={"max_message_bytes": 65536},
)
misstates(
    "deepest_messages_refused",
    "MSG-20",
    {"json_depth": 17},
    "Messages that nest exactly json_depth deep are refused.",
    limits={"json_depth": 16},
)


@hears("MSG-22")
def unknown_members_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message with an unknown member is refused."""
    unknown = message.get("type", "start") in TYPES and message.keys() - KNOWN - {"request_id", "data"}
    yield Answer(refusal("bad_request", message)) if unknown else message


@hears("MSG-22")
def unknown_members_close(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message without type closes the connection when it has an unknown member."""
    yield Close(4400) if "type" not in message and message.keys() - KNOWN else message


@hears("MSG-23")
def unknown_types_close(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of unknown type closes the connection."""
    yield message if message.get("type", "start") in TYPES else Close(4400)


@hears("MSG-23")
def unknown_types_deafen(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """After a message of unknown type the connection stays open and is not served."""
    if message.get("type", "start") not in TYPES:
        link.notes["deaf"] = True
    if not link.notes.get("deaf"):
        yield message


@hears("MSG-24")
def unknown_types_ignored(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of unknown type is passed over in silence."""
    if message.get("type", "start") in TYPES:
        yield message


@says("MSG-24")
def unknown_types_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of unknown type is refused with an error."""
    unknown = message.get("code") == "unknown_type"
    yield {**message, "type": "error", "code": "bad_request", "retryable": False} if unknown else message


@hears("MSG-24")
def vendor_types_ignored(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message of a vendor's type is passed over in silence."""
    if ":" not in str(message.get("type", "")):
        yield message


def depth(value: Any) -> int:
    """Return how deeply arrays and objects nest, the value itself being 1."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max((depth(child) for child in children), default=0)
