"""Malformed messages derived from the schemas, and broken frames. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from websockets.frames import Frame, Opcode

from runwire_schemas import CLIENT_TYPES, client_message_violations, schema

#: Values of every JSON type and at its edges; what a schema allows is left out where it does.
EDGES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**53, 2**64, -1e308, "", "x", "x" * 65, "é" * 300, [], [1], {}, {"a": None},
)  # fmt: skip

#: Bytes that no UTF-8 text holds: alone, cut off, overlong, a surrogate, and beyond the last character.
NO_UTF8: dict[str, bytes] = {
    "a byte of no character": b"\xff",
    "a continuation byte alone": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a character beyond the last": b"\xf4\x90\x80\x80",
    "a character cut off": b"\xf0\x9f\x9a",
}


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A message that is to be refused: what is wrong with it, and the sentence that says so."""

    reason: str
    requirement: str
    message: dict[str, Any]


def malformed_messages() -> Iterator[MalformedMessage]:
    """Yield every message of the client with one member missing or of a value that its schema does not allow."""
    for kind, name in CLIENT_TYPES.items():
        described = schema(name)
        good = {"type": kind, **described["examples"][-1]}
        for member in described["properties"]:
            if member in {"type", "id"}:
                continue  # without them the answer cannot be told from others
            left_out = {key: value for key, value in good.items() if key != member}
            yield from _refused(kind, member, left_out, "is missing")
            for value in EDGES:
                yield from _refused(kind, member, {**good, member: value}, f"is {str(value)[:20]!r}")


def _refused(kind: str, member: str, message: dict[str, Any], what: str) -> Iterator[MalformedMessage]:
    violations = client_message_violations(message)
    if violations:
        value = message.get(member)
        integer = member == "after" and isinstance(value, int | float)
        yield MalformedMessage(f"{member} of {kind} {what}", "MSG-17" if integer else "MSG-14", message)


def _bytes(opcode: int, data: bytes = b"", *, first: int = 0x80, mask: bool = True) -> bytes:
    head = bytes([first | opcode, (0x80 if mask else 0) | len(data)])
    return head + (b"\0\0\0\0" if mask else b"") + data


def broken_frames() -> dict[str, bytes]:
    """Return bytes that violate RFC 6455, by what is wrong with them ([MSG-13])."""
    beat = b'{"type":"heartbeat"}'
    text = Frame(Opcode.TEXT, beat, fin=False).serialize(mask=True, extensions=[])
    broken = {
        f"reserved bit {number}": _bytes(1, beat, first=0x80 | bit)
        for number, bit in ((1, 64), (2, 32), (3, 16))
    }
    broken |= {f"reserved opcode {code}": _bytes(code) for code in (3, 7, 11, 15)}
    return broken | {
        "a text without mask": _bytes(1, beat, mask=False),
        "a ping without mask": _bytes(9, b"", mask=False),
        "a ping in fragments": _bytes(9, b"x", first=0),
        "a ping of 126 bytes": bytes([0x89, 0x80 | 126])
        + (126).to_bytes(2, "big")
        + b"\0\0\0\0"
        + b"x" * 126,
        "a continuation of nothing": _bytes(0, beat),
        "a text within a text": text + text,
    }
