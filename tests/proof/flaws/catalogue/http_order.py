"""Flaws of chapters 9, 11 and 15: which answer comes first, and what every answer has."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from tests.proof.flaws.flaw import answers, asks, flaw, streams
from tests.proof.flaws.http1 import Headers, Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Rewrite, less

from .connection import problem
from .http import body_of, is_events, is_run_start, with_body
from .origin import LOOPBACK, origin_host
from .sse import CURSOR, cursor_of


def is_foreign(request: Request) -> bool:
    """Tell whether a request comes from a page of another origin."""
    return origin_host(request) not in {*LOOPBACK, ""}


@answers("HTTP-19")
def cursors_before_accept(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A malformed cursor is told before that no stream is accepted."""
    malformed = response.status == 406 and not CURSOR.match(cursor_of(request) or "0")
    return problem(400, "bad_request") if malformed else response


@answers("HTTP-19")
def accept_before_method(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A method that is not served is refused for its Accept header."""
    refused = response.status == 405 and "image" in (request.headers.get("accept") or "")
    return problem(406, "unsupported") if refused else response


@answers("HTTP-19", clause="path (404)")
def empty_names_are_runs(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A path that ends in a slash is one below it with an empty name, on which a method may not be served."""
    unserved = request.path.endswith("/") and request.method != "GET"
    return problem(405, "unsupported").with_header("allow", "GET") if unserved else response


@flaw("HTTP-19")
class UnknownRunsBeforeMethods(Rewrite):
    """A method that is not served below a run that is not known is refused with 404."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()

    def response(self, request: Request, response: Response) -> Response:
        if is_run_start(request) and (body := body_of(response)):
            self.known.add(str(body.get("run_id")))
        unknown = "/runs/" in request.path and self.known.isdisjoint(request.path.split("/"))
        return problem(404, "not_found") if unknown and response.status == 405 else response


@asks("HTTP-20")
def heads_read_the_stream(flaw: Rewrite, request: Request) -> Request | Response:
    """HEAD of a stream is a reader until whoever asked has left."""
    return (
        replace(request, method="GET")
        if request.method == "HEAD" and "/events" in request.target
        else request
    )


@asks("HTTP-20")
def heads_are_unknown(flaw: Rewrite, request: Request) -> Request | Response:
    """HEAD is answered with 404."""
    return Response.of_an_endpoint(404).with_body(b"") if request.method == "HEAD" else request


@answers("HTTP-21")
def nothing_varies(flaw: Rewrite, request: Request, response: Response) -> Response:
    """No response has Vary."""
    return response.without_header("vary")


@answers("HTTP-21")
def only_pages_vary(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Only responses to requests with an Origin have Vary."""
    return response if request.headers.get("origin") else response.without_header("vary")


@answers("HTTP-21")
def refusals_do_not_vary(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Refusals have no Vary."""
    return response.without_header("vary") if response.status >= 400 else response


@asks("SSE-14")
def empty_cursors_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """An empty Last-Event-ID is refused as malformed."""
    empty = is_events(request) and request.headers.get("last-event-id") == ""
    return problem(400, "bad_request") if empty else request


@asks("SSE-14", clause="empty")
def empty_cursors_count_as_given(flaw: Rewrite, request: Request) -> Request | Response:
    """An empty after beside another is the second of two."""
    given = parse_qsl(urlsplit(request.target).query, keep_blank_values=True) if is_events(request) else []
    return problem(400, "bad_request") if [name for name, _ in given].count("after") > 1 else request


@asks("SSE-14")
def empty_headers_hide_the_query(flaw: Rewrite, request: Request) -> Request | Response:
    """An empty Last-Event-ID means from the first event, whatever the query says."""
    empty = is_events(request) and request.headers.get("last-event-id") == ""
    return request.with_header("last-event-id", "0") if empty else request


@asks("SSE-16")
def first_of_two_cursors(flaw: Rewrite, request: Request) -> Request | Response:
    """Of two cursors in the query the first is taken."""
    given = [value for name, value in parse_qsl(urlsplit(request.target).query) if name == "after"]
    return replace(request, target=f"{request.path}?after={given[0]}") if len(given) > 1 else request


@asks("SSE-16")
def last_of_two_headers(flaw: Rewrite, request: Request) -> Request | Response:
    """Of two Last-Event-ID headers the last is taken."""
    lines = [line for line in request.headers.lines if line[0].lower() == "last-event-id"]
    others = Headers(request.headers.lines).without("last-event-id").lines
    return replace(request, headers=Headers((*others, lines[-1]))) if len(lines) > 1 else request


def _data(name: str, data: bytes, description: str, *, at_the_end: bool) -> None:
    def block(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
        last = b'"type":"done"' in block or b'"type":"error"' in block
        if not at_the_end and b'"type":"started"' in block:
            yield block
            yield b"data: " + data + b"\n\n"
            return
        yield block
        if at_the_end and last:
            yield b"data: " + data + b"\n\n"

    block.__name__, block.__doc__ = name, description
    streams("SSE-26")(block)


_data("streams_end_with_done_in_brackets", b"[DONE]", "Streams end with the data [DONE].", at_the_end=True)
_data("streams_ping_in_words", b"ping", "Streams have pings in words as data.", at_the_end=False)
_data(
    "streams_hold_html",
    b"<html>502</html>",
    "Streams have a page of HTML among their events.",
    at_the_end=False,
)
_data("streams_hold_arrays", b"[1]", "Streams have an array as the data of an event.", at_the_end=False)


@asks("ORIGIN-7")
def subprotocols_before_origins(flaw: Rewrite, request: Request) -> Request | Response:
    """A foreign page is told first that its subprotocol is not known."""
    offered = request.headers.get("sec-websocket-protocol")
    unknown = is_foreign(request) and offered and "runwire.v1" not in offered
    return problem(400, "bad_request") if unknown else request


@asks("ORIGIN-7")
def methods_before_origins(flaw: Rewrite, request: Request) -> Request | Response:
    """A foreign page is told first that its method is not served."""
    return problem(405, "unsupported") if is_foreign(request) and request.method == "DELETE" else request


@asks("ORIGIN-7", auth=True)
def methods_before_credentials(flaw: Rewrite, request: Request) -> Request | Response:
    """Whoever has no credential is told first that the method is not served."""
    nobody = request.method == "DELETE" and request.headers.get("authorization") is None
    return problem(405, "unsupported") if nobody else request


@asks("OBS-11")
def traceparent_of_a_post_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """The traceparent of a POST is not looked at."""
    return request.without_header("traceparent") if is_run_start(request) else request


@asks("OBS-11")
def header_of_a_post_wins(flaw: Rewrite, request: Request) -> Request | Response:
    """The traceparent header of a POST wins over that of its body."""
    body = body_of(request) if is_run_start(request) and request.headers.get("traceparent") else None
    return with_body(request, less(body, "traceparent")) if body and "traceparent" in body else request
