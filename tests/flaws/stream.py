"""An SSE stream through the proxy, block by block."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable

from .http1 import LAST_CHUNK, Headers, Response, body_pieces, chunk
from .link import Link, Original, encode
from .rewrite import Message, is_event

BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
HOOKS = ("server_message", "block", "watch")


class Stream(Link):
    """An SSE response towards the judge."""

    transport = "sse"
    epoch = ""
    ended_cleanly = True

    async def put(self, message: Message, original: Original | None = None) -> None:
        if original:
            await self.put_block(original.raw)
        else:
            line = f"id: {self.epoch}.{message['seq']}\n" if is_event(message) else ""
            await self.put_block(f"{line}data: {encode(message)}\n\n".encode("utf-8", "surrogatepass"))

    async def put_text(self, text: str) -> None:
        await self.put_block(f"data: {text}\n\n".encode("utf-8", "surrogatepass"))

    async def put_block(self, block: bytes) -> None:
        """Send a block, as the rewrite leaves it."""
        for piece in self.rewrite.block(self, block):
            await self.put_bytes(piece)

    async def put_bytes(self, data: bytes) -> None:
        if data:
            async with self._sending:
                await self.judge.write(chunk(data))

    async def close(self, code: int | None) -> None:  # noqa: ARG002
        self.over = True
        await self.judge.write(LAST_CHUNK)
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
            await link.judge.write(LAST_CHUNK if not link.server.was_reset else b"")
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
        await link.send(actions, original)
    else:
        await link.put_block(block)


def _fields(block: bytes) -> Iterable[tuple[str, str]]:
    # As bytes, since only of these the line ends are those of SSE.
    for line in block.splitlines():
        name, _, value = line.decode().partition(":")
        yield name, value.removeprefix(" ")


def chunked(response: Response) -> Response:
    """Return the head of a stream with the framing that the proxy gives it."""
    return response.without_header("content-length").with_header("transfer-encoding", "chunked")
