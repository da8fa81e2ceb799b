"""Clients that do what nobody forbids, and that the judge must not accuse."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.proof.clients.careful import Again, Client, Message


class StartsAtOnce(Client):
    """sends its start before the server has greeted it"""

    async def greeted(self, socket: ClientConnection, first: Message) -> None:
        """[CONN-20]"""
        self.heartbeat_s = first.get("limits", {}).get("heartbeat_s", self.heartbeat_s)
        self.basic = first["type"] != "ready"
        if not self.basic:
            await self.check_version(socket, first)

    async def say_first(self, socket: ClientConnection) -> None:
        """Say what opens the run."""
        await self.say(socket, self.opening())


class ReadsFromTheBeginning(Client):
    """resumes from the beginning each time and drops what it has"""

    def resume(self) -> Message:
        """Ask for everything; only a hole, and another transport, asks for the cursor."""
        asked = super().resume()
        return asked if self.transport == "sse" or self.wants_cursor else {**asked, "after": 0}

    wants_cursor = False

    async def on_hole(self, socket: ClientConnection) -> None:
        """[RESUME-21]"""
        self.wants_cursor = True
        await super().on_hole(socket)
        self.wants_cursor = False


class ReconnectsAtAHole(Client):
    """opens another connection when an event is missing"""

    async def on_hole(self, socket: ClientConnection) -> None:
        """Leave."""
        await socket.close()


class BeatsByItself(Client):
    """sends heartbeats of its own on a timer"""

    async def greeted(self, socket: ClientConnection, first: Message) -> None:
        """Begin to beat."""
        await super().greeted(socket, first)
        if not self.basic:
            self.beating = asyncio.create_task(self.beat(socket))

    async def beat(self, socket: ClientConnection) -> None:
        """Beat until the connection is over."""
        try:
            while True:
                await self.say_beat(socket)
                await asyncio.sleep(0.7)
        except Exception:
            return

    async def say_beat(self, socket: ClientConnection) -> None:
        """Send one."""
        asked = self.asked
        await self.say(socket, {"type": "heartbeat"})
        self.asked = asked


class TakesItsTime(Client):
    """waits a second before it comes back, whatever it was told"""

    def wait_s(self, again: Again) -> float:
        """Wait longer than one has to."""
        return super().wait_s(again) + random.uniform(0.5, 1.0)


class NeverTriesAgain(Client):
    """asks its user before it tries a refused start again"""

    def may_try_again(self, _message: Message) -> bool:
        """No."""
        return False


class TriesAgainOnce(Client):
    """tries a refused start again once, and then asks its user"""

    tried = 0

    def may_try_again(self, message: Message) -> bool:
        """Once."""
        self.tried += 1
        return self.tried == 1 and super().may_try_again(message)


class SaysMore(Client):
    """sends members that the server does not know"""

    def start(self) -> Message:
        """Say more."""
        more: dict[str, Any] = {"acme": {"mood": None, "list": [1, "2"]}}
        return super().start() | more


class ReportsNothing(Client):
    """reports nothing that it shows"""

    reports = False


BENIGN = (
    StartsAtOnce,
    ReadsFromTheBeginning,
    ReconnectsAtAHole,
    BeatsByItself,
    TakesItsTime,
    NeverTriesAgain,
    TriesAgainOnce,
    SaysMore,
    ReportsNothing,
)
