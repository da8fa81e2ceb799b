"""Requests at the edges: paths and headers that proxies understand otherwise, idle connections, and a full process."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.auth_stand import Stand, served
from tests.support.check_reference_server import command
from tests.support.patience import patience

#: File descriptors of a process that has few.
FEW = 64


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A server that waits for half a second."""
    with served(tmp_path_factory.mktemp("edges"), "--keep-alive-s=0.5") as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/ws%2fgenerate", "/ws%2Fgenerate", "/v1%2fruns", "/ws%5cgenerate", "/.well-known%2frunwire"]
)
def test_an_encoded_slash_is_no_slash(stand: Stand, path: str) -> None:
    handshake = stand.raw(
        f"GET {path} HTTP/1.1",
        [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    )

    assert handshake.status == stand.ask("GET", path).status == 404
    assert handshake.json["code"] == "not_found"


def test_a_slash_may_be_encoded_in_a_query(stand: Stand) -> None:
    assert stand.ask("GET", "/.well-known/runwire?a=%2f").status == 200


def test_a_request_has_a_bounded_number_of_headers(stand: Stand) -> None:
    few, many = ([(f"X-{number}", "a") for number in range(count)] for count in (100, 2000))

    assert stand.ask("GET", "/.well-known/runwire", *few).status == 200
    refused = stand.ask("GET", "/.well-known/runwire", *many)
    assert (refused.status, refused.json["code"]) == (413, "payload_too_large")
    assert stand.shake(*many).status == 413


def test_an_idle_connection_waits_as_long_as_it_is_told(stand: Stand) -> None:
    with stand.dial() as peer:
        request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\n\r\n".encode()
        peer.sendall(request)
        answered = peer.recv(65536)
        ended = peer.recv(65536)  # without an end the socket's own time-out of ten seconds fails the test

    assert answered.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1" not in ended


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "3601"])
def test_a_time_to_keep_alive_has_bounds(value: str) -> None:
    result = subprocess.run(
        [*command(), f"--keep-alive-s={value}"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert result.stderr.startswith("runwire-server: --keep-alive-s")


def test_running_out_of_file_descriptors_is_said(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, before[1]))  # which a new process inherits
    try:
        serving = served(tmp_path)
        stand = serving.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with contextlib.ExitStack() as stack:
        stack.push(serving.__exit__)
        for _ in range(FEW):
            peer = stack.enter_context(
                socket.create_connection(("127.0.0.1", stand.port), timeout=patience(10))
            )
            peer.sendall(b"GET ")
        for _ in range(100):
            if "file descriptors are in use" in stand.log:
                break
            time.sleep(0.1)
        log = stand.log

    assert log.count("file descriptors are in use") == 1
    assert f"of {FEW} file descriptors" in log
