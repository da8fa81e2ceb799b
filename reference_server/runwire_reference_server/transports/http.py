"""HTTP transport: runs and the discovery document (chapters 2 and 9)."""

import logging
import posixpath
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from runwire_reference_server import __version__
from runwire_reference_server.access.admission import Admission, caller_of
from runwire_reference_server.access.slots import Slots
from runwire_reference_server.access.tickets import Issued
from runwire_reference_server.observability.metrics import CONTENT_TYPE
from runwire_reference_server.run_log.feed import PAGE_BYTES
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Created, Snapshot
from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.poll import poll
from runwire_reference_server.transports.problems import problem
from runwire_reference_server.transports.session import Message, resumed, run_request, started
from runwire_reference_server.transports.sse import HEADERS as STREAM_HEADERS
from runwire_reference_server.transports.sse import EventStream
from runwire_reference_server.transports.wire.http_headers import (
    accept_of,
    accepts_event_stream,
    is_json,
    matches_etag,
    names_event_stream,
    names_json_alone,
    read_cursor,
    read_wait,
    trace_id,
)
from runwire_reference_server.transports.wire.strict_json import read_object
from runwire_schemas import violations

log = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store"}


class HttpEndpoints:
    """The handlers of one server."""

    def __init__(self, service: Service, slots: Slots, admission: Admission) -> None:
        self._service = service
        self._settings = service.settings
        self._slots = slots
        self._tickets = admission.tickets

    async def discovery(self, request: Request) -> Response:
        """Answer with the discovery document, or as a handshake would be refused ([CONN-1], [CONN-3])."""
        settings, caller = self._settings, caller_of(request.scope)
        if caller.credential is not None:
            await self._slots.check(caller.slot)
        endpoints = {"websocket": settings.websocket_path}
        if settings.serves("sse"):
            endpoints["runs"] = settings.runs_path
        if settings.serves("tickets"):
            endpoints["tickets"] = settings.tickets_path
        here = posixpath.dirname(settings.discovery_path)
        endpoints = {name: posixpath.relpath(path, here) for name, path in endpoints.items()}
        return JSONResponse(
            {
                "protocol": "runwire",
                "versions": [1],
                "endpoints": endpoints,
                "features": list(settings.features),
                "limits": dict(settings.limits),
                "auth": settings.auth_methods,
                "script_agent": settings.script_agent,
                "server": {"name": "runwire-server", "version": __version__},
            },
            headers={"Cache-Control": "no-cache"},
        )

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics` ([OBS-6])."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def upgrade_required(self, _request: Request) -> Response:
        """Answer a plain GET on the WebSocket endpoint ([CONN-11])."""
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        return problem(Refusal("unsupported", "this is a WebSocket endpoint"), 426, headers)

    async def start(self, request: Request) -> ASGIApp:
        """`POST {runs}` ([HTTP-1] to [HTTP-4])."""
        message = await self._body(request, "run-request")
        wanted = run_request(message, trace_id(request.headers.getlist("traceparent")))
        principal = caller_of(request.scope).principal
        if not names_event_stream(accept_of(request.headers)):
            accepted = await self._service.start(principal, wanted)
            run = accepted.run
            self._tell(request, accepted)
            body = {"run_id": run.key.run_id, "epoch": run.epoch, "status": run.status}
            return JSONResponse(body, 202, NO_STORE | self._location(run))
        async with self._place(request) as give_back:
            accepted = await self._service.start(principal, wanted)
            self._tell(request, accepted)
            if accepted.existed:
                await self._service.ration(caller_of(request.scope).slot, accepted.run.key, 0)
            remaining_s = caller_of(request.scope).remaining_s
            stream = EventStream(self._service, accepted.run.key, give_back, remaining_s)
            run = await stream.attach(0)
        opening: list[Message] = [started(accepted.run)]
        if accepted.existed:
            opening.append(resumed(run, 0))
        return stream.open_with(opening, self._location(run))

    async def status(self, request: Request) -> Response:
        """`GET {runs}/{run_id}` ([HTTP-5])."""
        run = await self._service.store.get(_key(request))
        headers = NO_STORE
        if self._settings.serves("poll"):
            etag = f'"{run.epoch}.{run.seq}.{run.status}"'
            headers = headers | {"ETag": etag}
            if matches_etag(request.headers.getlist("if-none-match"), etag):
                return Response(status_code=304, headers=headers)  # [POLL-8]
        await self._service.ration(caller_of(request.scope).slot, run.key, 0)
        body = {"run_id": run.key.run_id, "epoch": run.epoch, "status": run.status, "seq": run.seq}
        return JSONResponse(body | {"text": await self._service.text(run)}, headers=headers)

    async def events(self, request: Request) -> ASGIApp:
        """`GET {runs}/{run_id}/events` ([SSE-14] to [SSE-19])."""
        polls = self._settings.serves("poll") and names_json_alone(accept_of(request.headers))
        if not polls and not accepts_event_stream(accept_of(request.headers)):
            return problem(Refusal("unsupported", "events come as text/event-stream"), 406)
        cursor = read_cursor(request.headers.getlist("last-event-id"), request.query_params.getlist("after"))
        if cursor is None:
            raise Refusal("bad_request", "the cursor must be <epoch>.<seq> or <seq>, given once")
        epoch, after = cursor
        key = _key(request)
        if polls:
            return await self._poll(request, key, after, epoch)
        run = await self._service.store.get(key)
        if run.status.finished and epoch in {None, run.epoch} and after == run.seq:
            return Response(status_code=204, headers=NO_STORE)  # [SSE-17]
        if request.method == "HEAD":
            return Response(headers=STREAM_HEADERS)  # [HTTP-20]
        async with self._place(request) as give_back:
            stream = EventStream(self._service, key, give_back, caller_of(request.scope).remaining_s)
            await self._service.ration(caller_of(request.scope).slot, key, after)
            run = await stream.attach(after, epoch, resume=True)
        return stream.open_with([resumed(run, after)], {})

    async def _poll(self, request: Request, key: RunKey, after: int, epoch: str | None) -> Response:
        """Answer a poll ([POLL-1] to [POLL-6])."""
        wait_s = read_wait(request.query_params.getlist("wait"), self._settings.seconds("heartbeat_s"))
        if wait_s is None:
            raise Refusal("bad_request", "wait is a number of seconds, given once")
        await self._service.store.get(key)
        await self._service.ration(caller_of(request.scope).slot, key, after, PAGE_BYTES)
        wait_s = 0.0 if request.method == "HEAD" else wait_s
        give_back = await self._slots.take(caller_of(request.scope).slot)
        try:
            return await poll(self._service, key, after, epoch, wait_s, request.receive)
        finally:
            await give_back()

    async def cancel(self, request: Request) -> Response:
        """`POST {runs}/{run_id}/cancel` ([HTTP-6], [HTTP-15])."""
        await self._body(request, empty_allowed=True)
        key = _key(request)
        await self._service.store.get(key)
        await self._service.cancel(key)
        return await self._outcome(key)

    async def input(self, request: Request) -> Response:
        """`POST {runs}/{run_id}/input` ([INPUT-17])."""
        message = await self._body(request, "input-request-body")
        key = _key(request)
        await self._service.input(key, message["request_id"], message["data"])
        return await self._outcome(key)

    async def _outcome(self, key: RunKey) -> Response:
        run = await self._service.store.get(key)
        return JSONResponse(
            {"run_id": run.key.run_id, "status": run.status, "seq": run.seq}, headers=NO_STORE
        )

    async def ticket(self, request: Request) -> Response:
        """`POST {tickets}` ([TICKET-1])."""
        await self._body(request, empty_allowed=True)
        caller = caller_of(request.scope)
        assert caller.credential is not None
        left = caller.remaining_s()
        lifetime = min(self._settings.access.ticket_s, 30 if left is None else max(left, 0.001))  # [TICKET-7]
        ticket = await self._tickets.issue(Issued(caller.credential, request.headers.get("origin")), lifetime)
        return JSONResponse({"ticket": ticket, "expires_in_s": lifetime}, headers=NO_STORE)

    @asynccontextmanager
    async def _place(self, request: Request) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Take a place among the caller's connections; yields what gives it back, which is done here on a fault."""
        give_back = await self._slots.take(caller_of(request.scope).slot)
        try:
            yield give_back
        except BaseException:
            await give_back()
            raise

    def _tell(self, request: Request, accepted: Created, transport: str = "http") -> None:
        """Log a run that began."""
        if not accepted.existed:
            ids = {"trace_id": accepted.run.trace_id, "address": request.scope.get("runwire.client")}
            log.info("a run began", extra={"transport": transport} | ids)

    def _location(self, run: Snapshot) -> dict[str, str]:
        """Return where the events are, relative to the URL that was posted to ([HTTP-4])."""
        return {"Location": f"{posixpath.basename(self._settings.runs_path)}/{run.key.run_id}/events"}

    async def _body(
        self, request: Request, schema: str | None = None, *, empty_allowed: bool = False
    ) -> Message:
        """Return the JSON object of a body that `schema` describes; raises Refusal ([HTTP-9] to [HTTP-11])."""
        if not is_json(request.headers.get("content-type")):
            raise Refusal("unsupported", "the Content-Type must be application/json")
        text = await self._text(request)
        if not text and empty_allowed:
            return {}
        message = read_object(text, self._settings.number("json_depth"))
        if schema is not None and (found := violations(schema, message)):
            raise Refusal("bad_request", str(found[0]))
        return message

    async def _text(self, request: Request) -> str:
        most = self._settings.number("max_message_bytes")
        announced = request.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,15}", announced) or int(announced) > most:
            raise Refusal("payload_too_large", f"a body may have {most} bytes")
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refusal("payload_too_large", f"a body may have {most} bytes")
            return body.decode()
        except UnicodeDecodeError:
            raise Refusal("bad_request", "the body is not UTF-8") from None
        except ClientDisconnect:
            raise Refusal("bad_request", "the body broke off") from None


def _key(request: Request) -> RunKey:
    return RunKey(caller_of(request.scope).principal, request.path_params["run_id"])
