"""Flaws of chapter 9: the HTTP endpoints."""

# ruff: noqa: ARG001, ARG005 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tests.proof.flaws.flaw import answers, asks, flaw, misstates, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_event, is_terminal, less

from .connection import problem


def is_run_start(request: Request) -> bool:
    """Tell whether a request is a POST of a run."""
    return request.method == "POST" and request.path.endswith("/runs")


def is_cancel(request: Request) -> bool:
    """Tell whether a request cancels a run."""
    return request.method == "POST" and request.path.endswith("/cancel")


def is_events(request: Request) -> bool:
    """Tell whether a request reads the stream of a run."""
    return request.method == "GET" and request.path.endswith("/events")


def is_status(request: Request) -> bool:
    """Tell whether a request asks for a run as it stands."""
    return request.method == "GET" and request.path.split("/")[-2:-1] == ["runs"]


def below_runs(request: Request) -> bool:
    """Tell whether a request goes to the runs endpoint or below it."""
    return "/runs" in request.path


def body_of(carrier: Request | Response) -> Message | None:
    """Return a JSON object in a body, if it is one."""
    try:
        value = json.loads(carrier.body or b"")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def with_body(request: Request, body: Mapping[str, Any]) -> Request:
    """Return `request` with another JSON body."""
    text = json.dumps(body).encode()
    return replace(request.with_header("content-length", str(len(text))), body=text)


def with_members(response: Response, **members: Any) -> Response:
    """Return `response` with some members of its JSON body changed."""
    body = body_of(response)
    return response if body is None else response.with_body(json.dumps({**body, **members}).encode())


def _problems(
    name: str, requirement: str, applies: Callable[[Request, Response], bool], status: int, doc: str
) -> None:
    def response(flaw: Rewrite, request: Request, response: Response) -> Response:
        if not applies(request, response):
            return response
        return with_members(response.with_status(status), status=status)

    response.__name__, response.__doc__ = name, doc
    answers(requirement)(response)


