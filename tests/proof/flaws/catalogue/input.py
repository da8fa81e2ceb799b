"""Flaws of chapter 10: agents that ask, and the answers they get."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import answers, asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Pause, Rewrite, less, refusal

from .connection import problem
from .http import body_of, is_status, with_members


def is_input(request: Request) -> bool:
    """Tell whether a request answers an input request."""
    return request.method == "POST" and request.path.endswith("/input")


def run_of(request: Request) -> str:
    """Return the run that a request below the runs is about."""
    return request.path.split("/")[-2]


class Inputs(Rewrite):
    """Knows which requests were opened, with their answers and how they were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[tuple[str, str], Message] = {}
        self.closed: dict[tuple[str, str], str] = {}
        self.given: dict[tuple[str, str], list[Any]] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        key = (str(message.get("run_id")), str(message.get("request_id")))
        if message.get("type") == "input_request":
            self.opened[key] = message
        if message.get("type") == "input_closed":
            self.closed[key] = message["outcome"]
        yield from self.said(link, message)

    def said(self, link: Link, message: Message) -> Iterable[Action]:
        """Rewrite a message of the server."""
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "input":
            yield message
            return
        key = (str(message.get("run_id")), str(message.get("request_id")))
        code = self.refused(key, message.get("data"))
        self.given.setdefault(key, []).append(message.get("data"))
        if code is None:
            yield message
        elif code:
            yield Answer(refusal(code, message))

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_input(request) else None
        if body is None:
            return request
        key = (run_of(request), str(body.get("request_id")))
        code = self.refused(key, body.get("data"))
        self.given.setdefault(key, []).append(body.get("data"))
        if code is None:
            return request
        return problem(STATUS[code], code) if code else self.accepted(key[0])

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        """Return the code to refuse an answer with, None to forward it and "" to take it without effect."""
        return None

    def accepted(self, run_id: str) -> Response:
        """Return what a server says that accepts an answer."""
        body = json.dumps({"run_id": run_id, "status": "running", "seq": 1}).encode()
        return Response.of_an_endpoint(200).with_header("content-type", "application/json").with_body(body)


STATUS = {"bad_request": 400, "not_found": 404, "conflict": 409, "input_expired": 410}


