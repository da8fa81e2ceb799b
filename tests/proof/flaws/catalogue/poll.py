"""Flaws of chapter 9: polling."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from tests.proof.flaws.flaw import answers, asks, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Message, Rewrite

from .connection import problem
from .http import body_of, is_events, is_run_start, is_status, with_body


def is_poll(request: Request) -> bool:
    """Tell whether a request is a poll."""
    accept = request.headers.get("accept") or ""
    return is_events(request) and "application/json" in accept and "event-stream" not in accept


def wait_of(request: Request) -> float:
    """Return for how long a poll asks to wait."""
    given = parse_qs(urlsplit(request.target).query).get("wait", ["0"])[0]
    return float(given) if re.fullmatch(r"[0-9.]+", given) else 0.0


def answer_of(request: Request, response: Response) -> Message | None:
    """Return the body of the answer to a poll, if this is one."""
    return body_of(response) if is_poll(request) and response.status == 200 else None


def with_json_body(response: Response, body: Message) -> Response:
    """Return the response with another body."""
    return response.with_body(json.dumps(body).encode())


@asks("POLL-1")
def polls_get_the_stream(flaw: Rewrite, request: Request) -> Request | Response:
    """A poll is answered with the stream."""
    return request.with_header("accept", "text/event-stream") if is_poll(request) else request


@answers("POLL-1")
def polls_of_unknown_epochs_begin_anew(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A poll with a cursor of another epoch is told that it was malformed."""
    unknown = is_poll(request) and response.status == 404 and "after=" in request.target
    return problem(400, "bad_request") if unknown else response


@answers("POLL-2")
def polls_lose_the_last_of_several(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Of several events that a poll brings the last but one is missing."""
    body = answer_of(request, response)
    if not body or len(body["events"]) < 3:
        return response
    return with_json_body(response, {**body, "events": [*body["events"][:-2], body["events"][-1]]})


@answers("POLL-2")
def next_stays_behind(flaw: Rewrite, request: Request, response: Response) -> Response:
    """`next` is one event behind what was sent."""
    body = answer_of(request, response)
    if not body or not body["events"]:
        return response
    epoch, _, seq = body["next"].rpartition(".")
    return with_json_body(response, {**body, "next": f"{epoch}.{int(seq) - 1}"})


class Late(Rewrite):
    """Answers polls late."""

    def seconds_late(self, request: Request, body: Message) -> float:
        """Return how much later a poll is answered."""
        raise NotImplementedError

    async def before_response(self, request: Request, response: Response) -> None:
        if body := answer_of(request, response):
            await asyncio.sleep(self.seconds_late(request, body))


@flaw("POLL-3")
class PollsTakeTheirTime(Late):
    """A poll takes the time that it asks for, also when something is there."""

    def seconds_late(self, request: Request, body: Message) -> float:
        return min(wait_of(request), self.limits["heartbeat_s"]) if body["events"] else 0.0


@flaw("POLL-3")
class TheEndIsWaitedFor(Late):
    """A poll waits for what comes after the end of a run."""

    def seconds_late(self, request: Request, body: Message) -> float:
        at_end = not body["events"] and body["status"] in {"completed", "cancelled", "failed"}
        return min(wait_of(request), self.limits["heartbeat_s"]) if at_end else 0.0


@asks("POLL-4")
def polls_never_wait(flaw: Rewrite, request: Request) -> Request | Response:
    """A poll does not wait."""
    return (
        replace(request, target=re.sub(r"wait=[0-9.]+", "wait=0", request.target))
        if is_poll(request)
        else request
    )


@flaw("POLL-4")
class PollsWaitTooLong(Late):
    """A poll that asks for more than a heartbeat is given two."""

    def seconds_late(self, request: Request, body: Message) -> float:
        longer = wait_of(request) > self.limits["heartbeat_s"]
        return self.limits["heartbeat_s"] if longer and not body["events"] else 0.0


@flaw("POLL-5")
class PollersAreNoReaders(Rewrite):
    """A run ends for want of a reader although somebody polls it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[str, float] = {}

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_run_start(request) else None
        grace = self.limits["detach_grace_s"]
        if body and "run_id" in body:
            self.begun[body["run_id"]] = asyncio.get_running_loop().time()
        run_id = request.path.split("/")[-2] if is_poll(request) else ""
        if asyncio.get_running_loop().time() - self.begun.get(run_id, float("inf")) > grace:
            return replace(
                request.with_header("content-type", "application/json").with_header("content-length", "2"),
                method="POST",
                target=request.path.replace("/events", "/cancel"),
                body=b"{}",
            )
        return request

    def response(self, request: Request, response: Response) -> Response:
        if request.method == "POST" and request.headers.get("accept") == "application/json":
            body = body_of(response)
            if request.path.endswith("/cancel") and body:
                return with_json_body(response, {**body, "epoch": "e1", "next": "e1.0", "events": []})
        return response


@asks("POLL-5")
def pollers_never_leave(flaw: Rewrite, request: Request) -> Request | Response:
    """A run that somebody has polled goes on for ever."""
    body = body_of(request) if is_run_start(request) else None
    alone = (
        body and "on_disconnect" not in body and "event-stream" not in (request.headers.get("accept") or "")
    )
    return with_body(request, {**body, "on_disconnect": "continue"}) if body and alone else request


@asks("POLL-6")
def any_wait_will_do(flaw: Rewrite, request: Request) -> Request | Response:
    """A `wait` that is no number is none."""
    wrong = is_poll(request) and not re.search(r"wait=[0-9.]+$", request.target)
    return replace(request, target=re.sub(r"[?&]wait=.*", "", request.target)) if wrong else request


@answers("POLL-7")
def one_tag_for_a_run(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A run has the same ETag from its beginning to its end."""
    body = body_of(response) if is_status(request) and response.status == 200 else None
    return response.with_header("etag", f'"{body["epoch"]}"') if body else response


@answers("POLL-7")
def runs_have_no_tag(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The status of a run has no ETag."""
    return response.without_header("etag")


@asks("POLL-8")
def tags_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """If-None-Match is not looked at."""
    return request.without_header("if-none-match")


@answers("POLL-8")
def any_tag_will_do(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Any If-None-Match is answered with 304."""
    asked = is_status(request) and request.headers.get("if-none-match") and response.status == 200
    return (
        Response(304, response.headers.without("content-length", "content-type"), b"") if asked else response
    )
