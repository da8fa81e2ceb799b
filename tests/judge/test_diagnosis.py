"""What is no Runwire server is accused of no sentence: exit code 2, and one line with what to do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.proof.flaws.judge import Verdicts, judge
from tests.support.basic_servers import PATIENCE_S, Serve, port_of

pytestmark = pytest.mark.whole

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def answering(status: str, *headers: str, body: bytes = b"") -> Serve:
    """Return what answers every request so and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()

    return serve


async def ssh(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet as an SSH server does."""
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def echoing_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the handshake and send back every text; anything else is 404."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"sec-websocket-key" not in head.lower():
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        return
    key = next(
        line.partition(b":")[2].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID.encode()).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    while True:
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(await reader.readexactly(size)))
        length = bytes([size]) if size < 126 else bytes([126]) + size.to_bytes(2, "big")
        writer.write(bytes([first]) + length + data)
        await writer.drain()


async def verdicts_on(serve: Serve | None, url: str, *options: str) -> Verdicts:
    """Judge what listens at a port, which stands in the URL as `PORT`."""
    async with port_of(serve) as port:
        return await judge(url.replace("PORT", str(port)), [f"--patience={PATIENCE_S}", *options])


def told(serve: Serve | None, url: str, *options: str) -> str:
    """Return the one line that is said of what listens at a port."""
    verdicts = asyncio.run(verdicts_on(serve, url, *options))
    assert verdicts.exit_code == 2, verdicts.output
    assert verdicts.blamed == ()
    lines = verdicts.output.strip().splitlines()
    assert len(lines) == 1, verdicts.output
    return lines[0]


HTTP, WS = "http://127.0.0.1:PORT", "ws://127.0.0.1:PORT/ws/generate"
PAGE = answering("404 Not Found", body=b"html")


@pytest.mark.parametrize(
    ("serve", "url", "words"),
    [
        pytest.param(ssh, HTTP, ["an SSH server listens", "use the port"], id="ssh"),
        pytest.param(ssh, WS, ["an SSH server listens"], id="ssh-ws"),
        pytest.param(echo, HTTP, ["no Runwire server", "echo server"], id="echo"),
        pytest.param(echoing_websocket, HTTP, ["no Runwire server", "echo server"], id="echo-websocket"),
        pytest.param(answering("401 Unauthorized"), HTTP, ["answered 401", "--token"], id="401"),
        pytest.param(answering("401 Unauthorized"), WS, ["answered 401", "--token"], id="401-ws"),
        pytest.param(
            answering("502 Bad Gateway"), HTTP, ["answered 502", "cannot reach the server"], id="502"
        ),
        pytest.param(
            answering("502 Bad Gateway"), WS, ["answered 502", "cannot reach the server"], id="502-ws"
        ),
        pytest.param(answering("429 Too Many Requests"), HTTP, ["answered 429", "at its limit"], id="429"),
        pytest.param(PAGE, HTTP, ["not a Runwire server", "ws://host"], id="page"),
        pytest.param(PAGE, f"{HTTP}/chat", ["if it is a WebSocket", "ws://127.0.0.1"], id="path"),
        pytest.param(
            answering("302 Found", "Location: https://elsewhere.example/well"),
            HTTP,
            ["redirects to https://elsewhere.example/well", "use https://elsewhere.example"],
            id="redirect",
        ),
        pytest.param(
            answering("400 Bad Request", body=b"The plain HTTP request was sent to HTTPS port"),
            "http://127.0.0.1:PORT",
            ["not a Runwire server"],
            id="400",
        ),
    ],
)
def test_what_is_no_runwire_server_is_told_in_one_line(serve: Serve, url: str, words: list[str]) -> None:
    line = told(serve, url)

    assert [word for word in words if word not in line] == [], line


def test_a_wrong_credential_is_told() -> None:
    assert "is the credential correct?" in told(answering("401 Unauthorized"), HTTP, "--token=secret")


def test_http_on_the_port_of_https_is_told() -> None:
    assert "does not speak TLS; use http://127.0.0.1" in told(PAGE, "https://127.0.0.1:PORT")


def discovery(websocket: str) -> bytes:
    """Return a discovery document."""
    return json.dumps({"protocol": "runwire", "endpoints": {"websocket": websocket}}).encode()


def test_a_path_that_is_not_that_of_the_discovery_document_is_not_dropped() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = b" /.well-known/runwire " in head
        body = discovery("/agents/ws") if found else b""
        status = b"200 OK" if found else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
        await writer.drain()
        writer.close()

    line = told(serve, f"{HTTP}/agents")

    assert "is not a discovery document" in line
    assert "/agents/ws" in line


@asynccontextmanager
async def with_tls(folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """Listen with a certificate that nobody trusts; yields port and certificate."""
    authority, certificate = trustme.CA(), folder / "certificate.pem"
    authority.cert_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(PAGE, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], certificate
    finally:
        server.close()


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_tls_is_told(tmp_path: Path, scheme: str) -> None:
    async def run() -> Verdicts:
        async with with_tls(tmp_path) as (port, _):
            return await judge(f"{scheme}://127.0.0.1:{port}")

    verdicts = asyncio.run(run())

    assert verdicts.exit_code == 2, verdicts.output
    wanted = "--cafile FILE" if scheme == "https" else "speaks TLS; use https://127.0.0.1"
    assert wanted in verdicts.output


def test_a_certificate_that_is_trusted_is_no_obstacle(tmp_path: Path) -> None:
    async def run() -> Verdicts:
        async with with_tls(tmp_path) as (port, certificate):
            return await judge(f"https://127.0.0.1:{port}", [f"--cafile={certificate}"])

    assert "not a Runwire server" in asyncio.run(run()).output


def test_nothing_heavy_is_imported_before_a_server_is_there() -> None:
    heavy = "{'pytest', 'hypothesis', 'rich', 'jsonschema', 'jinja2'}"
    program = (
        "import sys; from runwire_conformance.cli import main; sys.argv = ['runwire', 'check', 'http://127.0.0.1:1']\n"
        f"try:\n    main()\nfinally:\n    print(sorted({heavy} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert result.stdout == "[]\n"
    assert result.stderr.startswith("runwire: cannot connect to 127.0.0.1 port 1: ")
