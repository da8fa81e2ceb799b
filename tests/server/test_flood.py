"""What a client's frames may cost a server: it is told, it is sent away, and others are served meanwhile."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from runwire_reference_server.transports.intake import MOST_AT_ONCE, TOLERATED
from tests.support.auth_stand import HANDSHAKE, Stand, message_of, served
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience

FIN, TEXT, CONT, PING, PONG, CLOSE = 0x80, 1, 0, 9, 10, 8


def frame(opcode: int, payload: bytes = b"", fin: int = FIN) -> bytes:
    """Return a client's frame, masked by zeros."""
    size = len(payload)
    head = bytes([fin | opcode, 0x80 | size]) if size < 126 else struct.pack("!BBH", fin | opcode, 0xFE, size)
    return head + bytes(4) + payload


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A server with the demo agent."""
    with served(tmp_path_factory.mktemp("flood"), "--heartbeat-s=20", "--pong-timeout-s=60") as running:
        yield running


class Peer:
    """A client at the level of bytes."""

    def __init__(self, stand: Stand) -> None:
        self.socket = stand.dial()
        lines = [("Host", f"127.0.0.1:{stand.port}"), *HANDSHAKE]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self.socket.sendall(f"GET /ws/generate HTTP/1.1\r\n{head}\r\n".encode())
        self._read = b""
        while b"\r\n\r\n" not in self._read:
            self._read += self.socket.recv(4096)
        self._read = self._read.partition(b"\r\n\r\n")[2]

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has cut the connection takes no more."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._read += more
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield opcode and payload of what the server sends until the connection ends."""
        try:
            while True:
                first, size = self._take(2)
                if size == 126:
                    (size,) = struct.unpack("!H", self._take(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self._take(8))
                yield first & 15, self._take(size)
        except (EOFError, ConnectionError):
            return


def told(peer: Peer) -> tuple[list[str], int | None]:
    """Return the codes of the errors that a client is sent, and the close code."""
    errors, code = [], None
    for opcode, payload in peer.frames():
        if opcode == TEXT and (message := json.loads(payload))["type"] == "error":
            errors.append(message["code"])
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0]
    return errors, code


FLOODS = {
    "empty Pings": frame(PING),
    "full Pings": frame(PING, b"x" * 125),
    "Pongs": frame(PONG),
    "empty fragments": frame(CONT, fin=0),
    "heartbeats": frame(TEXT, b'{"type":"heartbeat"}'),
    "cancels": frame(TEXT, b'{"type":"cancel"}'),
    "what is refused": frame(TEXT, b'{"type":"resume"}'),
}


@pytest.mark.parametrize("flood", FLOODS, ids=lambda name: name.replace(" ", "-"))
def test_a_client_that_floods_is_told_and_then_sent_away(stand: Stand, flood: str) -> None:
    peer = Peer(stand)
    with peer.socket:
        if flood == "empty fragments":
            peer.send(frame(TEXT, b"{", fin=0))
        peer.send(FLOODS[flood] * (MOST_AT_ONCE + TOLERATED + 3000))
        errors, code = told(peer)

    assert code == 4429
    assert errors.count("rate_limited") == 1
    with stand.connection() as other:
        other.send('{"type":"heartbeat","id":"h"}')
        assert message_of(other, "heartbeat")["re"] == "h"


def test_a_burst_within_the_bound_is_served_to_the_last_frame(stand: Stand) -> None:
    peer = Peer(stand)
    with peer.socket:
        peer.send(frame(PING) * (MOST_AT_ONCE - 100))
        peer.send(frame(TEXT, b'{"type":"heartbeat","id":"last"}'))
        seen = takewhile(lambda found: b'"last"' not in found[1], peer.frames())

        assert sum(opcode == PONG for opcode, _ in seen) == MOST_AT_ONCE - 100


@pytest.mark.whole
def test_a_client_that_takes_nothing_gets_one_pong_for_its_many_pings(stand: Stand) -> None:
    peer = Peer(stand)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    prompt = json.dumps(
        {"prompt": json.dumps({"runwire_script": [{"repeat": 30, "steps": [{"token": "x" * 30000}]}]})}
    )
    with peer.socket:
        payload = prompt.encode()
        peer.send(frame(TEXT, payload))
        time.sleep(0.5)  # its answer fills what it does not take
        for number in range(500):
            peer.send(frame(PING, b"%d" % number))
        pongs = [payload for opcode, payload in peer.frames() if opcode in {PONG, CLOSE}]

    assert pongs and len(pongs) < 500, len(pongs)


def test_a_client_that_says_goodbye_and_takes_nothing_does_not_break_the_end(tmp_path: Path) -> None:
    script = {"runwire_script": [{"repeat": 100, "steps": [{"token": "x" * 30000}]}]}
    with subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        peer = Peer(Stand(listening(server), tmp_path))
        with peer.socket:
            peer.send(frame(TEXT, json.dumps({"prompt": json.dumps(script)}).encode()))
            time.sleep(0.5)  # its answer fills what it does not take
            peer.send(frame(CLOSE, struct.pack("!H", 1000)))
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            try:
                assert server.wait(patience(20)) == 0
            finally:
                server.kill()
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()


def test_a_large_message_in_one_piece_is_served(stand: Stand) -> None:
    with stand.connection() as peer:
        peer.send(json.dumps({"prompt": "x" * 900_000, "id": "s"}))
        assert message_of(peer, "started")["re"] == "s"
