"""Requests that do not come to their end, and bytes that belong to none: the connection ends, the log stays quiet."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
import uvicorn

from runwire_reference_server.app import create_server
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.transports.server import DrainingServer
from runwire_reference_server.transports.wire import http_wire
from tests.support.patience import patience, tries

SCRIPT = {"runwire_script": [{"wait_ms": 300}, {"token": "late"}]}
BODY = json.dumps({"prompt": json.dumps(SCRIPT)}).encode()

WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF = WHOLE[:-2]
POST = b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def posted(version: int, more: bytes = b"") -> bytes:
    """Return a request that starts a run and asks for its stream."""
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.%d" % version) + more
    return b"%bAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (head, len(BODY), BODY)


async def answer_to(*pieces: bytes) -> bytes:
    """Return everything that a server says to what is sent a little apart, until it ends the connection."""
    app = create_server(Settings(host="127.0.0.1", port=0, script_agent=True))
    server = DrainingServer(app, app.service)
    serving = asyncio.create_task(uvicorn.Server.serve(server))
    for _ in tries(20, 0.02):
        if server.started:
            break
        await asyncio.sleep(0.02)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    answer = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)
        async with asyncio.timeout(patience(20)):
            while more := await reader.read(65536):
                answer += more
    except ConnectionError:
        pass  # which is an end, too
    finally:
        writer.close()
        server.should_exit = True
        await serving
    return answer


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests awaited for fractions of a second."""
    for name in ("HEAD_S", "BODY_S", "ONCE_MORE_S"):
        monkeypatch.setattr(http_wire, name, 0.1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        ((), 0),
        ((b"G",), 0),
        ((HALF,), 0),
        ((WHOLE, HALF), 1),
        ((POST + b"Content-Length: 9\r\n\r\n{",), 0),
        ((POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",), 0),
    ],
    ids=["nothing", "a letter", "half a head", "half of a second head", "half a body", "half of the chunks"],
)
def test_a_request_that_does_not_come_ends_its_connection(pieces: tuple[bytes, ...], answers: int) -> None:
    assert asyncio.run(answer_to(*pieces)).count(b"HTTP/1.1") == answers


@pytest.mark.usefixtures("hasty")
def test_a_whole_request_is_answered_however_long_that_takes() -> None:
    assert b'"type":"done"' in asyncio.run(answer_to(posted(0)))


@pytest.mark.parametrize(
    "request_line", [posted(0), posted(1, b"Connection: close\r\n")], ids=["1.0", "close"]
)
@pytest.mark.parametrize("further", [b"\r\n", WHOLE, b"\x00\xff" * 20, WHOLE * 1000])
def test_what_comes_after_the_last_request_is_none(
    request_line: bytes, further: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = asyncio.run(answer_to(request_line, further))

    assert answer.count(b"HTTP/1.1") == 1
    assert b'"type":"done"' in answer
    assert caplog.records == []


def test_a_body_that_breaks_amid_the_answer_ends_it_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    whole = POST.replace(b"POST", b"GET").replace(b"/v1/runs", b"/v1/runs/%b/events")
    chunked = whole + b"Accept: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"

    with caplog.at_level(logging.WARNING):
        asyncio.run(answer_to(chunked % (b"r" * 22), b"no chunk\r\n"))

    assert [record.getMessage() for record in caplog.records] == ["Invalid HTTP request received."]
