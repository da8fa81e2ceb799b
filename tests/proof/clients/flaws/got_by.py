"""Flawed clients that were thought of before their scenarios, and that no scenario blamed at first."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection, connect

from tests.proof.clients.careful import Again, Client, Message, Stop
from tests.proof.clients.flaws.entering import breaks
from tests.proof.clients.flaws.http import sound


@breaks("CONN-5")
class SendsItsTokenToForeignRuns(Client):
    def token_for(self, url: str) -> str:
        return self.token if url.startswith("http:") else super().token_for(url)


@breaks("MSG-25")
class TripsOverUnknownMembersOfDiscovery(Client):
    async def discover(self) -> None:
        await super().discover()
        if "mood" in (self.discovered or {}):
            self.stopped("a document that I do not know")


@breaks("MSG-25")
class TripsOverUnknownMembersOfReady(Client):
    async def greeted(self, socket: ClientConnection, first: Message) -> None:
        if "mood" in first:
            self.stopped("a greeting that I do not know")
        await super().greeted(socket, first)


@breaks("MSG-25")
class TripsOverUnknownMembersOfRefusals(Client):
    def may_try_again(self, message: Message) -> bool:
        return "mood" not in message and super().may_try_again(message)


@breaks("EVENT-6")
class KeepsTheTextBesideAnEmptyReplacement(Client):
    def replaced(self, event: Message) -> None:
        self.text = event["data"] or self.text


@breaks("EVENT-16")
class KeepsThePartsBesideAnEmptyResult(Client):
    def observed(self, event: Message) -> None:
        if event["content"]:
            super().observed(event)


@breaks("EVENT-16")
class AppendsAllPartsToTheFirstCall(Client):
    def observed(self, event: Message) -> None:
        super().observed({**event, "call_id": next(iter(self.calls))} if event.get("partial") else event)


@breaks("EVENT-16")
class DropsTheResultsOfPreviewedCalls(Client):
    def called(self, event: Message) -> None:
        self.calls[event["call_id"]] = ""


@breaks("CANCEL-15")
class ShowsTheEndSoonAfterCancelling(Client):
    async def user_acts(self) -> None:
        before = self.cancelled
        await super().user_acts()
        if self.cancelled and not before:
            asyncio.get_running_loop().call_later(1.5, lambda: self.report(ended="cancelled"))


@breaks("RESUME-22")
class ForgetsTheEpochWhenItFallsBack(Client):
    async def fall_back(self) -> Again:
        self.epoch = None
        return await super().fall_back()


@breaks("RESUME-22")
class KeepsTheFirstEpoch(Client):
    first = ""

    def resume(self) -> Message:
        self.first = self.first or self.epoch or ""
        return {**super().resume(), "epoch": self.first}


@breaks("SSE-23")
class GivesUpAtTheThirdEndOfAStream(Client):
    ends = 0

    def after_stream(self) -> Again:
        self.ends += 1
        if self.ends == 3:
            self.stopped("the stream ended three times")
        return super().after_stream()


@breaks("SSE-27")
class ReadsTheLastLineOfData(Client):
    def text_of(self, lines: list[bytes]) -> str | None:
        return sound(super().text_of([line for line in lines if line.startswith(b"data:")][-1:]))


@breaks("SSE-27")
class TripsOverAByteOrderMark(Client):
    def text_of(self, lines: list[bytes]) -> str | None:
        if any(line.startswith(b"\xef\xbb\xbf") for line in lines):
            self.stopped("this is no stream")
        return super().text_of(lines)


@breaks("HTTP-22")
class TakesAPageForTheEndOfARun(Client):
    def after_page(self, status: int) -> Again:
        if self.accepted:
            self.stopped(f"the server answered {status}")
        return super().after_page(status)


@breaks("FALL-2", "FALL-1")
class WaitsForASilentHandshake(Client):
    async def over_websocket(self) -> Again:
        async with connect(self.websocket_url(), compression=None, open_timeout=None):
            pass
        return await super().over_websocket()


@breaks("BEAT-11", "FALL-2", "FALL-1")
class WaitsForASilentWebSocket(Client):
    async def over_websocket(self) -> Again:
        async with connect(self.websocket_url(), compression=None) as socket:
            await socket.recv()
        return await super().over_websocket()


@breaks("FALL-3")
class EndsItsPollsAtAnEmptyPage(Client):
    polls = 0

    def polls_on(self) -> bool:
        self.polls += 1
        return self.polls == 1 or self.cursor > 0


@breaks("ERR-6")
class TakesARefusedResumeForTheEnd(Client):
    def may_try_again(self, message: Message) -> bool:
        return not self.accepted and super().may_try_again(message)


@breaks("ERR-6")
class ResumesWhateverIsRefused(Client):
    def may_try_again(self, message: Message) -> bool:
        return self.accepted or super().may_try_again(message)


@breaks("CLOSE-4")
class GivesUpAtTheFifthClose(Client):
    closes = 0

    async def after_close(self, code: int) -> Again:
        self.closes += 1
        if self.closes == 5:
            self.stopped("closed five times")
        return await super().after_close(code)


@breaks("CLOSE-4")
class KnowsAllCodesOf40ButTheLast(Client):
    async def after_close(self, code: int) -> Again:
        if code == 4099:
            self.stopped(f"closed with {code}")
        return await super().after_close(code)


@breaks("CLOSE-5")
class KnowsAllCodesOf41ButTheLast(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if code == 4199 else await super().after_close(code)


@breaks("CLOSE-6")
class KnowsAllCodesOf44ButTheLast(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if code == 4499 else await super().after_close(code)


@breaks("CLOSE-7")
class StopsAtHundredsThatItDoesNotKnow(Client):
    async def after_close(self, code: int) -> Again:
        if 4200 <= code <= 4399 or code >= 4500:
            raise Stop
        return await super().after_close(code)
