"""A strict reader of server-sent events on raw bytes, after the WHATWG algorithm, fed cut anywhere."""

import re
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\r|\n")


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

    _bytes: bytearray = field(default_factory=bytearray)
    _fields: list[tuple[str, str]] = field(default_factory=list)
    _comments: list[str] = field(default_factory=list)
    _first: bool = True
    _after_cr: bool = False

    def feed(self, data: bytes) -> list[Block]:
        """Return the blocks that `data` completes; raises UnicodeDecodeError for a line that is not UTF-8."""
        blocks: list[Block] = []
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = data.endswith(b"\r")
        self._bytes += data
        *lines, rest = _LINE_END.split(bytes(self._bytes))
        self._bytes = bytearray(rest)
        for line in lines:
            self._line(line, blocks)
        return blocks

    def end(self) -> Block | None:
        """Return what the end of the stream cut off, if anything."""
        if self._bytes:
            self._line(bytes(self._bytes), [])
            self._bytes.clear()
        if not self._fields and not self._comments:
            return None
        return Block(tuple(self._fields), tuple(self._comments), closed=False)

    def _line(self, raw: bytes, blocks: list[Block]) -> None:
        line = raw.decode()
        if self._first:
            self._first = False
            line = line.removeprefix("\ufeff")
        if not line:
            if self._fields or self._comments:
                blocks.append(Block(tuple(self._fields), tuple(self._comments)))
            self._fields, self._comments = [], []
        elif line.startswith(":"):
            self._comments.append(line[1:])
        else:
            name, colon, value = line.partition(":")
            self._fields.append((name, value.removeprefix(" ") if colon else ""))
