"""The three ways to a run: a WebSocket, an event stream, and asking again and again."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from runwire_conformance.client.target import Options
from runwire_conformance.client.wire.http import (
    Exchange,
    Headers,
    Response,
    Unanswered,
    Unreachable,
    fetch,
    place_of,
    target_of,
)
from runwire_conformance.client.wire.sse import EndlessLine, EventReader
from runwire_conformance.tools.terminal.cursor import Cursor, Message
from runwire_conformance.trace.json_reading import read_json

#: Seconds for a connection to open, and for the first byte of a stream (chapter 9, falling back).
OPEN_S = 5.0

#: Seconds between two looks at a run where nothing else gets through.
POLL_S = 1.0

#: Seconds that a poll waits for news.
PAGE_S = 15

#: The largest message that is taken from a server, and the largest refusal.
MOST_REFUSAL = 64 * 1024
MOST_BYTES = 32 * 1024 * 1024

#: Heartbeats after whose silence a connection is dead ([BEAT-11]), and the longest interval a server may have.
SILENT_BEATS = 3
MOST_HEARTBEAT_S = 25.0


class LinkEnded(Exception):
    """The link is over. `code` is a close code, or 4000 for what is an order to resume at once ([SSE-23])."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason or f"closed with {code}")
        self.code = code


class NotOpened(Exception):
    """No link could be opened; `status` is the HTTP status of a refusal, `retry_after_s` what it asks for.

    `final` says that the server wants no second attempt ([ERR-6]).
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(reason)
        self.final = final
        self.status = status
        self.retry_after_s = retry_after_s


class Buffered(Exception):
    """A stream brought no byte: something on the way keeps it."""


class Link(Protocol):
    """A way to a run."""

    name: str

    def messages(self) -> AsyncIterator[Message]:
        """Yield what the server says; raises LinkEnded."""

    async def send(self, message: Message) -> Message | None:
        """Send a message and return its refusal, if that is known at once."""

    async def close(self) -> None:
        """Let go."""


class Socket:
    """A WebSocket connection."""

    name = "websocket"

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.heartbeat_s = MOST_HEARTBEAT_S

    @classmethod
    async def open(cls, url: str, options: Options) -> "Socket":
        """Open a connection; raises NotOpened."""
        try:
            connection = await connect(
                url,
                subprotocols=[Subprotocol("runwire.v1")],
                additional_headers=list(options.sent_headers),
                compression=None,
                open_timeout=OPEN_S,
                close_timeout=1,
                max_size=MOST_BYTES,
                ssl=options.tls if urlsplit(url).scheme == "wss" else None,
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise NotOpened(f"the handshake was refused with {status}", status) from None
        except (OSError, TimeoutError, WebSocketException) as problem:
            raise NotOpened(f"no WebSocket: {problem or 'not open in time'}") from None
        return cls(connection)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the server says; raises LinkEnded."""
        while True:
            try:
                async with asyncio.timeout(SILENT_BEATS * self.heartbeat_s):
                    text = await self._connection.recv()
            except TimeoutError:
                raise LinkEnded(1006, "silent for three heartbeats") from None
            except ConnectionClosed as closed:
                raise LinkEnded(closed.rcvd.code if closed.rcvd else 1006) from None
            if (message := _object(text)) is not None:
                self.heartbeat_s = _heartbeat(message, self.heartbeat_s)
                yield message

    async def send(self, message: Message) -> Message | None:
        """Send any message; what cannot be sent any more shows as the end of the link."""
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed:
            pass
        return None

    async def close(self) -> None:
        """Close in order."""
        await self._connection.close()


class HttpRun:
    """What the HTTP endpoints of one run have in common."""

    def __init__(self, runs_url: str, options: Options, cursor: Cursor) -> None:
        self._runs_url = runs_url.rstrip("/")
        self._options = options
        self._cursor = cursor

    async def send(self, message: Message) -> Message | None:
        """Send a `cancel` or an `input` as its request."""
        body = {name: value for name, value in message.items() if name in {"request_id", "data"}}
        path = f"/{self._cursor.run_id}/{message['type']}"
        answer = await self._fetch("POST", path, json.dumps(body).encode())
        if answer.status < 400:
            return None
        problem = _object(answer.body) or {}
        return {"type": "error", "re": message["id"], "code": problem.get("code"), "data": _said(problem)}

    async def _fetch(self, method: str, path: str, body: bytes | None = None) -> Response:
        try:
            return await fetch(
                self._runs_url + path,
                self._options.tls,
                method,
                self._headers("application/json", body),
                body,
            )
        except (Unanswered, Unreachable) as problem:
            raise LinkEnded(1006, str(problem)) from None

    def _headers(self, accept: str, body: bytes | None) -> Headers:
        sent = [*self._options.sent_headers, ("Accept", accept)]
        return sent if body is None else [*sent, ("Content-Type", "application/json")]


