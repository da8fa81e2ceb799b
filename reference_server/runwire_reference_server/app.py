"""Application assembly: admission, then WebSocket and HTTP transports, then one service."""

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from runwire_reference_server import playground
from runwire_reference_server.access.admission import Admission, caller_of
from runwire_reference_server.access.slots import MemorySlots, Slots
from runwire_reference_server.access.tickets import MemoryTickets, Tickets
from runwire_reference_server.agents import Agent
from runwire_reference_server.agents.demo import DemoAgent
from runwire_reference_server.agents.script import ScriptAgent
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import new_identifier, new_trace_id
from runwire_reference_server.run_log.store import Store
from runwire_reference_server.service.service import Service
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.transports.http import HttpEndpoints
from runwire_reference_server.transports.problems import problem
from runwire_reference_server.transports.session import Session
from runwire_reference_server.transports.websocket import WebSocketConnection
from runwire_reference_server.transports.wire.http_headers import trace_id

log = logging.getLogger(__name__)

SUBPROTOCOL = "runwire.v1"
#: How many headers a request may have; no client or proxy needs more.
MAX_HEADERS = 128
_ENCODED_SLASH = re.compile(rb"%2f|%5c", re.IGNORECASE)
#: Whether the process lives, and whether it takes on new runs.
READY = "/readyz"
HEALTH = frozenset({"/healthz", READY})
EXPOSED = "Location, Retry-After, WWW-Authenticate"
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization, Last-Event-ID, traceparent",
    "Access-Control-Max-Age": "600",
    "Cache-Control": "no-store",  # it is a response of `{runs}` like every other [HTTP-13]
}


