"""The same runs over HTTP: starting, reading, cancelling, and the stream of server-sent events."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from .events import encoded
from .limits import FEATURES, Refusal
from .messages import NoMessage, Start, fit, read
from .problems import Problem
from .runs import Run
from .service import Service

CURSOR = re.compile(r"(?:([A-Za-z0-9_-]{1,64})\.)?(0|[1-9][0-9]{0,15})")
PIECE = 4096

router = APIRouter()


def service_of(request: Request) -> Service:
    """Return the runs of the application."""
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def ranges(accept: str) -> dict[str, float]:
    """Return the media ranges of an `Accept` header with their weights."""
    found = {}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q" and re.fullmatch(r"[01](\.[0-9]*)?", value.strip()):
                weight = float(value)
        if media:
            found[media] = weight
    return found


def accept_of(request: Request) -> dict[str, float]:
    """Return what a request accepts; nothing when it does not say."""
    return ranges(",".join(request.headers.getlist("accept")))


async def body_of(request: Request) -> bytes:
    """Return the body of a POST; raise what refuses it [HTTP-9, HTTP-10]."""
    types = request.headers.getlist("content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != "application/json":
        raise Refusal("unsupported", "Content-Type has to be application/json")
    most = service_of(request).limits.max_message_bytes
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refusal("payload_too_large", f"a body has at most {most} bytes")
    return body


async def object_of(request: Request, empty: bool = False) -> dict[str, Any]:
    """Return the object in the body of a POST [HTTP-11]; an empty body stands for an empty one where it may."""
    body = await body_of(request)
    if empty and not body:
        return {}
    try:
        value, refusal = read(body.decode(), service_of(request).limits.json_depth)
    except UnicodeDecodeError:
        raise Refusal("bad_request", "the body is not UTF-8") from None
    except NoMessage as error:
        raise Refusal("bad_request", str(error)) from None
    if refusal:
        raise refusal
    return value


@router.get("/.well-known/runwire")
async def discovery(request: Request) -> dict[str, Any]:
    """Say what the server is."""
    return {
        "protocol": "runwire",
        "versions": [1],
        "endpoints": {"websocket": "../ws/generate", "runs": "../v1/runs"},
        "features": list(FEATURES),
        "limits": vars(service_of(request).limits),
        "auth": ["none"],
        "script_agent": True,
        "server": {"name": "good-fastapi", "version": "1.0"},
    }


@router.get("/ws/generate")
async def no_websocket() -> Response:
    """Tell who comes without an upgrade what lives here [CONN-11]."""
    return Problem(426, "unsupported", "this is a WebSocket", {"Upgrade": "websocket"})


@router.post("/v1/runs")
async def start(request: Request) -> Response:
    """Start a run: 200 with the stream, or 202."""
    service = service_of(request)
    value = await object_of(request)
    if value.get("type", "start") != "start" or "prompt" not in value:
        raise Refusal("bad_request", "the body of a start has a prompt")
    message = fit(Start, value)
    assert isinstance(message, Start)
    streamed = accept_of(request).get("text/event-stream", 0) > 0
    if streamed:
        request.app.state.places.check(request.client)
    run, new = service.begin(message, request.headers.getlist("traceparent"))
    headers = {"Location": f"runs/{run.run_id}/events"}
    if streamed:
        started = {"type": "started", "run_id": run.run_id, "epoch": run.epoch, "session_id": run.session_id}
        first = [started | {"trace_id": run.trace_id, "status": run.status}]
        return Stream(request, run, 0, first if new else [*first, resumed(run, 0)], headers)
    body = {"run_id": run.run_id, "epoch": run.epoch, "status": run.status}
    return Response(encoded(body), 202, headers, "application/json")


@router.get("/v1/runs/{run_id}")
async def status(request: Request, run_id: str) -> Response:
    """Say how a run stands [HTTP-5]."""
    run = service_of(request).get(run_id)
    body = {"run_id": run_id, "epoch": run.epoch, "status": run.status, "seq": len(run.log), "text": run.text}
    return Response(encoded(body), media_type="application/json")


@router.post("/v1/runs/{run_id}/cancel")
async def cancel(request: Request, run_id: str) -> Response:
    """Cancel a run [HTTP-8]."""
    await object_of(request, empty=True)
    run = service_of(request).get(run_id)
    run.cancel("user")
    body = {"run_id": run_id, "status": run.status, "seq": len(run.log)}
    return Response(encoded(body), media_type="application/json")


@router.get("/v1/runs/{run_id}/events")
async def events(request: Request, run_id: str) -> Response:
    """Stream a run from a cursor."""
    accept = accept_of(request)
    wanted = [accept[media] for media in ("text/event-stream", "text/*", "*/*") if media in accept]
    if accept and not (wanted and wanted[0] > 0):
        return Problem(406, "unsupported", "the stream is text/event-stream")
    headers, query = request.headers.getlist("last-event-id"), request.query_params.getlist("after")
    given = [text for text in headers if text] or [text for text in query if text] or ["0"]
    found = CURSOR.fullmatch(given[0])
    if len(given) > 1 or not found or int(found[2]) >= 2**53:
        raise Refusal("bad_request", "a cursor is epoch, dot and seq, or a seq")
    run = service_of(request).get(run_id)
    if found[1] not in (None, run.epoch):
        raise Refusal("not_found", "this log is gone")
    after = int(found[2])
    if after > len(run.log):
        raise Refusal("bad_request", "the cursor is beyond the end of the log")
    if run.finished and after == len(run.log):
        return Response(status_code=204)
    request.app.state.places.check(request.client)
    return Stream(request, run, after, [resumed(run, after)], {})


def resumed(run: Run, after: int) -> dict[str, Any]:
    """Return the message that says where a reader stands."""
    place = {"type": "resumed", "run_id": run.run_id, "epoch": run.epoch, "next_seq": after + 1}
    return place | {"last_seq": len(run.log), "status": run.status, "trace_id": run.trace_id}


class Stream(Response):
    """A reader of a run as a response. It attaches when it is made, so that no moment is without a reader."""

    def __init__(
        self, request: Request, run: Run, after: int, first: list[dict[str, Any]], headers: dict[str, str]
    ) -> None:
        own = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
        super().__init__(None, 200, headers | own | {"Content-Type": "text/event-stream"})
        del self.headers["content-length"]
        self.limits = service_of(request).limits
        self.places = request.app.state.places
        self.client = request.client
        self.run = run
        self.cursor = after
        self.first = first
        self.wakeup = asyncio.Event()
        self.by_server = False
        run.attach(self.wakeup.set)
        self.places.take(self.client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the stream until the run ends, the client leaves or takes nothing."""
        writer = asyncio.create_task(self.write(send))
        watcher = asyncio.create_task(self.watch(receive))
        try:
            await asyncio.wait({writer, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, watcher):
                task.cancel()
            await asyncio.gather(writer, watcher, return_exceptions=True)
            self.run.detach(self.wakeup.set, self.by_server)
            self.places.leave(self.client)

    async def watch(self, receive: Receive) -> None:
        """Return when the client has left."""
        while (await receive())["type"] != "http.disconnect":
            pass

    async def write(self, send: Send) -> None:
        """Send what there is, and heartbeats while there is nothing."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        head = f"retry: 2000\nid: {self.run.epoch}.{self.cursor}\n\n"
        await self.send(send, head + "".join(f"data: {encoded(message)}\n\n" for message in self.first))
        while True:
            self.wakeup.clear()
            while self.cursor < len(self.run.log):
                self.cursor += 1
                line = self.run.log[self.cursor - 1]
                await self.send(send, f"id: {self.run.epoch}.{self.cursor}\ndata: {line}\n\n")
            if self.run.finished:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            try:
                await asyncio.wait_for(self.wakeup.wait(), 0.9 * self.limits.heartbeat_s)
            except TimeoutError:
                await self.send(send, 'data: {"type":"heartbeat"}\n\n')

    async def send(self, send: Send, text: str) -> None:
        """Send a text in small pieces, each of which the socket has to take in time [SSE-20]."""
        body = text.encode()
        for place in range(0, len(body), PIECE):
            piece = {"type": "http.response.body", "body": body[place : place + PIECE], "more_body": True}
            self.by_server = True
            await asyncio.wait_for(send(piece), self.limits.pong_timeout_s)
            self.by_server = False
