"""The two directions of a WebSocket connection through the proxy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from .frames import HELD_BYTES, BadFrameError, Frame, FrameReader, Opcode
from .link import Original, Socket
from .rewrite import Message
from .wire import Wire

BOTH_WAYS = ("server_message", "client_message", "client_frame", "server_left", "client_left", "watch")
DOWN_HOOKS = (*BOTH_WAYS, "server_frame", "text")
#: Seconds after which a frame that is still arriving is passed on as it comes.
SLOW_S = 0.3

UP_HOOKS = (*BOTH_WAYS, "client_data")
"""What makes a direction be taken apart; a rewrite of one side may ask the book what the other said."""


async def run_socket(link: Socket) -> None:
    """Carry a connection that was just opened, until both directions have ended."""
    link.start(link.rewrite.watch(link))
    down = asyncio.create_task(_down(link))
    up = asyncio.create_task(_up(link))
    try:
        await asyncio.gather(down, up)
    finally:
        down.cancel()
        up.cancel()
        link.finish_tasks()


async def _down(link: Socket) -> None:
    try:
        if link.rewrite.overrides(*DOWN_HOOKS):
            await _down_by_message(link)
        else:
            while data := await link.server.read():
                await link.judge.write(data)
        if not link.over:
            await link.rewrite.server_left(link)
    finally:
        if not link.over:
            end_like(link.server, link.judge)


async def _down_by_message(link: Socket) -> None:
    parts: list[tuple[Frame, bytes]] = []
    async for frame, raw in _frames(link.server, link.judge, masked=False):
        if link.over:
            return
        if frame.is_control:
            link.closed_by_server |= frame.opcode == Opcode.CLOSE
            await link.send(link.rewrite.server_frame(link, frame))
            continue
        parts.append((frame, raw))
        if frame.final:
            original = _message(parts)
            parts = []
            if original is None:
                await link.judge.write(raw)
            else:
                actions = tuple(link.rewrite.server_message(link, original.message))
                link.note(original.message)
                await link.send(actions, original)


async def _up(link: Socket) -> None:
    try:
        if link.rewrite.overrides(*UP_HOOKS):
            await _up_by_message(link)
        else:
            while data := await link.judge.read():
                await link.server.write(data)
        if not link.over:
            await link.rewrite.client_left(link)
    finally:
        end_like(link.judge, link.server)


async def _up_by_message(link: Socket) -> None:
    parts: list[tuple[Frame, bytes]] = []
    passing, held = False, 0
    slow_s = float("inf") if link.rewrite.holds_frames else SLOW_S
    async for frame, raw in _frames(link.judge, link.server, masked=True, slow_s=slow_s):
        if frame.is_control:
            link.interrupted = bool(parts)
            passed = list(link.rewrite.client_frame(link, frame))
            if [f for a in passed for f in getattr(a, "frames", ())] == [frame]:
                await link.server.write(raw)
            else:
                await link.send_up(passed)
            continue
        interrupts = bool(parts) and frame.opcode != Opcode.CONTINUATION
        held = held + len(raw) if parts else len(raw)
        parts.append((frame, raw))
        too_large = held > HELD_BYTES[True]
        if passing or interrupts or (too_large and not link.rewrite.holds_whole_messages):
            # A server answers a message that is too large, or that another one interrupts, before its end.
            await link.server.write(b"".join(raw for _, raw in parts))
            parts, passing = [], not frame.final
        elif frame.final:
            await _client_message(link, parts)
            parts = []


async def _client_message(link: Socket, parts: list[tuple[Frame, bytes]]) -> None:
    rewritten = link.rewrite.client_data(link, tuple(frame for frame, _ in parts))
    if rewritten is not None:
        parts = [(frame, frame.encode(masked=True)) for frame in rewritten]
    raw = b"".join(raw for _, raw in parts)
    original = _message(parts)
    if original is None:
        await link.server.write(raw)
    else:
        link.heard_at = time.monotonic()
        actions = tuple(link.rewrite.client_message(link, original.message))
        link.proxy.book.heard(original.message)
        if original.message.get("type", "start") == "start":
            link.asked.append(original.message)
        await link.send_up(actions, original)


async def _frames(
    source: Wire, sink: Wire, *, masked: bool, slow_s: float = float("inf")
) -> AsyncIterator[tuple[Frame, bytes]]:
    """Yield frames until the end; from a frame that breaks RFC 6455 on, pass bytes on as they are.

    A frame that takes longer than `slow_s` to arrive is passed on as it comes: a server can tell that from silence.
    """
    reader = FrameReader(masked, bytearray())
    data, begun = b"", time.monotonic()
    while data := data or await source.read():
        try:
            for frame, raw in reader.frames(data):
                yield frame, raw
                begun = time.monotonic()
            data = b""
            if not reader.pending:
                begun = time.monotonic()
            elif time.monotonic() - begun > slow_s and (missing := reader.missing) is not None:
                await sink.write(bytes(reader.pending))
                reader.pending.clear()
                data = await _passed_on(source, sink, missing)
        except BadFrameError:
            await sink.write(bytes(reader.pending))
            while data := await source.read():
                await sink.write(data)
            return
    await sink.write(bytes(reader.pending))


async def _passed_on(source: Wire, sink: Wire, count: int) -> bytes:
    """Pass on so many bytes; return what came behind them."""
    while count and (data := await source.read()):
        await sink.write(data[:count])
        data, count = data[count:], count - len(data[:count])
        if data:
            return data
    return b""


def _message(parts: list[tuple[Frame, bytes]]) -> Original | None:
    if not parts or parts[0][0].opcode != Opcode.TEXT:
        return None
    try:
        text = b"".join(frame.payload for frame, _ in parts).decode()
        message: Message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Original(message, text, b"".join(raw for _, raw in parts)) if isinstance(message, dict) else None


def end_like(source: Wire, sink: Wire) -> None:
    """End `sink` as `source` ended: by a reset or by a FIN."""
    if source.was_reset:
        sink.reset()
    else:
        sink.finish()
