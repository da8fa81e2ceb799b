"""The rewriting proxy: stands between the judge and a good server, on a free loopback port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

from websockets.asyncio.client import connect as connect_websocket

from tests.support.patience import patience

from .book import Book
from .exchange import Exchanges
from .http1 import Request, Response
from .link import Link
from .rewrite import Message, Rewrite
from .wire import Wire, connect

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Proxy:
    """Listens on `port` of the loopback address and forwards to `upstream`, through `rewrite`."""

    def __init__(self, upstream: str, rewrite: Rewrite) -> None:
        parts = urlsplit(upstream)
        self.upstream_host, self.upstream_port = parts.hostname or "127.0.0.1", parts.port or 80
        self.rewrite = rewrite
        self.port = 0
        self.links: set[Link] = set()
        self.book = Book()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()

    @property
    def url(self) -> str:
        """The base URL for the judge."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def unread(self) -> list[bytes]:
        """What has come on each connection and was not understood yet."""
        return [bytes(wire.buffer) for wire in self._wires]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        """Serve inside the context; leaving it breaks off what is open."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for wire in tuple(self._wires):
                wire.abort()
            await asyncio.sleep(0.01)

    def _accepted(self) -> Wire:
        return _Accepted(self)

    def serve(self, judge: Wire) -> None:
        """Begin to serve a connection of the judge."""
        task = asyncio.create_task(self._connection(judge))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": "proxy", "exception": error})

    async def _connection(self, judge: Wire) -> None:
        try:
            server = await connect(self.upstream_host, self.upstream_port)
        except OSError:
            judge.reset()
            return
        self._wires |= {judge, server}
        try:
            await Exchanges(self, judge, server).run()
            server.close()
            await judge.linger()
        finally:
            judge.close()
            server.close()
            self._wires = {wire for wire in self._wires if not wire.lost}

    @contextmanager
    def carrying(self, link: Link) -> Iterator[None]:
        """Keep `link` among the open ones inside the context."""
        self.links.add(link)
        try:
            yield
        finally:
            self.links.discard(link)

    def forwarded(self, request: Request) -> Request:
        """Name the server behind in the Host header if the judge named the proxy there."""
        host = request.headers.get("host") or ""
        name, _, port = host.rpartition(":")
        if port == str(self.port) and name in LOOPBACK:
            return request.with_header("host", f"{name}:{self.upstream_port}")
        return request

    def returned(self, response: Response) -> Response:
        """Name the proxy where the response names the server behind."""
        behind, here = f":{self.upstream_port}", f":{self.port}"
        for header in ("location", "content-location"):
            value = response.headers.get(header)
            if value and any(name + behind in value for name in LOOPBACK):
                response = response.with_header(header, value.replace(behind, here, 1))
        body = response.body
        if body and any((name + behind).encode() in body for name in LOOPBACK):
            for name in LOOPBACK:
                body = body.replace((name + behind).encode(), (name + here).encode())
            response = response.with_body(body)
        return response

    async def send_aside(self, message: Message) -> None:
        """Send a message to the server on a connection of the proxy's own, and wait until it has acted."""
        url = f"ws://{self.upstream_host}:{self.upstream_port}/ws/generate"
        token = self.rewrite.credentials.get("token")
        own = {"Authorization": f"Bearer {token}"} if token else {}
        async with connect_websocket(url, compression=None, proxy=None, additional_headers=own) as websocket:
            await websocket.send(json.dumps(message))
            await websocket.send(json.dumps({"type": "heartbeat", "id": "aside"}))
            async with asyncio.timeout(patience(5)):
                while json.loads(await websocket.recv()).get("re") != "aside":
                    pass

    async def read_aside(self, run_id: str) -> None:
        """Read a run on a connection of the proxy's own until cancelled."""
        url = f"ws://{self.upstream_host}:{self.upstream_port}/ws/generate"
        async with connect_websocket(url, compression=None, proxy=None) as websocket:
            await websocket.send(json.dumps({"type": "resume", "run_id": run_id, "after": 0}))
            async for _ in websocket:
                pass


class _Accepted(Wire):
    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.cut = self._proxy.rewrite.segments
        self._proxy.serve(self)
