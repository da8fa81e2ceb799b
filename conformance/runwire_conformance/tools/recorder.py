"""Recorder: writes recordings from the traces of its own client, or as a proxy between client and server."""

import asyncio
import base64
import binascii
import json
import os
import re
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, urlsplit

import h11

from runwire_conformance.client.target import Options
from runwire_conformance.client.wire.frame_tap import FrameTap
from runwire_conformance.client.wire.http import Address, Unreachable, open_socket
from runwire_conformance.client.wire.sse import BlockParser, EndlessLine
from runwire_conformance.tools.formats.recording import content_of, meaning_of
from runwire_conformance.trace.printing import printable_json
from runwire_conformance.trace.redaction import Redaction
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Transport
from runwire_conformance.trace.transcript import masked

#: The head of a request that is taken, and the body of one that is looked at.
MOST_HEAD = 64 * 1024
MOST_BODY = 4 * 1024 * 1024

#: A shorter credential is none, and would be found in ordinary words.
LEAST_SECRET = 8

_BEARER = re.compile(r"bearer\.([A-Za-z0-9_-]+)")


class Output(Protocol):
    """Where a recording goes: what `print` needs of a file."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> object:
        """Let go of what was written."""


class RecordingWriter:
    """A recording that is being written, from the first message on. No known credential gets into it."""

    def __init__(self, file: Output, url: str, secrets: list[str] | None = None) -> None:
        self._file = file
        self._began = time.monotonic()
        self._redaction = Redaction()
        self.keep_secret(*secrets or [])
        self.lines = 0
        self._head = {
            "recording": 1,
            "url": masked(url.partition("?")[0]),
            "began": datetime.now(UTC).isoformat(),
        }

    def keep_secret(self, *secrets: str) -> None:
        """Leave these texts out of every further line."""
        for secret in secrets:
            if len(secret) >= LEAST_SECRET:
                self._redaction.add(secret)

    def write(self, transport: Transport, connection: int, record: Record) -> None:
        """Write one line, before the first one the head of the recording."""
        if not self.lines:
            self._line(self._head)
        at = round((record.at - self._began) * 1000, 1)
        place = {"at_ms": at, "from": record.side, "transport": transport, "connection": connection}
        self._line(place | content_of(record))
        self.lines += 1

    def _line(self, line: dict[str, Any]) -> None:
        text = json.dumps(self._redaction.without(line), ensure_ascii=False)
        print(printable_json(text), file=self._file, flush=True)


class RecordingFile:
    """A file for a recording, readable by its owner alone; raises OSError.

    An earlier file of that name stays as it was until the first line: a recording of nothing replaces nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._new = not self._path.exists()
        self._untouched = True
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._new and self._untouched:
            self._path.unlink(missing_ok=True)

    def write(self, text: str, /) -> None:
        """Write a text; the first one takes the place of what the file held."""
        descriptor = self._file.fileno()
        if self._untouched and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
        self._untouched = False
        self._file.write(text)

    def flush(self) -> None:
        """Let go of what was written."""
        self._file.flush()


