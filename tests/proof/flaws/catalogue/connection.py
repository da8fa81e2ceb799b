"""Flaws of chapter 2: discovery, the handshake, `ready`."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import replace

from tests.proof.flaws.flaw import Describes, answers, asks, controls, discovery, flaw, says
from tests.proof.flaws.frames import Frame, Opcode
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Close, Drop, Frames, Message, Rewrite, is_terminal, less

BASE64_ZEROS = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@answers("CONN-1")
def discovery_asks_for_credentials(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The discovery document is refused with 401 to callers without credentials."""
    return response.with_status(401) if discovery(response) else response


@answers("CONN-1")
def discovery_as_text(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The discovery document comes as text/plain."""
    return response.with_header("content-type", "text/plain") if discovery(response) else response


@answers("CONN-1")
def discovery_without_versions(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The discovery document does not say which versions are served."""
    document = discovery(response)
    return response.with_body(json.dumps(less(document, "versions")).encode()) if document else response


@answers("CONN-1")
def discovery_with_status_206(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The discovery document comes with a status other than 200."""
    return response.with_status(206) if discovery(response) else response


@flaw("CONN-2")
class OneLimitUnsaid(Describes):
    """The discovery document leaves out one limit."""

    def described(self, description: Message) -> Message:
        return {**description, "limits": less(description["limits"], "send_buffer_bytes")}


@flaw("CONN-2")
class HeartbeatOutOfBounds(Describes):
    """The advertised heartbeat_s lies above the registry's maximum."""

    def described(self, description: Message) -> Message:
        return {**description, "limits": {**description["limits"], "heartbeat_s": 26}}


@flaw("CONN-2")
class ResumeWindowOutOfBounds(Describes):
    """The advertised resume_window_s lies just below the registry's minimum."""

    def described(self, description: Message) -> Message:
        return {**description, "limits": {**description["limits"], "resume_window_s": 59}}


@asks("CONN-6")
def handshake_needs_a_subprotocol(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake that offers no subprotocol is refused."""
    if request.is_upgrade and request.headers.get("sec-websocket-protocol") is None:
        return problem(400, "bad_request")
    return request


@answers("CONN-7")
def no_subprotocol_selected(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The subprotocol runwire.v1 is never selected."""
    return response.without_header("sec-websocket-protocol")


@answers("CONN-7")
def subprotocol_selected_only_in_first_place(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The subprotocol runwire.v1 is selected only where it stands first in the offer."""
    if offered(request)[:1] == ["runwire.v1"]:
        return response
    return response.without_header("sec-websocket-protocol")


@asks("CONN-8")
def unknown_subprotocols_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake that offers only foreign subprotocols is accepted without one."""
    foreign = offered(request) and "runwire.v1" not in offered(request)
    return request.without_header("sec-websocket-protocol") if foreign else request


@answers("CONN-8")
def unknown_subprotocols_forbidden(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A handshake that offers only foreign subprotocols is refused with 403."""
    foreign = offered(request) and "runwire.v1" not in offered(request)
    return response.with_status(403) if foreign else response


@answers("CONN-9")
def first_offer_selected(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The first offered subprotocol is selected, whatever it is."""
    if response.status == 101 and offered(request):
        return response.with_header("sec-websocket-protocol", offered(request)[0])
    return response


@answers("CONN-9")
def subprotocol_selected_unasked(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A subprotocol is selected although none was offered."""
    if response.status == 101 and not offered(request):
        return response.with_header("sec-websocket-protocol", "runwire.v1")
    return response


@answers("CONN-10")
def compression_negotiated(flaw: Rewrite, request: Request, response: Response) -> Response:
    """permessage-deflate is accepted when it is offered."""
    if response.status == 101 and "permessage-deflate" in (
        request.headers.get("sec-websocket-extensions") or ""
    ):
        return response.with_header("sec-websocket-extensions", BASE64_ZEROS)
    return response


@answers("CONN-11")
def plain_get_not_found(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A plain GET of the WebSocket endpoint gets 404."""
    return response.with_status(404) if response.status == 426 else response


@answers("CONN-11")
def upgrade_header_left_out(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The 426 of the WebSocket endpoint has no Upgrade header."""
    return response.without_header("upgrade") if response.status == 426 else response


@controls("CONN-12")
def pong_without_data(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A Pong does not repeat the application data of its Ping."""
    yield Frames((replace(frame, payload=b"") if frame.opcode == Opcode.PONG else frame,))


@controls("CONN-12")
def ping_unanswered(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """Pings get no Pong."""
    if frame.opcode != Opcode.PONG:
        yield Frames((frame,))


@controls("CONN-12")
def long_pong_cut(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A Pong repeats only the first 64 bytes of the application data."""
    yield Frames((replace(frame, payload=frame.payload[:64]) if frame.opcode == Opcode.PONG else frame,))


@flaw("CONN-15")
class ReadyOnlyWhenSpokenTo(Rewrite):
    """`ready` comes only after the first message of the client."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "ready" and link.heard_at == link.opened:
            link.notes["ready"] = message
        elif "ready" not in link.notes:
            yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if ready := link.notes.pop("ready", None):
            yield Answer(ready)
        yield message


@says("CONN-15")
def heartbeat_before_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A heartbeat comes before `ready`."""
    if message.get("type") == "ready":
        yield {"type": "heartbeat"}
    yield message


@says("CONN-15")
def no_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """There is no `ready` at all."""
    if message.get("type") != "ready":
        yield message


@says("CONN-16")
def another_version_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` names version 2 on a connection with version 1."""
    yield {**message, "version": 2} if message.get("type") == "ready" else message


@says("CONN-16")
def another_protocol_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` spells the protocol's name in its own way."""
    yield {**message, "protocol": "Runwire"} if message.get("type") == "ready" else message


@says("CONN-17")
def other_limits_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """One limit in `ready` differs from discovery."""
    if message.get("type") == "ready":
        limits = message["limits"]
        yield {**message, "limits": {**limits, "drain_s": limits["drain_s"] + 1}}
    else:
        yield message


@says("CONN-17")
def a_limit_less_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` leaves out a limit that discovery states."""
    known = message.get("type") == "ready"
    yield {**message, "limits": less(message["limits"], "log_bytes")} if known else message


@says("CONN-17")
def a_feature_less_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` leaves out a feature that discovery lists."""
    yield {**message, "features": message["features"][:-1]} if message.get("type") == "ready" else message


@says("CONN-18")
def one_connection_id_for_all(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """All connections share one connection_id."""
    yield {**message, "connection_id": "c-1"} if message.get("type") == "ready" else message


@says("CONN-18")
def connection_id_used_again(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Every connection has the connection_id of another one after it."""
    is_ready = message.get("type") == "ready"
    yield {**message, "connection_id": f"c-{flaw.nth('ready') // 2}"} if is_ready else message


@says("CONN-19")
def ready_again_after_a_run(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` comes again after each run."""
    if message.get("type") == "ready":
        link.notes["ready"] = message
    yield message
    if is_terminal(message) and "ready" in link.notes:
        yield link.notes["ready"]


@flaw("CONN-21", limits={"idle_s": 3})
class ImpatientForTheFirstMessage(Rewrite):
    """A connection whose client has said nothing yet is closed long before idle_s."""

    async def watch(self, link: Link) -> None:
        await asyncio.sleep(0.4 * self.seconds("idle_s"))
        if link.heard_at == link.opened:
            await link.send([Close(1000)])


@flaw("CONN-22")
class CloseFrameUnanswered(Rewrite):
    """A Close frame of the client is answered by the end of the TCP connection alone."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode == Opcode.CLOSE and not link.closed_by_server:
            yield Drop()
        else:
            yield Frames((frame,))


@flaw("CONN-22")
class CloseFrameIgnored(Rewrite):
    """A Close frame of the client has no consequence."""

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode != Opcode.CLOSE or link.closed_by_server:
            yield Frames((frame,))


def offered(request: Request) -> list[str]:
    """Return the subprotocols that a handshake offers."""
    return [name for name in re.split(r"[ ,]+", request.headers.get("sec-websocket-protocol") or "") if name]


def problem(status: int, code: str) -> Response:
    """Return a complete refusal over HTTP."""
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "retryable": False}
    response = Response.of_an_endpoint(status).with_header("content-type", "application/problem+json")
    return response.with_header("connection", "close").with_body(json.dumps(body).encode())
