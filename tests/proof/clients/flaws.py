"""Flawed clients: each is the careful one with one behaviour replaced, and breaks the requirement that it names.

`related` are sentences that the same behaviour breaks as well; blame beyond both is a false accusation.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection

from tests.proof.clients.careful import Again, Client, Message, Stop


@dataclass(frozen=True)
class Flaw:
    """A flawed client, what it breaks, and what it breaks besides."""

    kind: type[Client]
    breaks: str
    related: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the flaw."""
        return re.sub("(?<!^)(?=[A-Z])", "_", self.kind.__name__).lower()


FLAWS: list[Flaw] = []


def breaks(requirement: str, *related: str):  # type: ignore[no-untyped-def]
    """Enter a flawed client into the catalogue."""

    def enter(kind: type[Client]) -> type[Client]:
        FLAWS.append(Flaw(kind, requirement, related))
        return kind

    return enter


# Chapter 2


@breaks("CONN-5")
class SendsItsTokenAnywhere(Client):
    def token_for(self, _url: str) -> str:
        return self.token


@breaks("CONN-13")
class TakesEveryVersion(Client):
    async def check_version(self, socket: ClientConnection, ready: Message) -> None:
        if ready["protocol"] != "runwire":
            await super().check_version(socket, ready)


@breaks("CONN-13")
class TakesEveryProtocol(Client):
    async def check_version(self, socket: ClientConnection, ready: Message) -> None:
        if ready["version"] != 1:
            await super().check_version(socket, ready)


@breaks("CONN-14")
class ResumesOnABasicServer(Client):
    def after_basic_close(self) -> Again:
        self.accepted = True
        return Again()

    def resume(self) -> Message:
        return {name: value for name, value in super().resume().items() if value is not None}


# Chapter 3


@breaks("MSG-21")
class SaysNull(Client):
    def start(self) -> Message:
        return {**super().start(), "session_id": None}


@breaks("MSG-32")
class UsesOneIdForAll(Client):
    def message_id(self) -> str:
        return "1"


@breaks("MSG-25")
class TripsOverUnknownMembers(Client):
    KNOWN = frozenset(["type", "run_id", "seq", "first_seq", "data", "code", "retryable"])

    async def show(self, event: Message) -> None:
        if event["type"] == "token" and event.keys() - self.KNOWN:
            return
        await super().show(event)


@breaks("MSG-25")
class StopsAtUnknownMembers(Client):
    async def event(self, event: Message) -> None:
        if event["type"] == "token" and event.keys() - TripsOverUnknownMembers.KNOWN:
            return
        await super().event(event)


@breaks("MSG-26")
class DoesNotCountUnknownTypes(Client):
    async def event(self, event: Message) -> None:
        if event["type"] in {"hologram", "acme:mood"}:
            return
        await super().event(event)


@breaks("MSG-26")
class ShowsUnknownTypes(Client):
    def unknown(self, event: Message) -> None:
        self.text += str(event.get("data", ""))


# Chapters 4 to 6


@breaks("RUN-12", "FALL-1")
class LetsTheServerNameTheRun(Client):
    def start(self) -> Message:
        return {"type": "start", "prompt": self.told["prompt"]}

    async def take(self, message: Message) -> None:
        if message["type"] == "started":
            self.run_id = message["run_id"]
        await super().take(message)


@breaks("RUN-12", "FALL-1", "ERR-8")
class NamesTheRunAnewEachTime(Client):
    def start(self) -> Message:
        self.run_id = secrets.token_urlsafe(16)
        return super().start()


@breaks("EVENT-6")
class AppendsAReplacement(Client):
    def replaced(self, event: Message) -> None:
        self.text += event["data"]


@breaks("EVENT-6")
class DropsAReplacement(Client):
    def replaced(self, event: Message) -> None:
        pass


@breaks("EVENT-16")
class AppendsTheResultToItsParts(Client):
    def observed(self, event: Message) -> None:
        super().observed({**event, "partial": True})


