"""Flaws written from the kind of mistake alone, without a look at the cases: requests, contents, half a sentence."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, less

from .connection import problem
from .http import body_of, is_run_start, with_body

# Requests like nobody's.


@asks("HTTP-23", clause="parameters")
def quoted_charsets_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A body whose charset stands in quotes is refused."""
    return problem(415, "unsupported") if '"' in (request.headers.get("content-type") or "") else request


@asks("CONN-6")
def handshakes_that_keep_alive_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake whose Connection names keep-alive beside Upgrade, as Firefox's does, is refused."""
    both = request.is_upgrade and request.headers.has("connection", "keep-alive")
    return problem(400, "bad_request") if both else request


@asks("HTTP-3")
def cookies_of_others_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A run is refused to whoever sends a cookie that another application set."""
    return problem(400, "bad_request") if is_run_start(request) and request.headers.get("cookie") else request


@asks("HTTP-2")
def weighted_streams_not_seen(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run that names the stream with a weight gets 202."""
    weighted = re.search(r"event-stream\s*;", request.headers.get("accept") or "")
    return request.with_header("accept", "application/json") if weighted else request


# Contents that are tame.


def map_json(value: Any, change: Any) -> Any:
    """Return a JSON value with each scalar and each object inside put through `change`."""
    if isinstance(value, list):
        return [map_json(item, change) for item in value]
    if isinstance(value, dict):
        return change({name: map_json(item, change) for name, item in value.items()})
    return change(value)


@says("SCRIPT-1")
def observations_composed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The text of an observation is put into composed letters (NFC)."""
    if message.get("type") == "observation" and isinstance(message["content"], str):
        message = {**message, "content": unicodedata.normalize("NFC", message["content"])}
    yield message


@says("SCRIPT-12")
def falsy_results_are_empty(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A tool that returns 0, false or null is said to have returned the empty text."""
    if message.get("type") == "observation" and not message["content"] and message["content"] not in ([], {}):
        message = {**message, "content": ""}
    yield message


@says("MSG-34")
def numbers_of_fifteen_digits(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The input of a tool is written with fifteen digits a number."""
    if message.get("type") == "tool_call":
        rounded = map_json(message["input"], lambda v: float(f"{v:.15g}") if isinstance(v, float) else v)
        message = {**message, "input": rounded} if rounded != message["input"] else message
    yield message


@says("SCRIPT-12")
def empty_names_are_lost(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A member with an empty name is left out of the input of a tool, wherever it stands."""
    if message.get("type") == "tool_call":
        named = map_json(message["input"], lambda v: less(v, "") if isinstance(v, dict) else v)
        message = {**message, "input": named} if named != message["input"] else message
    yield message


@says("SCRIPT-1")
def controls_leave_thoughts(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Control characters other than line ends and tabs are taken out of thoughts."""
    if message.get("type") == "thinking":
        kept = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", message["content"])
        message = {**message, "content": kept} if kept != message["content"] else message
    yield message


@says("SSE-5")
def streams_strip_marks(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A byte order mark at the beginning of a token is lost on streams."""
    if link.is_stream and message.get("type") == "token" and message["data"].startswith("\ufeff"):
        message = {**message, "data": message["data"].removeprefix("\ufeff") or " "}
    yield message


@hears("SCRIPT-8")
def answers_are_trimmed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """White space around the text of an answer is lost."""
    if message.get("type") == "input" and isinstance(message.get("data"), str):
        trimmed = message["data"].strip()
        message = {**message, "data": trimmed} if trimmed != message["data"] else message
    yield message


# Half a sentence.


@flaw("RUN-37", clause="an absent `session_id`")
class AnAbsentSessionFitsAny(Rewrite):
    """A `start` sent again without its session is taken for the same."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, str] = {}

    def filled(self, body: Message) -> Message:
        """Return a start with the session that its run was first started with."""
        run_id, session_id = body.get("run_id"), body.get("session_id")
        if not isinstance(run_id, str):
            return body
        if isinstance(session_id, str):
            self.sessions.setdefault(run_id, session_id)
        known = self.sessions.get(run_id)
        return {**body, "session_id": known} if known and "session_id" not in body else body

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        is_start = message.get("type", "start") == "start"
        filled = self.filled(message) if is_start else message
        yield message if filled == message else filled

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_run_start(request) else None
        filled = self.filled(body) if body else body
        return with_body(request, filled) if filled and filled != body else request


@flaw("CANCEL-11", clause="a run of another transport")
class SocketsCannotStopStreams(Rewrite):
    """A `cancel` on a WebSocket does not find a run that was started by a request."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: set[str] = set()

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_run_start(request) else None
        if body and isinstance(body.get("run_id"), str):
            self.posted.add(body["run_id"])
        return request

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "cancel" and message.get("run_id") in self.posted:
            notice = {"type": "notice", "code": "not_active", "data": "no unfinished run"}
            yield Answer({**notice, "re": message["id"]} if "id" in message else notice)
        else:
            yield message


@says("EVENT-3", clause="`parent_call_id` on a `replace`")
def replaces_name_their_call(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A `replace` has a parent_call_id."""
    yield {**message, "parent_call_id": "c1"} if message.get("type") == "replace" else message


@flaw("CANCEL-13", clause="other runs on it")
class ACancelStopsAll(Rewrite):
    """A cancel of one run of a connection stops all runs of that connection."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes.setdefault("begun", set()).add(message["run_id"])
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        named = message.get("type") == "cancel" and str(message.get("run_id")) in link.notes.get("begun", ())
        yield less(message, "run_id") if named else message
