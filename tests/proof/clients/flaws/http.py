"""Clients that break chapter 9: gateways, streams, falling back."""

from __future__ import annotations

import json
import re
import secrets

from tests.proof.clients.careful import Again, Client, Stop
from tests.proof.clients.flaws.entering import breaks


@breaks("HTTP-22")
class TakesAPageForARefusal(Client):
    def after_page(self, status: int) -> Again:
        self.stopped(f"the server answered {status}")
        return Again()


@breaks("HTTP-22")
class TakesAPageOf200ForTheEnd(Client):
    def after_page(self, status: int) -> Again:
        if status == 200:
            raise Stop
        return Again()


@breaks("HTTP-22")
class TakesAPageOf504ForARefusal(Client):
    def after_page(self, status: int) -> Again:
        if status == 504:
            self.stopped("504")
        return Again()


@breaks("SSE-23")
class TakesTheEndOfAStreamForTheRuns(Client):
    def after_stream(self) -> Again:
        raise Stop


@breaks("SSE-25")
class ReadsComments(Client):
    def text_of(self, lines: list[bytes]) -> str | None:
        return super().text_of([line.removeprefix(b":") for line in lines])


@breaks("SSE-25")
class TripsOverEmptyBlocks(Client):
    def text_of(self, lines: list[bytes]) -> str | None:
        text = super().text_of(lines)
        return (
            "{"
            if text is None and any(line.startswith(b"retry:") for line in lines) and self.accepted
            else text
        )


@breaks("SSE-27")
class EndsLinesAtSeparators(Client):
    def lines(self, data: bytes) -> list[bytes]:
        return re.split(rb"\r\n|\n|\r|\xe2\x80\xa8|\xe2\x80\xa9", data)

    def text_of(self, lines: list[bytes]) -> str | None:
        return sound(super().text_of(lines))


@breaks("SSE-27")
class KnowsLineFeedsAlone(Client):
    def lines(self, data: bytes) -> list[bytes]:
        return data.split(b"\n")

    def text_of(self, lines: list[bytes]) -> str | None:
        return sound(super().text_of(lines))


@breaks("SSE-27", "SSE-23")
class CountsByTheIdOfHalfAnEvent(Client):
    def lines(self, data: bytes) -> list[bytes]:
        found = super().lines(data)
        for line in found[:-1]:
            if (
                line.startswith(b"id:")
                and self.accepted
                and b'"da' in found[-1]
                and not found[-1].endswith(b"}")
            ):
                self.cursor = int(line.rpartition(b".")[2])
        return found


def sound(text: str | None) -> str | None:
    """Return a text that is JSON, and no other."""
    try:
        json.loads(text or "")
    except ValueError:
        return None
    return text


@breaks("FALL-1")
class StartsAnewOverHttp(Client):
    async def fall_back(self) -> Again:
        again = await super().fall_back()
        if self.transport == "sse":
            self.run_id, self.accepted, self.cursor = secrets.token_urlsafe(16), False, 0
        return again


@breaks("FALL-1")
class ReadsAllAgainOverHttp(Client):
    async def fall_back(self) -> Again:
        again = await super().fall_back()
        if self.transport == "sse":
            self.cursor, self.text = 0, ""
        return again


@breaks("FALL-2")
class FallsBackWithoutALook(Client):
    async def look_why(self) -> None:
        pass


@breaks("FALL-2")
class LooksWithoutItsCredential(Client):
    async def look_why(self) -> None:
        token, self.token = self.token, ""
        await super().look_why()
        self.token = token


@breaks("FALL-2", "FALL-1")
class NeverFallsBack(Client):
    async def fall_back(self) -> Again:
        return Again()


@breaks("FALL-3")
class WaitsForAGatheredStream(Client):
    def first_byte_s(self) -> float:
        return 3600.0


@breaks("FALL-3")
class LooksInsteadOfPolling(Client):
    def polls_pages(self) -> bool:
        return False
