"""Benign changes: what a conformant server may do differently. The judge must not mind any of them."""

# ruff: noqa: ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .flaws.flaw import ALL_FEATURES, Describes, Stand
from .flaws.frames import Frame, Opcode, text_frame
from .flaws.http1 import Headers, Request, Response
from .flaws.link import Link, Socket, encode
from .flaws.rewrite import Action, Frames, Message, Pause, Rewrite, is_event, is_terminal, less

SMALL = 1500
"""Bytes up to which a message can grow by a little without passing a limit."""


@dataclass(frozen=True, slots=True)
class Benign:
    """A change that no requirement forbids."""

    name: str
    description: str
    make: type[Rewrite]
    stand: Stand = field(default_factory=Stand)
    script_agent: bool = True

    @property
    def of_the_wire(self) -> bool:
        """Whether the proxy alone makes the change, before whatever server."""
        return self.stand == Stand() and self.script_agent


class UnknownMembers(Describes):
    """Every message and every body has members that the specification does not define."""

    extra: dict[str, Any] = {  # noqa: RUF012
        "vendor:note": {"deep": [1, None, {"er": True}]}, "vendor:none": None, "future": "x",
    }  # fmt: skip

    def described(self, description: Message) -> Message:
        limits = {**description["limits"], "vendor:limit": 7, "later_s": 1.5}
        features = [*description["features"], "vendor:feature", "later"]
        return {**description, **self.extra, "limits": limits, "features": features}

    def response(self, request: Request, response: Response) -> Response:
        response = super().response(request, response)
        is_json = "json" in (response.headers.get("content-type") or "")
        body = json.loads(response.body) if is_json and response.body else None
        if not isinstance(body, dict) or "vendor:note" in body:
            return response
        return response.with_body(json.dumps({**body, **self.extra}).encode())

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "ready":
            yield self.described(message)
        else:
            yield {**message, **self.extra} if len(encode(message)) < SMALL else message


#: How often in a second the server may be made to say something of its own accord.
ASIDES = 40


def may_follow(link: Link, message: Message) -> bool:
    """Tell whether a control message of the server's own accord may come behind `message`.

    Two of them at a time are within what [FLOW-8] allows.
    """
    opens = message.get("type") in {"ready", "started", "resumed"}
    link.notes["open"] = link.notes.get("open") or opens
    now = time.monotonic()
    recent = [at for at in link.notes.get("followed", ()) if now - at < 1.0]
    follows = (
        bool(link.notes["open"]) and not (link.is_stream and is_terminal(message)) and len(recent) < ASIDES
    )
    link.notes["followed"] = [*recent, now] if follows else recent
    return follows


class UnknownTypes(Rewrite):
    """Control messages of a vendor's type stand between the messages."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if may_follow(link, message):
            yield {"type": "vendor:load", "data": {"gpu": 0.5}}


class Chatty(Rewrite):
    """Heartbeats and notices come more often than they must."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        if may_follow(link, message):
            yield {"type": "heartbeat"}
            yield {"type": "notice", "code": "vendor:tip", "data": "a word in between"}


class OtherSpelling(Rewrite):
    """JSON texts have other white space, another order of members, and escapes where none are needed."""

    def spelled(self, message: Message, *, lines: bool) -> str:
        """Return another JSON text of the same message."""
        turned = dict(reversed(message.items()))
        indent, separators = (1, None) if lines else (None, (" , ", " : "))
        text = json.dumps(turned, ensure_ascii=True, indent=indent, separators=separators)
        return f" {text}\n" if lines else text

    def text(self, link: Link, text: str) -> Iterable[Frame] | None:
        if len(text) > SMALL:
            return None
        return [text_frame(self.spelled(json.loads(text), lines=not link.is_stream))]

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:
        head, data, text = block.partition(b"data: ")
        if data and len(block) < SMALL:
            yield head + data + self.spelled(json.loads(text), lines=False).encode() + b"\n\n"
        else:
            yield block

    def response(self, request: Request, response: Response) -> Response:
        if "json" not in (response.headers.get("content-type") or "") or not response.body:
            return response
        return response.with_body(self.spelled(json.loads(response.body), lines=True).encode())


STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
LETTER = re.compile(r"\\u[0-9a-f]{4}|\\.|[A-Za-z]")


