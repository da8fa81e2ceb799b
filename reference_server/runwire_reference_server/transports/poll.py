"""Long poll: a finite read of a run's log that waits for new events (chapter 9)."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive

from runwire_reference_server.run_log.events import Entry
from runwire_reference_server.run_log.feed import Page
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import StoreGone
from runwire_reference_server.service.reader import Reader
from runwire_reference_server.service.service import Service

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
        reader = Reader(service, self.key, listed, woken.set)
        await reader.attach(self.after, self.epoch)
        left = asyncio.create_task(_left(receive))
        try:
            page = await self._page(service, reader, woken, left)
            run = await service.get(self.key)
        finally:
            by_server = not left.done()
            left.cancel()
            detached = reader.leave(by_server=by_server)  # [POLL-5]
            if detached is not None:
                await detached
        seq = page.seq if page is not None else self.after
        head: dict[str, Any] = {"run_id": self.key.run_id, "epoch": run.epoch, "status": run.status}
        head["next"] = f"{run.epoch}.{seq}"
        events = page.data if page is not None else b""
        body = json.dumps(head).encode()[:-1] + b', "events": [' + events + b"]}"
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def _page(
        self, service: Service, reader: Reader, woken: asyncio.Event, left: asyncio.Task[None]
    ) -> Page | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait_s
        while (page := self._next(reader)) is None:
            left_s = until - loop.time()
            finished = not reader.filling and (await service.get(self.key)).status.finished
            if (left_s <= 0 and not reader.filling) or left.done() or finished:
                return self._next(reader)  # what came between the two looks
            waiting = asyncio.create_task(woken.wait())
            await asyncio.wait(
                {waiting, left},
                timeout=min(max(left_s, 0.0), LOOK_S) or LOOK_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            waiting.cancel()
            woken.clear()
        return page

    def _next(self, reader: Reader) -> Page | None:
        """Return what comes next, if anything does; raises Refusal."""
        try:
            return reader.next()
        except RunNotFound:
            raise Refusal("not_found", "no such run") from None
        except StoreGone:
            raise Refusal("unavailable", "the store does not answer", 1) from None


def listed(entries: Sequence[Entry], _epoch: bytes) -> bytes:
    """Write entries as the items of a JSON array."""
    return b",".join(entry.data for entry in entries)


async def _left(receive: Receive) -> None:
    """Return when whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
