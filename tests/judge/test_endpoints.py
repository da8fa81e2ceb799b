"""A discovery document leads to no other origin, and no credential goes there, whatever the command ([CONN-5])."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from runwire_conformance.client.discovery.endpoints import BadEndpoint, endpoint_url, joined
from tests.support.commands import runwire

HERE = "https://one.example:8443/.well-known/runwire"
TOKEN = "a-t0ken-to-be-kept"


@pytest.mark.parametrize(
    ("name", "place", "url"),
    [
        ("websocket", "/ws", "wss://one.example:8443/ws"),
        ("websocket", "ws?x=1#y", "wss://one.example:8443/.well-known/ws?x=1"),
        ("websocket", "wss://one.example:8443/ws", "wss://one.example:8443/ws"),
        ("websocket", "https://ONE.example:8443/ws", "wss://ONE.example:8443/ws"),
        ("runs", "//one.example:8443/v1/runs", "https://one.example:8443/v1/runs"),
        ("runs", "wss://one.example:8443/v1/runs", "https://one.example:8443/v1/runs"),
        ("runs", "//one.example:8443/x/../v1/./runs", "https://one.example:8443/v1/runs"),
        ("websocket", "https://one.example:8443/../a//b/../c?x=/../y", "wss://one.example:8443/a//c?x=/../y"),
    ],
)
def test_an_endpoint_of_the_same_origin_is_taken(name: str, place: str, url: str) -> None:
    assert endpoint_url(HERE, name, place) == url


def test_a_port_that_is_the_schemes_own_may_be_left_out() -> None:
    assert endpoint_url("https://h/x", "websocket", "wss://h:443/ws") == "wss://h:443/ws"
    assert endpoint_url("http://h:80/x", "runs", "http://h/v1") == "http://h/v1"


FOREIGN = [
    "https://two.example:8443/ws",
    "//two.example/ws",
    "https://one.example/ws",
    "https://one.example:8444/ws",
    "http://one.example:8443/ws",
    "ws://one.example:8443/ws",
]
UNREADABLE = [
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user@one.example:8443/ws",
    "https://one.example:8443\r\nX: y/ws",
    "/ws\r\nHost: two.example",
    "/w s",
    "/\x1b[31m",
    "/\u202e",
    "http://[::1",
    "https://one.example:99999/",
    "https://one.example:0/",
    "",
    "/" + "a" * 5000,
]


@pytest.mark.parametrize("place", FOREIGN + UNREADABLE, ids=repr)
def test_an_endpoint_elsewhere_is_refused_in_a_line(place: str) -> None:
    with pytest.raises(BadEndpoint) as refused:
        endpoint_url(HERE, "runs", place)

    said = str(refused.value)
    assert ("another origin" in said) is (place in FOREIGN)
    assert said.isprintable() and said.isascii() and len(said) < 500


@dataclass
class Site:
    """A web server that answers every GET alike, and keeps the requests."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def site() -> Iterator[Site]:
    """Serve a site on a free port."""
    here = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(f"{self.path} {self.headers}")
            body = json.dumps(here.document).encode()
            self.send_response(here.status)
            for name, value in {"Content-Length": str(len(body)), **here.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


COMMANDS = [["check"], ["try", "hello"], ["load"], ["record", "hello"], ["record", "hello", "--sse"]]


def run(folder: Path, command: list[str], url: str) -> str:
    """Run a command against a server with a token; return the one line that it ends with."""
    name, *further = command
    result = runwire(folder, name, url, *further, "--token", TOKEN)

    assert result.returncode == 2, result.stdout + result.stderr
    complaint = result.stderr.strip()
    assert len(complaint.splitlines()) == 1, complaint
    return complaint


@pytest.mark.whole
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("endpoint", ["websocket", "runs"])
def test_no_command_follows_discovery_to_another_origin(
    tmp_path: Path, command: list[str], endpoint: str
) -> None:
    with site() as here, site() as elsewhere:
        endpoints = {"websocket": "/ws", "runs": "/v1/runs", endpoint: elsewhere.url + "/x"}
        here.document = {"protocol": "runwire", "versions": [1], "endpoints": endpoints, "features": ["sse"]}
        said = run(tmp_path, command, here.url)

    assert "another origin" in said and endpoint in said
    assert here.asked and TOKEN in here.asked[0]
    assert elsewhere.asked == []


@pytest.mark.whole
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_follows_a_redirect_to_another_origin(tmp_path: Path, command: list[str]) -> None:
    with site() as here, site() as elsewhere:
        elsewhere.document = {"protocol": "runwire", "versions": [1], "endpoints": {"websocket": "/ws"}}
        here.status, here.headers = 302, {"Location": elsewhere.url + "/.well-known/runwire"}
        said = run(tmp_path, command, here.url)

    assert "redirects to" in said and "another origin" in said
    assert elsewhere.asked == []


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://[", "/ws\r\nX: y"], ids=repr)
def test_an_endpoint_that_is_no_url_is_one_line(tmp_path: Path, place: str) -> None:
    with site() as here:
        here.document = {"protocol": "runwire", "versions": [1], "endpoints": {"websocket": place}}
        said = run(tmp_path, ["check"], here.url)

    assert "not the URL of a server" in said


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("/v1/runs/a/events", "https://one.example:8443/v1/runs/a/events"),
        ("http://[::1", ""),
        ("", HERE),
    ],
)
def test_a_place_that_is_no_url_is_compared_as_none(place: str, url: str) -> None:
    assert joined(HERE, place) == url
