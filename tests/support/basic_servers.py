"""Servers that answer whatever a test has them answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

#: Seconds for which the judge waits for a server that may be slow, and within which it is done with any bad one.
PATIENCE_S = 5


DONE_S = 60 - 30 + PATIENCE_S


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def port_of(answer: Serve | None) -> AsyncIterator[int]:
    """Listen on a free port and serve every connection with `answer`, or leave it alone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if answer:
                await answer(reader, writer)
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
