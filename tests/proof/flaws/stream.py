"""An SSE stream through the proxy, block by block."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable

from .http1 import LAST_CHUNK, Headers, Request, Response, body_pieces, chunk
from .link import Link, Original, encode
from .rewrite import Message, is_event

BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
HOOKS = ("server_message", "block", "watch")


class Stream(Link):
    """An SSE response towards the judge."""

    transport = "sse"
    epoch = ""
    ended_cleanly = True

    @property
    def is_plain(self) -> bool:
        """Whether the stream goes out without chunks, as HTTP/1.0 has it."""
        return self.request.version == "HTTP/1.0"

    @property
    def last(self) -> bytes:
        """What ends the stream in good order; without chunks it is the end of the connection."""
        return b"" if self.is_plain else LAST_CHUNK

    async def put(self, message: Message, original: Original | None = None) -> None:
        if original:
            await self.put_block(original.raw)
        else:
            line = f"id: {self.epoch}.{message['seq']}\n" if is_event(message) else ""
            await self.put_block(f"{line}data: {encode(message)}\n\n".encode("utf-8", "surrogatepass"))

    async def put_text(self, text: str) -> None:
        line, self.replaced_id = (f"id: {self.replaced_id}\n" if self.replaced_id else ""), ""
        await self.put_block(f"{line}data: {text}\n\n".encode("utf-8", "surrogatepass"))

    async def put_block(self, block: bytes) -> None:
        """Send a block, as the rewrite leaves it."""
        for piece in self.rewrite.block(self, block):
            await self.put_bytes(piece)

    async def put_bytes(self, data: bytes) -> None:
        if data:
            async with self._sending:
                await self.judge.write(data if self.is_plain else chunk(data))

    async def close(self, code: int | None) -> None:  # noqa: ARG002
        self.over = True
        await self.judge.write(self.last)
        self.judge.finish()
        self.server.close()


async def run_stream(link: Stream, headers: Headers) -> None:
    """Carry the body of a stream whose head was just sent, block by block if the rewrite looks at it."""
    link.start(link.rewrite.watch(link))
    pieces = body_pieces(link.server, headers, until_close=True)
    try:
        if link.rewrite.overrides(*HOOKS):
            await _by_block(link, pieces)
        else:
            async for piece in pieces:
                await link.put_bytes(piece)
        if not link.over:
            await link.rewrite.server_left(link)
            await link.judge.write(link.last if not link.server.was_reset else b"")
            if link.is_plain:
                link.judge.finish()
    finally:
        link.finish_tasks()


async def _by_block(link: Stream, pieces: AsyncIterator[bytes]) -> None:
    pending = b""
    async for piece in pieces:
        pending += piece
        while (match := BLANK_LINE.search(pending)) and not link.over:
            block, pending = pending[: match.end()], pending[match.end() :]
            await _block(link, block)
        if link.over:
            return
    await link.put_bytes(pending)


async def _block(link: Stream, block: bytes) -> None:
    lines = dict(_fields(block))
    if "id" in lines:
        link.epoch = lines["id"].rpartition(".")[0]
    try:
        message = json.loads(lines.get("data", ""))
    except ValueError:
        message = None
    if isinstance(message, dict):
        original = Original(message, lines["data"], block)
        actions = tuple(link.rewrite.server_message(link, message))
        link.note(message)
        link.replaced_id = "" if message in actions else lines.get("id", "")
        await link.send(actions, original)
    else:
        await link.put_block(block)


def _fields(block: bytes) -> Iterable[tuple[str, str]]:
    # As bytes, since only of these the line ends are those of SSE.
    for line in block.splitlines():
        name, _, value = line.decode().partition(":")
        yield name, value.removeprefix(" ")


def framed(request: Request, response: Response) -> Response:
    """Return the head of a stream with the framing that the proxy gives it."""
    if request.version == "HTTP/1.0":
        return response.without_header("content-length", "transfer-encoding").with_header(
            "connection", "close"
        )
    return response.without_header("content-length").with_header("transfer-encoding", "chunked")
