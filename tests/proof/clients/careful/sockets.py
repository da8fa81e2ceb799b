"""The careful client over a WebSocket, and how it falls back where none opens."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from urllib.parse import urljoin

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from tests.proof.clients.careful.requests import Requests
from tests.proof.clients.careful.state import OPEN_S, Again, Hole, Message, Stop

BAD_MESSAGE = frozenset({1002, 1003, 1007, 1008, 1009})


class Sockets(Requests):
    """Follows its run over a WebSocket."""

    def websocket_url(self) -> str:
        """Where the WebSocket is."""
        if self.discovered is None:
            return self.told["url"]
        where = urljoin(self.told["url"] + "/.well-known/runwire", self.discovered["endpoints"]["websocket"])
        return re.sub("^http", "ws", where)

    async def over_websocket(self) -> Again:
        """Follow the run over a WebSocket until it closes."""
        url = self.websocket_url()
        offered = [Subprotocol("runwire.v1")]
        if token := self.token_for(url):
            encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            offered.append(Subprotocol(f"bearer.{encoded}"))
        greeted = False
        try:
            async with connect(
                url, subprotocols=offered, compression=None, open_timeout=OPEN_S, close_timeout=0.2
            ) as socket:
                self.socket = socket
                await self.say_first(socket)
                while True:
                    async with asyncio.timeout(self.silence_s() if greeted else OPEN_S):
                        message = json.loads(await socket.recv())
                    if not greeted:
                        greeted = True
                        await self.greeted(socket, message)
                    try:
                        await self.take(message)
                    except Hole:
                        await asyncio.sleep(self.wait_s(Again(at_once=True)))
                        await self.on_hole(socket)
        except ConnectionClosed as closed:
            if greeted:
                return await self.after_close(closed.rcvd.code if closed.rcvd else 1006)
            if closed.rcvd and 4000 <= closed.rcvd.code <= 4499:
                return await self.after_close(closed.rcvd.code)
        except (OSError, TimeoutError, WebSocketException):
            if greeted:
                return Again()
        finally:
            self.socket = None
        return await self.fall_back()

    async def say(self, socket: ClientConnection, message: Message) -> None:
        """Send a message with an id of its own."""
        named = {**message, "id": self.message_id()}
        if message["type"] != "cancel":
            self.asked = named["id"]
        await socket.send(json.dumps(named))

    async def say_first(self, socket: ClientConnection) -> None:
        """[CONN-20]: whoever knows no discovery document does not wait, as a basic server does not greet."""
        if self.is_socket:
            await self.say(socket, self.opening())

    async def greeted(self, socket: ClientConnection, first: Message) -> None:
        """[CONN-13], [CONN-14]"""
        if first["type"] != "ready":
            self.basic = True
            return
        self.heartbeat_s = first["limits"]["heartbeat_s"]
        await self.check_version(socket, first)
        if not self.is_socket:
            await self.say(socket, self.opening())

    async def check_version(self, socket: ClientConnection, ready: Message) -> None:
        """[CONN-13]"""
        if ready["protocol"] != "runwire" or ready["version"] != 1:
            await socket.close()
            raise Stop

    def silence_s(self) -> float:
        """[BEAT-11]"""
        return 3 * self.heartbeat_s

    async def on_hole(self, socket: ClientConnection) -> None:
        """[RESUME-21]"""
        await self.say(socket, self.resume())

    async def after_close(self, code: int) -> Again:
        """[CLOSE-4] to [CLOSE-8]"""
        if self.basic:
            return self.after_basic_close()
        if 4000 <= code <= 4099:
            return Again(at_once=True)
        if 4100 <= code <= 4199:
            await self.renew()
            return Again()
        if 4400 <= code <= 4499:
            self.stopped(f"closed with {code}")
        if code in BAD_MESSAGE and not self.accepted:
            self.stopped(f"closed with {code}")
        return Again()

    def after_basic_close(self) -> Again:
        """[CONN-14]"""
        self.stopped("this server cannot resume")
        return Again()

    async def fall_back(self) -> Again:
        """[FALL-1], [FALL-2]"""
        if self.told["transport"] == "auto":
            await self.look_why()
            self.transport = "sse"
            return Again(at_once=True)
        return Again()

    async def look_why(self) -> None:
        """[FALL-2]"""
        await self.discover()
