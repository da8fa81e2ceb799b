"""Flaws of chapter 9: the stream."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from tests.proof.flaws.flaw import answers, asks, flaw, says, streams
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Block, Later, Message, Rewrite, is_event, is_terminal

from .connection import problem
from .http import is_events

CURSOR = re.compile(r"^(?:(?P<epoch>.*)\.)?(?P<seq>\d+)$")


def with_cursor(request: Request, change: Callable[[str], str | None]) -> Request:
    """Return a request for a stream with its cursor changed, `None` taking it away."""
    header = request.headers.get("last-event-id")
    if header is not None:
        value = change(header)
        return (
            request.without_header("last-event-id")
            if value is None
            else request.with_header("last-event-id", value)
        )
    after = cursor_of(request)
    if after is None:
        return request
    value = change(after)
    return replace(request, target=request.path + ("" if value is None else f"?after={value}"))


def cursor_of(request: Request) -> str | None:
    """Return the cursor that a request names."""
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    return request.headers.get("last-event-id") or next(iter(query.get("after", [])), None)


def _changes_header(name: str, header: str, value: str | None, doc: str) -> None:
    def response(flaw: Rewrite, request: Request, response: Response) -> Response:
        if not response.is_stream:
            return response
        return response.without_header(header) if value is None else response.with_header(header, value)

    response.__name__, response.__doc__ = name, doc
    answers("SSE-1")(response)


_changes_header("streams_may_be_buffered", "x-accel-buffering", None, "Streams have no X-Accel-Buffering.")
_changes_header(
    "streams_may_be_transformed", "cache-control", "no-store", "Streams may be transformed on the way."
)
_changes_header("streams_may_be_stored", "cache-control", "no-cache, no-transform", "Streams may be stored.")
_changes_header("streams_as_text", "content-type", "text/plain", "Streams come as text/plain.")
_changes_header("streams_encoded", "content-encoding", "identity", "Streams name a Content-Encoding.")


@streams("SSE-2")
def no_opening_block(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """Streams begin without the block of retry and id."""
    if not block.startswith(b"retry"):
        yield block


@streams("SSE-2")
def another_retry(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """Streams begin with another time to retry."""
    yield block.replace(b"retry: 2000", b"retry: 3000")


@streams("SSE-2")
def streams_open_at_zero(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The first id of a stream is 0, whatever its cursor."""
    yield (
        re.sub(rb"\.\d+", b".0", block)
        if block.startswith((b"retry", b"id")) and b"data" not in block
        else block
    )


