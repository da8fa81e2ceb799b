"""The server under test: opens connections, sends requests, keeps every trace."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from runwire_conformance.case import Blocked, Broken, Violation, Wrong
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.discovery.endpoints import joined
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.footprint import Footprint, unfinished
from runwire_conformance.client.view import View, expect_to_fit
from runwire_conformance.client.wire.http import (
    Headers,
    HttpExchange,
    Response,
    Unanswered,
    address_of,
    fetch,
    target_of,
)
from runwire_conformance.client.wire.websocket import FramePeer
from runwire_conformance.trace.clock import Clock, Interval, now
from runwire_conformance.trace.http_request import HttpRequest, endpoint_of
from runwire_conformance.trace.limits import CONNECTIONS
from runwire_conformance.trace.memory_budget import MemoryBudget
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import MOST_HEADER, OWED_HEADERS, PROXY_EVIDENCE_HEADERS, Trace

JSON = ("Content-Type", "application/json")
ACCEPT_JSON = ("Accept", "application/json")
EVENT_STREAM = ("Accept", "text/event-stream")


class SlotLease(Protocol):
    """The slots for connections that a case holds."""

    def lent(self, *, resting: bool) -> AbstractAsyncContextManager[None]:
        """Give the slots back while the body runs; `resting` when the case has no unfinished run meanwhile."""


#: A reader that must feel the server's back-pressure keeps little in its own kernel.
SMALL_BUFFER = 16 * 1024


class Target(View):
    """One case's view of the server. Everything it opens is ended when the case ends."""

    def __init__(
        self,
        profile: ServerProfile,
        options: Options,
        clock: Clock | Interval,
        budget: MemoryBudget | None = None,
        *,
        patient: bool = False,
        footprint: Footprint | None = None,
        slots: SlotLease | None = None,
    ) -> None:
        super().__init__(profile, options, clock, patient=patient)
        #: What is held of all conversations of the judging that this one belongs to.
        self.budget = budget or MemoryBudget()
        #: The runs of the judging whose end was not seen yet.
        self.footprint = footprint or Footprint()
        self._slots = slots
        self.traces: list[Trace] = []
        self._open: list[Client | Stream] = []
        #: Each conversation with the view of the server, as one caller has it, that it was held in.
        self._held_in: list[tuple[Trace, Target]] = []

    # Callers.

    async def ticket(self, *headers: tuple[str, str]) -> str:
        """Return a ticket for one handshake; raises Broken when none is issued."""
        asked = now()
        response = await self.post(self.profile.endpoint("tickets"), {}, *headers)
        body = response.json() if response.status == 200 else Message()
        ticket, life_s = body.get("ticket"), body.get("expires_in_s")
        if not isinstance(ticket, str):
            raise Broken(f"expected a ticket; got {_shown(response)}", status=response.status)
        if isinstance(life_s, int | float):
            self.credentials_end.append(asked + life_s)
        return self.redaction.add(ticket)

    # WebSocket.

    async def handshake(
        self,
        subprotocols: Sequence[str] = (),
        headers: Headers = (),
        *,
        small_buffer: bool = False,
        query: str = "",
    ) -> tuple[FramePeer, Response, Trace]:
        """Send an opening handshake and return peer, response and trace, whatever the answer."""
        url = self.profile.websocket_url
        if query:
            url += ("&" if "?" in url else "?") + query
        trace = self._trace("websocket", urlsplit(url).path or "/")
        trace.request = HttpRequest("GET")
        peer = FramePeer(address_of(url), self.options.tls, SMALL_BUFFER if small_buffer else None)
        named = {name.lower() for name, _ in headers}
        own = [header for header in self.options.sent_headers if header[0].lower() not in named]
        shown = [f"?{query}"] if query else []
        shown += [f"{name}: {value}" for name, value in headers]
        if subprotocols:
            shown.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        trace.add("client", "request", "GET (handshake) " + "; ".join(shown))
        try:
            response = await peer.handshake(target_of(url), [*own, *headers], subprotocols)
        except Unanswered as problem:
            trace.add("server", "lost", str(problem))
            raise
        _add_response(trace, response)
        self._expect_capacity(response, "a handshake")
        return peer, response, trace

    async def refused_handshake(
        self, subprotocols: Sequence[str] = (), headers: Headers = (), *, query: str = ""
    ) -> Response:
        """Return the HTTP answer to a handshake that must be refused; raises Broken when it is accepted."""
        peer, response, _ = await self.handshake(subprotocols, headers, query=query)
        peer.close()
        if response.status == 101:
            raise Broken("expected the handshake to be refused; it was accepted with 101")
        return response

    async def connect(
        self,
        subprotocols: Sequence[str] = (),
        headers: Headers = (),
        *,
        small_buffer: bool = False,
        ready: bool = True,
        query: str = "",
    ) -> Client:
        """Open a connection and wait for its `ready` if this server sends one; raises Broken when refused."""
        peer, response, trace = await self.handshake(
            subprotocols, headers, small_buffer=small_buffer, query=query
        )
        if response.status != 101:
            peer.close()
            owners = () if subprotocols or headers or query else ("CONN-6",)
            said = f"expected the handshake to be accepted; it was refused with {_shown(response)}"
            raise Broken(said, owners, status=response.status)
        client = Client(peer, response, trace, self.limits, self.clock, self.profile.broken)
        client.own = self.own
        client.patience_s = self.patience_s
        client.expects_busy = self.expects_busy
        self._open.append(client)
        if ready:
            await self.await_ready(client)
        return client

    async def await_ready(self, client: Client) -> None:
        """Wait for the `ready` of a connection, if this server sends one; raises Broken when it does not come."""
        if "CONN-15" not in self.profile.broken:
            await client.message(
                lambda message: message.type == "ready", "ready", owners=("CONN-15",), certain=True
            )

    async def start_again(self, client: Client, prompt: str, **members: Any) -> Run:
        """Start a run on a connection, or in a session, that has or had others; raises Wrong when it is refused with
        busy and one elsewhere is not.
        """
        async with self.compared(prompt):
            return await client.start(prompt, **members)

    @asynccontextmanager
    async def compared(self, prompt: str) -> AsyncIterator[None]:
        """Have what is refused with busy compared with a start on a further connection.

        Raises Wrong when that one is granted, and Blocked or Broken when there is no place at all.
        """
        try:
            yield
        except (Blocked, Broken):
            if not any(message.get("code") == "busy" for client in self._open for message in client.messages):
                raise
        else:
            return
        await (await self.connect()).start(prompt, run_id=new_run_id())
        problem = Wrong(
            "expected a further run or reader; it was refused with busy, and a start elsewhere was not"
        )
        problem.compared = problem.absent = True  # a place may just have become free: to be seen twice
        raise problem

    # HTTP and SSE.

    @property
    def runs_url(self) -> str:
        """The URL of the `runs` endpoint; raises Blocked when discovery names none."""
        return self.profile.endpoint("runs")

    def run_url(self, run_id: str, suffix: str = "") -> str:
        """The URL of a run, or of what lives below it."""
        return f"{self.runs_url.rstrip('/')}/{run_id}{suffix}"

    async def http(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        body: bytes | dict[str, Any] | None = None,
        waits_s: float = 0.0,
    ) -> Response:
        """Send a request and return the whole response, held back for `waits_s`; raises Broken when there is none."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        trace = self._trace("http", f"{method} {target_of(url)}")
        trace.request = self._request_of(method, url, headers)
        trace.add("client", "request", f"{method} {target_of(url)} {_listed(headers)}{_text(content)}")
        try:
            response = await fetch(url, self.options.tls, method, self._headers(headers), content, waits_s)
        except Unanswered as problem:
            trace.add("server", "lost", str(problem))
            raise Broken(f"expected an HTTP answer: {problem}", ("CLOSE-2",)) from None
        _add_response(trace, response)
        if method == "POST" and response.status == 202 and (begun := parsed(response.body)) is not None:
            trace.begun_by_request = begun.string("run_id")
        return response

    async def post(
        self, url: str, body: bytes | dict[str, Any] | None = None, *headers: tuple[str, str]
    ) -> Response:
        """POST JSON; a dictionary is encoded, None sends no body."""
        return await self.http("POST", url, [JSON, *headers], b"" if body is None else body)

    async def stream(
        self, method: str, url: str, body: dict[str, Any] | None = None, headers: Headers = ()
    ) -> Stream:
        """Open an event stream; raises Broken when the answer is no stream."""
        content = json.dumps(body).encode() if body is not None else None
        trace = self._trace("sse", f"{method} {target_of(url)}")
        trace.request = self._request_of(method, url, headers)
        trace.add("client", "request", f"{method} {target_of(url)} {_listed(headers)}{_text(content)}")
        exchange = HttpExchange(address_of(url), self.options.tls)
        sent = [EVENT_STREAM, *([JSON] if content is not None else []), *headers]
        try:
            response = await exchange.request(method, target_of(url), self._headers(sent), content)
        except Unanswered as problem:
            trace.add("server", "lost", str(problem))
            raise Broken(f"expected a stream: {problem}", ("CLOSE-2",)) from None
        _add_response(trace, response)
        if response.status != 200:
            exchange.close()
            self._expect_capacity(response, "a stream")
            raise _no_stream(method, response)
        place = joined(url, response.header("location") or url)
        stream = Stream(exchange, response, trace, self.limits, self.clock, place)
        stream.patience_s = self.patience_s
        self._open.append(stream)
        return stream

    async def start_stream(self, prompt: str, **members: Any) -> Stream:
        """Start a run with `POST {runs}` and return its stream."""
        body = {"prompt": self.own(prompt), **members}
        expect_to_fit(body, self.limits)
        return await self.stream("POST", self.runs_url, body)

    async def events(self, run_id: str, cursor: str | None = None, **query: str) -> Stream:
        """Open a run's events, from `Last-Event-ID: cursor` if given."""
        headers = [("Last-Event-ID", cursor)] if cursor is not None else []
        asked = "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
        return await self.stream("GET", self.run_url(run_id, f"/events{asked}"), headers=headers)

    def _expect_capacity(self, response: Response, what: str) -> None:
        """Raise Blocked when there is no place for the judge, who keeps below what the server advertises."""
        if response.status == 429 and not self.expects_busy:
            raise Blocked(
                "LIMIT-4",
                f"blocked by LIMIT-4: {what} was refused with {_shown(response)}; {self.limits.remedy(*CONNECTIONS)}",
            )

    # The end.

    async def end(self) -> None:
        """Let go of everything that was opened, and of the runs that were begun and not seen to end."""
        await asyncio.gather(*(conversation.end() for conversation in self._open))
        await self.footprint.cancel_left(self._held_in, self)

    async def cancels(self, run_id: str) -> str | None:
        """Have a run cancelled by a request that no trace shows; return its status, None when it was not taken."""
        try:
            url = self.run_url(run_id, "/cancel")
        except Blocked:
            return None
        response = await fetch(url, self.options.tls, "POST", self._headers([JSON]), b"")
        return str(response.json().get("status")) if response.status == 200 else None

    async def away(self, seconds: float) -> None:
        """Wait while no connection of the case is open, and have others use its slots meanwhile."""
        if self._slots is None:
            await asyncio.sleep(seconds)
        else:
            async with self._slots.lent(resting=not unfinished(self._held_in)):
                await asyncio.sleep(seconds)

    def _headers(self, headers: Headers) -> list[tuple[str, str]]:
        named = {name.lower() for name, _ in headers}
        return [*(header for header in self.options.sent_headers if header[0].lower() not in named), *headers]

    def _request_of(self, method: str, url: str, headers: Headers) -> HttpRequest | None:
        """Return what a request asks for; None for one to another host, which need not be the server's to answer."""
        given = {name.lower(): value for name, value in self._headers(headers)}
        if "host" in given:
            return None
        origin = self.origin if given.get("origin") == self.origin else ""
        return HttpRequest(method, endpoint_of(url, self.profile.answering), origin)

    def noted(self, transport: Any, title: str) -> Trace:
        """Return a new conversation of this case, for requests that the case sends by itself."""
        return self._trace(transport, title)

    def _trace(self, transport: Any, title: str) -> Trace:
        endless = 2 * self.limits.whole("log_bytes") + self.limits.whole("max_message_bytes")
        trace = Trace(transport, title, budget=self.budget, endless_bytes=endless)
        self.traces.append(trace)
        self._held_in.append((trace, self))
        return trace


