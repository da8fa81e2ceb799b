"""Reader: a cursor on a run's log, whose transport decides how fast it moves and when it is too slow (chapter 12)."""

import asyncio
from collections.abc import Callable, Sequence
from time import time

from runwire_reference_server.run_log.events import Entry
from runwire_reference_server.run_log.feed import PAGE_BYTES, Feed, Form, Page, page_of
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import RunKey, new_identifier
from runwire_reference_server.run_log.store import Snapshot
from runwire_reference_server.service.service import Service

#: One page of so many has its delay measured, the first of a reader among them.
SAMPLED = 16


class Reader:
    """Reads one run for one connection or stream."""

    def __init__(self, service: Service, key: RunKey, form: Form, wake: Callable[[], None]) -> None:
        """`wake` is called whenever there may be more, and does nothing at once; `form` is how it is written."""
        self.key = key
        self.form = form
        self.cursor = 0
        self._service = service
        self._name = new_identifier()
        self._wake = wake
        self._feed: Feed | None = None
        self._delivery = service.store.tally.delivery
        self._pages = 0
        self._page_bytes = min(PAGE_BYTES, service.settings.number("send_buffer_bytes"))
        self._event_bytes = service.settings.number("max_event_bytes")
        self._filling: asyncio.Task[None] | None = None
        self._filled: Sequence[Entry] = ()
        self._fault: Exception | None = None

    @property
    def filling(self) -> bool:
        """Whether a store that is far away was asked for what comes next."""
        return self._filling is not None

    async def attach(self, after: int, epoch: str | None = None, *, resume: bool = False) -> Snapshot:
        """Begin, or go on, to read from `after` ([RESUME-16]); raises Refusal."""
        run = await self._service.attach(self.key, self._name, after, epoch, resume=resume)
        if self._feed is None:
            self._feed = self._service.store.watch(self.key, self._wake, run.epoch)
        self.cursor = after
        return run

    def next(self) -> Page | None:
        """Return what comes next and move behind it; None when there is nothing yet. Raises RunNotFound and StoreGone.

        It is what one page has room for, and one entry at least ([FLOW-2]), merged when the reader lags.
        """
        feed = self._feed
        assert feed is not None
        if self.cursor >= feed.first:
            page = feed.page(self.cursor, self.form, self._page_bytes, self._event_bytes)
        else:
            page = self._far_page(feed)
        if page is not None:
            self.cursor = page.seq
            self._pages += 1
            if self._pages % SAMPLED == 1:
                self._delivery.add(max(0.0, time() - feed.at_ms / 1000))
        return page

    def _far_page(self, feed: Feed) -> Page | None:
        if self._fault is not None:
            raise self._fault
        entries, self._filled = self._filled, ()
        if entries and entries[0].seq == self.cursor + 1:
            return page_of(entries, feed.epoch, self.form, self._event_bytes, more=True)
        if self._filling is None:
            self._filling = asyncio.get_running_loop().create_task(self._fill(feed))
        return None

    async def _fill(self, feed: Feed) -> None:
        try:
            self._filled = await self._service.store.fill(feed, self.cursor)
        except Refusal as fault:
            self._fault = fault
        finally:
            self._filling = None
            self._wake()

    def leave(self, *, by_server: bool) -> asyncio.Future[None]:
        """Give up the place of a reader that has attached; returns what is done when that has happened."""
        assert self._feed is not None
        self._feed.leave(self._wake)
        if self._filling is not None:
            self._filling.cancel()
        return self._service.detach(self.key, self._name, by_server=by_server)
