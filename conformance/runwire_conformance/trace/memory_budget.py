"""Memory budget of all conversations together."""

import asyncio
from dataclasses import dataclass

#: What may be held of all conversations that are still read or not yet judged, in bytes as reckoned below.
MOST_BYTES = 300_000_000

#: What one record takes beside its text, and how many times its text when a message was read from it.
RECORD_BYTES, MESSAGE_FACTOR = 700, 3

#: Records after which one conversation is read no further; the longest of a good server has a third of them.
MOST_RECORDS = 25_000

#: Records that every conversation may have, however much is held of others.
FEW_RECORDS = 500

#: Records from which on a conversation that was read no further counts as a flood, and not as crowded out by others.
FLOOD_RECORDS = 2_000

#: Records that are kept of a conversation that was read no further: enough to judge and to show it.
KEPT_RECORDS = 300

#: Seconds between two looks whether there is room.
ROOM_S = 0.05


@dataclass(slots=True)
class MemoryBudget:
    """The bytes that the traces of one judging hold."""

    bytes: int = 0

    def add(self, text: str, is_message: bool) -> None:
        """Reckon one record more."""
        self.bytes += reckoned(text, is_message)

    def release(self, text: str, is_message: bool) -> None:
        """Reckon one record less."""
        self.bytes -= reckoned(text, is_message)

    async def room(self) -> None:
        """Wait until there is room for a further conversation: those that end are released when they are judged."""
        while self.bytes > MOST_BYTES / 2:  # noqa: ASYNC110 - what is released tells nobody
            await asyncio.sleep(ROOM_S)

    def has_room(self, records: int) -> bool:
        """Whether a conversation with so many records may be read further."""
        return records < FEW_RECORDS or (records < MOST_RECORDS and self.bytes < MOST_BYTES)


def reckoned(text: str, is_message: bool) -> int:
    """Return what a record with this text takes, in bytes: about so much, and rather more."""
    return RECORD_BYTES + len(text) * (MESSAGE_FACTOR if is_message else 1)
