"""Flaws written from the kind of mistake alone: streams that are looked at less, and what one run leaves."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import re
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, is_terminal, less, refusal

from .http import body_of, is_status, with_members

ASTRAL = re.compile("[\U00010000-\U0010ffff]")


# Streams that are looked at less.


@says("SSE-5")
def streams_hide_failures(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a run that fails ends without telling."""
    if not (link.is_stream and message.get("type") == "error" and is_terminal(message)):
        yield message


@says("EVENT-3", clause="`agent` on a `token`")
def streams_name_the_speaker(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Tokens of streams have the name of their agent."""
    yield {**message, "agent": "main"} if link.is_stream and message.get("type") == "token" else message


@says("EVENT-2")
def streams_lose_astral_letters(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A character beyond U+FFFF is a replacement character in the tokens of streams."""
    if link.is_stream and message.get("type") == "token" and ASTRAL.search(message["data"]):
        message = {**message, "data": ASTRAL.sub("\ufffd", message["data"])}
    yield message


@says("CANCEL-1", clause="reason")
def cancelled_streams_end_as_left(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
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


@says("BEAT-3")
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
        if message.get("type") == "token":
            self.words[run_id] = self.words.get(run_id, "") + message["data"]
        yield message

    def response(self, request: Request, response: Response) -> Response:
        body = body_of(response) if is_status(request) and response.status == 200 else None
        known = (runs[1:] for runs in self.sessions.values())
        if not body or not any(body["run_id"] in runs for runs in known):
            return response
        runs = next(runs for runs in self.sessions.values() if body["run_id"] in runs)
        before = self.words.get(runs[runs.index(body["run_id"]) - 1], "")
        return with_members(response, text=before + body.get("text", ""))


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
