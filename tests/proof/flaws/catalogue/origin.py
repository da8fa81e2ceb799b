"""Flaws of chapters 10 and 11 that show on a server without authentication."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from tests.proof.flaws.flaw import answers, asks, hears, says
from tests.proof.flaws.frames import close_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite

from .connection import problem

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def origin_host(request: Request) -> str:
    """Return the host in the Origin header, empty without one."""
    return urlsplit(request.headers.get("origin") or "").hostname or ""


@asks("ORIGIN-1")
def origins_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """Any origin is taken for listed."""
    return request.without_header("origin") if origin_host(request) not in {*LOOPBACK, ""} else request


@asks("ORIGIN-1")
def origins_compared_by_their_beginning(flaw: Rewrite, request: Request) -> Request | Response:
    """An origin that begins like a listed one is taken for listed."""
    host = origin_host(request)
    begins = host not in LOOPBACK and host.startswith(tuple(LOOPBACK))
    return request.without_header("origin") if begins else request


@asks("ORIGIN-1")
def origins_looked_at_on_handshakes_only(flaw: Rewrite, request: Request) -> Request | Response:
    """Plain requests are answered whatever their origin."""
    foreign = not request.is_upgrade and origin_host(request) not in {*LOOPBACK, ""}
    return request.without_header("origin") if foreign else request


@answers("ORIGIN-1")
def foreign_origins_are_bad_requests(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A foreign origin gets 400."""
    foreign = response.status == 403 and origin_host(request) not in {*LOOPBACK, ""}
    return problem(400, "bad_request") if foreign else response


@asks("ORIGIN-2")
def null_is_listed(flaw: Rewrite, request: Request) -> Request | Response:
    """The origin null is taken for listed."""
    return request.without_header("origin") if request.headers.get("origin") == "null" else request


@asks("ORIGIN-3")
def origin_demanded(flaw: Rewrite, request: Request) -> Request | Response:
    """A request without an Origin is refused."""
    return problem(403, "forbidden") if request.headers.get("origin") is None else request


@asks("ORIGIN-3")
def origin_demanded_of_handshakes(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake without an Origin is refused."""
    without = request.is_upgrade and request.headers.get("origin") is None
    return problem(403, "forbidden") if without else request


@asks("ORIGIN-3")
def origin_demanded_of_later_handshakes(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake without an Origin is refused, but for the first few."""
    without = request.is_upgrade and request.headers.get("origin") is None
    return problem(403, "forbidden") if without and flaw.nth("handshake") > 5 else request


def _foreign_host(request: Request) -> bool:
    name = urlsplit(f"//{request.headers.get('host') or ''}").hostname
    return name not in LOOPBACK


@asks("ORIGIN-4")
def hosts_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """Any Host is served."""
    return request.with_header("host", "127.0.0.1") if _foreign_host(request) else request


@asks("ORIGIN-4")
def hosts_not_looked_at_on_handshakes(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake with any Host is accepted."""
    foreign = request.is_upgrade and _foreign_host(request)
    return request.with_header("host", "127.0.0.1") if foreign else request


@asks("ORIGIN-4")
def hosts_compared_by_their_beginning(flaw: Rewrite, request: Request) -> Request | Response:
    """A Host that begins like a known name is served."""
    begins = (request.headers.get("host") or "").startswith(("localhost", "127.0.0.1"))
    return request.with_header("host", "127.0.0.1") if begins and _foreign_host(request) else request


@answers("AUTH-3")
def accepted_to_be_closed(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A handshake that is refused is accepted and closed with 1008."""
    if not request.is_upgrade or response.status < 400:
        return response
    key = (request.headers.get("sec-websocket-key") or "").encode()
    accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest()).decode()
    opened = Response(101).with_header("upgrade", "websocket").with_header("connection", "Upgrade")
    opened = opened.with_header("sec-websocket-accept", accept)
    return Response(101, opened.headers, trailing=close_frame(1008).encode())


@answers("AUTH-3")
def refused_without_a_problem(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A refused handshake has an empty body."""
    refused = request.is_upgrade and response.status >= 400
    return response.without_header("content-type").with_body(b"") if refused else response


@says("INPUT-18", features=("resume", "sse"))
def input_not_found_without_input(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A server without input refuses an input with not_found."""
    yield {**message, "code": "not_found"} if message.get("code") == "unsupported" else message


@hears("INPUT-18", features=("resume", "sse"))
def input_unknown_without_input(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A server without input answers an input as a message of unknown type."""
    yield {**message, "type": "vendor:input"} if message.get("type") == "input" else message
