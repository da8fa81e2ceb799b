"""Clients that break chapter 13: refusals, failures, close codes."""

from __future__ import annotations

import asyncio
import random
import secrets

from tests.proof.clients.careful import Again, Client, Message, Stop
from tests.proof.clients.flaws.entering import breaks


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
