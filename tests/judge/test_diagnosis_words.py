"""Each cause for which there is nothing to judge is told by its name, with what helps against it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from tests.judge.test_diagnosis import HTTP, PAGE, WS, answering, told
from tests.proof.flaws.judge import judge
from tests.support.basic_servers import Serve

HTTPS, WSS = HTTP.replace("http", "https"), WS.replace("ws:", "wss:")


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(65536):
        pass


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection at the first bytes."""
    await reader.read(1)
    lingering = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    writer.transport.abort()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at the first bytes."""
    await reader.read(65536)
    writer.close()


PORT = "is it the right port"

#: The same causes over the other schemes: each takes as long as the judge is patient.
WHOLE = pytest.mark.whole
PROBLEM = b'{"title":"Forbidden","status":403,"code":"forbidden","retryable":false}'
UNKNOWN_HOST = ("403 Forbidden", "Server: nginx/1.22.1", "Content-Type: application/problem+json")
OTHER_HOST = ("200 OK", "Server: Apache/2.4.65", "Content-Type: application/json")
DOCUMENT = b'{"protocol":"runwire","versions":[1],"endpoints":{"websocket":"http://backend/ws"},"limits":{}}'
HOST = "set `proxy_set_header Host $http_host` in nginx"
SIGN_IN = answering("302 Found", "Location: /login")
ELSEWHERE = answering("307 Temporary Redirect", "Location: https://elsewhere.example/ws")


@pytest.mark.parametrize(
    ("serve", "url", "words"),
    [
        pytest.param(silent, HTTP, ["nothing within", PORT, "stuck"], id="silent"),
        pytest.param(silent, WS, ["nothing within", PORT, "stuck"], id="silent-ws", marks=WHOLE),
        pytest.param(
            silent, HTTPS, ["did not answer the TLS handshake within", PORT], id="silent-https", marks=WHOLE
        ),
        pytest.param(
            silent, WSS, ["did not answer the TLS handshake within", PORT], id="silent-wss", marks=WHOLE
        ),
        pytest.param(resetting, HTTP, ["reset", PORT], id="reset"),
        pytest.param(resetting, WS, ["no HTTP answer", PORT], id="reset-ws", marks=WHOLE),
        pytest.param(
            resetting, HTTPS, ["ended the TLS handshake: ", "reset", PORT], id="reset-https", marks=WHOLE
        ),
        pytest.param(closing, HTTP, ["the connection was closed without an answer", PORT], id="closed"),
        pytest.param(closing, WS, ["no HTTP answer", PORT], id="closed-ws", marks=WHOLE),
        pytest.param(
            closing, HTTPS, ["ended the TLS handshake: ", "closed", PORT], id="closed-https", marks=WHOLE
        ),
        pytest.param(answering("403 Forbidden"), HTTP, ["answered 403", "--token"], id="403"),
        pytest.param(answering("403 Forbidden"), WS, ["answered 403", "--token"], id="403-ws", marks=WHOLE),
        pytest.param(answering("503 Service Unavailable"), HTTP, ["answered 503", "running?"], id="503"),
        pytest.param(
            answering("503 Service Unavailable"), WS, ["answered 503", "running?"], id="503-ws", marks=WHOLE
        ),
        pytest.param(
            answering(*UNKNOWN_HOST, body=PROBLEM),
            HTTP,
            ["answered 403", "nginx is in front", HOST],
            id="host",
        ),
        pytest.param(
            answering(*OTHER_HOST, body=DOCUMENT),
            HTTP,
            ["http://backend", "`ProxyPreserveHost On`"],
            id="host-200",
        ),
        pytest.param(
            ELSEWHERE, WS, ["redirects to https://elsewhere.example/ws", "use the URL"], id="redirect-ws"
        ),
        pytest.param(
            SIGN_IN, WS, ["redirects to ws://127.0.0.1", "/login", "credential"], id="sign-in-ws", marks=WHOLE
        ),
        pytest.param(SIGN_IN, HTTP, ["redirects to http://127.0.0.1", "/login", "credential"], id="sign-in"),
    ],
)
def test_a_cause_is_told_with_what_helps(serve: Serve, url: str, words: list[str]) -> None:
    line = told(serve, url)

    assert [word for word in words if word not in line] == [], line
    assert not [word for word in ("Errno", "SEND_RESPONSE", ": ;") if word in line], line


@pytest.mark.parametrize("url", ["http://no-such-host.invalid:8080", "wss://no-such-host.invalid/ws"])
def test_a_name_that_leads_nowhere_is_told(url: str) -> None:
    line = told(None, url)

    assert "cannot resolve the name no-such-host.invalid" in line and "is it spelled correctly" in line


@pytest.mark.parametrize("path", ["", "/wrong"])
def test_a_path_beside_the_websocket_is_no_fault_of_the_server(server_url: str, path: str) -> None:
    websocket = server_url.replace("http", "ws")

    verdicts = asyncio.run(judge(websocket + path))

    assert verdicts.exit_code == 2, verdicts.output
    assert verdicts.blamed == ()
    (line,) = verdicts.output.strip().splitlines()
    assert "404" in line and f"use {websocket}/ws/generate" in line, line


@asynccontextmanager
async def certified(
    folder: Path, name: str, until: datetime | None = None
) -> AsyncIterator[tuple[int, Path]]:
    """Listen with a certificate for a name that ends at a moment; yields port and the authority's certificate."""
    authority, certificate = trustme.CA(), folder / "authority.pem"
    authority.cert_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert(name, not_after=until) if until else authority.issue_cert(name)
    issued.configure_cert(context)
    server = await asyncio.start_server(PAGE, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], certificate
    finally:
        server.close()


@pytest.mark.parametrize(
    ("name", "until", "words"),
    [
        ("other.example", None, ["is for another name", "use the name that it was issued for"]),
        ("127.0.0.1", datetime(2021, 1, 1, tzinfo=UTC), ["certificate has expired", "renew it"]),
    ],
)
def test_a_certificate_that_no_authority_mends_is_told(
    tmp_path: Path, name: str, until: datetime | None, words: list[str]
) -> None:
    async def run() -> str:
        async with certified(tmp_path, name, until) as (port, authority):
            verdicts = await judge(f"https://127.0.0.1:{port}", [f"--cafile={authority}"])
            assert verdicts.exit_code == 2
            return verdicts.output

    line = asyncio.run(run())

    assert [word for word in words if word not in line] == [], line
    assert "--cafile" not in line and ".;" not in line