@dataclass(slots=True)
class Server:
    """The ASGI application."""

    settings: Settings
    service: Service
    slots: Slots
    admission: Admission
    _routes: ASGIApp | None = field(default=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit or refuse a request, then hand it on."""
        if self._routes is None:
            self._routes = self._build()
        if scope["type"] == "lifespan":
            await self._routes(scope, receive, send)
            return
        if scope["path"].startswith(self.settings.root_path + "/"):
            scope = {**scope, "path": scope["path"][len(self.settings.root_path) :]}
        headers = Headers(scope=scope)
        listed: list[str] = []
        if scope["type"] == "http":
            send = self._cors(send, listed)
        if (malformed := _malformed(scope, headers)) is not None:
            await malformed(scope, receive, send)
            return
        try:
            self.admission.check_address(scope, headers)
            if scope["type"] == "http" and scope["path"] in HEALTH:
                await self._health(scope["path"])(scope, receive, send)
                return
            await self.admission.check_host_and_origin(scope, headers)
        except Refusal as reason:
            await problem(reason)(scope, receive, send)  # [AUTH-3] for a handshake too
            return
        if scope["type"] == "http":
            origin = headers.get("origin")
            listed += [origin] if origin else []
            if scope["method"] == "OPTIONS" and origin and "access-control-request-method" in headers:
                await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
                return
        try:
            await self.admission.check_credential(scope, headers)
            if scope["type"] == "websocket" and scope["path"] != self.settings.websocket_path:
                raise Refusal("not_found", "nothing lives here")
        except Refusal as reason:
            await problem(reason)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._websocket(WebSocket(scope, receive, send))
        else:
            await self._routes(scope, receive, send)

    def _health(self, path: str) -> Response:
        """Answer a probe from an allowed address, by whatever `Host`: it tells nothing about anybody."""
        if path == READY and self.service.draining:
            return JSONResponse({"status": "draining"}, 503)
        if path == READY and not self.service.store.reachable:
            return JSONResponse({"status": "without store"}, 503)
        return JSONResponse({"status": "ok"})

    async def _websocket(self, socket: WebSocket) -> None:
        """Refuse or accept a handshake, and serve the connection ([CONN-6] to [CONN-9])."""
        offered = socket.scope["subprotocols"]
        if offered and SUBPROTOCOL not in offered:
            await self._deny(socket, Refusal("bad_request", f"offer the subprotocol {SUBPROTOCOL}, or none"))
            return
        caller = caller_of(socket.scope)
        try:
            give_back = await self.slots.take(caller.slot)
        except Refusal as reason:
            await self._deny(socket, reason)
            return
        try:
            given = trace_id(socket.headers.getlist("traceparent"))
            session = Session(
                self.settings, new_identifier(), given or new_trace_id(), trace_given=given is not None
            )
            await socket.receive()
            await socket.accept(SUBPROTOCOL if offered else None)
            await WebSocketConnection(socket, self.service, caller, session).serve()
        finally:
            await give_back()

    async def _deny(self, socket: WebSocket, reason: Refusal) -> None:
        await socket.receive()
        await socket.send_denial_response(problem(reason))

    def _cors(self, send: Send, listed: Sequence[str]) -> Send:
        """Return a `send` that lets the origin that was found `listed` read the response ([HTTP-17], [HTTP-21])."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                for origin in listed:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = EXPOSED
                if listed and self.settings.access.cookie is not None:
                    headers["Access-Control-Allow-Credentials"] = "true"
            await send(message)

        return with_headers

    def _build(self) -> ASGIApp:
        settings = self.settings
        endpoints = HttpEndpoints(self.service, self.slots, self.admission)
        routes = [
            Route(settings.websocket_path, endpoints.upgrade_required, methods=["GET"]),
            Route(settings.discovery_path, endpoints.discovery, methods=["GET"]),
        ]
        if settings.serves("sse"):
            run = settings.runs_path + "/{run_id}"
            routes += [
                Route(settings.runs_path, endpoints.start, methods=["POST"]),
                Route(run, endpoints.status, methods=["GET"]),
                Route(run + "/events", endpoints.events, methods=["GET"]),
                Route(run + "/cancel", endpoints.cancel, methods=["POST"]),
                Route(run + "/input", endpoints.input, methods=["POST"]),
            ]
        if settings.ag_ui:
            from runwire_reference_server.integrations.ag_ui_endpoint.endpoint import AgUiEndpoint

            ag_ui = AgUiEndpoint(self.service, self.slots, self.admission)
            routes += [
                Route(settings.ag_ui_path, ag_ui.run, methods=["POST"]),
                Route(settings.ag_ui_path + "/{run_id}/cancel", ag_ui.cancel, methods=["POST"]),
            ]
        if settings.serves("metrics"):
            routes.append(Route("/metrics", endpoints.metrics, methods=["GET"]))
        if settings.serves("tickets"):
            routes.append(Route(settings.tickets_path, endpoints.ticket, methods=["POST"]))
        if settings.playground:
            routes += playground.routes()
        handlers: dict[type[Exception] | int, Callable[[Request, Exception], Awaitable[Response]]] = {
            Refusal: _refused,
            HTTPException: _http_error,
            Exception: _crashed,
        }
        application = Starlette(routes=routes, exception_handlers=handlers)
        application.router.redirect_slashes = False  # [AUTH-7] a redirect would repeat the query
        return application


def _malformed(scope: Scope, headers: Headers) -> Response | None:
    """Return the answer to a request that servers and proxies in a row may understand in different ways."""
    if "content-length" in headers and "transfer-encoding" in headers:
        # RFC 9112, section 6.3: to a proxy in front that believes the other length, the rest is another request.
        return problem(Refusal("bad_request", "a request has one length"), None, {"Connection": "close"})
    if len(scope["headers"]) > MAX_HEADERS:
        return problem(Refusal("payload_too_large", "too many headers"), None, {"Connection": "close"})
    if _ENCODED_SLASH.search(scope.get("raw_path", b"").partition(b"?")[0]):
        # RFC 3986, section 2.2: a slash that is encoded divides nothing, so that this is none of the paths here.
        return problem(Refusal("not_found", "nothing lives here"))
    return None


def create_server(
    settings: Settings,
    agent: Agent | None = None,
    store: Store | None = None,
    slots: Slots | None = None,
    tickets: Tickets | None = None,
) -> Server:
    """Return a server with the given agent (default: the demo), and what is shared (default: in memory)."""
    agent = agent or DemoAgent()
    if settings.script_agent:
        agent = ScriptAgent(agent)
    store = store or MemoryStore(
        settings.seconds("resume_window_s"),
        settings.session_s,
        settings.number("kept_bytes_per_principal"),
        settings.kept_bytes,
    )
    slots = slots or MemorySlots(settings.number("connections_per_principal"))
    service = Service(store, agent, settings)
    admission = Admission(
        settings,
        tickets or MemoryTickets(),
        open_paths={settings.websocket_path, *(playground.PAGES if settings.playground else ())},
        on_failure=service.metrics.not_admitted,
    )
    return Server(settings, service, slots, admission)


async def _refused(_request: Request, reason: Exception) -> Response:
    assert isinstance(reason, Refusal)
    return problem(reason)


async def _http_error(_request: Request, reason: Exception) -> Response:
    assert isinstance(reason, HTTPException)
    headers = dict(reason.headers or {})
    if reason.status_code == 405:
        return problem(Refusal("unsupported", "this endpoint does not support the method"), 405, headers)
    return problem(Refusal("not_found", "nothing lives here"), None, headers)


async def _crashed(_request: Request, reason: Exception) -> Response:
    log.error("a request failed inside the server: %s", type(reason).__name__)
    return problem(Refusal("internal", "the server failed"))
