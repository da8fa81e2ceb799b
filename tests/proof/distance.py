"""A long way between the judge and a good server: each byte takes its time, either way, and none is lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from .relays import Relay, reset

#: How many pieces are under way at once, and how large each is at most.
PIECES, PIECE = 1000, 65_536


class Distant(Relay):
    """Carries what is said in `way_s` seconds, give or take a quarter of that, in its order."""

    def __init__(self, upstream: str, way_s: float) -> None:
        super().__init__(upstream)
        self._way_s = way_s

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(self._way_s)
            up_reader, up_writer = await asyncio.open_connection(*self._place)
        except OSError:
            reset(writer)
            return
        try:
            await asyncio.gather(self._carry(reader, up_writer), self._carry(up_reader, writer))
        finally:
            writer.close()
            up_writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way = asyncio.Queue[tuple[float, bytes | None]](PIECES)
        arriving = asyncio.create_task(_arrive(under_way, writer))
        loop, last = asyncio.get_running_loop(), 0.0
        try:
            data: bytes | None = b"\0"
            while data:
                try:
                    data = await reader.read(PIECE)
                except OSError:
                    data = None  # a reset
                last = max(last, loop.time() + self._way_s * random.uniform(0.75, 1.25))
                await under_way.put((last, data))
            await arriving
        finally:
            arriving.cancel()


async def _arrive(under_way: asyncio.Queue[tuple[float, bytes | None]], writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at, data = await under_way.get()
        await asyncio.sleep(at - loop.time())
        if data is None:
            reset(writer)
            return
        if writer.is_closing():
            continue  # its reader has gone; what still comes is lost
        with suppress(OSError):
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