@breaks("EVENT-17")
class KeepsPreviews(Client):
    def drop_previews(self) -> None:
        pass


@breaks("EVENT-25")
class EndsAtEveryError(Client):
    async def refused(self, message: Message) -> None:
        if message.get("re") != self.asked and self.cancelled:
            self.over(message)
        await super().refused(message)


@breaks("EVENT-25", "ERR-7")
class TakesFailuresForRefusals(Client):
    def refuses(self, _message: Message) -> bool:
        return not self.basic

    async def refused(self, message: Message) -> None:
        if "seq" not in message:
            await super().refused(message)
        self.cursor = message.get("seq", self.cursor)


@breaks("EVENT-25")
class WaitsForTheSeqOfABasicServer(Client):
    def refuses(self, message: Message) -> bool:
        return "seq" not in message

    async def refused(self, message: Message) -> None:
        if not self.basic:
            await super().refused(message)


@breaks("CANCEL-15")
class ShowsTheEndAtOnce(Client):
    async def user_acts(self) -> None:
        before = self.cancelled
        await super().user_acts()
        if self.cancelled and not before:
            self.report(ended="cancelled")


@breaks("CANCEL-15")
class TakesEveryEndBehindACancelForOne(Client):
    def over(self, event: Message) -> None:
        super().over({**event, "status": "cancelled"} if self.cancelled else event)


# Chapters 7 and 8


@breaks("RESUME-20", "RESUME-19")
class ShowsDuplicates(Client):
    def place(self, event: Message) -> str:
        return "take" if event["seq"] <= self.cursor and "first_seq" not in event else super().place(event)

    def count(self, event: Message) -> None:
        self.cursor = max(self.cursor, event["seq"])


@breaks("RESUME-20", "RESUME-19")
class GoesBackWithDuplicates(Client):
    async def event(self, event: Message) -> None:
        if event["seq"] <= self.cursor:
            self.cursor = event["seq"]
        else:
            await super().event(event)


@breaks("RESUME-19", "RESUME-21", "CLOSE-9")
class TakesWhatComes(Client):
    def place(self, event: Message) -> str:
        return "take" if event["seq"] > self.cursor else "drop"


@breaks("RESUME-19", "RESUME-21")
class DoesNotKnowMergedEvents(Client):
    def place(self, event: Message) -> str:
        return super().place({name: value for name, value in event.items() if name != "first_seq"})


@breaks("RESUME-19")
class TakesMergedEventsThatOverlap(Client):
    def place(self, event: Message) -> str:
        overlaps = event.get("first_seq", event["seq"]) <= self.cursor + 1 <= event["seq"]
        return "take" if overlaps else super().place(event)


@breaks("RESUME-21", "CLOSE-9", "RESUME-19")
class WaitsAtAHole(Client):
    def place(self, event: Message) -> str:
        return "drop" if super().place(event) == "hole" else super().place(event)


@breaks("RESUME-21")
class ReadsAllAgainAtAHole(Client):
    async def on_hole(self, socket: ClientConnection) -> None:
        await self.say(socket, {**self.resume(), "after": 0})


@breaks("RESUME-22")
class ForgetsTheEpoch(Client):
    def resume(self) -> Message:
        resume = super().resume()
        if self.transport == "websocket":
            del resume["epoch"]
        return resume | ({"epoch": None} if self.transport == "sse" else {})


@breaks("RESUME-22")
class GivesUpWhenTheLogIsGone(Client):
    def begin_anew(self) -> None:
        self.stopped("the log is gone")


@breaks("RESUME-22")
class KeepsTheTextOfALogThatIsGone(Client):
    def begin_anew(self) -> None:
        text = self.text
        super().begin_anew()
        self.text = text


@breaks("BEAT-10")
class AnswersHeartbeats(Client):
    async def on_heartbeat(self) -> None:
        if self.socket is not None:
            await self.socket.send(json.dumps({"type": "heartbeat"}))


