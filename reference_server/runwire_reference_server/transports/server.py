"""Server process: uvicorn configuration, and draining on SIGTERM (chapter 14)."""

import asyncio
import logging
import re
import socket
from contextlib import AbstractAsyncContextManager, nullcontext
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.wire.http_wire import HttpProtocol
from runwire_reference_server.transports.wire.websocket_frames import WireProtocol

#: Seconds that clients get to answer the Close frames at the end of a drain.
CLOSING_S = 1.0

_QUERY = re.compile(r"\?[^\s\"']*")


class DrainingServer(uvicorn.Server):
    """Drains before it exits; a second signal exits at once."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        log_level: str = "warning",
        node: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        """`service` is what drains; `node` is entered while the server serves."""
        settings = service.settings
        certificate, key = settings.certificate or (None, None)
        logging.getLogger("uvicorn.error").addFilter(_without_noise)
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=HttpProtocol,
                ws=WireProtocol,
                ws_max_size=settings.number("max_message_bytes"),
                ws_ping_interval=settings.seconds("heartbeat_s"),
                ws_ping_timeout=settings.seconds("pong_timeout_s"),
                ws_per_message_deflate=False,  # [CONN-10]
                log_level=log_level,
                access_log=False,
                log_config=None,
                proxy_headers=False,  # [ORIGIN-5]
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                lifespan="off",
                timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # it is a number of seconds
                timeout_graceful_shutdown=2,
            )
        )
        self._service = service
        self._node = node or nullcontext()
        self._draining: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve as long as the node lives."""
        async with self._node:
            await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first signal."""
        if self._draining is not None or self._service.draining:
            super().handle_exit(sig, frame)
            return
        self._service.draining = True
        asyncio.get_event_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._service.settings.seconds("drain_s")
        await self._service.drain()
        # Readers that lag are sent the rest of their logs before the Close frame ([DRAIN-6]).
        await self._service.left_alone(max(CLOSING_S, until - loop.time()))
        self.should_exit = True


def _without_noise(record: logging.LogRecord) -> bool:
    """Drop what uvicorn's layer says of refused handshakes and blocked streams: no errors; keep queries out."""
    if isinstance(record.args, tuple):  # [AUTH-8] a ticket stands in the query
        record.args = tuple(
            _QUERY.sub("?...", argument) if isinstance(argument, str) else argument
            for argument in record.args
        )
    return "without completing" not in record.getMessage()
