"""Starts the server: `python -m fastapi_server --port 8080`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from starlette.exceptions import HTTPException

from .connection import Connection
from .http_api import router
from .limits import LIMIT_NAMES, Limits, Refusal
from .problems import Gate, Places, Problem, problem
from .script import agent
from .service import Service
from .wire import HttpProtocol, WebSocketProtocol


def application(limits: Limits) -> FastAPI:
    """Return the application with these limits."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.service = Service(limits, agent)
    app.state.places = Places(limits.connections_per_principal)
    app.state.connections = set()
    app.add_middleware(Gate)  # type: ignore[arg-type]

    @app.websocket("/ws/generate")
    async def connect(websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        if offered and "runwire.v1" not in offered:
            await websocket.send_denial_response(Problem(400, "bad_request", "offer runwire.v1, or nothing"))
            return
        places: Places = app.state.places
        try:
            places.check(websocket.client)
        except Refusal as refusal:
            await websocket.send_denial_response(problem(refusal))
            return
        places.take(websocket.client)
        try:
            await websocket.accept("runwire.v1" if offered else None)
            connection = Connection(websocket, app.state.service)
            app.state.connections.add(connection)
            await connection.serve()
        finally:
            places.leave(websocket.client)
            app.state.connections.discard(connection)

    app.include_router(router)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:  # noqa: ARG001
        return problem(refusal)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:  # noqa: ARG001
        code = {404: "not_found", 405: "unsupported"}.get(error.status_code, "bad_request")
        return Problem(error.status_code, code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broke(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return problem(Refusal("internal", "a fault of the server"))

    return app


async def soon(is_so: Callable[[], bool], until: float) -> None:
    """Wait until something is so, until a moment, and a second at least."""
    last = max(until, time.monotonic() + 1)
    while time.monotonic() < last and not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


class Server(uvicorn.Server):
    """uvicorn that drains before it stops."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app
        self.draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Drain at the first signal, stop at the second."""
        if self.draining is None and sig == signal.SIGTERM:
            self.draining = asyncio.get_event_loop().create_task(self.drain())
        else:
            super().handle_exit(sig, frame)

    async def drain(self) -> None:
        """Tell every connection, let the runs end, then send the readers away [DRAIN-2, DRAIN-6]."""
        connections, service = self.app.state.connections, self.app.state.service
        until = time.monotonic() + service.limits.drain_s
        for connection in list(connections):
            connection.say_draining()
        await service.drain()
        # Readers that lag are sent the rest of their logs.
        await soon(lambda: not any(one.cursors or one.answers for one in connections), until)
        service.drained = True
        for connection in list(connections):
            connection.close(4000)
        await soon(lambda: not any(self.app.state.places.taken.values()), until)
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        """Say where the server listens."""
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"Runwire on FastAPI at http://127.0.0.1:{port}", flush=True)


def main() -> None:
    """Read the command line and serve until a signal."""
    parser = argparse.ArgumentParser(prog="fastapi_server")
    parser.add_argument("--port", type=int, default=8080)
    for name in LIMIT_NAMES:
        kind = float if name.endswith("_s") else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(Limits(), name))
    given = vars(parser.parse_args())
    port = given.pop("port")
    limits = Limits(**given)
    WebSocketProtocol.limits = limits
    app = application(limits)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, loop="asyncio", http=HttpProtocol, ws=WebSocketProtocol,
        ws_max_size=limits.max_message_bytes, ws_per_message_deflate=False, log_level="critical",
        timeout_graceful_shutdown=2, server_header=False,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        asyncio.run(Server(config, app).serve())


if __name__ == "__main__":
    main()