@says("INPUT-1")
def resumed_runs_do_not_wait(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`resumed` says of a waiting run that it is running."""
    yield {**message, "status": "running"} if message.get("status") == "waiting" else message


@answers("INPUT-1")
def waiting_runs_are_running(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A waiting run tells over HTTP that it is running."""
    body = body_of(response) if is_status(request) else None
    return with_members(response, status="running") if body and body.get("status") == "waiting" else response


@flaw("INPUT-1")
class OneAnswerEndsTheWaiting(Inputs):
    """A run is running as soon as one of its requests is closed."""

    def response(self, request: Request, response: Response) -> Response:
        closed = any(run_id == request.path.split("/")[-1] for run_id, _ in self.closed)
        body = body_of(response) if is_status(request) and closed else None
        return with_members(response, status="running") if body and body["status"] == "waiting" else response


@flaw("INPUT-1")
class WaitingForEver(Inputs):
    """A run that has waited once is reported as waiting until its end."""

    def response(self, request: Request, response: Response) -> Response:
        asked = any(run_id == request.path.split("/")[-1] for run_id, _ in self.opened)
        body = body_of(response) if is_status(request) and asked else None
        return with_members(response, status="waiting") if body and body["status"] == "running" else response


@says("INPUT-20")
def forms_without_schema(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A form does not tell its schema."""
    yield less(message, "schema") if message.get("type") == "input_request" else message


@says("INPUT-2")
def requests_without_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request does not tell when it expires."""
    yield less(message, "expires_at") if message.get("type") == "input_request" else message


@says("INPUT-2")
def every_request_is_an_approval(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Every request says that it is an approval."""
    yield {**message, "kind": "approval"} if message.get("type") == "input_request" else message


@says("INPUT-3")
def requests_expire_too_late(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request says that it is open for a year."""
    asked = message.get("type") == "input_request"
    year = str(int(str(message.get("expires_at", "0"))[:4]) + 1)
    yield {**message, "expires_at": year + message["expires_at"][4:]} if asked else message


@says("INPUT-3")
def requests_expire_in_local_time(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request tells its end in the time of another zone."""
    asked = message.get("type") == "input_request"
    yield {**message, "expires_at": message["expires_at"].replace("Z", "+02:00")} if asked else message


@says("INPUT-4")
def answered_requests_are_withdrawn(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request that was answered is closed as withdrawn."""
    yield {**message, "outcome": "withdrawn"} if message.get("outcome") == "answered" else message


@flaw("INPUT-4")
class FirstAnswersGetLost(Inputs):
    """The first answer to a question has no effect."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if isinstance(data, str) and key not in self.given else None


@flaw("INPUT-7")
class LosersAreNotTold(Inputs):
    """Of two answers at once the second one is swallowed."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if self.given.get(key, [data])[0] != data else None


@hears("INPUT-5")
def only_followers_answer(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Only a connection that follows the run can answer."""
    follows = message.get("run_id") in link.followed
    if message.get("type") == "input" and not follows:
        yield Answer(refusal("not_found", message))
    else:
        yield message


@asks("INPUT-5")
def only_connections_answer(flaw: Rewrite, request: Request) -> Request | Response:
    """An answer over HTTP to a run that is read on a WebSocket is not accepted."""
    return problem(404, "not_found") if is_input(request) else request


@flaw("INPUT-6")
class RepeatedAnswersAreConflicts(Inputs):
    """The same answer again is a conflict."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "conflict" if data in self.given.get(key, []) else None


@flaw("INPUT-6")
class RepeatedAnswersAreComparedAsText(Inputs):
    """The same answer with its members in another order is a conflict."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        texts = [json.dumps(given) for given in self.given.get(key, [])]
        return "conflict" if texts and json.dumps(data) not in texts else None


@flaw("INPUT-6")
class RepeatedAnswersCloseAgain(Inputs):
    """The same answer again closes the request again."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        key = (str(message.get("run_id")), str(message.get("request_id")))
        again = message.get("type") == "input" and key in self.closed
        yield from super().client_message(link, message)
        if again:
            seq = link.proxy.book.top(key[0])
            closed = {"type": "input_closed", "run_id": key[0], "seq": seq + 1}
            yield Answer({**closed, "request_id": key[1], "outcome": "answered"})


@flaw("INPUT-7")
class LaterAnswersAreSwallowed(Inputs):
    """Another answer after the first is accepted without effect."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if key in self.given else None


@flaw("INPUT-7")
class LaterAnswersAreTooLate(Inputs):
    """Another answer after the first is refused as expired."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "input_expired" if self.given.get(key, [data])[0] != data else None


@flaw("INPUT-7")
class TrueIsOne(Inputs):
    """An answer is compared as in a language in which true equals 1."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if data in self.given.get(key, []) else None


@says("INPUT-8")
def expired_requests_are_withdrawn(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request that expired is closed as withdrawn."""
    yield {**message, "outcome": "withdrawn"} if message.get("outcome") == "expired" else message


@says("INPUT-8")
def requests_expire_late(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A request expires a second late."""
    if message.get("outcome") == "expired":
        yield Pause(1)
    yield message


@flaw("INPUT-9")
class ExpiredRequestsAreUnknown(Inputs):
    """An answer to a request that expired is refused as not found."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "not_found" if self.closed.get(key) == "expired" else None


@flaw("INPUT-9")
class LateAnswersAreSwallowed(Inputs):
    """An answer to a request that expired is accepted without effect."""

    def refused(self, key: tuple[str, str], data: Any) -> str | None:
        return "" if self.closed.get(key) == "expired" else None


@says("INPUT-9")
def finished_runs_conflict(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An answer to a finished run is a conflict."""
    yield {**message, "code": "conflict"} if message.get("code") == "input_expired" else message


@answers("INPUT-9")
def repeated_answers_expire(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The accepted answer, sent again over HTTP after the run's end, is refused as expired."""
    if not is_input(request) or response.status != 200:
        return response
    ended = json.loads(response.body or b"{}").get("status") not in {"running", "waiting"}
    return problem(410, "input_expired") if ended else response
