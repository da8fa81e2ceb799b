"""Size limits for upstream responses, enforced before a client library buffers them."""

from collections.abc import AsyncIterator

import httpx2

#: Bytes of the body of an error: enough to name its code.
MAX_ERROR_BYTES = 65_536

#: Bytes and lines of one event of a stream, none of a sane one comes near.
MAX_EVENT_BYTES = 1024 * 1024
MAX_EVENT_LINES = 1000

#: What ends an event: a blank line.
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")

#: Nothing is asked for in a compressed form: a few bytes could become many.
HEADERS = {"Accept-Encoding": "identity"}


async def bound(response: httpx2.Response, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
    """Bound what will be read of a response; as a hook of a client, raises httpx2.RemoteProtocolError."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("a compressed response that was not requested")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    stream = response.stream
    response.stream = _Error(stream) if response.is_error else _Events(stream, max_event_bytes)


class _Error(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ERROR_BYTES
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Events(httpx2.AsyncByteStream):
    """A body whose events are none too large; raises httpx2.RemoteProtocolError at one that is."""

    def __init__(self, stream: httpx2.AsyncByteStream, max_event_bytes: int) -> None:
        self._stream = stream
        self._most = max_event_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = lines = 0
        before = b""
        async for chunk in self._stream:
            seen = before + chunk
            ended = max(seen.rfind(end) + len(end) if end in seen else 0 for end in _ENDS)
            rest = chunk if ended <= len(before) else seen[ended:]
            if ended > len(before):
                size = lines = 0
            size += len(rest)
            lines += rest.count(b"\n") + rest.count(b"\r")
            if size > self._most or lines > MAX_EVENT_LINES:
                raise httpx2.RemoteProtocolError("an event of the stream has no end")
            before = seen[-3:]
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
