"""How a connection of the server is fair to a peer that it is itself too slow for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runwire_reference_server.transports.session import Send
from runwire_reference_server.transports.websocket import WebSocketConnection
from runwire_reference_server.transports.wire.websocket_frames import WireProtocol


class Listening(WireProtocol):
    """A connection that waits for a Pong, whether or not it reads meanwhile; nothing waits to be sent."""

    def __init__(self, *, behind: bool) -> None:
        self.read_paused, self.ping_timeout = behind, 1.0
        self.planned: list[Any] = []
        self.loop = cast(Any, SimpleNamespace(call_later=lambda _, call, *__: self.planned.append(call)))
        self.transport = cast(Any, SimpleNamespace(get_write_buffer_size=lambda: 0, abort=self.planned.clear))
        self.queue = cast(Any, SimpleNamespace(put_nowait=self.planned.append))
        self.close_timeout = 1.0
        self._written = self._taken_before = 0
        self._received = self._received_before = 0
        self.conn = cast(Any, SimpleNamespace(reader=SimpleNamespace(buffer=b""), current_size=None))
        self._heard_out = False


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is filled when a peer is dropped."""
    drops: list[str] = []
    monkeypatch.setattr(WireProtocol.__mro__[1], "keepalive_timeout", lambda _: drops.append("dropped"))
    return drops


def test_a_server_that_is_behind_listens_once_more_before_it_drops_a_peer(dropped: list[str]) -> None:
    connection = Listening(behind=True)

    connection.keepalive_timeout()
    assert (dropped, connection.planned) == ([], [connection.keepalive_timeout])

    connection.keepalive_timeout()
    assert dropped == ["dropped"]


def test_a_server_that_reads_drops_a_silent_peer_at_once(dropped: list[str]) -> None:
    Listening(behind=False).keepalive_timeout()

    assert dropped == ["dropped"]


def test_an_answer_that_needs_no_waiting_waits_for_nothing() -> None:
    said: list[Any] = []
    waiting = iter([{"type": "websocket.receive", "text": "{}"}] * 21 + [{"type": "websocket.disconnect"}])

    async def receive() -> dict[str, str]:
        return next(waiting)

    def forbidden(_: object) -> None:
        raise AssertionError("a task was made of it")

    connection = WebSocketConnection.__new__(WebSocketConnection)
    for name, value in {
        "_socket": SimpleNamespace(receive=receive),
        "_session": SimpleNamespace(receive=lambda _: Send({"type": "heartbeat"})),
        "_loop": SimpleNamespace(time=lambda: 0.0, create_task=forbidden),
        "_close_code": None,
        "_answers": said,
        "_woken": True,
    }.items():
        setattr(connection, name, value)

    with pytest.raises(StopIteration):  # it ends without ever giving way
        connection._read().send(None)

    assert said == [{"type": "heartbeat"}] * 21


def test_a_peer_whose_message_is_arriving_is_waited_for(dropped: list[str]) -> None:
    connection = Listening(behind=False)
    cast(Any, connection.conn).reader.buffer = b"the beginning of a frame"

    for received, expected in ((100, []), (200, []), (200, ["dropped"])):
        connection._received = received
        connection.keepalive_timeout()
        assert dropped == expected


def test_whole_messages_are_no_pongs(dropped: list[str]) -> None:
    connection = Listening(behind=False)
    connection._received = 100

    connection.keepalive_timeout()

    assert dropped == ["dropped"]
