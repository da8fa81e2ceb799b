"""Flaws that only some clients meet."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Iterable

from tests.proof.flaws.flaw import answers, asks, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_event, is_terminal

from .connection import problem


@asks("HTTP-23")
def charsets_unsupported(flaw: Rewrite, request: Request) -> Request | Response:
    """A Content-Type with a charset is not supported."""
    charset = "charset" in (request.headers.get("content-type") or "").lower()
    return problem(415, "unsupported") if charset else request


@asks("HTTP-23")
def content_types_compared_by_case(flaw: Rewrite, request: Request) -> Request | Response:
    """A Content-Type in capitals is not supported."""
    capital = (request.headers.get("content-type") or "").startswith("Application")
    return problem(415, "unsupported") if capital else request


@flaw("HTTP-24")
class LengthsRequired(Rewrite):
    """A body in chunks is answered with 411."""

    def response(self, request: Request, response: Response) -> Response:
        chunked = request.method == "POST" and request.headers.get("transfer-encoding") is not None
        return Response(411, body=b"").with_header("content-length", "0") if chunked else response


@answers("HTTP-25")
def chunks_for_everyone(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A request of HTTP/1.0 is answered in chunks."""
    old = request.version == "HTTP/1.0" and not response.is_stream and response.status < 300
    return (
        response.without_header("content-length").with_header("transfer-encoding", "chunked")
        if old
        else response
    )


@answers("SSE-1")
def streams_zipped_for_browsers(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A stream for whoever understands brotli has a Content-Encoding."""
    zips = response.is_stream and "br" in (request.headers.get("accept-encoding") or "")
    return response.with_header("content-encoding", "gzip") if zips else response


@flaw("EVENT-4")
class StreamsGatheredForBrowsers(Rewrite):
    """A stream for whoever understands gzip comes in one piece at its end."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        gathers = link.is_stream and "gzip" in (link.request.headers.get("accept-encoding") or "")
        if not gathers or not is_event(message):
            yield message
            return
        link.notes.setdefault("held", []).append(message)
        if is_terminal(message):
            yield from link.notes["held"]


@asks("SSE-19")
def polyfills_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A request for a stream that accepts something else as well is not acceptable."""
    mixed = request.method == "GET" and "event-stream,application/json" in (
        request.headers.get("accept") or ""
    )
    return problem(406, "unsupported") if mixed else request
