"""Resumable AG-UI event stream of one run, with an id on each block."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from runwire_reference_server.integrations.ag_ui_endpoint.events import AgUiEvent, Translation
from runwire_reference_server.run_log.events import Entry, Event, encode
from runwire_reference_server.run_log.feed import Page
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Snapshot
from runwire_reference_server.service.service import Service
from runwire_reference_server.transports.sse import EventStream

_CURSOR = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,16})(?:\.([0-9]{1,4}))?")


#: A log that is read again lets others have their turn every so many events.
YIELD_EVERY = 1000


class Cursor(NamedTuple):
    """Where a reader stands: behind an event of the log, and behind `blocks` of what the next one amounts to."""

    epoch: str | None
    seq: int
    blocks: int = 0


def read_cursor(header: Sequence[str]) -> Cursor | None:
    """Return the cursor of a `Last-Event-ID`, None when it is absent or empty; raises Refusal."""
    given = [text for text in header if text]
    if not given:
        return None
    found = _CURSOR.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        raise Refusal("bad_request", "Last-Event-ID must be the id of a block of this run's stream")
    return Cursor(found[1], int(found[2]), int(found[3] or 0))


def json_lines(entries: Sequence[Entry], _epoch: bytes) -> bytes:
    """Return the events of a page, one a line."""
    return b"\n".join([item.data for item in entries])


class AgUiStream(EventStream):
    """Tells a run from a cursor until it ends or asks."""

    transport = "ag_ui"
    heartbeat = b": heartbeat\n\n"
    forms = (json_lines, json_lines)

    def __init__(
        self,
        service: Service,
        key: RunKey,
        on_end: Callable[[], Awaitable[None]],
        remaining_s: Callable[[], float | None],
        translation: Translation,
    ) -> None:
        """`translation` has read nothing yet."""
        super().__init__(service, key, on_end, remaining_s)
        self._translation = translation
        self._sent_blocks = 0
        self._first: AgUiEvent | None = None

    async def begin(self, start: int, cursor: Cursor | None) -> Snapshot:
        """Count as a reader from the cursor, or from `start` with the beginning of a run; raises Refusal.

        What was sent before is read again: it says which messages are open, and which questions are settled.
        """
        after = start if cursor is None else cursor.seq
        if after < start:
            raise Refusal("bad_request", "Last-Event-ID lies before this run")
        run = await self.attach(after, cursor.epoch if cursor else None, resume=cursor is not None)
        entries = await self._service.store.read(run.key, 0, run.seq)
        translation = self._translation
        translation.settled |= {item.event["request_id"] for item in entries if item.kind == "input_closed"}
        for item in entries[:after]:
            translation.pass_over(item)
            if item.seq % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self._sent_blocks = cursor.blocks if cursor else 0
        self._first = None if cursor else translation.started()
        return run

    def _opening_text(self) -> str:
        if self._first is None:
            return ": here it goes on\n\n"
        return _block(f"{self._epoch}.{self._reader.cursor}", self._first)

    def _hand_on(self, page: Page) -> bool:
        blocks: list[str] = []
        for line in page.data.split(b"\n"):
            blocks += self._blocks(msgspec.json.decode(line))
            if self._translation.over:
                break
        if blocks:
            self._send("".join(blocks).encode())
        return self._translation.over or page.terminal

    def _blocks(self, event: Event) -> list[str]:
        """Return the blocks of an event that the reader does not have: those within it count from the one before."""
        before = int(event.get("first_seq") or event["seq"]) - 1
        told = self._translation.read(event)
        names = [*(f"{before}.{place}" for place in range(1, len(told))), f"{event['seq']}"]
        sent, self._sent_blocks = self._sent_blocks, 0
        pairs = list(zip(names, told, strict=False))[sent:]
        return [_block(f"{self._epoch}.{name}", one) for name, one in pairs]


def _block(identifier: str, event: AgUiEvent) -> str:
    return f"id: {identifier}\ndata: {encode(event)}\n\n"
