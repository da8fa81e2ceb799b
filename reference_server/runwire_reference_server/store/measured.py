"""A store that counts, and logs the ends of, what is appended to the store behind it."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from runwire_reference_server.events import Draft, Entry, Event
from runwire_reference_server.metrics import Metrics
from runwire_reference_server.runs import Principal, RunKey, RunRequest
from runwire_reference_server.store import Created, Store

log = logging.getLogger(__name__)


class MeasuredStore:
    """Hands everything on; whatever it does not count itself is the method of the store behind."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._accepted_at: dict[RunKey, float] = {}
        store.on_end(self._count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def create(self, principal: Principal, request: RunRequest, max_unfinished: int) -> Created:
        """Note when the run was accepted."""
        created = await self._store.create(principal, request, max_unfinished)
        if created.lease is not None:
            self._accepted_at[created.run.key] = time.monotonic()
        return created

    async def append(
        self, key: RunKey, lease: str, expected_seq: int, drafts: Sequence[Draft]
    ) -> list[Entry] | None:
        """Count the events, or the refusal."""
        entries = await self._store.append(key, lease, expected_seq, drafts)
        if entries is None:
            self._metrics.refused_appends.inc()
            return None
        for item in entries:
            self._count(item.event)
        if self._accepted_at:
            self._first(key)
        return entries

    def hold(self, key: RunKey, withdrawn: Callable[[], None]) -> Callable[[], None]:
        """Forget, with what is held, when the run was accepted: it may have ended on another node."""
        release = self._store.hold(key, withdrawn)

        def forget() -> None:
            self._accepted_at.pop(key, None)
            release()

        return forget

    async def finish(self, key: RunKey, terminal: Event) -> Entry | None:
        """Count the end."""
        return self._ended(key, await self._store.finish(key, terminal))

    async def finish_unread(self, key: RunKey, terminal: Event) -> Entry | None:
        """Count the end."""
        return self._ended(key, await self._store.finish_unread(key, terminal))

    async def close_input(self, key: RunKey, request_id: str, outcome: str, answer: Any = None) -> bool:
        """Count the event."""
        closed = await self._store.close_input(key, request_id, outcome, answer)
        if closed:
            self._metrics.appended({"type": "input_closed"})
        return closed

    def _ended(self, key: RunKey, item: Entry | None) -> Entry | None:
        if item is not None:
            self._count(item.event)
            self._first(key)
        return item

    def _count(self, event: Event) -> None:
        self._metrics.appended(event)
        if event["type"] in {"done", "error"}:
            told = {"trace_id": event.get("trace_id"), "status": event.get("status", "failed")}
            log.info("a run ended", extra=told | {"reason": event.get("reason", event.get("code"))})

    def _first(self, key: RunKey) -> None:
        accepted_at = self._accepted_at.pop(key, None)
        if accepted_at is not None:
            self._metrics.first_event.observe(time.monotonic() - accepted_at)
