"""Common base of WebSocket connections and event streams: write turns and timers.

Writing is a callback: whoever has something to say asks for it, once a turn of the event loop, and it takes what is
there as long as the socket has room.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol

from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.wire.http_wire import nobody

log = logging.getLogger(__name__)


class Wire(Protocol):
    """The socket; `on_room` is called when it takes bytes again, or when the peer is gone."""

    on_room: Callable[[], None]


class OpenConnection:
    """A connection or stream that is open."""

    __slots__ = (
        "_begun_at", "_context", "_heartbeat_s", "_last_sent", "_loop", "_remaining_s", "_service", "_stop_clock",
        "_wire", "_woken",
    )  # fmt: skip
    transport: str

    def __init__(self, service: Service, remaining_s: Callable[[], float | None]) -> None:
        """`remaining_s` tells how long the credential lasts."""
        self._service = service
        self._remaining_s = remaining_s
        self._loop = asyncio.get_running_loop()
        self._heartbeat_s = service.settings.seconds("heartbeat_s")
        self._begun_at = self._last_sent = self._loop.time()
        self._context = copy_context()  # that of each turn, which is then not copied anew
        self._woken = False
        self._wire: Any = None
        self._stop_clock: Callable[[], object] = nobody

    def notify_draining(self) -> None:
        """Tell that no new runs are taken on, where there is a message for it."""

    def close(self, code: int) -> None:
        """Close with `code` after what was said before."""
        raise NotImplementedError

    def wake(self) -> None:
        """Write what there is in the next turn of the event loop."""
        if not self._woken and self._wire is not None:
            self._woken = True
            self._loop.call_soon(self._write, context=self._context)

    def _open(self, wire: Wire) -> None:
        """Begin to write."""
        self._wire = wire
        wire.on_room = self.wake

    def _count(self) -> None:
        """Count as open, until `_end`."""
        self._service.connections.add(self)
        self._service.metrics.connected(self.transport)

    def _end(self, reason: str, told: dict[str, object]) -> None:
        """Write nothing more, and count and log the end."""
        if self._wire is not None:
            self._wire.on_room = nobody
            self._wire = None
        self._stop_clock()
        self._service.connections.discard(self)
        self._service.metrics.disconnected(self.transport, reason)
        took = {"reason": reason, "duration_s": round(self._loop.time() - self._begun_at, 3)}
        log.info("a connection ended", extra={"transport": self.transport} | told | took)

    def _tick(self) -> None:
        """Look at everything that comes with time, and plan the next look ([BEAT-1])."""
        if self._wire is None:
            return
        now = self._loop.time()
        left = self._remaining_s()
        if left is not None and left <= 0:
            self._expire()
            return
        due = self._due(now)
        if due is None:
            return
        next_beat = self._last_sent + self._heartbeat_s
        if next_beat <= now + 0.001:
            self._beat()
            next_beat = now + self._heartbeat_s
        due = min(due, next_beat, now + (math.inf if left is None else left))
        self._stop_clock = self._service.clock.at(due, self._tick)

    def _write(self) -> None:
        """Write what there is."""
        raise NotImplementedError

    def _beat(self) -> None:
        """Send a heartbeat."""
        raise NotImplementedError

    def _expire(self) -> None:
        """End, as the credential is no longer good ([AUTH-13])."""
        raise NotImplementedError

    def _due(self, now: float) -> float | None:
        """Return when else there is something to look at; None when that has ended the connection."""
        raise NotImplementedError
