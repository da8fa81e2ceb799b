"""Flaws of chapter 10: answers that are not taken, runs that end while they wait, and what HTTP says of both."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import answers, asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Pause, Rewrite, is_terminal, less

from .connection import problem
from .http import is_cancel
from .input import Inputs, is_input, run_of


@says("INPUT-10")
def unknown_requests_are_expired(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An answer to an unknown request is refused as expired."""
    yield {**message, "code": "input_expired"} if message.get("code") == "not_found" else message


@answers("INPUT-10")
def unknown_requests_are_bad(flaw: Rewrite, request: Request, response: Response) -> Response:
    """An answer over HTTP to an unknown request gets 400."""
    return problem(400, "bad_request") if is_input(request) and response.status == 404 else response


@flaw("INPUT-10")
class UnknownRunsAreAnswered(Inputs):
    """An answer to an unknown run is taken without a word."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if key[0] not in {run_id for run_id, _ in self.opened} else None


def _unfit(name: str, kind: str, types: tuple[type, ...], doc: str) -> None:
    """Register a flaw that takes answers of these types for a kind of request."""

    class Takes(Inputs):
        def refused(self, key: tuple[str, str], data: Any) -> str | None:
            asked = self.opened.get(key, {}).get("kind") == kind
            return "" if asked and type(data) in types else None

    Takes.__name__, Takes.__doc__ = "".join(word.capitalize() for word in name.split("_")), doc
    flaw("INPUT-11")(Takes)


_unfit("approvals_by_text", "approval", (str,), "An approval takes a text.")


_unfit("approvals_by_number", "approval", (int,), "An approval takes a number.")


_unfit("questions_take_anything", "question", (bool, int, dict), "A question takes anything.")


@flaw("INPUT-21")
class FormsAreNotChecked(Inputs):
    """A form takes every object."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        form = self.opened.get(key, {}).get("kind") == "form"
        return "" if form and isinstance(data, dict) and type(data.get("n")) is not int else None


@flaw("INPUT-11")
class UnfitAnswersCloseTheRequest(Inputs):
    """An answer that does not fit closes the request."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "input_expired" if len(self.given.get(key, [])) > 1 else None


@flaw("INPUT-12")
class AnswersInTheLog(Inputs):
    """`input_closed` holds the answer."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        given = self.given.get((str(message.get("run_id")), str(message.get("request_id"))))
        yield {**message, "data": given[0]} if message.get("type") == "input_closed" and given else message


@flaw("INPUT-12")
class FormsInTheLog(Inputs):
    """`input_closed` of a form holds what was filled in."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        given = self.given.get((str(message.get("run_id")), str(message.get("request_id"))))
        filled = message.get("type") == "input_closed" and given and isinstance(given[0], dict)
        yield {**message, "vendor:form": given[0]} if filled and given else message


@flaw("INPUT-13")
class OneRequestAtATime(Inputs):
    """Only the latest request of a run can be answered."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        latest = [request_id for run_id, request_id in self.opened if run_id == key[0]][-1:]
        return "input_expired" if latest and latest[0] != key[1] else None


@flaw("INPUT-13")
class OneAnswerForAll(Inputs):
    """An answer closes the other open requests too, as far as the log tells."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        closed = message.get("type") == "input_closed" and message["request_id"] == "q1"
        yield {**message, "request_id": "q2"} if closed else message


@says("INPUT-14")
def void_requests_conflict(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An answer to a request that the end made void is a conflict."""
    yield {**message, "code": "conflict"} if message.get("code") == "input_expired" else message


@answers("INPUT-14")
def void_requests_are_answered(flaw: Rewrite, request: Request, response: Response) -> Response:
    """An answer over HTTP to a request that the end made void is accepted."""
    body = json.dumps({"run_id": run_of(request), "status": "cancelled", "seq": 2}).encode()
    void = is_input(request) and response.status == 410
    return (
        response.with_status(200).with_header("content-type", "application/json").with_body(body)
        if void
        else response
    )


@flaw("INPUT-15")
class WaitingRunsAreCancelledLate(Inputs):
    """A waiting run ends long after it was cancelled."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("status") == "cancelled":
            yield Pause(self.seconds("cancel_deadline_ms") + 1)
        yield message


@asks("INPUT-15")
def waiting_runs_ignore_posted_cancels(flaw: Rewrite, request: Request) -> Request | Response:
    """A waiting run is not cancelled over HTTP."""
    if not is_cancel(request):
        return request
    body = json.dumps({"run_id": run_of(request), "status": "waiting", "seq": 1}).encode()
    return Response.of_an_endpoint(200).with_header("content-type", "application/json").with_body(body)


@flaw("INPUT-16")
class ExpiryFailsTheRun(Inputs):
    """A run fails when one of its requests expires."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        expired = "expired" in [
            o for (run_id, _), o in self.closed.items() if run_id == message.get("run_id")
        ]
        if expired and is_terminal(message):
            failed = {"type": "error", "code": "timeout", "retryable": True}
            yield {**less(message, "status", "usage"), **failed}
        else:
            yield message


@answers("INPUT-17")
def accepted_answers_get_202(flaw: Rewrite, request: Request, response: Response) -> Response:
    """An answer over HTTP that was accepted gets 202."""
    return response.with_status(202) if is_input(request) and response.status == 200 else response


@answers("INPUT-17")
def accepted_answers_get_no_status(flaw: Rewrite, request: Request, response: Response) -> Response:
    """An answer over HTTP that was accepted is not told how the run stands."""
    accepted = is_input(request) and response.status == 200
    return response.with_body(json.dumps({"run_id": run_of(request)}).encode()) if accepted else response


@answers("INPUT-17")
def conflicts_are_bad_requests(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Another answer over HTTP gets 400."""
    return problem(400, "bad_request") if is_input(request) and response.status == 409 else response


@flaw("INPUT-19")
class RequestIdsComeTwice(Inputs):
    """A request_id is used for two requests of a run."""

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "error" and message.get("code") == "agent_error" and "seq" in message:
            asked = self.opened.get((message["run_id"], "q1"))
            if asked:
                yield {**asked, "seq": message["seq"]}
                yield {**message, "seq": message["seq"] + 1}
                return
        yield message


@says("SCRIPT-8")
def echoes_are_plain(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`echo_input` emits a text without its quotes."""
    quoted = message.get("type") == "token" and message["data"].startswith('"')
    yield {**message, "data": message["data"].strip('"') or "-"} if quoted else message


@says("SCRIPT-8")
def expired_requests_echo_nothing(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`echo_input` emits false for a request that expired."""
    yield {**message, "data": "false"} if message.get("data") == "null" else message


@hears("SCRIPT-7")
def scripts_do_not_wait(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A script goes on while its request is open."""
    prompt = str(message.get("prompt", ""))
    hurried = prompt.replace('{"runwire_script": [', '{"runwire_script": [{"token": "late"}, ')
    yield {**message, "prompt": hurried} if '"late"' in prompt and "input_request" in prompt else message