def new_run_id() -> str:
    """Return an identifier as a client chooses one ([RUN-11])."""
    return secrets.token_urlsafe(18)


def _no_stream(method: str, response: Response) -> Broken:
    """Return what an answer that is no stream says of the server."""
    said = f"expected 200 and a stream; got {_shown(response)}"
    if method == "POST" and 200 <= response.status < 300:
        return Violation("HTTP-2", said)
    return Broken(said, ("HTTP-2" if method == "POST" else "SSE-4",), status=response.status)


def _add_response(trace: Trace, response: Response) -> None:
    kept = PROXY_EVIDENCE_HEADERS | OWED_HEADERS
    told = tuple((name, value[:MOST_HEADER]) for name, value in response.headers if name in kept)
    trace.add("server", "response", _shown(response), code=response.status, headers=told)


def _shown(response: Response) -> str:
    names = {
        "content-type",
        "location",
        "retry-after",
        "allow",
        "upgrade",
        "cache-control",
        "sec-websocket-protocol",
    }
    headers = "; ".join(f"{name}: {value}" for name, value in response.headers if name in names)
    return f"{response.status} {headers} {response.body[:300].decode('utf-8', 'replace')}".strip()


def _listed(headers: Headers) -> str:
    return "; ".join(f"{name}: {value}" for name, value in headers if name.lower() != "authorization")


def _text(body: bytes | None) -> str:
    return f" {body[:300].decode('utf-8', 'replace')}" if body else ""


__all__ = [
    "EVENT_STREAM",
    "JSON",
    "Options",
    "ServerProfile",
    "Target",
    "new_run_id",
]