@asks("HTTP-1")
def posts_need_a_type(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run without type is refused."""
    body = body_of(request) if is_run_start(request) else None
    return problem(400, "bad_request") if body and "type" not in body else request


@asks("HTTP-1")
def posted_run_id_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """The run_id of a POST of a run is not taken over."""
    body = body_of(request) if is_run_start(request) else None
    return with_body(request, less(body, "run_id")) if body else request


@asks("HTTP-1")
def posted_unknown_members_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run with an unknown member is refused."""
    known = {"type", "id", "prompt", "run_id", "session_id", "inputs", "on_disconnect", "traceparent"}
    body = body_of(request) if is_run_start(request) else None
    return problem(400, "bad_request") if body and body.keys() - known else request


@asks("HTTP-2")
def no_stream_for_posts(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run that asks for the stream gets 202."""
    return request.with_header("accept", "application/json") if is_run_start(request) else request


@asks("HTTP-2")
def stream_only_when_asked_for_alone(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run that names the stream beside another type gets 202."""
    several = is_run_start(request) and "," in (request.headers.get("accept") or "")
    return request.with_header("accept", "application/json") if several else request


@asks("HTTP-3")
def always_a_stream(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST of a run gets the stream although it did not ask for it."""
    return request.with_header("accept", "text/event-stream") if is_run_start(request) else request


@answers("HTTP-3")
def accepted_with_200(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A POST of a run without a stream gets 200."""
    return response.with_status(200) if response.status == 202 else response


@answers("HTTP-3")
def accepted_without_epoch(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a 202 leaves out the epoch."""
    body = body_of(response) if response.status == 202 else None
    return response.with_body(json.dumps(less(body, "epoch")).encode()) if body else response


@answers("HTTP-4")
def no_location(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Answers to a POST of a run have no Location."""
    return response.without_header("location")


@answers("HTTP-4")
def no_location_on_streams(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The stream of a POST of a run has no Location."""
    return response.without_header("location") if response.is_stream else response


@answers("HTTP-4")
def location_of_the_run(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Location names the run rather than its events."""
    location = response.headers.get("location") or ""
    return response.with_header("location", location.removesuffix("/events")) if location else response


@answers("HTTP-5")
def status_with_stale_text(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The text of a run as it stands lacks its last character."""
    body = body_of(response) if is_status(request) else None
    return with_members(response, text=body["text"][:-1]) if body and body.get("text") else response


@answers("HTTP-5")
def status_ahead_of_the_text(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The seq of a run as it stands is one too high."""
    body = body_of(response) if is_status(request) and response.status == 200 else None
    return with_members(response, seq=body["seq"] + 1) if body else response


@answers("HTTP-5")
def status_always_running(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A run as it stands is always running."""
    return (
        with_members(response, status="running")
        if is_status(request) and response.status == 200
        else response
    )


@answers("HTTP-5")
def status_ignores_replace(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A run as it stands has no epoch."""
    body = body_of(response) if is_status(request) and response.status == 200 else None
    return response.with_body(json.dumps(less(body, "epoch")).encode()) if body else response


@answers("HTTP-6")
def cancel_says_nothing(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cancel over HTTP is answered with an empty object."""
    ok = is_cancel(request) and response.status == 200
    return response.with_body(b"{}") if ok else response


@answers("HTTP-6")
def cancel_accepted(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cancel over HTTP is answered with 202."""
    return response.with_status(202) if is_cancel(request) and response.status == 200 else response


@answers("HTTP-6")
def cancel_of_an_ended_run_conflicts(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cancel over HTTP of a run that has ended is answered with 409."""
    body = body_of(response) if is_cancel(request) and response.status == 200 else None
    ended = body and body["status"] in {"completed", "failed", "incomplete"}
    return problem(409, "conflict") if ended else response


_problems(
    "unknown_runs_are_bad_requests",
    "HTTP-7",
    lambda request, response: response.status == 404,
    400,
    "A request for an unknown run gets 400.",
)


@answers("HTTP-7")
def unknown_run_cancelled(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cancel of an unknown run gets 200."""
    if not (is_cancel(request) and response.status == 404):
        return response
    body = {"run_id": request.path.split("/")[-2], "status": "cancelled", "seq": 0}
    return (
        response.with_status(200)
        .with_header("content-type", "application/json")
        .with_body(json.dumps(body).encode())
    )


@answers("HTTP-7")
def unknown_run_without_body(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A request for an unknown run gets a 404 without the code."""
    body = body_of(response) if response.status == 404 and below_runs(request) else None
    return response.with_body(json.dumps(less(body, "code")).encode()) if body else response


@asks("HTTP-8")
def http_cancel_does_nothing(flaw: Rewrite, request: Request) -> Request | Response:
    """A cancel over HTTP is answered and has no effect."""
    if not is_cancel(request):
        return request
    status = replace(request, method="GET", target=request.target.removesuffix("/cancel"), body=b"")
    return status.without_header("content-length", "content-type")


@asks("HTTP-9")
def any_content_type(flaw: Rewrite, request: Request) -> Request | Response:
    """The Content-Type of a POST is not looked at."""
    return request.with_header("content-type", "application/json") if request.method == "POST" else request


@asks("HTTP-9")
def empty_posts_need_no_content_type(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST without a body needs no Content-Type."""
    empty = request.method == "POST" and not request.body
    return request.with_header("content-type", "application/json") if empty else request


@asks("HTTP-9")
def content_type_by_prefix(flaw: Rewrite, request: Request) -> Request | Response:
    """A Content-Type of text/plain passes."""
    plain = (request.headers.get("content-type") or "").startswith("text/plain")
    return request.with_header("content-type", "application/json") if plain else request


_problems(
    "content_types_are_bad_requests",
    "HTTP-9",
    lambda request, response: response.status == 415,
    400,
    "A POST with another Content-Type gets 400.",
)

misstates(
    "large_bodies_accepted",
    "HTTP-10",
    {"max_message_bytes": 65536},
    "Bodies larger than max_message_bytes are accepted.",
    limits={"max_message_bytes": 262144},
)
_problems(
    "large_bodies_are_bad_requests",
    "HTTP-10",
    lambda request, response: response.status == 413,
    400,
    "A body that is too large gets 400.",
)
_problems(
    "bad_bodies_are_unprocessable",
    "HTTP-11",
    lambda request, response: response.status == 400,
    422,
    "A body that cannot be understood gets 422.",
)


@asks("HTTP-11")
def posted_lone_surrogates_accepted(flaw: Rewrite, request: Request) -> Request | Response:
    """A body with an escaped lone surrogate is accepted."""
    body = body_of(request) if b"\\ud" in request.body.lower() else None
    if not body:
        return request
    return with_body(request, json.loads(json.dumps(body).replace("\\ud", "\\\\ud")))


@asks("HTTP-11")
def posted_nan_accepted(flaw: Rewrite, request: Request) -> Request | Response:
    """A body with NaN is accepted."""
    body = body_of(request) if b"NaN" in request.body else None
    return with_body(request, json.loads(request.body.replace(b"NaN", b"0"))) if body else request


@asks("HTTP-11")
def posted_policies_not_checked(flaw: Rewrite, request: Request) -> Request | Response:
    """A body with an on_disconnect that does not exist is accepted."""
    body = body_of(request) if is_run_start(request) else None
    known = not body or body.get("on_disconnect", "grace") in ("grace", "cancel", "continue")
    return request if known or not body else with_body(request, less(body, "on_disconnect"))


@answers("HTTP-12")
def problems_as_json(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Refusals come as application/json."""
    return response.with_header("content-type", "application/json") if response.status >= 400 else response


@answers("HTTP-12")
def problems_without_type(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A 404 has no Content-Type."""
    return response.without_header("content-type") if response.status == 404 else response


@answers("HTTP-12")
def problems_without_retryable(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Refusals do not say whether to try again."""
    body = body_of(response) if response.status >= 400 else None
    return response.with_body(json.dumps(less(body, "retryable")).encode()) if body else response


@answers("HTTP-12")
def problems_in_plain_text(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Bad requests are refused in plain text."""
    if response.status != 400 or not below_runs(request):
        return response
    return response.with_header("content-type", "text/plain").with_body(b"bad request")


@answers("HTTP-13")
def answers_may_be_stored(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Answers below the runs endpoint have no Cache-Control."""
    return response if response.is_stream else response.without_header("cache-control")


@answers("HTTP-13")
def refusals_may_be_stored(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A 404 below the runs endpoint has no Cache-Control."""
    return response.without_header("cache-control") if response.status == 404 else response


_problems(
    "unknown_methods_not_found",
    "HTTP-14",
    lambda request, response: response.status == 405,
    404,
    "An unknown method gets 404.",
)


@answers("HTTP-14")
def no_allow(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A 405 has no Allow."""
    return response.without_header("allow") if response.status == 405 else response


@asks("HTTP-15")
def cancel_needs_a_body(flaw: Rewrite, request: Request) -> Request | Response:
    """A cancel without a body is refused."""
    return problem(400, "bad_request") if is_cancel(request) and not request.body else request


@asks("HTTP-15")
def members_of_a_cancel_are_checked(flaw: Rewrite, request: Request) -> Request | Response:
    """A cancel over HTTP whose body would be no message is refused."""
    body = body_of(request) if is_cancel(request) else None
    return problem(400, "bad_request") if body and "type" not in body and "prompt" not in body else request


@asks("HTTP-15")
def cancel_needs_a_type(flaw: Rewrite, request: Request) -> Request | Response:
    """A cancel with the body {} is refused."""
    return problem(400, "bad_request") if is_cancel(request) and request.body.strip() == b"{}" else request


@flaw("HTTP-16")
class RepeatedPostsRefused(Rewrite):
    """A repeated POST of a run is refused with 409."""

    def request(self, request: Request) -> Request | Response:
        run_id = (body_of(request) or {}).get("run_id") if is_run_start(request) else None
        return problem(409, "conflict") if isinstance(run_id, str) and self.nth(run_id) > 1 else request


@flaw("HTTP-16")
class RepeatedPostsStartAgain(Rewrite):
    """A repeated POST of a run starts another run."""

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_run_start(request) else None
        again = body and isinstance(body.get("run_id"), str) and self.nth(body["run_id"]) > 1
        return with_body(request, less(body, "run_id")) if body and again else request


@says("HTTP-16")
def repeated_posts_stream_the_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a repeated POST has only the run's terminal."""
    link.notes["again"] = link.notes.get("again") or message.get("type") == "resumed"
    again = link.is_stream and link.request.method == "POST" and link.notes["again"]
    if not (again and is_event(message)) or is_terminal(message):
        yield message


@answers("HTTP-16")
def another_epoch_for_each_post(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Every 202 names an epoch of its own."""
    body = body_of(response) if response.status == 202 else None
    return with_members(response, epoch=f"{body['epoch']}{flaw.nth()}") if body else response


@answers("HTTP-17")
def no_allowed_origin(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Answers to cross-origin requests do not name the origin."""
    return response.without_header("access-control-allow-origin")


@answers("HTTP-17")
def no_allowed_origin_on_refusals(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Refusals of cross-origin requests do not name the origin."""
    return response.without_header("access-control-allow-origin") if response.status >= 400 else response


@answers("HTTP-17")
def location_not_exposed(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Cross-origin pages may not read Location."""
    exposed = response.headers.get("access-control-expose-headers")
    return response.with_header("access-control-expose-headers", "Retry-After") if exposed else response


@answers("HTTP-18")
def preflights_refused(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A preflight gets 405."""
    return response.with_status(405) if request.method == "OPTIONS" else response


@answers("HTTP-18")
def last_event_id_not_allowed(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A preflight does not allow Last-Event-ID."""
    allowed = response.headers.get("access-control-allow-headers")
    return (
        response.with_header("access-control-allow-headers", "content-type, accept") if allowed else response
    )
