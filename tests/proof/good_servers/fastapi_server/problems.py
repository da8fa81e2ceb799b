"""Who may come in, and how a request or a handshake is refused: with a status, a code and a text."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import ERRORS, Refusal

LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
HOST = re.compile(LOOPBACK + r"(?::[0-9]{1,5})?", re.IGNORECASE)
ORIGIN = re.compile(r"https?://" + LOOPBACK + r"(?::[0-9]{1,5})?")


class Problem(Response):
    """A refusal as `application/problem+json` [HTTP-12]."""

    def __init__(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> None:
        retryable = ERRORS[code][1]
        body = {"title": HTTPStatus(status).phrase, "status": status, "detail": text}
        body |= {"code": code, "retryable": retryable}
        waiting = {"Retry-After": "1"} if status in (429, 503) else {}
        super().__init__(json.dumps(body), status, (headers or {}) | waiting, "application/problem+json")


def problem(refusal: Refusal) -> Problem:
    """Return the response that refuses a request."""
    status = ERRORS[refusal.code][0]
    assert status is not None
    return Problem(status, refusal.code, refusal.text)


class Places:
    """How many connections and streams each client address has [LIMIT-1]."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: dict[str, int] = {}

    def check(self, client: Any) -> None:
        """Raise `Refusal` when the client has as many as it may."""
        if self.taken.get(client[0], 0) >= self.most:
            raise Refusal("busy", "too many connections")

    def take(self, client: Any) -> None:
        """Count one more."""
        self.taken[client[0]] = self.taken.get(client[0], 0) + 1

    def leave(self, client: Any) -> None:
        """Count one less."""
        self.taken[client[0]] -= 1
        if not self.taken[client[0]]:
            del self.taken[client[0]]


class Gate:
    """ASGI middleware: looks at Host and Origin before anything else, and answers browsers of listed origins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or handshake in, or refuse it [ORIGIN-1, ORIGIN-4]."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        hosts = headers.getlist("host")

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                self.complete(MutableHeaders(raw=message["headers"]), scope["path"], origins)
            await send(message)

        refusal: Response | None = None
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            refusal = problem(Refusal("forbidden", "this server is not known by that name"))
        elif origins and (len(origins) > 1 or not ORIGIN.fullmatch(origins[0])):
            refusal, origins = problem(Refusal("forbidden", "pages of this origin are not admitted")), []
        elif scope["type"] == "http" and scope["method"] == "OPTIONS" and origins:
            if "access-control-request-method" in headers:
                refusal = self.preflight()
        elif scope["type"] == "websocket" and scope["path"] != "/ws/generate":
            refusal = problem(Refusal("not_found", "no WebSocket lives here"))
        await (refusal or self.app)(scope, receive, send_with_headers)

    def preflight(self) -> Response:
        """Tell a browser what a page may ask [HTTP-18]."""
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization, Last-Event-ID",
        }
        return Response(status_code=204, headers=allowed)

    def complete(self, headers: MutableHeaders, path: str, origins: list[str]) -> None:
        """Add what goes onto every response [HTTP-13, HTTP-17]."""
        if path.startswith("/v1/runs"):
            headers.setdefault("Cache-Control", "no-store")
        headers.add_vary_header("Origin")
        if origins:
            headers["Access-Control-Allow-Origin"] = origins[0]
            headers["Access-Control-Expose-Headers"] = "Location, Retry-After, WWW-Authenticate"
