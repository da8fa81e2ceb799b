"""A reader: a cursor on a run's log that is pulled as fast as its socket takes the bytes (chapter 12)."""

from collections.abc import Callable

from runwire_reference_server.events import Entry, merged
from runwire_reference_server.runs import RunKey, new_identifier
from runwire_reference_server.service import PAGE, Service
from runwire_reference_server.store import Snapshot

#: From how many waiting entries on a reader counts as lagging, so that adjacent ones are merged.
LAG = 32


class Reader:
    """Reads one run for one connection or stream."""

    def __init__(self, service: Service, key: RunKey, wake: Callable[[], None]) -> None:
        """`wake` is called whenever there may be more to pull."""
        self.key = key
        self.cursor = 0
        self._service = service
        self._name = new_identifier()
        self._wake = wake
        self._unwatch: Callable[[], None] | None = None

    async def attach(self, after: int, epoch: str | None = None, *, resume: bool = False) -> Snapshot:
        """Begin, or go on, to read from `after` ([RESUME-16]); raises Refusal."""
        attach = self._service.resume if resume else self._service.attach
        run = await attach(self.key, self._name, after, epoch)
        if self._unwatch is None:
            self._unwatch = self._service.store.watch(self.key, self._wake)
        self.cursor = after
        return run

    async def pull(self) -> list[Entry]:
        """Return the next entries, merged when the reader lags; empty when there are none.

        They are as many as `send_buffer_bytes` has room for, and one at least ([FLOW-2]).
        """
        entries = await self._service.store.follow(self.key, self.cursor, PAGE)
        if len(entries) >= LAG:
            entries = list(merged(self._bounded(entries), self._service.settings.number("max_event_bytes")))
        return entries

    def _bounded(self, entries: list[Entry]) -> list[Entry]:
        room = self._service.settings.number("send_buffer_bytes") - len(entries[0].data)
        for place, item in enumerate(entries[1:], start=1):
            room -= len(item.data)
            if room < 0:
                return entries[:place]
        return entries

    async def close(self, *, by_server: bool) -> None:
        """Give up the place of a reader."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
            await self._service.detach(self.key, self._name, by_server=by_server)
