"""Flaws that much else leans on: cases of many sentences stumble over them, and one sentence is broken."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
from collections.abc import Iterable

from runwire_schemas import client_message_violations
from tests.proof.flaws.flaw import answers, flaw, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link, encode
from tests.proof.flaws.rewrite import (
    Action,
    Answer,
    Close,
    Drop,
    Message,
    Rewrite,
    Text,
    Up,
    is_event,
    is_terminal,
    less,
    refusal,
)

from .connection import problem
from .runs import is_start


@flaw("LIMIT-4")
class PlacesLeak(Rewrite):
    """The place of a WebSocket connection never becomes free again."""

    def request(self, request: Request) -> Request | Response:
        full = request.is_upgrade and self.nth("connection") > self.limits["connections_per_principal"]
        return problem(429, "busy").with_header("retry-after", "1") if full else request


@flaw("LIMIT-4")
class RunsOfLeaversLeak(Rewrite):
    """The place of a run whose only reader left never becomes free again."""

    def __init__(self) -> None:
        super().__init__()
        self.leaked = 0

    async def client_left(self, link: Link) -> None:
        self.leaked += len(link.followed)

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        full = is_start(message) and self.leaked >= 4 and not client_message_violations(message)
        if full:
            yield Answer(refusal("busy", message, retryable=True))
        else:
            yield message


@flaw("MSG-1")
class TwoMessagesInOneFrame(Rewrite):
    """An event and the message behind it share a frame."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held = link.notes.pop("held", None)
        if held is not None:
            yield Text(encode(held) + encode(message))
        elif is_event(message) and not is_terminal(message) and not link.is_stream:
            link.notes["held"] = message
        else:
            yield message


@flaw("CLOSE-2", patience_s=25)
class ConnectionsEndAfterThreeSeconds(Rewrite):
    """Every WebSocket connection breaks off three seconds after its opening, whatever happens on it."""

    async def watch(self, link: Link) -> None:
        await asyncio.sleep(3)
        if not link.is_stream:
            await link.send([Drop()])


@flaw("RUN-2")
class EqualPromptsShareAnAgent(Rewrite):
    """Runs of one prompt that are unfinished at the same time have one agent: a cancel of one ends the others."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if message.get("type") == "started":
            link.notes.setdefault("own", []).append(message["run_id"])
            self.prompts[message["run_id"]] = str(link.asked[-1].get("prompt")) if link.asked else ""
        if is_terminal(message):
            prompt = self.prompts.pop(message["run_id"], None)
            if message.get("reason") == "user" and prompt:
                for run_id in [name for name, other in self.prompts.items() if other == prompt]:
                    yield Up({"type": "cancel", "run_id": run_id})

    def __init__(self) -> None:
        super().__init__()
        self.prompts: dict[str, str] = {}


@answers("HTTP-2")
def streamed_posts_answer_201(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The stream of a POST comes with status 201."""
    streamed = request.method == "POST" and response.is_stream and response.status == 200
    return response.with_status(201) if streamed else response


@flaw("RUN-4")
class SecondRunHasNoEnd(Rewrite):
    """From the second run of a connection on, the terminal is not sent."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started":
            link.notes["runs"] = link.notes.get("runs", 0) + 1
        lost = is_terminal(message) and link.notes.get("runs", 0) > 1 and not link.is_stream
        if not lost:
            yield message


@says("RUN-27")
def failures_have_no_number(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """The error that ends a failed run has no seq."""
    yield less(message, "seq") if message.get("type") == "error" and "seq" in message else message


@flaw("SSE-10")
class StreamsAreCut(Rewrite):
    """Every stream ends half a second after its opening, also before its terminal."""

    async def watch(self, link: Link) -> None:
        if link.is_stream:
            await asyncio.sleep(0.5)
            await link.send([Close()])


@flaw("CONN-6")
class EveryTenthHandshakeIsForbidden(Rewrite):
    """Every tenth handshake that was admitted is answered with 503."""

    def request(self, request: Request) -> Request | Response:
        plain = request.is_upgrade and not request.headers.get("origin")
        return problem(503, "unavailable") if plain and self.nth("handshake") % 10 == 0 else request


@answers("HTTP-5")
def status_of_a_run_is_empty(flaw: Rewrite, request: Request, response: Response) -> Response:
    """GET {runs}/{run_id} answers with an empty object."""
    parts = request.path.split("/")
    asked = request.method == "GET" and response.status == 200 and len(parts) == 4 and parts[2] == "runs"
    return response.with_body(b"{}") if asked else response


@answers("HTTP-3")
def accepted_posts_have_no_body(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The 202 has an empty body."""
    return response.with_body(b"") if response.status == 202 else response


@says("OBS-1")
def no_traces_at_all(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """No message has a trace_id."""
    yield less(message, "trace_id")
