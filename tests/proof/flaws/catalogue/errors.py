"""Flaws of chapter 13: errors and close codes."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from tests.proof.flaws.flaw import controls, flaw, hears, says
from tests.proof.flaws.frames import Frame, Opcode, close_frame
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import (
    Action,
    Aside,
    Close,
    Drop,
    Frames,
    Message,
    Pause,
    Rewrite,
    is_refusal,
    less,
)

from .runs import is_start


@says("ERR-1")
def refused_with_a_terminals_code(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message is refused with a code that belongs to terminals."""
    bad = is_refusal(message) and message["code"] == "bad_request"
    yield {**message, "code": "agent_error"} if bad else message


@says("ERR-1")
def refused_with_an_unknown_code(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message is refused with a code that is neither registered nor a vendor's."""
    bad = is_refusal(message) and message["code"] == "bad_request"
    yield {**message, "code": "invalid_message"} if bad else message


@flaw("ERR-2")
class RefusedStartsRun(Rewrite):
    """A start that is refused runs all the same."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if is_start(message) and isinstance(message.get("run_id"), str):
            link.notes[str(message.get("id"))] = message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        asked = link.notes.get(str(message.get("re")))
        if is_refusal(message) and asked and message["code"] in {"bad_request", "busy"}:
            good = {name: asked[name] for name in ("type", "run_id") if name in asked}
            prompt = asked.get("prompt") if isinstance(asked.get("prompt"), str) else "Hello."
            yield Aside({**good, "prompt": prompt, "on_disconnect": "continue"})
            yield Pause(0.3)
        yield message


@hears("ERR-2")
def refused_starts_cancel(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start that is refused cancels every run of the connection."""
    yield message
    if is_start(message) and not isinstance(message.get("prompt"), str):
        yield {"type": "cancel"}


@hears("ERR-2")
def refused_cancels_cancel(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel that is refused cancels every run of the connection."""
    yield message
    if message.get("type") == "cancel" and not isinstance(message.get("run_id", ""), str):
        yield {"type": "cancel"}


@says("ERR-3")
def refusals_close(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The connection is closed after a refusal."""
    yield message
    if is_refusal(message):
        yield Close(1008)


@says("ERR-3")
def third_refusal_closes(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The connection is closed after its second refusal."""
    yield message
    if is_refusal(message) and flaw.nth(link.number) == 2:
        yield Close(4400)


def _retryable(code: str, value: bool, description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        yield {**message, "retryable": value} if message.get("code") == code else message

    server_message.__name__, server_message.__doc__ = f"{code}_retryable_{value}".lower(), description
    says("ERR-4")(server_message)


_retryable("busy", False, "A busy refusal says that trying again is useless.")
_retryable("bad_request", True, "A bad request may be tried again.")
_retryable("not_found", True, "An unknown run may be asked for again.")


@says("ERR-5")
def errors_without_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The data of an error is empty."""
    yield {**message, "data": ""} if message.get("type") == "error" else message


@says("ERR-5")
def notices_without_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The data of a notice is empty."""
    yield {**message, "data": ""} if message.get("type") == "notice" else message


@says("ERR-5")
def errors_with_a_trace(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The data of an error is a stack trace."""
    trace = 'Traceback (most recent call last):\n  File "/srv/app/server.py", line 7, in receive\nKeyError: 1'
    yield {**message, "data": trace} if message.get("type") == "error" else message


@controls("CLOSE-1")
def closes_with_an_unknown_code(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A bad message is closed with a code outside the registry."""
    yield Frames((close_frame(4000 + 405) if frame.close_code == 4400 else frame,))


@controls("CLOSE-1")
def closes_without_a_code(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A bad message is closed without a code."""
    yield Frames((close_frame(None) if frame.close_code == 4400 else frame,))


@controls("CLOSE-1", limits={"idle_s": 2})
def idle_closed_with_an_unknown_code(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """An idle connection is closed with a code outside the registry."""
    yield Frames((close_frame(3008) if frame.close_code == 1000 else frame,))


@controls("CLOSE-2")
def breaks_off(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """The server breaks connections off without a Close frame."""
    yield Drop() if frame.opcode == Opcode.CLOSE and frame.close_code != 1000 else Frames((frame,))


@controls("CLOSE-2", limits={"idle_s": 2})
def idle_connections_broken_off(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """An idle connection is broken off without a Close frame."""
    yield Drop() if frame.close_code == 1000 else Frames((frame,))


@controls("CLOSE-3", limits={"idle_s": 2})
def idle_clients_told_to_stop(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """An idle connection is closed with a code that tells the client never to come back."""
    yield Frames((close_frame(4429) if frame.close_code == 1000 else frame,))


@says("CLOSE-3")
def refused_clients_told_to_stop(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A busy server closes with a code that tells the client never to come back."""
    yield message
    if is_refusal(message) and message["code"] == "busy":
        yield Close(4429)


@says("ERR-4")
def terminals_with_the_wrong_retryable(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A tool call too large is said to be worth another try."""
    large = message.get("code") == "payload_too_large"
    yield {**less(message, "retryable"), "retryable": True} if large else message
