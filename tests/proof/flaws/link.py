"""A reader as the proxy sees it: what a WebSocket connection and an SSE stream have in common."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from .frames import Frame, close_frame, text_frame
from .http1 import Request
from .rewrite import (
    Action,
    Answer,
    Aside,
    Block,
    Close,
    Drop,
    Frames,
    Hold,
    Later,
    Message,
    Pause,
    Rewrite,
    Text,
    Up,
    is_terminal,
)
from .wire import Wire

if TYPE_CHECKING:
    from .proxy import Proxy

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Original:
    """A message as it came: decoded, as text, and with its bytes."""

    message: Message
    text: str
    raw: bytes


_NUMBERS = count()


class Link:
    """One WebSocket connection or SSE stream through the proxy."""

    transport: str

    def __init__(self, proxy: Proxy, request: Request, judge: Wire, server: Wire) -> None:
        self.proxy = proxy
        self.request = request
        self.judge = judge
        self.server = server
        self.number = next(_NUMBERS)
        """Which one it is, of all there ever were."""
        self.notes: dict[str, Any] = {}
        """For the rewrite: what it wants to remember of this connection."""
        self.followed: dict[str, int] = {}
        """The unfinished runs that this reader follows, each with its cursor."""
        self.asked: list[Message] = []
        """The starts that came here."""
        self.heard_at = self.opened = time.monotonic()
        """When the judge last sent a message here."""
        self.interrupted = False
        """Whether the judge has sent fragments of a message whose rest is to come."""
        self.over = False
        self.closed_by_server = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    @property
    def rewrite(self) -> Rewrite:
        """The rewrite of this proxy."""
        return self.proxy.rewrite

    @property
    def is_stream(self) -> bool:
        """Whether this is SSE."""
        return self.transport == "sse"

    def note(self, message: Message) -> None:
        """Keep account of what the server said here."""
        self.proxy.book.said(message)
        run_id, seq = message.get("run_id"), message.get("seq", 0)
        if message.get("type") == "started" and isinstance(run_id, str) and self.asked:
            self.proxy.book.starts.setdefault(run_id, self.asked[-1])
        if message.get("type") in {"started", "resumed"} and isinstance(run_id, str):
            self.followed[run_id] = message.get("next_seq", 1) - 1
        elif is_terminal(message):
            self.followed.pop(str(run_id), None)
        elif run_id in self.followed:
            self.followed[run_id] = seq

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connection, until its end at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def finish_tasks(self) -> None:
        """Stop what runs beside the connection."""
        for task in tuple(self._tasks):
            task.cancel()

    async def send(self, actions: Iterable[Action], original: Original | None = None) -> None:
        """Carry out actions towards the judge; what stands in `original` goes out with its bytes."""
        for action in actions:
            if self.over:
                return
            if isinstance(action, dict):
                await self.put(action, original if original and action is original.message else None)
            elif isinstance(action, Pause):
                await asyncio.sleep(action.seconds)
            elif isinstance(action, Hold):
                await self._hold(action)
            elif isinstance(action, Later):
                self.start(self._later(action))
            elif isinstance(action, Aside):
                await self.proxy.send_aside(action.message)
            elif isinstance(action, Answer):
                await self.put(action.message)
            elif isinstance(action, Up):
                await self.server.write(text_frame(encode(action.message)).encode(masked=True))
            else:
                await self._end_or_raw(action)

    async def _end_or_raw(self, action: Text | Frames | Block | Close | Drop) -> None:
        if isinstance(action, Drop):
            self.over = True
            self.judge.reset()
            self.server.close()
        elif isinstance(action, Close):
            await self.close(action.code)
        elif isinstance(action, Text):
            await self.put_text(action.text)
        elif isinstance(action, Frames):
            await self.put_frames(action.frames)
        else:
            await self.put_bytes(action.data)

    async def _hold(self, hold: Hold) -> None:
        end = time.monotonic() + hold.at_most
        while not hold.until() and time.monotonic() < end and not self.over:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def _later(self, later: Later) -> None:
        await asyncio.sleep(later.seconds)
        await self.send([later.message])

    async def put(self, message: Message, original: Original | None = None) -> None:
        """Send one message to the judge, as it came when `original` is given."""
        raise NotImplementedError

    async def put_text(self, text: str) -> None:
        """Send a text to the judge as if it were a message."""
        raise NotImplementedError

    async def put_frames(self, frames: Iterable[Frame]) -> None:
        """Send frames to the judge; a stream has none."""

    async def put_bytes(self, data: bytes) -> None:
        """Send bytes to the judge; a connection takes blocks of a stream as nothing."""

    async def close(self, code: int | None) -> None:
        """End the judge's side in good order."""
        raise NotImplementedError


class Socket(Link):
    """A WebSocket connection towards the judge."""

    transport = "websocket"

    async def put(self, message: Message, original: Original | None = None) -> None:
        text = original.text if original else encode(message)
        framed = self.rewrite.text(self, text)
        if framed is not None:
            await self.put_frames(framed)
        elif original:
            async with self._sending:
                await self.judge.write(original.raw)
        else:
            await self.put_text(text)

    async def put_text(self, text: str) -> None:
        await self.put_frames([text_frame(text)])

    async def put_frames(self, frames: Iterable[Frame]) -> None:
        async with self._sending:
            for frame in frames:
                await self.judge.write(frame.encode())

    async def close(self, code: int | None) -> None:
        self.over = True
        await self.put_frames([close_frame(code)])
        self.judge.finish()
        self.server.close()

    async def send_up(self, actions: Iterable[Action], original: Original | None = None) -> None:
        """Carry out actions towards the server; what stands in `original` goes out with its bytes."""
        for action in actions:
            if isinstance(action, dict):
                as_it_came = original is not None and action is original.message
                masked = text_frame(json.dumps(action)).encode(masked=True)
                await self.server.write(original.raw if original and as_it_came else masked)
            elif isinstance(action, Frames):
                await self.server.write(b"".join(frame.encode(masked=True) for frame in action.frames))
            elif isinstance(action, Later):
                self.start(self._up_later(action))
            elif isinstance(action, Pause):
                await asyncio.sleep(action.seconds)
            else:
                await self.send([action])

    async def _up_later(self, later: Later) -> None:
        await asyncio.sleep(later.seconds)
        await self.send_up([later.message])


def encode(message: Message) -> str:
    """Return the JSON text of a message, in the compact spelling of the server."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
