"""A poll: a finite read of a run's log that waits a while for news (chapter 9)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive

from runwire_reference_server.events import Entry
from runwire_reference_server.reader import Reader
from runwire_reference_server.runs import RunKey
from runwire_reference_server.service import Service

#: Seconds after which a poll that waits looks again by itself: wake-ups are hints.
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Poll:
    """What a poll asks for: the events of a run behind a cursor, and how long to wait for one."""

    key: RunKey
    after: int
    epoch: str | None
    wait_s: float

    async def answer(self, service: Service, receive: Receive) -> Response:
        """Return the events behind the cursor as soon as there are any; raises Refusal ([POLL-2] to [POLL-5])."""
        woken = asyncio.Event()
        reader = Reader(service, self.key, woken.set)
        await reader.attach(self.after, self.epoch)
        left = asyncio.create_task(_left(receive))
        try:
            page = await self._page(service, reader, woken, left)
            run = await service.get(self.key)
        finally:
            by_server = not left.done()
            left.cancel()
            await reader.close(by_server=by_server)  # [POLL-5]
        seq = page[-1].seq if page else self.after
        head: dict[str, Any] = {"run_id": self.key.run_id, "epoch": run.epoch, "status": run.status}
        head["next"] = f"{run.epoch}.{seq}"
        body = (
            json.dumps(head).encode()[:-1] + b', "events": [' + b",".join(item.data for item in page) + b"]}"
        )
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def _page(
        self, service: Service, reader: Reader, woken: asyncio.Event, left: asyncio.Task[None]
    ) -> list[Entry]:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait_s
        while not (page := await reader.pull()):
            left_s = until - loop.time()
            if left_s <= 0 or left.done() or (await service.get(self.key)).status.finished:
                break
            waiting = asyncio.create_task(woken.wait())
            await asyncio.wait(
                {waiting, left}, timeout=min(left_s, LOOK_S), return_when=asyncio.FIRST_COMPLETED
            )
            waiting.cancel()
            woken.clear()
        return page


async def _left(receive: Receive) -> None:
    """Return when whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def answered(
    poll: Poll, service: Service, receive: Receive, give_back: Callable[[], Awaitable[None]]
) -> Response:
    """Answer a poll that has a place among the connections, and give that back."""
    try:
        return await poll.answer(service, receive)
    finally:
        await give_back()
