"""An HTTP server that answers as it is told, piece by piece, and sees when its caller hangs up."""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.patience import patience


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    path: str
    authorization: str | None
    body: dict[str, Any]
    method: str = "POST"
    last_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, and what then: the body ends, is cut off, or waits until the caller hangs up."""

    pieces: tuple[bytes, ...] = ()
    then: Literal["end", "cut", "hold"] = "end"
    status: int = 200
    type: str = "text/event-stream"
    encoding: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class FakeUpstream:
    """The server: what it was asked, and whether a caller hung up on an answer that waits."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    waits: threading.Event = field(default_factory=threading.Event)


def stream(*events: object) -> tuple[bytes, ...]:
    """Return server-sent events: a string as it is, anything else as the JSON of a `data` line."""
    return tuple(
        (event if isinstance(event, str) else f"data: {json.dumps(event, ensure_ascii=False)}\n\n").encode()
        for event in events
    )


@contextlib.contextmanager
def fake_upstream(answer: Callable[[Asked], Answer]) -> Iterator[FakeUpstream]:
    """Serve until the end of the block, answering every GET and POST with what `answer` returns."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._respond(b"{}")

        def do_POST(self) -> None:
            self._respond(self.rfile.read(int(self.headers["Content-Length"])))

        def _respond(self, content: bytes) -> None:
            last_event_id = self.headers["Last-Event-ID"]
            body = json.loads(content)
            asked = Asked(self.path, self.headers["Authorization"], body, self.command, last_event_id)
            upstream.asked.append(asked)
            given = answer(asked)
            self.send_response(given.status)
            self.send_header("Content-Type", given.type)
            self.send_header("Transfer-Encoding", "chunked")
            for name, value in given.headers.items():
                self.send_header(name, value)
            if given.encoding:
                self.send_header("Content-Encoding", given.encoding)
            self.end_headers()
            try:
                for piece in given.pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            except ConnectionError:
                upstream.hung_up.set()
                self.close_connection = True
                return
            if given.then == "end":
                self.wfile.write(b"0\r\n\r\n")
                return
            self.close_connection = True
            if given.then == "hold":
                upstream.waits.set()
                self.connection.settimeout(patience(20))
                with contextlib.suppress(ConnectionError):
                    if self.connection.recv(1):
                        return
                upstream.hung_up.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    upstream = FakeUpstream(f"http://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