class EscapedLetters(OtherSpelling):
    """Every letter of every JSON string is written as an escape, those of names too."""

    def spelled(self, message: Message, *, lines: bool) -> str:
        def escaped(letter: re.Match[str]) -> str:
            return f"\\u{ord(letter[0]):04x}" if len(letter[0]) == 1 else letter[0]

        text = super().spelled(message, lines=lines)
        return STRING.sub(lambda found: LETTER.sub(escaped, found[0]), text)


class Fragments(Rewrite):
    """Every message comes in fragments, cut within characters, with a Ping and an empty fragment between."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message

    def text(self, link: Link, text: str) -> Iterable[Frame]:
        data = text.encode()
        place = next((i for i, byte in enumerate(data) if byte >= 0x80), len(data) // 2) + 1
        yield Frame(Opcode.TEXT, data[:place], final=False)
        yield Frame(Opcode.CONTINUATION, b"", final=False)
        yield Frame(Opcode.PONG, b"unasked")
        yield Frame(Opcode.CONTINUATION, data[place:])


class SmallSegments(Rewrite):
    """Everything travels in segments of a few bytes."""

    def segments(self, data: bytes) -> Sequence[bytes]:
        if len(data) > 4 * SMALL:
            return (data,)
        return [data[start : start + 7] for start in range(0, len(data), 7)] or (data,)


class Coalesced(Rewrite):
    """Messages are gathered for a few milliseconds and sent in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = time.monotonic()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if time.monotonic() - self.turn > 0.02:
            self.turn = time.monotonic()
            yield Pause(0.015)
        yield message


class OtherStream(Rewrite):
    """Streams have CR LF, comments, another order of fields, and no space behind the colon."""

    ending = b"\r\n"

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:
        lines = [line.replace(b": ", b":", 1) for line in block.splitlines() if line]
        lines = [*reversed(lines), b": a comment", b":"]
        yield self.ending.join(lines) + self.ending * 2
        if b"data" in block:
            last = b'"type":"done"' in block  # behind which a comment need not be closed
            yield b": a comment between" + self.ending * (1 if last else 2)


class CommentsFirst(Rewrite):
    """Streams begin with a comment, as for a proxy that waits for a first byte."""

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:
        if not link.notes.get("commented"):
            link.notes["commented"] = True
            yield b": hello\n\n"
        yield block


class CarriageReturns(OtherStream):
    """Streams end their lines with CR alone."""

    ending = b"\r"


class SmallChunks(Rewrite):
    """Streams are cut into chunks of five bytes, wherever that falls."""

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:
        return [block[start : start + 5] for start in range(0, len(block), 5)]


class MergedTokens(Rewrite):
    """Tokens that come close together are merged."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        held: Message | None = link.notes.pop("held", None)
        one = _merged(held, message) if held else None
        if held and not one:
            yield held
        latest = one or message
        if latest.get("type") == "token" and len(latest["data"]) < 200:
            link.notes["held"], link.notes["since"] = latest, time.monotonic()
        else:
            yield latest

    async def watch(self, link: Link) -> None:
        while not link.over:
            await asyncio.sleep(0.01)
            if link.notes.get("held") and time.monotonic() - link.notes["since"] > 0.02:
                await link.send([link.notes.pop("held")])

    async def server_left(self, link: Link) -> None:
        if held := link.notes.pop("held", None):
            await link.send([held])


def _merged(first: Message, second: Message) -> Message | None:
    adjacent = is_event(second) and first["run_id"] == second["run_id"]
    begins = second.get("first_seq", second.get("seq"))
    if not adjacent or second["type"] != "token" or begins != first["seq"] + 1:
        return None
    return {
        **second,
        "first_seq": first.get("first_seq", first["seq"]),
        "data": first["data"] + second["data"],
    }


class Delays(Rewrite):
    """Every message comes a little later, by another time each."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random(7)

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if self.nth(link.number) < 40:
            yield Pause(self.chance.uniform(0, 0.02))
        yield message


class LargerLimits(Describes):
    """Some advertised limits are larger than what the server keeps to in truth."""

    def described(self, description: Message) -> Message:
        limits: dict[str, Any] = dict(description["limits"])
        for name in ("cancel_deadline_ms", "resume_window_s", "send_buffer_bytes", "input_s", "heartbeat_s"):
            limits[name] = limits[name] * 1.5
        return {**description, "limits": limits}


