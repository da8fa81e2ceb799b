"""A client that keeps every rule, made so that each rule is one method: a flawed client replaces one of them.

It runs inside the process of the judge's tests, is written from the specification, and shares no code with the judge.
"""

from __future__ import annotations

import asyncio

from websockets.exceptions import InvalidHandshake

from tests.proof.clients.careful.sockets import Sockets
from tests.proof.clients.careful.state import Again, Message, Stop
from tests.proof.clients.careful.streams import Streams

__all__ = ["Again", "Client", "Message", "Stop"]


class Client(Sockets, Streams):
    """One run, from its prompt to its end."""

    async def run(self) -> None:
        """Follow the run to its end."""
        try:
            while True:
                again = await self.attempt()
                await asyncio.sleep(max(self.wait_s(again), self.least_s))
                self.least_s = 0.0
        except Stop:
            return

    async def attempt(self) -> Again:
        """Follow the run over one connection."""
        try:
            if self.discovered is None and not self.is_socket:
                await self.discover()
            if self.transport == "websocket":
                return await self.over_websocket()
            return await self.over_sse()
        except (OSError, InvalidHandshake, TimeoutError):
            return Again()

    async def user_acts(self) -> None:
        """[CANCEL-15]: stop, and wait for the terminal."""
        if self.told["act"] == "cancel" and not self.cancelled:
            self.cancelled = True
            if self.socket is not None:
                await self.say(self.socket, {"type": "cancel", "run_id": self.run_id})
            else:
                await self.fetch("POST", f"{self.runs_url()}/{self.run_id}/cancel", b"{}")
