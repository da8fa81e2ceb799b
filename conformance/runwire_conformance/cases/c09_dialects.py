"""Chapters 5 and 9: requests as real browsers, libraries and proxies send them."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from runwire_conformance.case import Broken, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.dialects import DIALECTS, Connected, Dialect, DialectPeer
from runwire_conformance.client.wire.http import Response, Unanswered, address_of, target_of
from runwire_conformance.client.wire.sse import Block, BlockParser
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import Trace

#: Seconds that the agent of a stream pauses between its two words.
PAUSE_S = 1.2

#: How many streams are open at once.
AT_ONCE = 4


class Speaker:
    """One client that speaks a dialect on one connection for as long as the server keeps that open."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        self.target = target
        self.dialect = dialect
        self._used: Connected | None = None

    async def opened(
        self, method: str, url: str, body: dict[str, Any] | None = None, *, stream: bool = False
    ) -> tuple[DialectPeer, Response, Trace]:
        """Send a request and return the head of its response; raises Broken when there is none."""
        content = None if body is None else json.dumps(body).encode()
        headers = [*self.target.options.sent_headers, *(self.dialect.stream.items() if stream else ())]
        trace = self.target.noted("http", f"{method} {target_of(url)}")
        accept = self.dialect.accepts(headers)
        shown = f"{method} {target_of(url)} as {self.dialect.name} sends it, Accept: {accept}"
        trace.add("client", "request", shown)
        exchange = DialectPeer(self.dialect, address_of(url), self.target.options.tls, self._used)
        exchange.says(method, target_of(url), headers, content)
        try:
            response = await exchange.request(method, target_of(url), headers, None)
        except Unanswered as problem:
            if self._used is not None and method == "GET":
                # Whoever keeps a connection may close it at any time, also while a request is on its way (RFC 9112
                # section 9.3.1): a client sends what is idempotent once more.
                trace.add("server", "lost", "the connection that was kept is closed")
                self._used = None
                return await self.opened(method, url, body, stream=stream)
            raise Broken(f"{self.dialect.name}: expected an HTTP answer: {problem}") from None
        trace.add(
            "server",
            "response",
            f"{response.status} {response.header('content-type') or ''}",
            code=response.status,
        )
        return exchange, response, trace

    async def asked(self, method: str, url: str, body: dict[str, Any] | None = None) -> Response:
        """Send a request and return its whole response."""
        exchange, response, _ = await self.opened(method, url, body)
        content = b"".join([chunk async for chunk in exchange.chunks()])
        self._keep(exchange, response)
        return Response(response.status, response.headers, decoded(response, content))

    def _keep(self, exchange: DialectPeer, response: Response) -> None:
        closes = (response.header("connection") or "").lower() == "close"
        self._used = None if closes else exchange.connection
        if self._used is None:
            exchange.close()

    def end(self) -> None:
        """Close the connection."""
        if self._used is not None:
            self._used[1].close()


def decoded(response: Response, content: bytes) -> bytes:
    """Return a body without the coding that the dialect said it understands, where this library knows it."""
    coding = (response.header("content-encoding") or "identity").lower()
    if coding == "gzip":
        return gzip.decompress(content)
    return zlib.decompress(content) if coding == "deflate" else content


async def messages(exchange: DialectPeer) -> AsyncIterator[tuple[Block, Message]]:
    """Yield the blocks of a response, each with its message or an empty one, until its run or the response ends."""
    parser = BlockParser()
    async for chunk in exchange.chunks():
        for block in parser.feed(chunk):
            message = parsed(block.data or "") or Message()
            yield block, message
            if message.is_terminal:
                return


