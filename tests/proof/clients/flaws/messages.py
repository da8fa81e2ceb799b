"""Clients that break chapters 2 and 3: origins, versions, what is said, what nobody knows."""

from __future__ import annotations

from websockets.asyncio.client import ClientConnection

from tests.proof.clients.careful import Again, Client, Message
from tests.proof.clients.flaws.entering import breaks


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
