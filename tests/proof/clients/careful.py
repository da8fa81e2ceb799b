"""A client that keeps every rule, made so that each rule is one method: a flawed client replaces one of them.

It runs inside the process of the judge's tests, is written from the specification, and shares no code with the judge.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

Message = dict[str, Any]
Report = Callable[..., None]

OPEN_S = 5.0
BAD_MESSAGE = frozenset({1002, 1003, 1007, 1008, 1009})


@dataclass
class Again:
    """The connection is over: come back, at once where the server said so and something came meanwhile."""

    at_once: bool = False


class Stop(Exception):
    """There is nothing more to do."""


class Hole(Exception):
    """An event is missing."""


class Client:
    """One run, from its prompt to its end."""

    #: Whether it reports what it shows.
    reports = True

    def __init__(self, told: Mapping[str, str], report: Report) -> None:
        self.told = told
        self.report = report
        self.run_id = secrets.token_urlsafe(16)
        self.epoch: str | None = None
        self.cursor = 0
        self.accepted = self.basic = self.cancelled = False
        self.text = ""
        self.calls: dict[str, str | None] = {}
        self.partial: set[str] = set()
        self.token = told["token"]
        self.transport = "sse" if told["transport"] == "sse" else "websocket"
        self.is_socket = told["url"].startswith("ws:")
        self.discovered: Message | None = None
        self.heartbeat_s = 15.0
        self.failures = 0
        self.furthest = 0
        self.ids = 0
        self.asked: str | None = None
        self.socket: ClientConnection | None = None
        #: Seconds that a refusal asks to wait at the least.
        self.least_s = 0.0
        if told["run"]:
            self.take_up(told["run"], *told["cursor"].split("."))

    def take_up(self, run_id: str, epoch: str, seq: str) -> None:
        """Go on with a run that somebody else began."""
        self.run_id, self.epoch, self.cursor, self.accepted = run_id, epoch, int(seq), True
        self.furthest = self.cursor

    async def run(self) -> None:
        """Follow the run to its end."""
        try:
            while True:
                again = await self.attempt()
                await asyncio.sleep(max(self.wait_s(again), self.least_s))
                self.least_s = 0.0
        except Stop:
            return

    async def attempt(self) -> Again:
        """Follow the run over one connection."""
        try:
            if self.discovered is None and not self.is_socket:
                await self.discover()
            if self.transport == "websocket":
                return await self.over_websocket()
            return await self.over_sse()
        except (OSError, InvalidHandshake, TimeoutError):
            return Again()

    # When to come back.

    def wait_s(self, again: Again) -> float:
        """[CLOSE-7], [CLOSE-9]: growing back-off and full jitter for whoever got no further."""
        moved = self.cursor > self.furthest
        if moved:
            self.furthest, self.failures = self.cursor, 0
        if moved and again.at_once:
            return 0.0
        self.failures += 1
        return random.uniform(0, 0.25 * 2**self.failures)

    # What it says.

    def message_id(self) -> str:
        """[MSG-32]"""
        self.ids += 1
        return str(self.ids)

    def start(self) -> Message:
        """[RUN-12], [MSG-21]"""
        return {"type": "start", "prompt": self.told["prompt"], "run_id": self.run_id}

    def resume(self) -> Message:
        """[RESUME-22]"""
        return {"type": "resume", "run_id": self.run_id, "after": self.cursor, "epoch": self.epoch}

    def opening(self) -> Message:
        """What opens the run on a connection."""
        return self.resume() if self.accepted else self.start()

    async def say(self, socket: ClientConnection, message: Message) -> None:
        """Send a message with an id of its own."""
        named = {**message, "id": self.message_id()}
        if message["type"] != "cancel":
            self.asked = named["id"]
        await socket.send(json.dumps(named))

    # Over a WebSocket.

    def token_for(self, url: str) -> str:
        """[CONN-5]: a credential goes to the origin of discovery alone."""
        return self.token if urlsplit(url).netloc == urlsplit(self.told["url"]).netloc else ""

    def websocket_url(self) -> str:
        """Where the WebSocket is."""
        if self.discovered is None:
            return self.told["url"]
        where = urljoin(self.told["url"] + "/.well-known/runwire", self.discovered["endpoints"]["websocket"])
        return re.sub("^http", "ws", where)

    async def over_websocket(self) -> Again:
        """Follow the run over a WebSocket until it closes."""
        url = self.websocket_url()
        offered = [Subprotocol("runwire.v1")]
        if token := self.token_for(url):
            encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            offered.append(Subprotocol(f"bearer.{encoded}"))
        greeted = False
        try:
            async with connect(
                url, subprotocols=offered, compression=None, open_timeout=OPEN_S, close_timeout=0.2
            ) as socket:
                self.socket = socket
                await self.say_first(socket)
                while True:
                    async with asyncio.timeout(self.silence_s() if greeted else OPEN_S):
                        message = json.loads(await socket.recv())
                    if not greeted:
                        greeted = True
                        await self.greeted(socket, message)
                    try:
                        await self.take(message)
                    except Hole:
                        await asyncio.sleep(self.wait_s(Again(at_once=True)))
                        await self.on_hole(socket)
        except ConnectionClosed as closed:
            if greeted:
                return await self.after_close(closed.rcvd.code if closed.rcvd else 1006)
            if closed.rcvd and 4000 <= closed.rcvd.code <= 4499:
                return await self.after_close(closed.rcvd.code)
        except (OSError, TimeoutError, WebSocketException):
            if greeted:
                return Again()
        finally:
            self.socket = None
        return await self.fall_back()

    async def say_first(self, socket: ClientConnection) -> None:
        """[CONN-20]: whoever knows no discovery document does not wait, as a basic server does not greet."""
        if self.is_socket:
            await self.say(socket, self.opening())

    async def greeted(self, socket: ClientConnection, first: Message) -> None:
        """[CONN-13], [CONN-14]"""
        if first["type"] != "ready":
            self.basic = True
            return
        self.heartbeat_s = first["limits"]["heartbeat_s"]
        await self.check_version(socket, first)
        if not self.is_socket:
            await self.say(socket, self.opening())

    async def check_version(self, socket: ClientConnection, ready: Message) -> None:
        """[CONN-13]"""
        if ready["protocol"] != "runwire" or ready["version"] != 1:
            await socket.close()
            raise Stop

    def silence_s(self) -> float:
        """[BEAT-11]"""
        return 3 * self.heartbeat_s

    async def on_hole(self, socket: ClientConnection) -> None:
        """[RESUME-21]"""
        await self.say(socket, self.resume())

    async def after_close(self, code: int) -> Again:
        """[CLOSE-4] to [CLOSE-8]"""
        if self.basic:
            return self.after_basic_close()
        if 4000 <= code <= 4099:
            return Again(at_once=True)
        if 4100 <= code <= 4199:
            await self.renew()
            return Again()
        if 4400 <= code <= 4499:
            self.stopped(f"closed with {code}")
        if code in BAD_MESSAGE and not self.accepted:
            self.stopped(f"closed with {code}")
        return Again()

    def after_basic_close(self) -> Again:
        """[CONN-14]"""
        self.stopped("this server cannot resume")
        return Again()

    async def renew(self) -> None:
        """[CLOSE-5]"""
        _, _, body = await self.fetch("GET", self.told["token_url"])
        self.token = json.loads(body)["token"]

    def stopped(self, why: str) -> None:
        """Give up."""
        self.report(gave_up=why)
        raise Stop

    # What it does with a message.

    async def take(self, message: Message) -> None:
        """Take a message of either transport."""
        kind = message["type"]
        if kind == "heartbeat":
            await self.on_heartbeat()
        elif kind in {"started", "resumed"}:
            self.accepted = True
            self.epoch = message["epoch"]
        elif kind == "error" and self.refuses(message):
            await self.refused(message)
        elif "seq" in message or self.basic:
            await self.event(message)

    async def on_heartbeat(self) -> None:
        """[BEAT-10]"""

    def refuses(self, message: Message) -> bool:
        """[EVENT-25]: whether an `error` is a refusal, and ends no run."""
        return "seq" not in message and not self.basic

    async def refused(self, message: Message) -> None:
        """[ERR-6], [RESUME-22]"""
        if message.get("re") not in {None, self.asked}:
            return
        if message["code"] == "not_found" and self.accepted:
            self.begin_anew()
            raise Returning
        if not self.may_try_again(message):
            self.stopped(f"refused with {message['code']}")
        self.least_s = self.asked_to_wait_s(message)
        self.before_another_start()
        raise Returning

    def may_try_again(self, message: Message) -> bool:
        """[ERR-6], [ERR-7]"""
        return message.get("retryable") is True

    def asked_to_wait_s(self, message: Message) -> float:
        """Return the seconds that a refusal asks for."""
        return float(message.get("retry_after_ms", 0) / 1000)

    def before_another_start(self) -> None:
        """[ERR-8]: a refused start keeps its run_id."""

    def begin_anew(self) -> None:
        """[RESUME-22]"""
        self.accepted, self.epoch, self.cursor, self.furthest, self.text = False, None, 0, 0, ""
        self.calls, self.partial = {}, set()

    def place(self, event: Message) -> str:
        """[RESUME-19] to [RESUME-21]: `take`, `drop` or `hole`."""
        if event["seq"] <= self.cursor:
            return "drop"
        return "take" if event.get("first_seq", event["seq"]) == self.cursor + 1 else "hole"

    async def event(self, event: Message) -> None:
        """Take an event of the run."""
        if not self.basic:
            where = self.place(event)
            if where == "drop":
                return
            if where == "hole":
                raise Hole
            self.count(event)
        await self.show(event)

    def count(self, event: Message) -> None:
        """[MSG-26]: what has a seq counts, whatever its type."""
        self.cursor = event["seq"]

    async def show(self, event: Message) -> None:
        """Show an event."""
        kind = event["type"]
        if kind == "token":
            self.text += event["data"]
            await self.user_acts()
        elif kind == "replace":
            self.replaced(event)
        elif kind == "tool_delta":
            self.previewed(event)
        elif kind == "tool_call":
            self.called(event)
        elif kind == "observation":
            self.observed(event)
        elif kind in {"done", "error"}:
            self.over(event)
        else:
            self.unknown(event)
            return
        self.report(text=self.text, calls=self.calls)

    def unknown(self, event: Message) -> None:
        """[MSG-26]"""

    def replaced(self, event: Message) -> None:
        """[EVENT-6]"""
        self.text = event["data"]

    def previewed(self, event: Message) -> None:
        """[EVENT-17]"""
        self.calls[event["call_id"]] = (self.calls.get(event["call_id"]) or "") + event["data"]
        self.partial.add(event["call_id"])

    def called(self, event: Message) -> None:
        """[EVENT-17]: a call that comes is a preview no more."""
        self.calls[event["call_id"]] = ""
        self.partial.discard(event["call_id"])

    def observed(self, event: Message) -> None:
        """[EVENT-16]"""
        before = self.calls.get(event["call_id"]) or ""
        self.calls[event["call_id"]] = before + event["content"] if event.get("partial") else event["content"]

    def drop_previews(self) -> None:
        """[EVENT-17]"""
        for call_id in self.partial:
            self.calls[call_id] = None

    def over(self, event: Message) -> None:
        """The run has ended."""
        self.drop_previews()
        how = "failed" if event["type"] == "error" else event.get("status", "completed")
        self.report(text=self.text, calls=self.calls, ended=how)
        self.after_end(event)
        raise Stop

    def after_end(self, event: Message) -> None:
        """[ERR-8]: whoever tries a failed run again takes a new run_id."""

    async def user_acts(self) -> None:
        """[CANCEL-15]: stop, and wait for the terminal."""
        if self.told["act"] == "cancel" and not self.cancelled:
            self.cancelled = True
            if self.socket is not None:
                await self.say(self.socket, {"type": "cancel", "run_id": self.run_id})
            else:
                await self.fetch("POST", f"{self.runs_url()}/{self.run_id}/cancel", b"{}")

    # Over HTTP.

    def runs_url(self) -> str:
        """Where runs are."""
        assert self.discovered is not None
        return urljoin(self.told["url"] + "/.well-known/runwire", self.discovered["endpoints"]["runs"])

    async def discover(self) -> None:
        """Fetch the discovery document."""
        _, media, body = await self.fetch("GET", self.told["url"] + "/.well-known/runwire")
        if not media.startswith("application/json"):
            self.no_discovery()
        self.discovered = json.loads(body)
        self.heartbeat_s = self.discovered["limits"]["heartbeat_s"]

    def no_discovery(self) -> None:
        """[HTTP-22]"""
        raise ConnectionError("a page came in place of the discovery document")

    async def fall_back(self) -> Again:
        """[FALL-1], [FALL-2]"""
        if self.told["transport"] == "auto":
            await self.look_why()
            self.transport = "sse"
            return Again(at_once=True)
        return Again()

    async def look_why(self) -> None:
        """[FALL-2]"""
        await self.discover()

    async def fetch(
        self, method: str, url: str, body: bytes = b"", accept: str = "*/*"
    ) -> tuple[int, str, bytes]:
        """Return status, media type and body of a whole answer."""
        reader, writer, status, media = await self.request(method, url, {"Accept": accept}, body)
        try:
            chunked = media.endswith(";chunked")
            content = b"".join([piece async for piece in chunks(reader)]) if chunked else await reader.read()
        finally:
            writer.close()
        return status, media, content

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int, str]:
        """Send a request and read the head of its answer."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        lines = [
            f"{method} {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
            f"Host: {parts.netloc}",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Authorization: Bearer {token}"] if (token := self.token_for(url)) else []
        lines += (
            [f"Content-Length: {len(body)}", "Content-Type: application/json"] if method == "POST" else []
        )
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        except asyncio.IncompleteReadError:
            writer.close()
            raise ConnectionError("no answer") from None
        except BaseException:
            writer.close()
            raise
        found = re.search(r"content-type: ([^;\r\n]+)", head)
        chunked = ";chunked" if "transfer-encoding: chunked" in head else ""
        return reader, writer, int(head.split()[1]), (found[1].strip() if found else "") + chunked

    async def over_sse(self) -> Again:
        """Follow the run over a stream until it ends."""
        try:
            async with asyncio.timeout(self.first_byte_s()):
                reader, writer, status, media = await self.open_stream()
        except TimeoutError:
            return await self.gathered()
        try:
            if not media.startswith("text/event-stream"):
                body = await reader.read()
                return await self.after_answer(status, media, body)
            data = chunks(reader)
            events = self.events(data)
            while True:
                async with asyncio.timeout(self.silence_s()):
                    message = await anext(events, None)
                if message is None:
                    return self.after_stream()
                await self.take(message)
        except (Hole, Returning):
            return Again(at_once=True)
        except (TimeoutError, OSError):
            return self.after_stream()
        finally:
            writer.close()

    def after_stream(self) -> Again:
        """[SSE-23]"""
        return Again(at_once=True)

    def first_byte_s(self) -> float:
        """[FALL-3]"""
        return OPEN_S

    async def gathered(self) -> Again:
        """[FALL-3]: poll until the run has ended."""
        while self.polls_on():
            page = f"/events?after={self.poll_from()}&wait=1" if self.polls_pages() else ""
            url = f"{self.runs_url()}/{self.run_id}{page}"
            status, _, body = await self.fetch("GET", url, accept="application/json")
            state = json.loads(body) if status == 200 else {}
            for event in state.get("events", []):
                await self.event(event)
            if state.get("status") in {"completed", "failed", "cancelled", "incomplete"} and not page:
                self.stopped("read by polling")
            await asyncio.sleep(0.5)
        raise Stop

    def polls_on(self) -> bool:
        """[FALL-3]: again and again."""
        return True

    def poll_from(self) -> int:
        """The cursor that a poll tells."""
        return self.cursor

    def polls_pages(self) -> bool:
        """[FALL-3]"""
        assert self.discovered is not None
        return "poll" in self.discovered["features"]

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int, str]:
        """Start or resume."""
        headers = {"Accept": "text/event-stream"}
        if not self.accepted:
            return await self.request("POST", self.runs_url(), headers, json.dumps(self.start()).encode())
        resume = self.resume()
        cursor = resume["after"] if resume.get("epoch") is None else f"{resume['epoch']}.{resume['after']}"
        url = f"{self.runs_url()}/{self.run_id}/events"
        return await self.request("GET", url, {**headers, "Last-Event-ID": str(cursor)})

    async def after_answer(self, status: int, media: str, body: bytes) -> Again:
        """[HTTP-22], and refusals."""
        if not media.startswith("application/problem+json"):
            return self.after_page(status)
        try:
            await self.refused(json.loads(body))
        except Returning:
            return Again()
        return Again()

    def after_page(self, _status: int) -> Again:
        """[HTTP-22]"""
        return Again()

    async def events(self, data: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        """[SSE-25], [SSE-27]: read a stream, wherever it is cut."""
        held, lines, after_cr = b"", list[bytes](), False
        async for piece in data:
            new = piece[1:] if after_cr and piece.startswith(b"\n") else piece
            after_cr = piece.endswith(b"\r")
            *whole, held = self.lines(held + new)
            for line in whole:
                if line:
                    lines.append(line)
                    continue
                text = self.text_of(lines)
                lines = []
                if text is not None:
                    yield json.loads(text)

    def lines(self, data: bytes) -> list[bytes]:
        """[SSE-27]: CR LF, LF and CR end a line, and nothing else."""
        return re.split(rb"\r\n|\n|\r", data)

    def text_of(self, lines: list[bytes]) -> str | None:
        """[SSE-25]: the data of an event, None for a block without any."""
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        return b"\n".join(data).decode() if data else None


class Returning(ConnectionClosed):
    """The run has to be asked for again."""

    def __init__(self) -> None:
        super().__init__(None, None)


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a body; raises ConnectionError where it breaks off."""
    while True:
        line = await reader.readline()
        if not line.strip():
            raise ConnectionError("broken off")
        size = int(line, 16)
        if size == 0:
            return
        try:
            data = await reader.readexactly(size + 2)
        except asyncio.IncompleteReadError:
            raise ConnectionError("broken off") from None
        yield data[:-2]