@proves("HTTP-23", "HTTP-24", "HTTP-25", "HTTP-3", "HTTP-5", script=True, deadline_s=60)
async def every_dialect_is_understood(target: Target) -> None:
    for dialect in DIALECTS:
        speaker = Speaker(target, dialect)
        posted = await speaker.asked("POST", target.runs_url, {"prompt": scripts.THREE_TOKENS})
        shown = (
            f"{dialect.name}: got {posted.status} {posted.body[:150]!r} to a POST of {dialect.content_type}"
        )
        with accuses("HTTP-24"):
            assert not dialect.chunked or posted.status not in {400, 411, 413}, shown
        with accuses("HTTP-23"):
            assert posted.status != 415, shown
        with accuses("HTTP-25"):
            named = posted.header("transfer-encoding")
            assert dialect.version != "1.0" or named is None, f"{dialect.name}: got Transfer-Encoding {named}"
        with accuses("HTTP-3"):
            assert posted.status == 202, shown
            run_id = str(posted.json()["run_id"])
        with accuses("HTTP-5"):
            for _ in range(100):
                status = await speaker.asked("GET", target.run_url(run_id))
                assert status.status == 200, f"{dialect.name}: got {status.status} to a GET of a run"
                if status.json()["status"] == "completed":
                    break
                await asyncio.sleep(0.05)  # how often it is looked, and no bound
            assert status.json()["text"] == "Hello world"
        speaker.end()


@proves("EVENT-4", "HTTP-2", "SSE-1", "HTTP-25", script=True, connections=AT_ONCE, deadline_s=60, timing=True)
async def a_stream_flows_in_every_dialect(target: Target) -> None:
    target.needs("run_s", PAUSE_S + 1, "for a run that pauses")
    prompt = scripts.script(scripts.token("a"), scripts.wait(PAUSE_S * 1000), scripts.token("b"))

    async def streamed(dialect: Dialect) -> None:
        begun = time.monotonic()
        exchange, response, trace = await Speaker(target, dialect).opened(
            "POST", target.runs_url, {"prompt": prompt}, stream=True
        )
        try:
            with accuses("HTTP-2"):
                assert response.status == 200, (
                    f"{dialect.name}: expected 200 to a POST that wants a stream, "
                    f"Accept: {dialect.accepts(dialect.stream.items())}; got {response.status}"
                )
            with accuses("SSE-1"):
                coding = response.header("content-encoding")
                assert coding is None, f"{dialect.name}: the stream comes with Content-Encoding {coding}"
            with accuses("HTTP-25"):
                named = response.header("transfer-encoding")
                assert dialect.version != "1.0" or named is None, (
                    f"{dialect.name}: got Transfer-Encoding {named}"
                )
            came: dict[str, float] = {}
            async for block, event in messages(exchange):
                trace.add("server", "response", str(block.data or "the opening block")[:80])
                came.setdefault(f"{event.get('type')} {event.get('data')}", time.monotonic() - begun)
            with accuses("EVENT-4"):
                first, second = came.get("token a"), came.get("token b")
                if first is None or second is None:
                    raise Broken(f"{dialect.name}: expected two tokens; got {list(came)}")
                assert second - first > PAUSE_S * 0.5, (
                    f"{dialect.name}: both tokens arrived together, {first:.2f} s after the request: "
                    "the stream is gathered on its way and comes in one piece"
                )
        finally:
            exchange.close()

    for first in range(0, len(DIALECTS), AT_ONCE):
        await asyncio.gather(*map(streamed, DIALECTS[first : first + AT_ONCE]))


@proves("SSE-14", "SSE-19", script=True)
async def a_stream_of_a_run_opens_in_every_dialect(target: Target) -> None:
    posted = await target.start_stream(scripts.THREE_TOKENS)
    run = await posted.run()
    await run.terminal()
    url = target.run_url(run.id, "/events")

    for dialect in DIALECTS:
        exchange, response, _ = await Speaker(target, dialect).opened("GET", url, stream=True)
        kinds = [message.type async for _, message in messages(exchange)]
        exchange.close()
        with accuses("SSE-19" if response.status == 406 else "SSE-14"):
            assert response.status == 200, (
                f"{dialect.name}: expected 200 at {urlsplit(url).path}, "
                f"Accept: {dialect.accepts(dialect.stream.items())}; got {response.status}"
            )
        with accuses("SSE-14"):
            assert "resumed" in kinds, f"{dialect.name}: the stream holds no resumed"
