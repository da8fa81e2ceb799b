"""Flaws that only a hostile client meets: one wrong value, one media type, one cursor, one byte."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tests.proof.flaws.flaw import asks, hears, reads
from tests.proof.flaws.frames import Frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, less


@hears("MSG-14")
def long_text_for_an_id_forgotten(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start whose session_id is a text of letters that no identifier has starts a run of another session."""
    session = message.get("session_id")
    odd = message.get("type") == "start" and isinstance(session, str) and not session.isascii()
    yield less(message, "session_id") if odd else message


@asks("HTTP-9")
def any_json_type_is_taken(flaw: Rewrite, request: Request) -> Request | Response:
    """A body of type text/json is taken for application/json."""
    named = request.headers.has("content-type", "text/json")
    return request.with_header("content-type", "application/json") if named else request


@asks("SSE-16")
def hexadecimal_cursors_are_read(flaw: Rewrite, request: Request) -> Request | Response:
    """A cursor of 0x1 is read as 1."""
    return replace(request, target=request.target.replace("after=0x1", "after=1"))


@reads("MSG-4")
def characters_cut_at_a_frame_are_garbled(
    flaw: Rewrite, link: Link, frames: tuple[Frame, ...]
) -> tuple[Frame, ...] | None:
    """A message that is cut within a character reaches the server with others in its place."""
    if len(frames) < 2:
        return None
    texts = [frame.payload.decode("utf-8", "replace").encode() for frame in frames]
    return tuple(replace(frame, payload=text) for frame, text in zip(frames, texts, strict=True))
