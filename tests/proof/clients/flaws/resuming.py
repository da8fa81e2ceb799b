"""Clients that break chapters 7 and 8: cursors, holes, epochs, heartbeats."""

from __future__ import annotations

import json

from websockets.asyncio.client import ClientConnection

from tests.proof.clients.careful import Client, Message
from tests.proof.clients.flaws.entering import breaks


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
