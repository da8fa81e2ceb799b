"""The library websockets by itself."""

import asyncio
import json

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.work import TEXT, bound, tokens


async def answer(socket: ServerConnection) -> None:
    """Answer the prompts of one connection."""
    try:
        async for text in socket:
            async for number in tokens(json.loads(text)["prompt"]):
                event = {"type": "token", "data": TEXT, "run_id": "r" * 22, "seq": number}
                await socket.send(json.dumps(event | {"ts": "2026-01-01T00:00:00.000Z"}))
            await socket.send('{"type":"done"}')
    except ConnectionClosed:
        return


async def main() -> None:
    """Serve until killed."""
    async with serve(answer, sock=bound(), compression=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
