"""A strict reader of server-sent events on raw bytes, after the WHATWG algorithm, fed cut anywhere."""

from dataclasses import dataclass, field


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
        for byte in data:
            if self._after_cr:
                self._after_cr = False
                if byte == 0x0A:
                    continue
            if byte in {0x0A, 0x0D}:
                self._after_cr = byte == 0x0D
                self._line(blocks)
            else:
                self._bytes.append(byte)
        return blocks

    def end(self) -> Block | None:
        """Return what the end of the stream cut off, if anything."""
        if self._bytes:
            self._line([])
        if not self._fields and not self._comments:
            return None
        return Block(tuple(self._fields), tuple(self._comments), closed=False)

    def _line(self, blocks: list[Block]) -> None:
        line = self._bytes.decode()
        self._bytes.clear()
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
