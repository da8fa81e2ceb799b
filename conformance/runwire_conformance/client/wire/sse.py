"""Strict incremental parser for server-sent events, by the WHATWG algorithm.

`BlockParser` keeps everything that stood on the wire, for a judge. `EventReader` does what an EventSource does with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\r|\n")
_DIGITS = re.compile(r"[0-9]+")

#: The longest line that is held; a message is bounded by `max_event_bytes`, far below.
MOST_LINE_BYTES = 32 * 1024 * 1024


#: What a field takes beside its text.
FIELD_BYTES = 150


class EndlessLine(ValueError):
    """A line, or what stands before a blank one, is longer than anyone is willing to hold."""


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two blank lines: the fields in order, the comments, and whether it was closed."""

    fields: tuple[tuple[str, str], ...]
    comments: tuple[str, ...] = ()
    closed: bool = True

    def values(self, name: str) -> list[str]:
        """Return the values of every field called `name`."""
        return [value for field_name, value in self.fields if field_name == name]

    @property
    def data(self) -> str | None:
        """The event's data, its lines joined by line feeds; None for a block without data."""
        lines = self.values("data")
        return "\n".join(lines) if lines else None


@dataclass(slots=True)
class BlockParser:
    """Turns bytes into blocks. A CR LF that is cut in the middle is one line end."""

    most_bytes: int = field(default_factory=lambda: MOST_LINE_BYTES)
    _pieces: list[bytes] = field(default_factory=list)
    _held: int = 0
    #: Bytes of the block that no blank line has closed yet, and what its fields and comments take beside them.
    _block: int = 0
    _fields: list[tuple[str, str]] = field(default_factory=list)
    _comments: list[str] = field(default_factory=list)
    _first: bool = True
    _after_cr: bool = False

    def feed(self, data: bytes) -> list[Block]:
        """Return the blocks that `data` completes; raises UnicodeDecodeError and EndlessLine."""
        blocks: list[Block] = []
        if not data:
            return blocks
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._line(b"".join([*self._pieces, line]), blocks)
            self._pieces, self._held = [], 0
            self._block = self._block + len(line) + FIELD_BYTES if self._fields or self._comments else 0
            if self._block > self.most_bytes:
                raise EndlessLine(f"an event of more than {self.most_bytes} bytes")
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._held > self.most_bytes:
            raise EndlessLine(f"a line of more than {self.most_bytes} bytes")
        return blocks

    @property
    def unfinished(self) -> int:
        """How many bytes have come of an event that no blank line has closed yet, about."""
        return self._held + self._block

    @property
    def open_fields(self) -> Sequence[tuple[str, str]]:
        """The fields of the block that no blank line has closed yet."""
        return self._fields

    def end(self) -> Block | None:
        """Return what the end of the stream cut off, if anything."""
        if self._pieces:
            self._line(b"".join(self._pieces), [])
            self._pieces = []
        if not self._fields and not self._comments:
            return None
        return Block(tuple(self._fields), tuple(self._comments), closed=False)

    def _line(self, raw: bytes, blocks: list[Block]) -> None:
        line = raw.decode()
        if self._first:
            line, self._first = line.removeprefix("\ufeff"), False
        if not line:
            if self._fields or self._comments:
                blocks.append(Block(tuple(self._fields), tuple(self._comments)))
            self._fields, self._comments = [], []
        elif line.startswith(":"):
            self._comments.append(line[1:])
        else:
            name, _, value = line.partition(":")
            self._fields.append((name, value.removeprefix(" ")))


@dataclass(frozen=True, slots=True)
class Event:
    """An event as an EventSource dispatches it."""

    data: str
    type: str = "message"
    last_event_id: str = ""


@dataclass(slots=True)
class EventReader:
    """Reads a stream as an EventSource does: events, the last event id, and the time to wait before coming back."""

    last_event_id: str = ""
    retry_ms: int | None = None
    _parser: BlockParser = field(default_factory=BlockParser)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; raises UnicodeDecodeError and EndlessLine."""
        events = [event for block in self._parser.feed(data) if (event := self._event(block)) is not None]
        self._heed_retry(self._parser.open_fields)
        return events

    def _heed_retry(self, fields: Sequence[tuple[str, str]]) -> None:
        """Take the time to wait from fields; alone among them it counts before a blank line closes the block."""
        for name, value in fields:
            if name == "retry" and _DIGITS.fullmatch(value):
                self.retry_ms = int(value)

    def _event(self, block: Block) -> Event | None:
        kind = "message"
        self._heed_retry(block.fields)
        for name, value in block.fields:
            if name == "id" and "\0" not in value:
                self.last_event_id = value
            elif name == "event":
                kind = value or "message"
        # A block without data moves the id and dispatches nothing.
        return None if block.data is None else Event(block.data, kind, self.last_event_id)
