"""A run over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from runwire_client.problem import RunwireError, json_object
from runwire_client.retry import Blocked, Next

if TYPE_CHECKING:
    from runwire_client.outbox import Unsent
    from runwire_client.session import Session

#: Seconds for a connection to open (chapter 9, "Falling back"), and for one to close.
OPEN_S = 5.0
CLOSE_S = 1.0

#: The largest message that is taken from a server.
MOST_BYTES = 32 * 1024 * 1024

#: The close code of a connection that was given up.
GIVEN_UP = 1006

#: Close codes that say that a message of the client cannot be taken ([CLOSE-8]).
NOT_AGAIN = frozenset({1002, 1003, 1007, 1008, 1009})


class _Connect(connect):
    """A handshake that follows no redirect: its credentials are for one place ([CONN-5])."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def over_websocket(session: Session) -> Next:
    """Follow the run of `session` until the connection ends, and return how to go on."""
    url, headers = await session.server.entrance()
    try:
        socket = await _Connect(
            url,
            subprotocols=[Subprotocol("runwire.v1")],
            additional_headers=list(headers),
            compression=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            max_size=MOST_BYTES,
            ping_interval=None,
            proxy=None if session.server.is_here else True,
            ssl=session.server.tls if url.startswith("wss:") else None,
        )
    except (OSError, TimeoutError, WebSocketException) as problem:
        raise Blocked(f"no WebSocket: {problem or 'not open in time'}") from None
    connection = _Connection(session, socket)
    code = await connection.follow()
    if session.over:
        return Next()
    if session.log.basic:
        raise RunwireError("the connection broke, and this server cannot resume", code="unsupported")
    if not connection.greeted and not 4000 <= code < 4500:
        raise Blocked("the WebSocket is blocked")
    return _verdict(code, session, connection.begun)


class _Connection:
    def __init__(self, session: Session, socket: ClientConnection) -> None:
        self._session = session
        self._socket = socket
        self.begun = session.log.cursor
        self.greeted = False
        #: Who does not say where the log begins is as dead as who is silent.
        self._unanswered = False
        self._clock = asyncio.timeout(OPEN_S)
        self._again: asyncio.TimerHandle | None = None
        self._unsent: asyncio.Queue[str] = asyncio.Queue()

    async def follow(self) -> int:
        """Follow the run and return the close code."""
        sending = asyncio.create_task(self._send_all())
        try:
            return await self._read()
        except asyncio.CancelledError:
            if not self._session.left:
                self._socket.transport.abort()  # dropped
            raise
        finally:
            if self._again is not None:
                self._again.cancel()
            sending.cancel()
            await asyncio.gather(sending, self._goodbye(), return_exceptions=True)

    async def _read(self) -> int:
        try:
            async with self._clock:
                self._opened()
                while not self._session.over:
                    self._heard(await self._socket.recv())
        except TimeoutError:
            return GIVEN_UP
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else GIVEN_UP
        return 1000

    async def _send_all(self) -> None:
        while True:
            await self._send(await self._unsent.get())

    async def _send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            pass  # shows as the end of the connection

    async def _goodbye(self) -> None:
        """Send what was said last, such as a cancel, and close."""
        try:
            async with asyncio.timeout(CLOSE_S):
                while not self._unsent.empty():
                    await self._send(self._unsent.get_nowait())
        except TimeoutError:
            pass
        await self._socket.close()

    def _listen(self, seconds: float) -> None:
        self._clock.reschedule(asyncio.get_running_loop().time() + seconds)

    def _opened(self) -> None:
        server = self._session.server
        if not server.is_socket:
            return  # `ready` shows that it is no proxy that let us in
        self._listen(server.silence_s)  # a basic server sends none, and may think before it speaks
        if not self._session.log.is_there:
            self._ask()  # [CONN-20]

    def _heard(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            return  # no message is binary ([MSG-1])
        session = self._session
        session.wire("←", data)
        if not self.greeted:
            self._greet(json_object(data))
        again = session.log.read(data)
        if session.log.following or session.log.basic:
            self._unanswered = False
        if again:
            session.log.following = False  # [RESUME-16]: what still comes is from the old position
            wait = session.delay(at_once=True)
            self._again = asyncio.get_running_loop().call_later(wait, self._ask)  # [RESUME-21]
        if not self._unanswered:
            self._listen(session.server.silence_s)

    def _greet(self, first: dict[str, Any] | None) -> None:
        """Take the first message, and ask for the log if that was not done."""
        if first is None:
            return
        session = self._session
        protocol, version = first.get("protocol"), first.get("version")
        self.greeted = True
        if first.get("type") != "ready":
            if session.log.is_there:
                raise RunwireError("this server cannot resume", code="unsupported")
            session.log.basic = True  # [CONN-14]
        elif protocol != "runwire" or version != 1:
            raise RunwireError(f"the server speaks {protocol} {version}", code="unsupported")  # [CONN-13]
        elif session.server.is_socket and isinstance(first.get("limits"), dict):
            session.server.limits = first["limits"]
        if session.say is None:
            self._ask()

    def _ask(self) -> None:
        """Ask for the log: start the run, or read on from the cursor."""
        log = self._session.log
        self._unanswered = True
        self._listen(self._session.server.silence_s)
        log.following = False
        if log.is_there:
            epoch = {} if log.epoch is None else {"epoch": log.epoch}  # [RESUME-22]
            log.asked = self._say({"type": "resume", "run_id": log.id, "after": log.cursor, **epoch})
        else:
            log.asked = self._say({"type": "start", **(log.body or {})})
        self._session.started = True
        if self._session.say is None:
            self._session.say = self._deliver

    def _deliver(self, one: Unsent) -> None:
        one.id = self._say({"type": one.kind, "run_id": self._session.log.id, **one.body})

    def _say(self, message: dict[str, Any]) -> str:
        session = self._session
        message_id = session.new_id()
        text = session.server.checked(json.dumps({"id": message_id, **message}))
        session.wire("→", text)
        self._unsent.put_nowait(text)
        return message_id


def _verdict(code: int, session: Session, begun: int) -> Next:
    """Return how to go on; the hundreds digit of a close code says that ([CLOSE-4] to [CLOSE-8])."""
    why, hundreds = f"closed with {code}", code // 100
    if hundreds == 41:
        raise RunwireError(why, code="unauthorized")
    if hundreds == 44:
        raise RunwireError(why, code="forbidden")
    if code in NOT_AGAIN:
        if session.log.cursor == begun:
            raise RunwireError(why, code="bad_request")
        session.outbox.clear()
    return Next(why, at_once=hundreds == 40)
