"""The careful client over server-sent events, and by polls where a stream brings nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

from tests.proof.clients.careful.requests import Requests, chunks
from tests.proof.clients.careful.state import OPEN_S, Again, Hole, Message, Returning, Stop


class Streams(Requests):
    """Follows its run over HTTP."""

    async def over_sse(self) -> Again:
        """Follow the run over a stream until it ends."""
        try:
            async with asyncio.timeout(self.first_byte_s()):
                reader, writer, status, media = await self.open_stream()
        except TimeoutError:
            return await self.gathered()
        try:
            if not media.startswith("text/event-stream"):
                body = await reader.read()
                return await self.after_answer(status, media, body)
            data = chunks(reader)
            events = self.events(data)
            while True:
                async with asyncio.timeout(self.silence_s()):
                    message = await anext(events, None)
                if message is None:
                    return self.after_stream()
                await self.take(message)
        except (Hole, Returning):
            return Again(at_once=True)
        except (TimeoutError, OSError):
            return self.after_stream()
        finally:
            writer.close()

    def after_stream(self) -> Again:
        """[SSE-23]"""
        return Again(at_once=True)

    def first_byte_s(self) -> float:
        """[FALL-3]"""
        return OPEN_S

    async def gathered(self) -> Again:
        """[FALL-3]: poll until the run has ended."""
        while self.polls_on():
            page = f"/events?after={self.poll_from()}&wait=1" if self.polls_pages() else ""
            url = f"{self.runs_url()}/{self.run_id}{page}"
            status, _, body = await self.fetch("GET", url, accept="application/json")
            state = json.loads(body) if status == 200 else {}
            for event in state.get("events", []):
                await self.event(event)
            if state.get("status") in {"completed", "failed", "cancelled", "incomplete"} and not page:
                self.stopped("read by polling")
            await asyncio.sleep(0.5)
        raise Stop

    def polls_on(self) -> bool:
        """[FALL-3]: again and again."""
        return True

    def poll_from(self) -> int:
        """The cursor that a poll tells."""
        return self.cursor

    def polls_pages(self) -> bool:
        """[FALL-3]"""
        assert self.discovered is not None
        return "poll" in self.discovered["features"]

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int, str]:
        """Start or resume."""
        headers = {"Accept": "text/event-stream"}
        if not self.accepted:
            return await self.request("POST", self.runs_url(), headers, json.dumps(self.start()).encode())
        resume = self.resume()
        cursor = resume["after"] if resume.get("epoch") is None else f"{resume['epoch']}.{resume['after']}"
        url = f"{self.runs_url()}/{self.run_id}/events"
        return await self.request("GET", url, {**headers, "Last-Event-ID": str(cursor)})

    async def after_answer(self, status: int, media: str, body: bytes) -> Again:
        """[HTTP-22], and refusals."""
        if not media.startswith("application/problem+json"):
            return self.after_page(status)
        try:
            await self.refused(json.loads(body))
        except Returning:
            return Again()
        return Again()

    def after_page(self, _status: int) -> Again:
        """[HTTP-22]"""
        return Again()

    async def events(self, data: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        """[SSE-25], [SSE-27]: read a stream, wherever it is cut."""
        held, lines, after_cr = b"", list[bytes](), False
        async for piece in data:
            new = piece[1:] if after_cr and piece.startswith(b"\n") else piece
            after_cr = piece.endswith(b"\r")
            *whole, held = self.lines(held + new)
            for line in whole:
                if line:
                    lines.append(line)
                    continue
                text = self.text_of(lines)
                lines = []
                if text is not None:
                    yield json.loads(text)

    def lines(self, data: bytes) -> list[bytes]:
        """[SSE-27]: CR LF, LF and CR end a line, and nothing else."""
        return re.split(rb"\r\n|\n|\r", data)

    def text_of(self, lines: list[bytes]) -> str | None:
        """[SSE-25]: the data of an event, None for a block without any."""
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        return b"\n".join(data).decode() if data else None
