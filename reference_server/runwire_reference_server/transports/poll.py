"""Long poll: a finite read of a run's log that waits for new events (chapter 9)."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive

from runwire_reference_server.run_log.events import Entry
from runwire_reference_server.run_log.feed import Page
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import LOOK_S
from runwire_reference_server.service.reader import Reader
from runwire_reference_server.service.service import Service


async def poll(
    service: Service, key: RunKey, after: int, epoch: str | None, wait_s: float, receive: Receive
) -> Response:
    """Return a run's events behind a cursor as soon as there are any, or `wait_s` is over; raises Refusal.

    ([POLL-2] to [POLL-5].)
    """
    woken = asyncio.Event()
    reader = Reader(service, key, listed, woken.set)
    await reader.attach(after, epoch)
    left = asyncio.create_task(_left(receive))
    left.add_done_callback(lambda _: woken.set())
    try:
        page = await _page(service, reader, wait_s, woken, left)
        run = await service.store.get(key)
    finally:
        by_server = not left.done()
        left.cancel()
        await reader.leave(by_server=by_server)  # [POLL-5]
    head: dict[str, Any] = {"run_id": key.run_id, "epoch": run.epoch, "status": run.status}
    head["next"] = f"{run.epoch}.{reader.cursor}"
    events = page.data if page is not None else b""
    body = json.dumps(head).encode()[:-1] + b', "events": [' + events + b"]}"
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _page(
    service: Service, reader: Reader, wait_s: float, woken: asyncio.Event, left: asyncio.Task[None]
) -> Page | None:
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while (page := reader.next()) is None:
        left_s = until - loop.time()
        finished = not reader.filling and (await service.store.get(reader.key)).status.finished
        if (left_s <= 0 and not reader.filling) or left.done() or finished:
            return reader.next()  # what came between the two looks
        with suppress(TimeoutError):
            async with asyncio.timeout(min(left_s, LOOK_S) if left_s > 0 else LOOK_S):
                await woken.wait()
        woken.clear()
    return page


def listed(entries: Sequence[Entry], _epoch: bytes) -> bytes:
    """Write entries as the items of a JSON array."""
    return b",".join(entry.data for entry in entries)


async def _left(receive: Receive) -> None:
    """Return when whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
