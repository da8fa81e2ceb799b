"""Clients that break chapters 4 to 6: what is shown, and cancels."""

from __future__ import annotations

import secrets

from tests.proof.clients.careful import Client, Message
from tests.proof.clients.flaws.entering import breaks


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
