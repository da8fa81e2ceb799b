"""A key server that drips costs neither logins nor the end of the process."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwire_reference_server.access import jwt_keys
from runwire_reference_server.access.fetching import in_daemon_thread
from runwire_reference_server.access.jwt_keys import KeySet
from runwire_reference_server.run_log.refusal import Refusal
from tests.support.auth_stand import HANDSHAKE, Stand
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience

#: A JSON Web Token whose key has to be fetched; its signature is never looked at.
TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5LCJhdWQiOiJhIn0.c2ln"


@contextlib.contextmanager
def dripping(part: str) -> Iterator[str]:
    """Serve a byte of a head or of a body every tenth of a second, without end."""
    over = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"

    def drip(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.sendall(head + (b"X: " if part == "head" else b"\r\n"))
            while not over.wait(patience(0.1)):
                peer.sendall(b" ")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=drip, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=serve)]
        threads[0].start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_key_server_that_drips_is_given_up(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "FETCH_S", 1.0)

    async def play(url: str) -> None:
        async with asyncio.timeout(patience(60)):  # the body alone would take hours
            with pytest.raises(Refusal) as refused:
                await KeySet(url).find("1", "RS256")
        assert refused.value.code == "unavailable"

    with dripping(part) as url:
        asyncio.run(play(url))


def test_a_key_server_that_drips_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with dripping("head") as url:
        call = [*command(), f"--jwks={url}", "--jwt-audience=a"]
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as server:
            stand = Stand(listening(server), tmp_path)
            with stand.dial() as peer:
                lines = [f"{name}: {value}" for name, value in HANDSHAKE]
                lines += [f"Host: 127.0.0.1:{stand.port}", f"Authorization: Bearer {TOKEN}"]
                peer.sendall("\r\n".join(["GET /ws/generate HTTP/1.1", *lines, "", ""]).encode())
                time.sleep(1)
                server.send_signal(signal.SIGTERM)
                try:
                    assert server.wait(patience(60)) == 0  # the key server never ends
                finally:
                    server.kill()


def test_a_daemon_thread_returns_and_raises_what_its_work_does() -> None:
    def fail() -> None:
        raise LookupError("no")

    async def play() -> None:
        assert await in_daemon_thread(lambda: 7) == 7
        with pytest.raises(LookupError, match="no"):
            await in_daemon_thread(fail)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(patience(0.05)):
                await in_daemon_thread(lambda: time.sleep(0.2))
        await asyncio.sleep(0.3)  # it comes to its end, and nobody minds

    asyncio.run(play())