@streams("SSE-2")
def streams_open_with_data(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The first block of a stream holds data."""
    yield block[:-1] + b"data: {}\n\n" if block.startswith(b"retry") else block


@says("SSE-3")
def posted_streams_without_started(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a POST has no `started`."""
    if not (link.is_stream and message.get("type") == "started"):
        yield message


@says("SSE-3")
def posted_streams_begin_with_a_heartbeat(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a POST has a heartbeat before `started`."""
    if link.is_stream and message.get("type") == "started":
        yield {"type": "heartbeat"}
    yield message


@says("SSE-4")
def resumed_streams_without_resumed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a GET has no `resumed`."""
    if not (link.is_stream and message.get("type") == "resumed"):
        yield message


@says("SSE-4")
def resumed_streams_begin_with_started(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The stream of a GET begins with `started`."""
    if link.is_stream and message.get("type") == "resumed":
        yield {**message, "type": "started", "session_id": "s" * 22}
    else:
        yield message


@flaw("SSE-5")
class SeamLostOnStreams(Rewrite):
    """A resumed stream lacks the first event after its cursor."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if link.is_stream and message.get("type") == "resumed":
            link.notes["first"] = message["next_seq"]
        lost = is_event(message) and message["seq"] == link.notes.get("first")
        if not lost or is_terminal(message):
            yield message


@says("SSE-5")
def streams_repeat_tokens(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream sends its second event twice."""
    yield message
    if link.is_stream and is_event(message) and message["seq"] == 2 and not is_terminal(message):
        yield message


@says("SSE-5")
def streams_have_no_end(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream ends without the terminal."""
    if not (link.is_stream and is_terminal(message)):
        yield message


@streams("SSE-6")
def data_in_two_lines(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The JSON text of a message is spread over two data lines."""
    yield block.replace(b',"', b',\ndata: "', 1) if b"data: {" in block else block


@streams("SSE-6")
def events_without_data(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """A second, empty data line follows the message."""
    yield block[:-1] + b"data:\n\n" if b"data: {" in block else block


@streams("SSE-7")
def ids_without_epoch(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The id of an event is its seq alone."""
    yield re.sub(rb"^id: .*\.", b"id: ", block) if b"data" in block else block


@streams("SSE-7")
def terminals_without_id(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The terminal has no id."""
    ends = b'"type":"done"' in block or b'"type":"error"' in block
    yield re.sub(rb"^id: .*\n", b"", block) if ends else block


@streams("SSE-7")
def ids_one_behind(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The id of an event names the event before it."""
    if b"data" in block:
        block = re.sub(rb"^(id: .*\.)(\d+)", lambda found: b"%b%d" % (found[1], int(found[2]) - 1), block)
    yield block


@streams("SSE-8")
def events_are_named(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """Events have an event line."""
    yield b"event: message\n" + block if b"data: {" in block else block


@streams("SSE-8")
def heartbeats_are_named(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """Heartbeats have an event line."""
    yield b"event: ping\n" + block if b'"heartbeat"' in block else block


@streams("SSE-9")
def last_event_left_open(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """The terminal is not closed by a blank line."""
    ends = b'"type":"done"' in block or b'"type":"error"' in block
    yield block[:-1] if ends else block


@flaw("SSE-10")
class StreamsStayOpen(Rewrite):
    """A stream stays open after the terminal."""

    async def server_left(self, link: Link) -> None:
        if link.is_stream:
            await asyncio.sleep(20)


@says("SSE-11")
def ready_in_streams(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream begins with `ready`."""
    if link.is_stream and message.get("type") in {"started", "resumed"}:
        yield {
            "type": "ready", "protocol": "runwire", "version": 1, "connection_id": "c-1",
            "trace_id": message["trace_id"], "limits": dict(flaw.limits), "features": ["resume", "sse"],
        }  # fmt: skip
    yield message


@says("SSE-12")
def no_heartbeats_on_streams(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream has no heartbeats."""
    if not (link.is_stream and message.get("type") == "heartbeat"):
        yield message


@says("SSE-12")
def heartbeats_as_comments(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The heartbeats of a stream are comments."""
    beats = link.is_stream and message.get("type") == "heartbeat"
    yield Block(b": heartbeat\n\n") if beats else message


@streams("SSE-13")
def heartbeats_have_an_id(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """Heartbeats of a stream have an id."""
    yield b"id: 0\n" + block if b'"heartbeat"' in block else block


@streams("SSE-13")
def started_has_an_id(flaw: Rewrite, link: Link, block: bytes) -> Iterable[bytes]:
    """`started` and `resumed` have an id."""
    opens = b'"type":"started"' in block or b'"type":"resumed"' in block
    yield b"id: e1.0\n" + block if opens else block


@asks("SSE-14")
def last_event_id_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """Last-Event-ID is not looked at."""
    return request.without_header("last-event-id")


@asks("SSE-14")
def after_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """The query parameter after is not looked at."""
    return replace(request, target=request.path) if is_events(request) else request


@asks("SSE-14")
def bare_cursors_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A cursor without epoch is refused."""
    bare = is_events(request) and (cursor_of(request) or "").isdigit()
    return problem(400, "bad_request") if bare else request


@asks("SSE-14")
def cursor_demanded(flaw: Rewrite, request: Request) -> Request | Response:
    """A request for a stream without a cursor is refused."""
    return problem(400, "bad_request") if is_events(request) and cursor_of(request) is None else request


@asks("SSE-15")
def after_wins(flaw: Rewrite, request: Request) -> Request | Response:
    """The query parameter after wins over Last-Event-ID."""
    both = is_events(request) and "after=" in request.target
    return request.without_header("last-event-id") if both else request


@asks("SSE-16")
def malformed_cursors_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """A malformed cursor is read as none."""
    return with_cursor(request, lambda cursor: cursor if CURSOR.match(cursor) else None)


@asks("SSE-16", clause="whatever the epoch")
def numbers_of_other_logs_are_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """A cursor of another epoch whose number no seq can have is one of another log."""
    known = not re.fullmatch(r"another\.\d{16,}", cursor_of(request) or "")
    return request if known else with_cursor(request, lambda _: "another.1")


class Tops(Rewrite):
    """Knows how far each log has come, and which have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.tops: dict[str, int] = {}
        self.ended: set[str] = set()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if is_event(message):
            run_id = message["run_id"]
            self.tops[run_id] = max(self.tops.get(run_id, 0), message["seq"])
            if is_terminal(message):
                self.ended.add(run_id)
        yield message


@flaw("SSE-16")
class CursorsBeyondTheLogAreNone(Tops):
    """A cursor beyond the log is read as 0."""

    def request(self, request: Request) -> Request | Response:
        top = self.tops.get(request.path.split("/")[-2] if is_events(request) else "", 2**53)
        return with_cursor(request, lambda cursor: cursor if int(_seq(cursor)) <= top else "0")


def _seq(cursor: str) -> str:
    match = CURSOR.match(cursor)
    return match["seq"] if match else "0"


@answers("SSE-16")
def bad_cursors_not_found(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A malformed cursor gets 404."""
    return response.with_status(404) if is_events(request) and response.status == 400 else response


@answers("SSE-17")
def nothing_left_is_an_empty_stream(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A finished run at its end is answered with an empty stream."""
    if not (is_events(request) and response.status == 204):
        return response
    streaming = Response(200, response.headers.with_("content-type", "text/event-stream"))
    headers = {"x-accel-buffering": "no", "cache-control": "no-store, no-transform"}
    for name, value in headers.items():
        streaming = streaming.with_header(name, value)
    return streaming.with_body(b"retry: 2000\nid: e1.1\n\n")


@flaw("SSE-17")
class FinishedRunsHaveNoContent(Tops):
    """A finished run is answered with 204 whatever the cursor."""

    def response(self, request: Request, response: Response) -> Response:
        if is_events(request) and response.is_stream and request.path.split("/")[-2] in self.ended:
            return Response.of_an_endpoint(204).with_header("connection", "close")
        return response


@asks("SSE-17")
def no_content_while_unfinished(flaw: Rewrite, request: Request) -> Request | Response:
    """An unfinished run with nothing new is answered with 204."""
    seq = _seq(cursor_of(request) or "0")
    if is_events(request) and 0 < int(seq) < 900:
        return Response.of_an_endpoint(204).with_header("connection", "close")
    return request


@asks("SSE-18")
def epochs_not_looked_at_by_streams(flaw: Rewrite, request: Request) -> Request | Response:
    """The epoch of a stream's cursor is not looked at."""
    return with_cursor(request, lambda cursor: cursor.rpartition(".")[2]) if is_events(request) else request


@answers("SSE-18")
def other_epochs_are_bad_requests(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cursor of another epoch gets 400."""
    other = is_events(request) and response.status == 404
    return problem(400, "bad_request") if other else response


@asks("SSE-19")
def accept_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """The Accept header of a request for a stream is not looked at."""
    return request.without_header("accept") if is_events(request) else request


@answers("SSE-19")
def unacceptable_is_unsupported(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A request that excludes the stream gets 415."""
    return response.with_status(415) if response.status == 406 else response


@says("SSE-21")
def streams_have_an_epoch_of_their_own(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Streams name another epoch than WebSocket connections."""
    opens = link.is_stream and message.get("type") in {"started", "resumed"}
    yield {**message, "epoch": f"{message['epoch']}s"} if opens else message


@says("SSE-21")
def resumed_streams_in_capitals(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A stream of a run that was started on a WebSocket has other text."""
    if link.is_stream and message.get("type") == "resumed":
        link.notes["resumed"] = True
    other = message.get("type") == "token" and link.notes.get("resumed")
    yield {**message, "data": message["data"].upper()} if other else message


@says("SSE-21")
def streams_count_started(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """On streams every event has the number above its own."""
    yield {**message, "seq": message["seq"] + 1} if link.is_stream and is_event(message) else message


@flaw("SSE-10")
class StreamsTalkOn(Rewrite):
    """A heartbeat follows the terminal of a stream."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if link.is_stream and is_terminal(message):
            yield Later(0.3, {"type": "heartbeat"})

    async def server_left(self, link: Link) -> None:
        if link.is_stream:
            await asyncio.sleep(1)
