"""Encoding of messages as WebSocket frames (RFC 6455, section 5.2) and of events as SSE blocks (chapter 9)."""

from collections.abc import Callable, Sequence

from runwire_reference_server.run_log.events import Entry

#: Turns entries of a log, which has that epoch, into what is written to a reader's socket.
Form = Callable[[Sequence[Entry], bytes], bytes]

HEARTBEAT_BLOCK = b'data: {"type":"heartbeat"}\n\n'  # [SSE-12], [SSE-13]


def text_frame(data: bytes) -> bytes:
    """Return a whole, unmasked text frame, as servers send them."""
    size = len(data)
    if size < 126:
        return b"\x81%c%b" % (size, data)
    if size < 65_536:
        return b"\x81\x7e%c%c%b" % (size >> 8, size & 0xFF, data)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), data)


def websocket_frames(entries: Sequence[Entry], _epoch: bytes) -> bytes:
    """Return a frame for each entry."""
    if len(entries) == 1:
        return text_frame(entries[0].data)
    return b"".join([text_frame(item.data) for item in entries])


def event_blocks(entries: Sequence[Entry], epoch: bytes) -> bytes:
    """Return a block for each entry, with its cursor as `id` ([SSE-4], [SSE-6])."""
    if len(entries) == 1:
        return b"id: %b.%d\ndata: %b\n\n" % (epoch, entries[0].seq, entries[0].data)
    return b"".join([b"id: %b.%d\ndata: %b\n\n" % (epoch, item.seq, item.data) for item in entries])


def chunked_blocks(entries: Sequence[Entry], epoch: bytes) -> bytes:
    """Return the blocks as one chunk of a body whose end is not known (RFC 9112, section 7.1)."""
    return chunk(event_blocks(entries, epoch))


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
