"""The work that every server does: so many tokens, one in each turn of the event loop, slowly, or all at once."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

#: What a token says.
TEXT = "some words"


async def tokens(prompt: str) -> AsyncIterator[int]:
    """Yield the numbers of the tokens that `prompt` asks for: `COUNT turn`, `COUNT ready`, or `COUNT MILLISECONDS`."""
    count, _, pace = prompt.partition(" ")
    for number in range(int(count)):
        yield number
        if pace == "turn":
            await asyncio.sleep(0)
        elif pace != "ready":
            await asyncio.sleep(int(pace) / 1000)


def serve(app: Any) -> None:
    """Serve an ASGI application with uvicorn on a free port, which is printed."""
    import uvicorn

    config = uvicorn.Config(
        app, ws="websockets-sansio", ws_per_message_deflate=False, log_level="error", lifespan="auto"
    )
    uvicorn.Server(config).run(sockets=[bound()])


def bound() -> socket.socket:
    """Return a socket on a free port, which is printed."""
    result = socket.socket()
    result.bind(("127.0.0.1", 0))
    result.listen(4096)
    print(f"listening at {result.getsockname()[1]}", flush=True)
    return result
