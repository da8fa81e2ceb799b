"""A client that costs as little as it can: it reads what comes and looks only for the end."""

import json
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Address = tuple[str, int]

#: Bytes read at once.
PIECE = 262_144


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is asked, and by which bytes its answer ends.

    `event` stands in every event. `body` makes of a prompt what is sent, over a WebSocket as a message.
    """

    path: str
    ends: tuple[bytes, ...]
    event: bytes = b'"token"'
    body: Callable[[str], object] = lambda prompt: {"prompt": prompt}
    websocket: bool = False
    headers: str = ""

    def request(self, prompt: str, port: int) -> bytes:
        """Return the bytes that ask."""
        text = json.dumps(self.body(prompt)).encode()
        return frame(text) if self.websocket else self._post(text, port)

    def _post(self, text: bytes, port: int) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{self.headers}"
        head += "Content-Type: application/json\r\n"
        head += f"Accept: text/event-stream, application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        return head.encode() + text


def frame(text: bytes) -> bytes:
    """Return a masked text frame, whose mask is nothing."""
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + text


@dataclass(slots=True)
class Connection:
    """One connection, and when the parts of its answer came, on the clock of this process."""

    way: Way
    socket: socket.socket
    asked_at: float = 0.0
    first_at: float | None = None
    ended_at: float | None = None
    got: int = 0
    _tail: bytes = field(default=b"")

    def read(self) -> None:
        """Read what is there."""
        data = self.socket.recv(PIECE)
        now = time.perf_counter()
        self.got += len(data)
        seen = self._tail + data
        if self.first_at is None and self.way.event in seen:
            self.first_at = now
        if not data or any(end in seen for end in self.way.ends):
            self.ended_at = now
        self._tail = seen[-64:]


def connected(address: Address, way: Way) -> Connection:
    """Open a connection; over WebSocket, with its handshake and the first message of the server."""
    peer = socket.create_connection(address)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way.websocket:
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        peer.sendall(
            f"GET {way.path} HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n{upgrade}{key}\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65_536)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"no WebSocket at {way.path}: {head!r}")
    return Connection(way, peer)


def play(address: Address, way: Way, prompts: Sequence[str], deadline_s: float = 120) -> list[Connection]:
    """Ask all prompts at once, on a connection each, and read all answers to their ends."""
    connections = [connected(address, way) for _ in prompts]
    with selectors.DefaultSelector() as selector:
        for connection, prompt in zip(connections, prompts, strict=True):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.asked_at = time.perf_counter()
            connection.socket.sendall(way.request(prompt, address[1]))
        read_all(selector, connections, deadline_s)
    for connection in connections:
        connection.socket.close()
    return connections


def read_all(selector: selectors.BaseSelector, connections: Sequence[Connection], deadline_s: float) -> None:
    """Read until every answer has ended; raises TimeoutError."""
    left, until = len(connections), time.perf_counter() + deadline_s
    while left:
        ready = selector.select(5)
        for key, _ in ready:
            connection: Connection = key.data
            connection.read()
            if connection.ended_at is not None:
                selector.unregister(connection.socket)
                left -= 1
        if time.perf_counter() > until:
            raise TimeoutError(f"{left} of {len(connections)} answers did not end within {deadline_s:g} s")
