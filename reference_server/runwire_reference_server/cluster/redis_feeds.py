"""Node-local view of logs on Redis: one read serves all readers of a log."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import time_ns
from typing import Any

import msgspec

from runwire_reference_server.run_log.events import Draft, Entry, place_of, placed, stamp
from runwire_reference_server.run_log.feed import Feed, Owner
from runwire_reference_server.run_log.refusal import RunNotFound
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import StoreGone

#: Entries of a log that this node keeps for readers that keep up.
MOST_ENTRIES = 1024

#: The first place of a feed of which nobody has read anything yet.
NOWHERE = sys.maxsize

#: What events do in the store beside standing in the log.
_EFFECTS = {"token": b"t", "replace": b"r", "input_request": b"q", "done": b"e", "error": b"e"}
_TOKEN = b'{"type":"token",'

#: Asks for the entries of a log above a seq; returns its last seq, and as many as are read at once. Raises RunNotFound.
Read = Callable[[RunKey, int], Awaitable[tuple[int, Sequence[Entry]]]]


class _Typed(msgspec.Struct):
    type: str


class FarFeed(Feed):
    """The latest entries of a log that is kept elsewhere; `on_left` is called when nobody watches it any more."""

    __slots__ = ("_on_left",)

    def __init__(self, key: RunKey, epoch: str, on_left: Callable[["FarFeed"], None]) -> None:
        super().__init__(key, epoch, Owner())
        self.first = self.seq = NOWHERE
        self._on_left = on_left

    def begin(self, first: int) -> None:
        """Begin where somebody has read to."""
        self.first, self.seq = first, first

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add what follows the last entry; raises ValueError when it does not."""
        if entries and entries[0].seq != self.seq + 1:
            raise ValueError("a feed has no holes")
        if entries:
            self.entries += entries
            self.seq = entries[-1].seq
            self.at_ms = time_ns() // 1_000_000
        self.wake()

    def forget(self, most: int) -> None:
        """Keep only the last `most` entries."""
        surplus = len(self.entries) - most
        if surplus > 0:
            self.first = self.entries[surplus - 1].seq
            del self.entries[:surplus]

    def leave(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        super().leave(wake)
        if not self._watchers:
            self._on_left(self)


class RedisFeeds:
    """The feeds of one node. Hints say that there is more; they may be lost, and are heard while a read is going on."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._feeds: dict[RunKey, FarFeed] = {}
        self._hints: dict[RunKey, int] = {}
        self._heads: dict[RunKey, int | None] = {}
        self._reading: dict[RunKey, asyncio.Task[None]] = {}

    @property
    def keys(self) -> list[RunKey]:
        """The runs that are watched."""
        return list(self._feeds)

    def watch(self, key: RunKey, wake: Callable[[], None], epoch: str) -> Feed:
        """Return the feed of a log, of that epoch unless it is empty."""
        feed = self._feeds.get(key)
        if feed is not None and epoch and feed.epoch not in {b"", epoch.encode()}:
            feed.end()  # another log of this name
            feed = None
        if feed is None:
            feed = self._feeds[key] = FarFeed(key, epoch, self._left)
            self._heads.pop(key, None)
        feed.epoch = feed.epoch or epoch.encode()
        feed.watch(wake)
        return feed

    def _left(self, feed: FarFeed) -> None:
        if self._feeds.get(feed.key) is feed:
            for known in (self._feeds, self._hints, self._heads):
                known.pop(feed.key, None)

    def appended(self, key: RunKey, first_seq: int, drafts: Sequence[Draft], at_ms: int) -> None:
        """Add what this node has appended itself."""
        feed = self._feeds.get(key)
        if feed is None:
            return
        if feed.first == NOWHERE:
            feed.begin(first_seq - 1)
        if feed.seq + 1 < first_seq:
            self._read_on(feed)
        elif feed.seq + 1 == first_seq:
            place, at = place_of(key.run_id), stamp(at_ms)
            self._add(feed, [placed(item, place, seq, at) for seq, item in enumerate(drafts, first_seq)])

    def grown(self, key: RunKey) -> None:
        """Read what there is above the end of a feed."""
        feed = self._feeds.get(key)
        if feed is not None:
            self._hints[key] = self._hints.get(key, 0) + 1
            if feed.first == NOWHERE:
                feed.wake()
            else:
                self._read_on(feed)

    def look(self, key: RunKey, head: int | None) -> None:
        """Do what a hint would have done, when the last seq of a run is not what it was ([NODE-8])."""
        if key in self._feeds and (head is None or self._heads.get(key) != head):
            self._heads[key] = head
            self.grown(key)

    async def fill(self, feed: Feed, after: int) -> Sequence[Entry]:
        """Return entries above `after`; when they reach the end of the log, the feed goes on from there."""
        assert isinstance(feed, FarFeed)
        hints = self._hints.get(feed.key)
        last, entries = await self._read(feed.key, after)
        end = after + len(entries)
        if feed.first == NOWHERE and end == last:
            feed.begin(after)
        if feed.first <= after <= feed.seq < end:
            self._add(feed, entries[feed.seq - after :])
        if hints != self._hints.get(feed.key):
            self._read_on(feed)
        return entries

    def _read_on(self, feed: FarFeed) -> None:
        if feed.first != NOWHERE and feed.key not in self._reading:
            job = asyncio.get_running_loop().create_task(self._until_the_end(feed))
            self._reading[feed.key] = job
            job.add_done_callback(lambda _: self._reading.pop(feed.key, None))

    async def _until_the_end(self, feed: FarFeed) -> None:
        try:
            with suppress(StoreGone):  # this node is about to let everybody go
                while True:
                    hints, after = self._hints.get(feed.key), feed.seq
                    last, entries = await self._read(feed.key, after)
                    self._add(feed, entries[feed.seq - after :])
                    if feed.seq >= last and hints == self._hints.get(feed.key):
                        return
        except RunNotFound:
            feed.end()

    def _add(self, feed: FarFeed, entries: Sequence[Entry]) -> None:
        feed.extend(entries)
        feed.forget(MOST_ENTRIES)


def lines(drafts: Sequence[Draft]) -> bytes:
    """Return drafts as the script reads them: what an event does beside standing in the log, where its text begins."""
    return b"\n".join(
        [
            b"%b%d %b%b}"
            % (_EFFECTS.get(item.kind, b"n"), len(item.head) if item.text else 0, item.head, item.text)
            for item in drafts
        ]
    )


def entries(key: RunKey, rows: Sequence[Any]) -> list[Entry]:
    """Return what the store keeps of events as they stand in a log."""
    place, found = place_of(key.run_id), []
    for identifier, (_, data, _, at_ms, _, _, _, head) in rows:
        cut = int(head)
        kind = "token" if data.startswith(_TOKEN) else msgspec.json.decode(data, type=_Typed).type
        drafted = Draft(kind, data[:cut], data[cut:-1]) if cut else Draft(kind, data[:-1])
        found.append(placed(drafted, place, int(identifier.partition(b"-")[0]), stamp(int(at_ms))))
    return found
