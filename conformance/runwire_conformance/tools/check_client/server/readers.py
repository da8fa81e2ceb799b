"""Readers of a run: one writes WebSocket frames, the other server-sent events."""

import asyncio
import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.frames import Frame, Opcode

from runwire_conformance.client.wire.websocket import close_payload
from runwire_conformance.tools.check_client.server.peers import PeerConnection
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import RESPONSE_ENDED, Trace

#: Seconds between two pieces of a stream that is cut, so that they travel apart.
PIECE_S = 0.001


@dataclass(slots=True)
class SocketReader:
    """A reader over a WebSocket: sends messages in frames."""

    wire: PeerConnection
    trace: Trace
    fragment_bytes: int = 0
    transport: str = "websocket"
    #: Whether the scenario broke it off; whether it was closed, and nothing may follow.
    broken_off: bool = False
    closed: bool = False

    def say(self, message: Mapping[str, Any], _event_id: str = "") -> None:
        """Send a message; ids of events belong to streams."""
        self.text(json.dumps(message, ensure_ascii=False))

    def text(self, text: str) -> None:
        """Send a text message, in fragments if the scenario has it so."""
        if self.closed:
            return
        self.trace.add("server", "text", text, parsed(text))
        data = text.encode()
        size = self.fragment_bytes or max(len(data), 1)
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for number, piece in enumerate(pieces):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONT
            self._frame(opcode, piece, fin=number == len(pieces) - 1)

    def ping(self) -> None:
        """Ask for a sign of life."""
        if not self.closed:
            self._frame(Opcode.PING, b"")

    def pong(self, data: bytes) -> None:
        """Answer a Ping."""
        self._frame(Opcode.PONG, data)

    def close(self, code: int) -> None:
        """Send a Close frame; the client's answer closes the connection."""
        if self.closed:
            return
        self.trace.add("server", "close", code=code)
        self._frame(Opcode.CLOSE, close_payload(code))
        self.closed = True

    def cut(self) -> None:
        """Break the connection off."""
        self.trace.add("server", "lost", "broken off")
        self.closed = self.broken_off = True
        self.wire.cut()

    async def settled(self) -> None:
        """Wait until the transport took what was sent."""
        await self.wire.drain()

    def _frame(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        self.wire.send(Frame(opcode, data, fin).serialize(mask=False, extensions=[]))


@dataclass(slots=True)
class StreamReader:
    """A reader over server-sent events: writes them as the scenario has it."""

    wire: PeerConnection
    trace: Trace
    line_end: str = "\n"
    cut_every: int = 0
    comments: bool = False
    #: What stands behind the colon of a field.
    space: str = " "
    #: Whether a byte order mark stands in front, and whether the data of an event takes two lines.
    byte_order_mark: bool = False
    folded: bool = False
    transport: str = "sse"
    broken_off: bool = False
    closed: bool = False
    pieces: list[bytes] = field(default_factory=list)
    #: A heartbeat must not get between the pieces of an event.
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begin(self, event_id: str) -> None:
        """Write the first block ([SSE-2])."""
        if self.byte_order_mark:
            self.pieces.append(codecs.BOM_UTF8)
        if self.comments:
            self.raw(f": hello{self.line_end}{self.line_end}")
        self.raw(self.line_end.join([self._field("retry", "2000"), self._field("id", event_id), "", ""]))

    def say(self, message: Mapping[str, Any], event_id: str = "") -> None:
        """Write a message as one event ([SSE-6]), with an id where it is an event of the run ([SSE-7])."""
        text = json.dumps(message, ensure_ascii=False)
        lines = [":", ": id: e9.99"] if self.comments else []
        lines += [self._field("id", event_id)] if event_id else []
        lines += [":data: no"] if self.comments else []
        data = (
            [text[:1], text[1:]] if self.folded else [text]
        )  # white space follows a brace wherever one stands
        lines += [self._field("data", part) for part in data]
        self.raw(self.line_end.join([*lines, "", ""]), Message(message))
        if self.comments and event_id:
            self.raw(self.line_end.join([f"id: {event_id}", "retry: 2000", "", ""]))

    def _field(self, name: str, value: str) -> str:
        return f"{name}:{self.space}{value}"

    def raw(self, text: str, message: Message | None = None) -> None:
        """Write text as it is."""
        self.trace.add("server", "block", text.rstrip("\r\n"), message)
        self.pieces.append(text.encode())

    async def settled(self) -> None:
        """Send what was written, in pieces if the scenario has it so."""
        async with self.writing:
            data, self.pieces = b"".join(self.pieces), []
            size = self.cut_every or max(len(data), 1)
            for at in range(0, len(data), size):
                if self.closed:
                    return
                self.wire.stream(data[at : at + size])
                await self.wire.drain()
                if self.cut_every:
                    await asyncio.sleep(PIECE_S)

    def ping(self) -> None:
        """A stream has no Ping."""

    def close(self, _code: int) -> None:
        """End the response in order ([SSE-23])."""
        if self.closed:
            return
        self.closed = True
        self.trace.add("server", "lost", RESPONSE_ENDED)
        self.wire.end_stream()
        self.wire.close()

    def cut(self) -> None:
        """Break the response off."""
        self.closed = self.broken_off = True
        self.trace.add("server", "lost", "broken off")
        self.wire.cut()


#: Whoever follows a run.
Reader = SocketReader | StreamReader
