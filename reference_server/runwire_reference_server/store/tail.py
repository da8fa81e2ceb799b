"""The end of a log as this node knows it, so that readers that keep up need not ask a store that is far away."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from runwire_reference_server.events import Entry

#: Entries and bytes that a tail holds.
MOST_ENTRIES = 512
MOST_BYTES = 262_144


class Tail:
    """The latest entries of one log, without hole; `fresh` while this node has heard of nothing newer."""

    def __init__(self) -> None:
        self.fresh = False
        self.age = 0
        self._entries: deque[Entry] = deque()
        self._size = 0

    def outdate(self) -> None:
        """Note that there may be something newer."""
        self.fresh = False
        self.age += 1

    def after(self, seq: int, most: int) -> list[Entry] | None:
        """Return up to `most` entries above `seq`; None when the store has to be asked."""
        if not self.fresh or not self._entries:
            return None
        start = seq + 1 - self._entries[0].seq
        if not 0 <= start <= len(self._entries):
            return None
        return list(islice(self._entries, start, start + most))

    def appended(self, entry: Entry) -> None:
        """Note what this node has just appended: the end of the log."""
        if self._entries and entry.seq <= self._entries[-1].seq:
            self._entries.clear()  # heard of out of order, or another log of this name
            self._size = 0
            self.outdate()
            return
        self._add([entry])
        self.fresh = True

    def read(self, entries: Sequence[Entry], age: int) -> None:
        """Note what was read up to the end of the log, asked for when the tail was of `age`."""
        if entries and not self.fresh and age == self.age:
            self._add(entries)
            self.fresh = True

    def _add(self, entries: Sequence[Entry]) -> None:
        if self._entries and self._entries[-1].seq + 1 != entries[0].seq:
            self._entries.clear()
            self._size = 0
        self._entries.extend(entries)
        self._size += sum(len(entry.data) for entry in entries)
        while len(self._entries) > 1 and (len(self._entries) > MOST_ENTRIES or self._size > MOST_BYTES):
            self._size -= len(self._entries.popleft().data)