class MoreHeaders(Rewrite):
    """Responses have more headers, more directives in other letters, and parameters behind their content types."""

    def response(self, request: Request, response: Response) -> Response:
        response = response.with_header("Server-Timing", "app;dur=1").with_header("X-Request-Id", "r1")
        for name, more in {
            "content-type": "; charset=utf-8",
            "cache-control": ", must-revalidate",
            "access-control-expose-headers": ", X-Request-Id",
        }.items():
            if value := response.headers.get(name):
                said = value.title() if name == "cache-control" else value
                response = response.with_header(name, said if "charset" in said else said + more)
        return response


class MorePings(Rewrite):
    """The server sends more Pings than it must, and Pongs that nobody asked for."""

    async def watch(self, link: Link) -> None:
        while isinstance(link, Socket) and not link.over:
            await asyncio.sleep(0.2)
            frames = (Frame(Opcode.PING, b"more"), Frame(Opcode.PONG, b"unasked"))
            await link.send([Frames(frames)])

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:
        if frame.opcode != Opcode.PONG or frame.payload != b"more":
            yield Frames((frame,))


class RicherEvents(Rewrite):
    """Events carry the optional members that the specification defines."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        richer = {**message, "ts": "2026-11-24T12:00:00.123Z"}
        if message.get("type") == "done":
            richer |= {
                "usage": {
                    "input_tokens": 3,
                    "cached_input_tokens": 3,
                    "output_tokens": 5,
                    "reasoning_tokens": 0,
                }
            }
        if message.get("type") == "error" and "seq" not in message:
            richer = less(richer, "ts") | {"data": "Das ging schief.", "retry_after_ms": 50}
        changes = is_event(message) or message.get("type") == "error"
        yield richer if changes and len(encode(message)) < SMALL else message


NGINX = "nginx/1.22.1"


class BehindNginx(Rewrite):
    """An nginx stands before the server: it takes X-Accel-Buffering for itself and refuses what it does not like."""

    def request(self, request: Request) -> Request | Response:
        twice = sum(name.lower() == "authorization" for name, _ in request.headers.lines) > 1
        if not (twice or "%00" in request.target):
            return request
        page = f"<html>\r\n<head><title>400 Bad Request</title></head>\r\n<hr><center>{NGINX}</center>\r\n</html>"
        headers = Headers((("Server", NGINX), ("Content-Type", "text/html"), ("Connection", "close")))
        return Response(400, headers).with_body(page.encode())

    def response(self, request: Request, response: Response) -> Response:
        return response.without_header("x-accel-buffering").with_header("Server", NGINX)


class BehindCaddy(Rewrite):
    """A Caddy stands before the server: it passes no Upgrade header on that comes without a switch of protocols."""

    def response(self, request: Request, response: Response) -> Response:
        response = response.without_header("upgrade") if response.status == 426 else response
        return response.with_header("Server", "Caddy")


def _benign(kind: type[Rewrite], **stand: Any) -> Benign:
    return Benign(kind.__name__, " ".join((kind.__doc__ or "").split()), kind, Stand(**stand))


def without(*features: str) -> tuple[str, ...]:
    """Return every feature but these."""
    return tuple(feature for feature in ALL_FEATURES if feature not in features)


BENIGN = (
    Benign("Nothing", "The server as it is.", Rewrite),
    *(
        _benign(kind)
        for kind in (
            UnknownMembers, UnknownTypes, Chatty, OtherSpelling, EscapedLetters, Fragments, SmallSegments,
            Coalesced, OtherStream, CommentsFirst, CarriageReturns, SmallChunks, MergedTokens, Delays,
            LargerLimits, MoreHeaders, MorePings, RicherEvents, BehindNginx, BehindCaddy,
        )
    ),
    Benign("WithoutStreams", "The server does not serve sse.", Rewrite, Stand(features=without("sse"))),
    Benign(
        "WithoutResume", "The server serves neither sse nor resume.", Rewrite, Stand(features=without("sse", "resume"))
    ),
    Benign(
        "WithoutInput",
        "The server serves neither input nor metrics.",
        Rewrite,
        Stand(features=without("input", "metrics")),
    ),
    Benign("WithCredentials", "The server asks for credentials.", Rewrite, Stand(auth=True)),
    Benign("WithoutScripts", "The server has no script agent.", Rewrite, script_agent=False),
)  # fmt: skip
