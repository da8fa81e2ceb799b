"""The proxy forwards faithfully, also what it parses on the way, and its hooks do what they say."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.proof.flaws.frames import Frame, FrameReader, Opcode, text_frame
from tests.proof.flaws.link import Link
from tests.proof.flaws.proxy import Proxy
from tests.proof.flaws.rewrite import Action, Close, Later, Message, Rewrite
from tests.support.patience import patience

FLOOD = "x" * 65536


class Parses(Rewrite):
    """Changes nothing, but makes the proxy take everything apart."""

    def request(self, request):  # type: ignore[no-untyped-def]
        return request

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        yield message

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:  # noqa: ARG002
        yield block


async def echo(websocket: WebSocket) -> None:
    """Echo texts; `flood` makes it send until nobody takes more and count what it got rid of."""
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            if text == "close":
                await websocket.close(4001)
            elif text == "flood":
                await flood(websocket)
            else:
                await websocket.send_text(text)
    except WebSocketDisconnect as gone:
        DISCONNECTS.append(gone.code)


DISCONNECTS: list[int] = []
FLOODED: list[int] = []


async def flood(websocket: WebSocket) -> None:
    FLOODED.append(0)
    for _ in range(2000):
        await websocket.send_text(json.dumps({"type": "token", "data": FLOOD}))
        FLOODED[-1] += 1


async def events(request: Request) -> Response:  # noqa: ARG001
    async def body() -> AsyncIterator[bytes]:
        yield b"retry: 2000\nid: e.0\n\n"
        yield b'id: e.1\ndata: {"type": "token", "seq": 1, '
        yield b'"data": "a"}\n\nda'
        yield b'ta: {"type":"heartbeat"}\n\n'

    return StreamingResponse(body(), media_type="text/event-stream")


async def post(request: Request) -> Response:
    body = await request.body()
    headers = {"host-seen": request.headers["host"], "origin-seen": request.headers.get("origin", "")}
    return JSONResponse({"size": len(body)}, 202, headers)


async def moved(request: Request) -> Response:
    return RedirectResponse(str(request.url_for("events")))


async def nothing(request: Request) -> Response:  # noqa: ARG001
    return Response(status_code=204)


ROUTES = [
    WebSocketRoute("/ws/generate", echo),
    Route("/events", events),
    Route("/post", post, methods=["POST"]),
    Route("/moved", moved),
    Route("/nothing", nothing),
]


@asynccontextmanager
async def echo_server() -> AsyncIterator[str]:
    """Serve the routes above on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Starlette(routes=ROUTES),
        log_level="critical",
        ws="websockets-sansio",
        lifespan="off",
        ws_max_size=100_000,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await serving
        listener.close()


def through(test: Callable[[Proxy], Awaitable[None]], *rewrites: Rewrite) -> None:
    """Run `test` with a proxy before the echo server, once for each rewrite."""

    async def all_of_them() -> None:
        for rewrite in rewrites or (Rewrite(), Parses()):
            async with (
                asyncio.timeout(patience(20)),
                echo_server() as url,
                Proxy(url, rewrite).listening() as proxy,
            ):
                await test(proxy)

    asyncio.run(all_of_them())


def websocket(proxy: Proxy) -> connect:
    return connect(
        f"ws://127.0.0.1:{proxy.port}/ws/generate", compression=None, proxy=None, ping_interval=None
    )


