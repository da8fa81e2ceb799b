"""A reader: a cursor on a run's log that is pulled as fast as its socket takes the bytes (chapter 12)."""

from collections.abc import Callable

from runwire_reference_server.events import Entry, merged
from runwire_reference_server.runs import RunKey
from runwire_reference_server.service import PAGE, Service

#: From how many waiting entries on a reader counts as lagging, so that adjacent ones are merged.
LAG = 32


class Reader:
    """Reads one run for one connection or stream."""

    def __init__(self, service: Service, key: RunKey, after: int, wake: Callable[[], None]) -> None:
        self.key = key
        self.cursor = after
        self._service = service
        self._unwatch = service.store.watch(key, wake)
        self._open = True

    async def pull(self) -> list[Entry]:
        """Return the next entries, merged when the reader lags; empty when there are none."""
        entries = await self._service.store.read(self.key, self.cursor, PAGE)
        if len(entries) >= LAG:
            entries = list(merged(entries, self._service.settings.number("max_event_bytes")))
        return entries

    def move(self, after: int) -> None:
        """Go on from another place ([RESUME-16])."""
        self.cursor = after

    async def close(self, *, by_server: bool) -> None:
        """Give up the place of a reader."""
        if self._open:
            self._open = False
            self._unwatch()
            await self._service.detach(self.key, by_server=by_server)