@breaks("BEAT-11")
class WaitsForEver(Client):
    def silence_s(self) -> float:
        return 3600.0


# Chapter 9


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


# Chapter 13


@breaks("ERR-6")
class TriesByTheCode(Client):
    def may_try_again(self, message: Message) -> bool:
        return (
            message["code"] in {"internal", "busy", "unavailable", "rate_limited"}
            or message["retryable"] is True
        )


@breaks("ERR-7")
class GivesUpAtUnknownCodes(Client):
    def may_try_again(self, message: Message) -> bool:
        return message["code"] in {
            "internal",
            "busy",
            "unavailable",
            "rate_limited",
        } and super().may_try_again(message)


@breaks("ERR-7")
class OverlooksFailuresWithUnknownCodes(Client):
    def over(self, event: Message) -> None:
        if ":" not in event.get("code", ""):
            super().over(event)


@breaks("ERR-8")
class NamesARefusedStartAnew(Client):
    def before_another_start(self) -> None:
        self.run_id = secrets.token_urlsafe(16)


@breaks("ERR-8")
class TriesAFailedRunAgainUnderItsName(Client):
    def after_end(self, event: Message) -> None:
        if event.get("retryable") is True:
            self.accepted, self.cursor = False, 0
            raise ConnectionError("again")


@breaks("CLOSE-4")
class StopsWhenHandedOver(Client):
    async def after_close(self, code: int) -> Again:
        if 4000 <= code <= 4099:
            self.stopped(f"closed with {code}")
        return await super().after_close(code)


@breaks("CLOSE-4")
class KnowsTwoCodesOf40(Client):
    async def after_close(self, code: int) -> Again:
        if code == 4057:
            self.stopped(f"closed with {code}")
        return await super().after_close(code)


@breaks("CLOSE-4")
class TakesItsTimeWhenHandedOver(Client):
    async def after_close(self, code: int) -> Again:
        if code == 4001:
            await asyncio.sleep(6)
        return await super().after_close(code)


@breaks("CLOSE-5")
class KeepsAnExpiredToken(Client):
    async def renew(self) -> None:
        pass


@breaks("CLOSE-6")
class ComesBackAfterAbuse(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if code == 4429 else await super().after_close(code)


@breaks("CLOSE-6")
class ComesBackAfterUnknownCodesOf44(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if code == 4450 else await super().after_close(code)


@breaks("CLOSE-7", "CLOSE-9")
class ComesBackAtOnceAlways(Client):
    def wait_s(self, _again: Again) -> float:
        return 0.02


@breaks("CLOSE-7", "CLOSE-9")
class ComesBackInStep(Client):
    def wait_s(self, again: Again) -> float:
        return 0.0 if again.at_once and super().wait_s(again) == 0 else 0.5


@breaks("CLOSE-7", "CLOSE-9")
class GrowsWithoutJitter(Client):
    def wait_s(self, again: Again) -> float:
        return 0.0 if super().wait_s(again) == 0 else 0.5 * 1.5 ** (self.failures - 1)


@breaks("CLOSE-7", "CLOSE-9")
class WaitsWithoutGrowth(Client):
    def wait_s(self, again: Again) -> float:
        return 0.0 if super().wait_s(again) == 0 else random.uniform(0.02, 0.15)


@breaks("CLOSE-7")
class StopsWhenBrokenOff(Client):
    async def after_close(self, code: int) -> Again:
        if code == 1006:
            raise Stop
        return await super().after_close(code)


@breaks("CLOSE-7")
class StopsAtUnknownCodes(Client):
    async def after_close(self, code: int) -> Again:
        if code == 3999:
            raise Stop
        return await super().after_close(code)


@breaks("CLOSE-9")
class ObeysAtOnceForEver(Client):
    def wait_s(self, again: Again) -> float:
        return 0.01 if again.at_once else super().wait_s(again)


@breaks("CLOSE-8")
class SaysABadMessageAgain(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if code in {1003, 1009} else await super().after_close(code)
