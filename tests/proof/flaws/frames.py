"""WebSocket frames (RFC 6455, section 5.2) read without judging them and kept with their bytes.

The Sans-I/O layer of `websockets` answers a bad frame instead of handing it on; a proxy must hand it on.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

HELD_BYTES = {True: 128 * 1024, False: 8 * 1024 * 1024}
"""How large a frame is held until it is complete, by whether it is masked; servers answer a header alone."""


class Opcode(IntEnum):
    """The opcodes that RFC 6455 defines."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


OPCODES = frozenset(int(opcode) for opcode in Opcode)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `payload` is unmasked."""

    opcode: int
    payload: bytes
    final: bool = True
    reserved: int = 0

    @property
    def is_control(self) -> bool:
        """Whether it is a Close, Ping or Pong."""
        return self.opcode >= Opcode.CLOSE

    @property
    def close_code(self) -> int | None:
        """The status code of a Close frame, if it has one."""
        if self.opcode != Opcode.CLOSE or len(self.payload) < 2:
            return None
        return int.from_bytes(self.payload[:2], "big")

    def encode(self, *, masked: bool = False) -> bytes:
        """Return the frame's bytes, masked as a client must."""
        head = bytes([(0x80 if self.final else 0) | self.reserved | self.opcode])
        mask_bit, size = (0x80 if masked else 0), len(self.payload)
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65536:
            head += struct.pack("!BH", mask_bit | 126, size)
        else:
            head += struct.pack("!BQ", mask_bit | 127, size)
        if not masked:
            return head + self.payload
        key = os.urandom(4)
        return head + key + apply_mask(self.payload, key)


def apply_mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask `data` with the four bytes of `key`."""
    size = len(data)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def text_frame(text: str) -> Frame:
    """Return `text` as one text frame; lone surrogates pass as they are."""
    return Frame(Opcode.TEXT, text.encode("utf-8", "surrogatepass"))


def close_frame(code: int | None, reason: str = "") -> Frame:
    """Return a Close frame, without a status when `code` is `None`."""
    return Frame(Opcode.CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


class BadFrameError(Exception):
    """A frame that breaks RFC 6455 or is too large to hold: its bytes are to be passed on as they are."""


@dataclass(slots=True)
class FrameReader:
    """Cuts a byte stream into frames.

    `masked` says what the sender is bound to do. From the first frame on that does not keep to RFC 6455,
    `frames` raises BadFrameError and `pending` holds the bytes from there on.
    """

    masked: bool
    pending: bytearray

    def frames(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """Yield each complete frame with its own bytes."""
        self.pending += data
        while (size := self._size()) is not None:
            raw = bytes(self.pending[:size])
            del self.pending[:size]
            yield self._parse(raw), raw

    @property
    def missing(self) -> int | None:
        """How many bytes of the frame that has begun are yet to come, once its head says how many it has."""
        announced = self._announced()
        return None if announced is None else announced - len(self.pending)

    def _size(self) -> int | None:
        total = self._announced()
        return total if total is not None and len(self.pending) >= total else None

    def _announced(self) -> int | None:
        buffer = self.pending
        if len(buffer) < 2:
            return None
        opcode, control = buffer[0] & 0x0F, buffer[0] & 0x08
        ordinary = not buffer[0] & 0x70 and opcode in OPCODES and bool(buffer[1] & 0x80) == self.masked
        length, start = buffer[1] & 0x7F, 2
        if not ordinary or (control and (length > 125 or not buffer[0] & 0x80)):
            raise BadFrameError
        extended = {126: 2, 127: 8}.get(length, 0)
        if len(buffer) < start + extended:
            return None
        if extended:
            length = int.from_bytes(buffer[2 : 2 + extended], "big")
        if length > HELD_BYTES[self.masked]:
            raise BadFrameError
        return start + extended + (4 if self.masked else 0) + length

    def _parse(self, raw: bytes) -> Frame:
        start = 2 + {126: 2, 127: 8}.get(raw[1] & 0x7F, 0)
        payload = raw[start:]
        if self.masked:
            payload = apply_mask(payload[4:], payload[:4])
        return Frame(raw[0] & 0x0F, payload, bool(raw[0] & 0x80), raw[0] & 0x70)
