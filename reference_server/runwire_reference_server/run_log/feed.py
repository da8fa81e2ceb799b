"""Node-local feed of one log: its recent or all entries, and the readers that wait for more.

Readers that stand at the same place are handed the same page, whose bytes were made once.
"""

from array import array
from collections.abc import Callable, Sequence
from time import time_ns

import msgspec

from runwire_reference_server.run_log.events import TERMINALS, Draft, Entry, merged, place_of, placed, stamp
from runwire_reference_server.run_log.refusal import RunNotFound
from runwire_reference_server.run_log.runs import RunKey

#: Turns entries of a log, which has that epoch, into what is written to a reader's socket.
Form = Callable[[Sequence[Entry], bytes], bytes]

#: Bytes of a log that a reader is handed at once; one entry it gets, whatever its size ([FLOW-2]).
PAGE_BYTES = 65_536

#: From how many waiting entries on a reader counts as lagging, so that adjacent ones are merged.
LAG = 32


class Owner:
    """Whose logs they are: how many bytes are kept of them, and how many runs are unfinished."""

    __slots__ = ("kept", "unfinished")

    def __init__(self) -> None:
        self.kept = self.unfinished = 0


class Page(msgspec.Struct, frozen=True, gc=False):
    """Entries above `after` up to and with `seq`, as they are written; `more` when others wait already."""

    after: int
    seq: int
    data: bytes
    terminal: bool
    more: bool


class Feed:
    """Entries of one log without hole: those after `first`, up to `seq`; here they are all there."""

    __slots__ = (
        "_owner", "_pages", "_place", "_totals", "_watchers",
        "at_ms", "entries", "epoch", "first", "gone", "key", "seq", "size",
    )  # fmt: skip

    def __init__(self, key: RunKey, epoch: str, owner: Owner) -> None:
        """`owner` is who pays for what is appended here."""
        self.key = key
        self.epoch = epoch.encode()
        self.first = self.seq = self.size = self.at_ms = 0
        self.entries: list[Entry] = []
        self.gone = False
        self._place = place_of(key.run_id)
        self._totals = array("Q")
        self._owner = owner
        self._pages: dict[Form, Page] = {}
        self._watchers: dict[Callable[[], None], None] = {}

    def append(self, drafted: Draft) -> int:
        """Put a draft at the end; returns the size of the log."""
        self.seq = seq = self.seq + 1
        self.at_ms = at_ms = time_ns() // 1_000_000
        entry = placed(drafted, self._place, seq, stamp(at_ms))
        more = len(entry.data)
        self.size = size = self.size + more
        self.entries.append(entry)
        self._totals.append(size)
        self._owner.kept += more
        for wake in self._watchers:
            wake()
        return size

    def size_after(self, seq: int) -> int:
        """Return how many bytes of a log that is all here lie above `seq`."""
        return self.size - (self._totals[seq - 1] if 0 < seq <= self.seq else 0)

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake`, which does nothing at once, whenever there may be more."""
        self._watchers[wake] = None

    def leave(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        self._watchers.pop(wake, None)

    def wake(self) -> None:
        """Tell everyone that there may be more."""
        for wake in self._watchers:
            wake()

    def end(self) -> None:
        """Tell everyone that the log is gone."""
        self.gone = True
        self.wake()

    def page(self, after: int, form: Form, most_bytes: int, max_event_bytes: int) -> Page | None:
        """Return the page above `after`, which is not below `first`; None when there is none yet.

        `most_bytes` bounds what is taken of the log, `max_event_bytes` what is merged.
        """
        if self.gone:
            raise RunNotFound
        known = self._pages.get(form)
        if known is not None and known.after == after and (known.more or known.seq == self.seq):
            return known
        start, stop = after - self.first, len(self.entries)
        if start >= stop:
            return None
        if stop - start == 1:
            last = self.entries[-1]
            page = Page(after, last.seq, form((last,), self.epoch), last.kind in TERMINALS, False)
        else:
            told = self._bounded(start, most_bytes)
            page = page_of(told, self.epoch, form, max_event_bytes, more=start + len(told) < stop)
        self._pages[form] = page
        return page

    def _bounded(self, start: int, most_bytes: int) -> list[Entry]:
        stop, room = start + 1, most_bytes - len(self.entries[start].data)
        while stop < len(self.entries) and (room := room - len(self.entries[stop].data)) >= 0:
            stop += 1
        return self.entries[start:stop]


def page_of(entries: Sequence[Entry], epoch: bytes, form: Form, max_event_bytes: int, *, more: bool) -> Page:
    """Return the page that hands over `entries`, merged when they are many."""
    last = entries[-1]
    told = entries if len(entries) < LAG else [*merged(entries, max_event_bytes)]
    return Page(entries[0].seq - 1, last.seq, form(told, epoch), last.kind in TERMINALS, more)
