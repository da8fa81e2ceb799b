"""What the tests of authentication share: servers with credentials, requests and handshakes at the level of bytes."""

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.check_reference_server import command, listening
from tests.support.patience import patience

ALICE, BOB = "alice-static-0123456789", "bob-static-0123456789"
TOKENS = f"# for tests\nalice {ALICE}\nbob {BOB}\n"
SECRET = "a secret of tests that has more than thirty-two bytes"

JSON = ("Content-Type", "application/json")
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object."""
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass(frozen=True, slots=True)
class Stand:
    """A reference server that runs as a process and logs everything it logs to a file."""

    url: str
    log_path: Path
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_path.read_text(encoding="utf-8")

    def ask(self, method: str, path: str, *headers: Header, body: str | None = None) -> Answer:
        """Send a request and return the answer."""
        lines = [*headers]
        if body is not None:
            lines += [("Content-Length", str(len(body.encode())))]
            if not any(name.lower() == "content-type" for name, _ in headers):
                lines.append(JSON)
        return self.raw(f"{method} {path} HTTP/1.1", lines, (body or "").encode())

    def shake(self, *headers: Header, query: str = "") -> Answer:
        """Send an opening handshake and return its answer."""
        return self.raw(f"GET /ws/generate{query} HTTP/1.1", [*HANDSHAKE, *headers])

    def raw(self, line: str, headers: Sequence[Header], body: bytes = b"") -> Answer:
        """Send bytes exactly as given, with a `Host` unless there is one, and return the answer."""
        if not any(name.lower() == "host" for name, _ in headers):
            headers = [("Host", urlsplit(self.url).netloc), *headers]
        head = "\r\n".join([line, *(f"{name}: {value}" for name, value in headers), "", ""])
        with self.dial() as peer:
            peer.sendall(head.encode("latin-1") + body)
            with contextlib.closing(http.client.HTTPResponse(peer)) as response:
                response.begin()
                content = b"" if response.status == 101 else response.read()
                fields = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, fields, content)

    def dial(self) -> socket.socket:
        """Return a connected socket."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=patience(10))
        return self.tls.wrap_socket(plain, server_hostname="localhost") if self.tls else plain

    @contextlib.contextmanager
    def connection(self, *headers: Header, query: str = "", **options: Any) -> Iterator[ClientConnection]:
        """Open a WebSocket connection and read its `ready`."""
        address = f"{self.url.replace('http', 'ws', 1)}/ws/generate{query}"
        with connect(address, additional_headers=list(headers), ssl=self.tls, **options) as socket:
            assert message(socket)["type"] == "ready"
            yield socket


@contextlib.contextmanager
def served(
    folder: Path, *options: str, tls: ssl.SSLContext | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Stand]:
    """Run a reference server with short timings and these options."""
    log_path = folder / "server.log"
    with log_path.open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [*command(), "--log-level=debug", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **(env or {})},
        )
    try:
        yield Stand(
            listening(server).replace("127.0.0.1", "localhost" if tls else "127.0.0.1"), log_path, tls
        )
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def token_options(folder: Path) -> list[str]:
    """Return options for static tokens of Alice and Bob, JSON Web Tokens with SECRET, and a cookie `session`."""
    (folder / "tokens").write_text(TOKENS, encoding="utf-8")
    (folder / "secret").write_text(SECRET + "\n", encoding="utf-8")
    return [
        f"--auth-tokens={folder / 'tokens'}",
        f"--jwt-secret-file={folder / 'secret'}",
        "--jwt-audience=runwire",
        "--auth-cookie=session",
    ]


def bearer(token: str) -> Header:
    """Return the header that carries a token."""
    return "Authorization", f"Bearer {token}"


def as_subprotocol(token: str) -> str:
    """Return the subprotocol that carries a token ([AUTH-6])."""
    return "bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def offer(*subprotocols: str) -> Header:
    """Return the header that offers subprotocols."""
    return "Sec-WebSocket-Protocol", ", ".join(subprotocols)


def minted(
    key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any
) -> str:
    """Return a JSON Web Token that is good for a minute unless the claims say otherwise; None leaves one out."""
    body = {"iss": "tests", "sub": "carol", "aud": "runwire", "exp": time.time() + 60, **claims}
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, key, algorithm, headers)


def message(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    value: dict[str, Any] = json.loads(socket.recv(timeout=patience(10)))
    return value


def message_of(socket: ClientConnection, *types: str) -> dict[str, Any]:
    """Return the next message of one of these types."""
    while (found := message(socket))["type"] not in types:
        pass
    return found


def close_code(socket: ClientConnection) -> int | None:
    """Wait for the server to close the connection and return its code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=patience(10))
    return socket.protocol.close_code


def is_problem(answer: Answer, status: int, code: str) -> bool:
    """Whether an answer is the problem of that status and code, with the headers that belong to it."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert ("retry-after" in answer.headers) is (status in {429, 503})
    return True
