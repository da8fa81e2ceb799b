"""The requests of one connection of the judge and their responses, in order."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from .http1 import (
    HEAD_BYTES,
    LAST_CHUNK,
    Request,
    Response,
    body_pieces,
    chunk,
    has_body,
    parse_request,
    parse_response,
)
from .link import Socket
from .socket_pump import end_like, run_socket
from .stream import Stream, framed, run_stream
from .wire import Wire

if TYPE_CHECKING:
    from .proxy import Proxy

Asked = tuple[Request, Response | None]
"""A request that was forwarded, or one that the rewrite answered itself."""


class Exchanges:
    """Serves one connection: forwards requests, relays responses, hands over to a WebSocket."""

    def __init__(self, proxy: Proxy, judge: Wire, server: Wire) -> None:
        self.proxy, self.judge, self.server = proxy, judge, server
        self.rewrite = proxy.rewrite
        self._asked: asyncio.Queue[Asked | None] = asyncio.Queue()
        self._upgrade_answered = asyncio.Event()
        self._upgraded = False

    async def run(self) -> None:
        """Serve until either side has ended or a WebSocket has taken over and ended."""
        self._asking = asyncio.create_task(self._ask())
        try:
            while asked := await self._next():
                if not await self._answer(*asked):
                    return
            await self._pass_on()
        finally:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        while head := await self.judge.read_until(b"\r\n\r\n", HEAD_BYTES):
            try:
                request = parse_request(head)
            except ValueError:
                await self.server.write(head)
                break
            if not await self._ask_one(request):
                return
        await self._asked.put(None)
        while data := await self.judge.read():
            await self.server.write(data)
        for link in tuple(self.proxy.links):
            if link.judge is self.judge:
                await self.rewrite.client_left(link)
        end_like(self.judge, self.server)

    async def _ask_one(self, request: Request) -> bool:
        """Forward a request; false when a WebSocket has taken over."""
        gathered = self.rewrite.overrides("request")
        if gathered:
            request = await self._gathered(request)
        outcome = self.rewrite.request(self.proxy.forwarded(request))
        if isinstance(outcome, Response):
            await self._asked.put((request, outcome))
            return True
        if outcome.method == "POST" and gathered:
            self._note(outcome.body)
        self._upgrade_answered.clear()
        await self._asked.put((outcome, None))
        await self.server.write(outcome.head())
        if gathered:
            await self.server.write(outcome.body)
        else:
            async for piece in body_pieces(self.judge, outcome.headers, until_close=False):
                is_chunked = outcome.headers.has("transfer-encoding", "chunked")
                await self.server.write(chunk(piece) if is_chunked else piece)
            if outcome.headers.has("transfer-encoding", "chunked"):
                await self.server.write(LAST_CHUNK)
        if outcome.is_upgrade:
            await self._upgrade_answered.wait()
        return not self._upgraded

    def _note(self, body: bytes) -> None:
        try:
            message = json.loads(body)
        except ValueError:
            return
        if isinstance(message, dict):
            self.proxy.book.heard(message)

    async def _gathered(self, request: Request) -> Request:
        if request.headers.has("expect", "100-continue"):
            await self.judge.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces = [piece async for piece in body_pieces(self.judge, request.headers, until_close=False)]
        body = b"".join(pieces)
        headers = request.headers.without("expect", "transfer-encoding")
        if body or request.headers.get("content-length") is not None:
            headers = headers.with_("content-length", str(len(body)))
        return replace(request, headers=headers, body=body)

    async def _next(self) -> Asked | None:
        """Wait for the next request; `None` when there will be none or the server has ended."""
        asked = asyncio.create_task(self._asked.get())
        gone = asyncio.create_task(self.server.gone())
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if asked.done():
            return asked.result()
        asked.cancel()
        return None

    async def _pass_on(self) -> None:
        """Pass on what the server says unasked, and its end."""
        while data := await self.server.read():
            await self.judge.write(data)
        end_like(self.server, self.judge)

    async def _answer(self, request: Request, own: Response | None) -> bool:
        """Relay one response; false when the connection is at its end."""
        if own is not None:
            return await self._write(request, own)
        head = await self.server.read_until(b"\r\n\r\n", HEAD_BYTES)
        if head is None:
            await self._pass_on()
            return False
        response = self.proxy.returned(parse_response(head))
        if response.status == 101:
            return await self._open_socket(request, self.rewrite.response(request, response))
        if response.status < 200:
            await self.judge.write(head)
            return await self._answer(request, None)
        self._upgrade_answered.set()
        if response.is_stream and has_body(request, response):
            return await self._open_stream(request, response)
        pieces: list[bytes] = []
        if has_body(request, response):
            pieces = [p async for p in body_pieces(self.server, response.headers, until_close=True)]
        complete = self.proxy.returned(replace(response, body=b"".join(pieces)))
        return await self._write(request, self.rewrite.response(request, complete))

    async def _open_socket(self, request: Request, response: Response) -> bool:
        if response.status != 101:
            await self._write(request, response)
            return False
        await self.judge.write(response.head())
        self._upgraded = True
        self._upgrade_answered.set()
        await self._asking
        link = Socket(self.proxy, request, self.judge, self.server)
        with self.proxy.carrying(link):
            await run_socket(link)
        return False

    async def _open_stream(self, request: Request, response: Response) -> bool:
        rewritten = self.rewrite.response(request, response)
        if rewritten.body is not None:
            await self._write(request, rewritten)
            return False
        await self.judge.write(framed(request, rewritten).head())
        link = Stream(self.proxy, request, self.judge, self.server)
        with self.proxy.carrying(link):
            await run_stream(link, response.headers)
        return not self.server.ended and not link.over and not link.is_plain

    async def _write(self, request: Request, response: Response) -> bool:
        self._upgrade_answered.set()
        await self.rewrite.before_response(request, response)
        body = response.body or b""
        if response.headers.has("transfer-encoding", "chunked"):
            body = (chunk(body) if body else b"") + LAST_CHUNK
        elif response.headers.get("content-length") is None and has_body(request, response):
            response = response.with_header("connection", "close")
        if not has_body(request, response):
            body = b""
        await self.judge.write(response.head() + body + response.trailing)
        if response.trailing or response.headers.has("connection", "close"):
            self.judge.finish()
            return False
        return True