class Proxy:
    """Listens on the loopback address, passes every byte on to the server, and writes down what passes."""

    def __init__(self, address: Address, options: Options, writer: RecordingWriter) -> None:
        self._address = address
        self._options = options
        self._writer = writer
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client, for one request."""
        self._connections += 1
        number = self._connections  # others come while this one is being opened
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = _request(head)
            up_reader, up_writer = await open_socket(self._address, self._options.tls)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, h11.RemoteProtocolError, OSError):
            writer.close()
            return
        except Unreachable as problem:
            body = f"runwire record: {problem}\n".encode()
            writer.write(
                b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            writer.write(body)
            writer.close()
            return
        passage = ProxiedConnection(request, number, self._writer)
        up_writer.write(forwarded(request, self._address))
        passing = [
            asyncio.create_task(_pass(reader, up_writer, passage.from_client)),
            asyncio.create_task(_pass(up_reader, writer, passage.from_server)),
        ]
        try:
            # What the client ends, the server answers; what the server ends is over.
            await passing[1]
        finally:
            for one in passing:
                one.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            passage.end()
            up_writer.close()
            writer.close()
            await asyncio.gather(up_writer.wait_closed(), writer.wait_closed(), return_exceptions=True)


class ProxiedConnection:
    """What passes on one connection, as records."""

    def __init__(self, request: h11.Request, connection: int, writer: RecordingWriter) -> None:
        self._connection = connection
        self._writer = writer
        self._headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        self._method, self._target = request.method.decode(), request.target.decode()
        self._keep_secrets()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self._http.send(
            h11.Request(method=request.method, target=request.target, headers=list(request.headers))
        )
        if self._method == "GET":
            self._http.send(h11.EndOfMessage())
        self._body = bytearray()
        self._transport: Transport = "http"
        self._taps: tuple[FrameTap, FrameTap] | None = None
        self._blocks = BlockParser()
        self._asked = time.monotonic()
        self._ended = False

    def from_client(self, data: bytes) -> None:
        """Take in what the client sent."""
        if self._taps is not None:
            self._write(self._taps[0].feed(data))
        elif len(self._body) < MOST_BODY:
            self._body += data

    def from_server(self, data: bytes) -> None:
        """Take in what the server sent."""
        if self._taps is not None:
            self._write(self._taps[1].feed(data))
            return
        try:
            self._http.receive_data(data)
            event: object = None
            while event is not h11.NEED_DATA and self._taps is None:
                event = self._http.next_event()
                self._take(event)
                if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return
        except (h11.RemoteProtocolError, UnicodeDecodeError, EndlessLine) as problem:
            self._write([Record(time.monotonic(), "server", "raw", str(problem))])

    def end(self) -> None:
        """Note that the connection is over."""
        if self._transport == "sse" and not self._ended:
            self._write([Record(time.monotonic(), "server", "lost", "broken off")])
        elif self._transport == "websocket" and not self._ended:
            self._write([Record(time.monotonic(), "client", "lost", "")])

    def _take(self, event: object) -> None:
        if isinstance(event, h11.InformationalResponse | h11.Response):
            media = dict(event.headers).get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                return
            if event.status_code == 101:
                self._transport, self._taps = "websocket", (FrameTap("client"), FrameTap("server"))
            elif media == "text/event-stream" and event.status_code == 200:
                self._transport = "sse"
            self._open(f"{event.status_code} {media}".strip())
            if self._taps is not None:
                self._write(self._taps[1].feed(self._http.trailing_data[0]))
        elif isinstance(event, h11.Data) and self._transport == "sse":
            for block in self._blocks.feed(bytes(event.data)):
                shown = "\n".join(f"{name}: {value}" for name, value in block.fields)
                if shown:
                    self._write([Record(time.monotonic(), "server", "block", shown)])
        elif isinstance(event, h11.EndOfMessage) and self._transport == "sse":
            self._ended = True
            self._write([Record(time.monotonic(), "server", "lost", RESPONSE_ENDED)])

    def _open(self, answer: str) -> None:
        parts = urlsplit(self._target)
        sent = None
        if self._transport == "sse":
            cursor, body = self._headers.get("last-event-id"), self._body.decode("utf-8", "replace")
            sent = meaning_of(self._method, parts.path, parts.query, cursor, body)
        self._write(
            [
                Record(self._asked, "client", "request", f"{self._method} {self._target}", sent),
                Record(time.monotonic(), "server", "response", answer),
            ]
        )

    def _write(self, records: list[Record]) -> None:
        for record in records:
            self._ended = self._ended or record.kind == "close"
            self._writer.write(self._transport, self._connection, record)

    def _keep_secrets(self) -> None:
        """Note every credential of the request, as it is sent and as it reads (chapter 11)."""
        offered = _BEARER.findall(self._headers.get("sec-websocket-protocol", ""))
        given = [self._headers.get("authorization", "").partition(" ")[2], *offered]
        given += parse_qs(urlsplit(self._target).query).get("ticket", [])
        given += [part.partition("=")[2] for part in self._headers.get("cookie", "").split("; ")]
        for text in offered:
            try:
                given.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue
        self._writer.keep_secret(*given)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Any) -> None:
    try:
        while data := await reader.read(65536):
            tap(data)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        return


def _request(head: bytes) -> h11.Request:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD)
    parser.receive_data(head)
    event = parser.next_event()
    if not isinstance(event, h11.Request):
        raise h11.RemoteProtocolError("no request")
    return event


def forwarded(request: h11.Request, address: Address) -> bytes:
    """Return the head of a request for the server behind: its name as Host, and one request a connection."""
    upgrades = any(name == b"upgrade" for name, _ in request.headers)
    left_out = {b"host"} if upgrades else {b"host", b"connection", b"keep-alive"}
    lines = [f"{request.method.decode()} {request.target.decode()} HTTP/1.1", f"Host: {address.authority}"]
    lines += [] if upgrades else ["Connection: close"]
    kept = [(name, value) for name, value in request.headers.raw_items() if name.lower() not in left_out]
    lines += [f"{name.decode()}: {value.decode('latin-1')}" for name, value in kept]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
