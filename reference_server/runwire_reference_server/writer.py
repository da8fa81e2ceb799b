"""Writes one run's log: what its agent says, made to fit, in order, as long as the run has its lease."""

import asyncio
from collections.abc import Sequence

from runwire_reference_server.agents import done
from runwire_reference_server.events import Draft, Event
from runwire_reference_server.settings import Settings
from runwire_reference_server.sizing import ENVELOPE_BYTES, Fitter
from runwire_reference_server.store import RunNotFound, Snapshot, Store

#: Bytes of a log kept free for its terminal.
TERMINAL_ROOM = 2048

#: Bytes that an agent may say while a far store has not answered yet. As the least event counts ENVELOPE_BYTES,
#: this bounds also how many events are appended at once.
AHEAD_BYTES = 65_536


class Writer:
    """Appends events one by one where the store is near, and where it is far those that wait for it together.

    An agent never waits for a far store that keeps up with it; nor do its events wait for the agent.
    """

    def __init__(self, store: Store, settings: Settings, run: Snapshot, lease: str) -> None:
        self._store = store
        self._key = run.key
        self._lease = lease
        self._most = settings.number("log_bytes") - TERMINAL_ROOM
        self._fitter = Fitter(settings.number("max_event_bytes"), settings.number("json_depth"))
        self._seq = 0
        self._size = 0
        self._waiting: list[Draft] = []
        self._ahead = 0
        self._over = False
        self._fault: Exception | None = None
        self._said, self._answered = asyncio.Event(), asyncio.Event()
        self._job = asyncio.create_task(self._write_what_waits()) if store.far else None

    async def append(self, event: Event) -> bool:
        """Append what `event` amounts to; False when the run is over, which a far store tells later."""
        for draft in self._fitter.fit(event):
            if self._full_with(draft):
                await self.settled()  # what is on its way takes less than was allowed for
            if self._full_with(draft):
                # [RUN-34] nothing is evicted, so what would not fit ends the run.
                await self.end(done("the log is full", "incomplete", "length"))
                return False
            if not await self._append(draft):
                return False
        return True

    async def end(self, terminal: Event) -> None:
        """Append the last event, unless another ended the run before."""
        (draft,) = self._fitter.fit(terminal)
        if await self._append(draft):
            await self.settled()

    async def settled(self) -> bool:
        """Wait until everything is appended; False when the run is over."""
        return await self._until_ahead_by(0)

    def stop(self) -> None:
        """Write nothing more."""
        if self._job is not None:
            self._job.cancel()

    def _full_with(self, draft: Draft) -> bool:
        return self._size + self._ahead + _size(draft) > self._most

    async def _append(self, draft: Draft) -> bool:
        if self._job is None:
            return await self._write([draft])
        if not await self._until_ahead_by(max(0, AHEAD_BYTES - _size(draft))):
            return False
        self._waiting.append(draft)
        self._ahead += _size(draft)
        self._said.set()
        return True

    async def _until_ahead_by(self, most: int) -> bool:
        while self._ahead > most and not self._over:
            self._answered.clear()
            await self._answered.wait()
        if self._fault is not None:
            raise self._fault
        return not self._over

    async def _write_what_waits(self) -> None:
        try:
            while not self._over:
                await self._said.wait()
                self._said.clear()
                drafts, self._waiting = self._waiting, []
                self._over = not await self._write(drafts)
                self._ahead -= sum(map(_size, drafts))
                self._answered.set()
        except Exception as fault:
            self._fault, self._over = fault, True
            self._answered.set()

    async def _write(self, drafts: Sequence[Draft]) -> bool:
        """Append at the end of the log, wherever `input_closed` has moved it; False when the run is over."""
        while True:
            entries = await self._store.append(self._key, self._lease, self._seq + 1, drafts)
            if entries is not None:
                self._seq = entries[-1].seq
                self._size += sum(len(item.data) for item in entries)
                return True
            try:
                run = await self._store.get(self._key)
            except RunNotFound:
                return False
            if run.status.finished or run.seq <= self._seq:
                return False  # [RUN-31] another terminal came first, or the lease is lost
            self._seq, self._size = run.seq, run.log_bytes


def _size(draft: Draft) -> int:
    return len(draft.data) + ENVELOPE_BYTES
