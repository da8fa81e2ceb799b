"""Flaws written from the kind of mistake alone, without a look at the cases: five kinds, several each."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, is_terminal, less, refusal

from .connection import problem
from .http import body_of, is_run_start, is_status, told, with_body

ASTRAL = re.compile("[\U00010000-\U0010ffff]")


# Requests like nobody's.


@asks("HTTP-23")
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


def changed(value: Any, change: Any) -> Any:
    """Return a JSON value with each scalar and each object inside put through `change`."""
    if isinstance(value, list):
        return [changed(item, change) for item in value]
    if isinstance(value, dict):
        return change({name: changed(item, change) for name, item in value.items()})
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
        rounded = changed(message["input"], lambda v: float(f"{v:.15g}") if isinstance(v, float) else v)
        message = {**message, "input": rounded} if rounded != message["input"] else message
    yield message


@says("SCRIPT-12")
def empty_names_are_lost(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A member with an empty name is left out of the input of a tool, wherever it stands."""
    if message.get("type") == "tool_call":
        named = changed(message["input"], lambda v: less(v, "") if isinstance(v, dict) else v)
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


@flaw("RUN-37")
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


@flaw("CANCEL-11")
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


@says("EVENT-3")
def replaces_name_their_call(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A `replace` has a parent_call_id."""
    yield {**message, "parent_call_id": "c1"} if message.get("type") == "replace" else message


@hears("CANCEL-13")
def a_cancel_stops_all(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel of one run of a connection stops all runs of that connection."""
    one_of_several = message.get("type") == "cancel" and str(message.get("run_id")) in link.followed
    yield less(message, "run_id") if one_of_several and len(link.followed) > 1 else message


# Streams that are looked at less.


@says("SSE-5")
def streams_hide_failures(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a run that fails ends without telling."""
    if not (link.is_stream and message.get("type") == "error" and is_terminal(message)):
        yield message


@says("EVENT-3")
def streams_name_the_speaker(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Tokens of streams have the name of their agent."""
    yield {**message, "agent": "main"} if link.is_stream and message.get("type") == "token" else message


@says("EVENT-2")
def streams_lose_astral_letters(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A character beyond U+FFFF is a replacement character in the tokens of streams."""
    if link.is_stream and message.get("type") == "token" and ASTRAL.search(message["data"]):
        message = {**message, "data": ASTRAL.sub("\ufffd", message["data"])}
    yield message


@says("CANCEL-1")
def streams_give_no_user(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that was cancelled ends its stream as one that was left."""
    cancelled = link.is_stream and message.get("type") == "done" and message.get("reason") == "user"
    yield {**message, "reason": "disconnected"} if cancelled else message


@says("SSE-5")
def streams_tell_input_as_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The input of a tool is a JSON text in the calls of streams."""
    if link.is_stream and message.get("type") == "tool_call":
        message = {**message, "input": json.dumps(message["input"])}
    yield message


@says("SSE-5")
def streams_finish_partial_results(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The partial observations of streams do not say that they are partial."""
    partial = link.is_stream and message.get("type") == "observation" and message.get("partial")
    yield less(message, "partial") if partial else message


@says("SSE-5")
def thoughts_of_streams_are_tokens(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """What an agent thinks is told as its answer on streams."""
    if link.is_stream and message.get("type") == "thinking" and message["content"]:
        message = {
            **less(message, "content", "agent", "parent_call_id"),
            "type": "token",
            "data": message["content"],
        }
    yield message


# What one run leaves for the next.


@says("SCRIPT-12")
def call_ids_used_before_are_renamed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A call_id that an earlier run of the connection used has another name."""
    call_id, run_id = message.get("call_id"), message.get("run_id")
    if isinstance(call_id, str):
        first = link.notes.setdefault("calls", {}).setdefault(call_id, run_id)
        message = message if first == run_id else {**message, "call_id": f"{call_id}_2"}
    yield message


@says("BEAT-1")
def no_heartbeats_after_a_cancel(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A connection on which a run was cancelled has no heartbeats any more."""
    if message.get("type") == "done" and message.get("status") == "cancelled":
        link.notes["cancelled"] = True
    if message.get("type") != "heartbeat" or "re" in message or "cancelled" not in link.notes:
        yield message


@flaw("HTTP-5")
class TextOfTheRunBefore(Rewrite):
    """The text in the status of a run begins with that of the run before it in its session."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, list[str]] = {}
        self.words: dict[str, str] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "started":
            runs = self.sessions.setdefault(message["session_id"], [])
            runs += [run_id] if run_id not in runs else []
        if message.get("type") == "token" and not link.is_stream:
            self.words[run_id] = self.words.get(run_id, "") + message["data"]
        yield message

    def response(self, request: Request, response: Response) -> Response:
        body = body_of(response) if is_status(request) and response.status == 200 else None
        runs = self.sessions.get(body.get("session_id", ""), []) if body else []
        if not body or body["run_id"] not in runs[1:]:
            return response
        before = self.words.get(runs[runs.index(body["run_id"]) - 1], "")
        return told(response, text=before + body.get("text", ""))


@flaw("INPUT-4")
class AnswersOfTheRunBefore(Rewrite):
    """A request with the name of one that was answered in an earlier run of the connection is taken as closed."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "input":
            yield message
            return
        request_id, run_id = str(message.get("request_id")), message.get("run_id")
        if link.notes.setdefault("answered", {}).setdefault(request_id, run_id) == run_id:
            yield message
        else:
            yield Answer(refusal("input_expired", message))


@hears("RESUME-1")
def the_policy_stays(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run has the on_disconnect that an earlier run of its connection asked for."""
    if message.get("type", "start") == "start" and isinstance(message.get("prompt"), str):
        policy = link.notes.setdefault("policy", message.get("on_disconnect"))
        message = (
            {**message, "on_disconnect": policy} if policy and "on_disconnect" not in message else message
        )
    yield message


@flaw("RUN-2")
class FailedSessionsStayFailed(Rewrite):
    """A session whose run failed takes no further run."""

    def __init__(self) -> None:
        super().__init__()
        self.session: dict[str, str] = {}
        self.failed: set[str] = set()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = str(message.get("run_id"))
        if message.get("type") == "started":
            self.session[run_id] = message["session_id"]
        if message.get("type") == "error" and is_terminal(message):
            self.failed.add(self.session.get(run_id, ""))
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        fresh = message.get("type", "start") == "start" and message.get("run_id") not in self.session
        failed = fresh and message.get("session_id") in self.failed
        yield Answer(refusal("internal", message)) if failed else message
