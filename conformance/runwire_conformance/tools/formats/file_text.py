"""Bounded reading, decompression and decoding of untrusted files."""

import codecs
import json
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

from runwire_conformance.tools.formats.recording import Unreadable

#: The most of a file that is read, unpacked; a recording of a day is smaller.
MOST_BYTES = 512 * 1024 * 1024

GZIP = b"\x1f\x8b"


def text_of(name: str) -> tuple[str, list[str]]:
    """Return the text of a file, and remarks on what is missing of it; `-` is standard input; raises Unreadable.

    Gzip is unpacked, and UTF-8, UTF-16 and UTF-32 are told apart with and without a byte order mark.
    """
    data, remarks = _unpacked(name, _read(name))
    encoding = json.detect_encoding(data[:4]) if data else "utf-8"
    text = _decoded(name, data, encoding)
    if not text.strip("\ufeff \t\r\n"):
        raise Unreadable(
            f"{name}: empty; give a message, JSON lines, a recorded conversation, a HAR file, "
            "or what curl -N or wscat printed"
        )
    return text, remarks


def gunzipped(data: bytes, most: int) -> tuple[bytes, bool]:
    """Return what gzip packed, at most `most` + 1 bytes of it, and whether it is whole; raises zlib.error."""
    found, rest, whole = bytearray(), data, False
    while rest.startswith(GZIP) and len(found) <= most:  # one file may hold several members (RFC 1952)
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(rest, most + 1 - len(found))
        whole, rest = member.eof, member.unused_data
    return bytes(found), whole


def _read(name: str) -> bytes:
    try:
        if name == "-":
            return _at_most(name, sys.stdin.buffer)
        with Path(name).open("rb") as file:
            return _at_most(name, file)
    except OSError as problem:
        raise Unreadable(f"{name}: {problem.strerror}") from None
    except ValueError:  # a name with a NUL in it
        raise Unreadable(f"{name}: not a file name") from None


def _at_most(name: str, file: BinaryIO) -> bytes:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Unreadable(f"{name}: larger than {MOST_BYTES >> 20} MiB; use a part of it")
    return data


def _unpacked(name: str, data: bytes) -> tuple[bytes, list[str]]:
    if not data.startswith(GZIP):
        return data, []
    try:
        found, whole = gunzipped(data, MOST_BYTES)
    except zlib.error as problem:
        raise Unreadable(f"{name}: damaged gzip ({problem})") from None
    if len(found) > MOST_BYTES:
        raise Unreadable(f"{name}: larger than {MOST_BYTES >> 20} MiB when decompressed; use a part of it")
    return found, [] if whole else [f"{name}: the gzip data is truncated; the part before that is judged"]


def _decoded(name: str, data: bytes, encoding: str) -> str:
    """Return the text. A byte that is no UTF-8 stays as half a surrogate pair, so that it spoils its line alone."""
    if encoding in {"utf-8", "utf-8-sig"}:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        if problem.end == len(data):  # cut amid a character
            return data[: problem.start].decode(encoding).removeprefix("\ufeff")
        shown = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        raise Unreadable(f"{name}: not {shown} at byte {problem.start}") from None