class EventStream(HttpRun):
    """The stream of a run."""

    name = "sse"
    _exchange: Exchange | None = None

    def __init__(
        self, runs_url: str, options: Options, cursor: Cursor, discovered: Mapping[str, Any]
    ) -> None:
        super().__init__(runs_url, options, cursor)
        self._silence_s = SILENT_BEATS * _heartbeat(discovered, MOST_HEARTBEAT_S)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the server says; raises NotOpened, Buffered and LinkEnded."""
        exchange = self._exchange = Exchange(place_of(self._runs_url), self._options.tls)
        try:
            async with asyncio.timeout(OPEN_S):
                response = await self._open(exchange)
        except TimeoutError:
            raise Buffered from None  # a proxy that gathers a response holds its status back too ([FALL-3])
        except (Unanswered, Unreachable) as problem:
            raise NotOpened(str(problem)) from None
        if response.status == 204:
            return
        if response.status != 200:
            raise _refusal(await _whole(response, exchange))
        if response.media_type != "text/event-stream":
            raise NotOpened(f"an answer of type {response.media_type or 'none'}, and no stream")  # [HTTP-22]
        reader, chunks, first = EventReader(), exchange.chunks(), True
        while True:
            try:
                async with asyncio.timeout(OPEN_S if first else self._silence_s):
                    data = await anext(chunks)
                events = reader.feed(data)
            except TimeoutError:
                raise (Buffered() if first else LinkEnded(1006, "silent for three heartbeats")) from None
            except (StopAsyncIteration, Unanswered):
                # [SSE-23]: the end of a response without a terminal is an order to resume.
                raise LinkEnded(4000, "the stream ended") from None
            except (UnicodeDecodeError, EndlessLine) as problem:
                raise LinkEnded(1006, f"the stream cannot be read: {problem}") from None
            first = False
            for event in events:
                if (message := _object(event.data)) is not None:
                    yield message

    async def _open(self, exchange: Exchange) -> Response:
        cursor = self._cursor
        if cursor.epoch is None:
            body = json.dumps({"prompt": cursor.prompt, "run_id": cursor.run_id}).encode()
            headers = self._headers("text/event-stream", body)
            return await exchange.request("POST", target_of(self._runs_url), headers, body)
        target = target_of(f"{self._runs_url}/{cursor.run_id}/events")
        place = ("Last-Event-ID", f"{cursor.epoch}.{cursor.seq}")
        return await exchange.request("GET", target, [*self._headers("text/event-stream", None), place], None)

    async def close(self) -> None:
        """Let go of the response."""
        if self._exchange is not None:
            self._exchange.abort()


class Poll(HttpRun):
    """A run that is looked at again and again ([FALL-3]).

    Where the server offers `poll`, its log is read piece by piece; elsewhere the answer text is all there is to see.
    """

    name = "polling"

    def __init__(self, runs_url: str, options: Options, cursor: Cursor, *, pages: bool) -> None:
        super().__init__(runs_url, options, cursor)
        self._pages = pages

    async def messages(self) -> AsyncIterator[Message]:
        """Yield tokens for the text that was added, and a `done` at the end."""
        if self._cursor.epoch is None:
            body = json.dumps({"prompt": self._cursor.prompt, "run_id": self._cursor.run_id}).encode()
            answer = await self._fetch("POST", "", body)
            if answer.status not in {200, 202}:
                raise _refusal(answer)
        if self._pages:
            async for message in self._events():
                yield message
            return
        shown: str | None = None
        while True:
            response = await self._fetch("GET", f"/{self._cursor.run_id}")
            if response.status != 200:
                raise _refusal(response)
            state = _object(response.body) or {}
            text, status = str(state.get("text", "")), str(state.get("status", ""))
            if shown is not None and text.startswith(shown):
                if added := text[len(shown) :]:
                    yield {"type": "token", "data": added}
            elif text:
                yield {"type": "replace", "data": text}
            shown = text
            if status in {"completed", "incomplete", "cancelled"}:
                yield {"type": "done", "status": status, "data": status}
                return
            if status == "failed":
                yield {"type": "error", "seq": state.get("seq"), "data": "the run failed", "code": "internal"}
                return
            await asyncio.sleep(POLL_S)

    async def _events(self) -> AsyncIterator[Message]:
        """Yield the events of the log, a page after the other ([POLL-1] to [POLL-4])."""
        while True:
            cursor = self._cursor
            after = cursor.seq if cursor.epoch is None else f"{cursor.epoch}.{cursor.seq}"
            response = await self._fetch("GET", f"/{cursor.run_id}/events?after={after}&wait={PAGE_S}")
            if response.status != 200:
                raise _refusal(response)
            page = _object(response.body) or {}
            yield {"type": "resumed", "run_id": cursor.run_id, "epoch": page.get("epoch")}
            for event in page.get("events") or []:
                yield event
            if not page.get("events"):
                await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Nothing is held."""


async def _whole(response: Response, exchange: Exchange) -> Response:
    """Return a refusal with as much of its body as comes soon."""
    body = b""
    try:
        async with asyncio.timeout(OPEN_S):
            async for chunk in exchange.chunks():
                body += chunk
                if len(body) > MOST_REFUSAL:
                    break
    except (TimeoutError, Unanswered):
        pass
    return Response(response.status, response.headers, body)


def _refusal(response: Response) -> NotOpened:
    problem = _object(response.body) or {}
    said = f"refused with {response.status} {_said(problem)}".strip()
    return NotOpened(said, response.status, retry_after(response), problem.get("retryable") is False)


def _said(problem: Message) -> str:
    return str(problem.get("detail") or problem.get("title") or problem.get("code") or "")


def retry_after(response: Response) -> float | None:
    """Return what a `Retry-After` in seconds asks for, at most a minute."""
    value = response.header("retry-after") or ""
    return min(float(value), 60.0) if value.isdecimal() else None


def _heartbeat(message: Mapping[str, Any], known: float) -> float:
    limits = message.get("limits") if message.get("type", "ready") == "ready" else None
    stated = limits.get("heartbeat_s") if isinstance(limits, dict) else None
    return min(float(stated), MOST_HEARTBEAT_S) if isinstance(stated, int | float) and stated > 0 else known


def _object(text: str | bytes) -> Any:
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