async def talk(proxy: Proxy, data: bytes) -> bytes:
    """Send raw bytes and return everything that comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


async def closed_with(connection: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.recv()
    return connection.close_code or 0


HANDSHAKE = (
    b"GET /ws/generate HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_texts_pings_and_close_codes_pass_both_ways() -> None:
    async def test(proxy: Proxy) -> None:
        async with websocket(proxy) as connection:
            for text in ('{"type": "a",  "b": 1.0}', "no json", "ü😀", ""):
                await connection.send(text)
                assert await connection.recv() == text
            await connection.send(iter(['{"type"', ':"fragments"}']))
            assert await connection.recv() == '{"type":"fragments"}'
            await (await connection.ping(b"data"))
            await connection.send("close")
            assert await closed_with(connection) == 4001

    through(test)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xf1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x01a", 1002),
        (b"\x81\x82\0\0\0\0\xff\xff", 1007),
        (b"\x81\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 1009),
        (b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126), 1002),
    ],
)
def test_bad_frames_reach_the_server_and_its_close_code_the_client(frame: bytes, code: int) -> None:
    async def test(proxy: Proxy) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(HANDSHAKE % proxy.port)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame)
        end = await reader.read()
        assert end[:1] == b"\x88"
        assert int.from_bytes(end[2:4], "big") == code
        writer.close()

    through(test)


def test_a_reset_of_the_client_reaches_the_server() -> None:
    async def test(proxy: Proxy) -> None:
        DISCONNECTS.clear()
        connection = await websocket(proxy)
        connection.transport.abort()
        while not DISCONNECTS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    through(test)


def test_a_reader_that_stops_stops_the_sender() -> None:
    async def test(proxy: Proxy) -> None:
        FLOODED.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=1024)
        writer.write(HANDSHAKE % proxy.port + text_frame("flood").encode(masked=True))
        await asyncio.sleep(1.0)
        sent = FLOODED[-1]
        await asyncio.sleep(0.5)
        assert FLOODED[-1] == sent < 200
        writer.transport.abort()
        assert reader is not None

    through(test)


def test_streams_keep_their_bytes_and_their_end() -> None:
    async def test(proxy: Proxy) -> None:
        answer = await talk(proxy, b"GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"text/event-stream" in head
        assert unchunked(body) == (
            b'retry: 2000\nid: e.0\n\nid: e.1\ndata: {"type": "token", "seq": 1, "data": "a"}\n\n'
            b'data: {"type":"heartbeat"}\n\n'
        )

    through(test)


def test_requests_on_one_connection_are_answered_in_order() -> None:
    async def test(proxy: Proxy) -> None:
        one = b"POST /post HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://evil\r\n" % proxy.port
        answer = await talk(
            proxy,
            one
            + b"Content-Length: 3\r\n\r\nabc"
            + one
            + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            b"GET /nothing HTTP/1.1\r\nHost: foreign.example\r\nConnection: close\r\n\r\n",
        )
        assert answer.count(b"HTTP/1.1 202 Accepted") == 2
        assert answer.index(b'{"size":3}') < answer.index(b'{"size":2}') < answer.index(b"HTTP/1.1 204")
        assert b"host-seen: 127.0.0.1:%d" % proxy.upstream_port in answer
        assert b"origin-seen: http://evil" in answer

    through(test)


def test_locations_stay_usable() -> None:
    async def test(proxy: Proxy) -> None:
        head = b"GET /moved HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"
        answer = await talk(proxy, head % proxy.port)
        assert b"location: http://127.0.0.1:%d/events" % proxy.port in answer

    through(test)


def test_a_request_that_is_none_gets_the_answer_of_the_server() -> None:
    async def test(proxy: Proxy) -> None:
        assert (await talk(proxy, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")

    through(test)


class Doubles(Rewrite):
    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message
        yield {**message, "nth": self.nth(link.transport)}
        if message["type"] == "last":
            yield Close(4000)
        if message["type"] == "later":
            yield Later(0.1, {"type": "late"})


def test_hooks_double_delay_and_close() -> None:
    async def test(proxy: Proxy) -> None:
        async with websocket(proxy) as connection:
            await connection.send('{"type": "later"}')
            assert await connection.recv() == '{"type": "later"}'
            assert await connection.recv() == '{"type":"later","nth":1}'
            assert await connection.recv() == '{"type":"late"}'
            await connection.send('{"type": "last"}')
            assert await closed_with(connection) == 4000
        answer = await talk(proxy, b"GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b'id: e.1\ndata: {"type":"token","seq":1,"data":"a","nth":1}\n\n' in unchunked(
            answer.split(b"\r\n\r\n", 1)[1]
        )

    through(test, Doubles())


def unchunked(body: bytes) -> bytes:
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        content += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return content


def test_frames_survive_being_read_at_any_cut() -> None:
    frames = [text_frame("a" * size) for size in (0, 125, 126, 70000)] + [Frame(Opcode.PING, b"p")]
    data = b"".join(frame.encode(masked=True) for frame in frames)
    for step in (1, 7, 4096):
        reader = FrameReader(True, bytearray())
        cut = [data[i : i + step] for i in range(0, len(data), step)]
        assert [frame for piece in cut for frame, _ in reader.frames(piece)] == frames
