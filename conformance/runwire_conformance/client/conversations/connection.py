"""Open WebSocket connection: frames in both directions, and its end."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.frames import Opcode

from runwire_conformance.case import Blocked, Broken, NoServerFault, NotExercised, NotJudged, TooSlow, Wrong
from runwire_conformance.client.conversations.conversation import Conversation, DefaultTimeout, Owners
from runwire_conformance.client.wire.http import Response
from runwire_conformance.client.wire.websocket import (
    BadFrame,
    FramePeer,
    MessageTooLarge,
    Pace,
    close_payload,
    most_message_bytes,
)
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.trace.clock import Interval, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import CROSSING_S, Trace

#: What the buffers of the network between a server and a reader that is slow hold of a message.
BUFFERED_BYTES = 1_000_000

#: Seconds a peer may take to close after it was told to, or after something that closes.
CLOSE_S = DefaultTimeout(8.0)

#: Seconds between two questions that show how long the way to a slow reader is.
WAY_S = 0.2

#: The close code of a connection that was not used for `idle_s` ([LIMIT-5]).
IDLE = 1000

#: Seconds to wait for the server to close when the server was seen not to answer a Close frame.
NEVER_S = DefaultTimeout(2.0)

#: Seconds the end of a case waits for a server to answer its Close frames, so that its places are free again.
LINGER_S = 1.0


class OpenConnection(Conversation):
    """An open WebSocket connection, of which every frame is noted."""

    def __init__(
        self,
        peer: FramePeer,
        response: Response,
        trace: Trace,
        limits: Limits,
        clock: Interval,
        broken: Mapping[str, str],
    ) -> None:
        super().__init__(trace, limits, clock)
        self.response = response
        #: Requirements that the probe found broken, which block what depends on them.
        self.broken = broken
        self.close_code: int | None = None
        self.pings: list[float] = []
        self.pongs: list[bytes] = []
        self.answers_pings = True
        self._peer = peer
        peer.measure.most_bytes = most_message_bytes(limits)
        self._whole_message = bytearray()
        self._fragment_kind = Opcode.TEXT
        self._reading = asyncio.create_task(self._read())

    # What is sent.

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        await self.send_text(json.dumps(message, ensure_ascii=False), Message(message))

    async def send_text(self, text: str, message: Message | None = None) -> None:
        """Send a text message as it is."""
        self.trace.add("client", "text", text, message or parsed(text))
        self._peer.send_frame(Opcode.TEXT, text.encode())
        await self._peer.drain()

    async def send_data(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        """Send one frame of a message."""
        self.trace.add("client", "raw", f"{opcode.name} fin={int(fin)} {len(data)} bytes")
        self._peer.send_frame(opcode, data, fin=fin)
        await self._peer.drain()

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes that need not be a frame."""
        self.trace.add("client", "raw", f"bytes {data[:16].hex(' ')}")
        self._peer.send_bytes(data)
        await self._peer.drain()

    async def send_fragments(self, message: dict[str, Any], size: int) -> None:
        """Send a message in frames of `size` bytes."""
        data = json.dumps(message, ensure_ascii=False).encode()
        self.trace.add("client", "text", f"{data.decode()} (in frames of {size} bytes)", Message(message))
        pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]
        for number, piece in enumerate(pieces):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONT
            self._peer.send_frame(opcode, piece, fin=number == len(pieces) - 1)
        await self._peer.drain()

    async def send_divided(self, message: dict[str, Any], place: int) -> None:
        """Send a message in two frames, cut before the byte at `place`, with a Ping in between."""
        data = json.dumps(message, ensure_ascii=False).encode()
        self.trace.add("client", "text", f"{data.decode()} (cut at byte {place})", Message(message))
        self._peer.send_frame(Opcode.TEXT, data[:place], fin=False)
        self._peer.send_frame(Opcode.PING, b"between")
        self._peer.send_frame(Opcode.CONT, data[place:])
        await self._peer.drain()

    def ping(self, data: bytes) -> None:
        """Send a Ping frame."""
        self.trace.add("client", "ping", data.hex())
        self._peer.send_frame(Opcode.PING, data)

    def stop_answering_pings(self) -> None:
        """Withhold every further Pong."""
        self.answers_pings = False

    def answer_the_last_ping(self) -> None:
        """Answer Pings again, and send the Pong that the last one is owed."""
        self.answers_pings = True
        if pings := [
            record for record in self.trace.records if record.side == "server" and record.kind == "ping"
        ]:
            self.trace.add("client", "pong", pings[-1].payload)
            self._peer.send_frame(Opcode.PONG, bytes.fromhex(pings[-1].payload))

    async def send_slowly(self, message: dict[str, Any], seconds: float, pause_s: float = 0.1) -> None:
        """Send a message as one frame whose bytes are spread over so many seconds; raises Broken when that is cut."""
        text = json.dumps(message, ensure_ascii=False)
        frame = self._peer.frame(Opcode.TEXT, text.encode())
        size = int(len(frame) * pause_s / seconds) + 1
        for place in range(0, len(frame), size):
            if place + size >= len(frame):  # only now can it be answered
                self.trace.add("client", "text", f"{text} (in {seconds:.1f} s)", Message(message))
            self._peer.send_bytes(frame[place : place + size])
            await self._peer.drain()
            await asyncio.sleep(pause_s)
            if self.ended:
                self._expect_use()
                raise Broken(
                    f"expected a message that arrives to be waited for; closed with {self.close_code}",
                    self.ended_by() if self.close_code == IDLE else (),
                )
        self.trace.add("client", "text", f"{text} (in {seconds:.1f} s)", Message(message))

    def stop_reading(self) -> None:
        """Take no more bytes from the socket."""
        self.trace.not_reading = True
        self._peer.may_read.clear()

    def read_slowly(self, most: int, per_second: float) -> None:
        """Take at most `most` bytes at once, and so many in a second, from now on."""
        self.trace.not_reading = True
        self._peer.pace = Pace(most, per_second)
        self._peer.may_read.set()

    @asynccontextmanager
    async def while_read_slowly(self, pong_timeout_s: float) -> AsyncIterator[None]:
        """Tell a slow reader that was dropped from one before whom the network is slow; raises NotExercised.

        What lies in the network's buffers has been taken ([BEAT-8], [FLOW-5]), and a proxy holds megabytes: a Ping
        behind them is rightly overdue. How long the way is, heartbeats show that are asked for meanwhile ([BEAT-5]).
        """
        asked: dict[str, float] = {}
        asking = asyncio.create_task(self._ask_for_heartbeats(asked))
        try:
            yield
        except NoServerFault:
            raise
        except Broken:
            if (slowest := self._slowest(asked)) is None or slowest > pong_timeout_s:
                took = "no answer arrived" if slowest is None else f"an answer took {slowest:.1f} s"
                enough = math.ceil(2 * max(slowest or 0.0, pong_timeout_s))
                raise NotExercised(
                    f"{took} behind the data, and a Pong may take {pong_timeout_s:.15g} s (pong_timeout_s): whether "
                    "the server, the network or a proxy held it so long cannot be told from here; set pong_timeout_s "
                    f"to {enough} or more to have this judged"
                ) from None
            raise
        finally:
            asking.cancel()

    async def _ask_for_heartbeats(self, asked: dict[str, float]) -> None:
        while not self.ended:
            name = f"way{len(asked)}"
            asked[name] = now()
            await self.send({"type": "heartbeat", "id": name})
            await asyncio.sleep(WAY_S)

    def _slowest(self, asked: Mapping[str, float]) -> float | None:
        """Return the most seconds that an answer took, or has taken so far; None when nothing was asked for."""
        came = {str(message.get("re")): message.at for message in self.messages}
        ended = self.ended_at if self.ended_at is not None else now()
        return max((came.get(name, ended) - at for name, at in asked.items()), default=None)

    def resume_reading(self) -> None:
        """Take bytes again, at full speed."""
        self._peer.pace = None
        self._peer.may_read.set()

    def outlive_the_server(self) -> None:
        """Expect no Close frame: what is at the other end is about to be killed."""
        self.trace.peer_killed = True

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        self.trace.add("client", "lost", "cut by the client")
        self._peer.abort()
        self._reading.cancel()

    def reset(self) -> None:
        """Cut the connection so that the server is told by a reset."""
        self.trace.add("client", "lost", "reset by the client")
        self._peer.reset()
        self._reading.cancel()

    async def leave(self, code: int = 1000, seconds: float | None = None) -> int:
        """Close the connection in order and return the code the server answers with; raises Broken."""
        self._send_close(code)
        return await self.closed(f"the answer to the client's Close {code}", seconds, ("CONN-22",))

    async def closed(
        self, expected: str = "the server to close", seconds: float | None = None, owners: Owners = ()
    ) -> int:
        """Wait for the end and return its code, 1006 when there was no Close frame; raises Broken.

        Raises Blocked when it does not come from a server that answers no Close frame either.
        """
        never = "CONN-22" in self.broken
        usual = NEVER_S if never else CLOSE_S
        try:
            await self.wait_until(
                lambda: self.ended,
                usual if seconds is None else seconds,
                expected,
                owners,
                certain=bool(owners),
            )
        except Broken:
            if never:
                raise Blocked("CONN-22") from None
            raise
        if self.trace.closed_for_age(self.limits.stream_s) and not self.trace.closed_for_idleness(
            self.limits["idle_s"]
        ):
            raise Broken(f"expected {expected}; the connection was ended for its age", owners)
        self._peer.close()  # a server may wait for it before it frees the place
        return self.close_code if self.close_code is not None else 1006

    def expect_open(self) -> None:
        """Raise Broken when the server has ended the connection, NoServerFault when it was idle for too long."""
        if self.ended:
            self._expect_use()
            how = f"closed with {self.close_code}" if self.close_code is not None else "broken off"
            said = f"expected the connection to stay open; it was {how}"
            raise Broken(said, self.ended_by(), certain=self.close_code == IDLE)

    def _expect_use(self) -> None:
        """Raise NoServerFault when the server closed as nothing had been asked for `idle_s`, as it must ([LIMIT-5]).

        Of a run whose events still wait for a slow reader nobody knows here whether it is unfinished.
        """
        idle_s = self.limits["idle_s"]
        if self.close_code != IDLE or not self.trace.closed_for_idleness(idle_s):
            return
        if self.trace.not_reading or not (self.follows() or self._waits()):
            raise NoServerFault(
                TooSlow(
                    f"idle_s (advertised {idle_s:.15g}) ended before the case; set it to {3 * idle_s:.15g} or more"
                )
            )

    def _waits(self) -> bool:
        """Whether the judge had sent something long before the close, of which it waited for the answer."""
        assert self.ended_at is not None
        asked = max((r.at for r in self.trace.records if r.is_use and r.side == "client"), default=0.0)
        answered = max((message.at for message in self.messages if message.type != "heartbeat"), default=0.0)
        return answered < asked < self.ended_at - CROSSING_S or self._is_owed(self.ended_at - CROSSING_S)

    def _is_owed(self, before: float) -> bool:
        """Whether the last Ping or heartbeat that the judge had sent `before` then was never answered.

        Neither keeps a connection from being idle ([LIMIT-6]), and both have an answer of their own.
        """
        sent = [r for r in self.trace.records if r.side == "client"]
        pings = [r for r in sent if r.kind == "ping"]
        beats = [
            (r.at, r.message["id"])
            for r in sent
            if r.message is not None and r.message.type == "heartbeat" and "id" in r.message
        ]
        pongs = {r.payload for r in self.trace.records if r.side == "server" and r.kind == "pong"}
        named = {message.get("re") for message in self.messages}
        return any(ping.at < before and ping.payload not in pongs for ping in pings[-1:]) or any(
            at < before and name not in named for at, name in beats[-1:]
        )

    async def closed_with(self, code: int) -> None:
        """Wait until the server has closed with `code`; raises Broken when it does not, Wrong for another code.

        A server that closes for another reason long after it received what it has to close for did not do so. One
        whose close may have crossed what was sent proves nothing; raises NotJudged.
        """
        sent_at = max((record.at for record in self.trace.records if record.side == "client"), default=0.0)
        came = await self.closed(f"the server to close with {code}")
        if came == code:
            return
        waited = (self.ended_at or 0.0) - sent_at
        if came == IDLE and waited <= self.clock.tolerance:
            raise NotJudged("idle_s was over before the judge had sent what the server is to close for")
        age = (self.ended_at or 0.0) - self.trace.began
        after = f"{waited:.2f} s after the judge's last message, {age:.2f} s after the opening"
        said = "no Close frame" if came == 1006 else f"the close code {came}, {after}"
        problem = Wrong(f"expected the close code {code}; got {said}")
        # What is said of a Pong that is overdue, the judge may have brought about by being slow.
        problem.proven = came not in {1006, 1011, 4001}
        raise problem

    async def end(self) -> None:
        """Let go of the connection, however it stands."""
        if not self.ended and not self._reading.cancelled():
            if "RUN-3" not in self.broken:
                self._peer.send_frame(Opcode.TEXT, b'{"type":"cancel"}')
                self.trace.cancelled_all = True
            self._send_close(1000)
            self.resume_reading()
            if "CONN-22" not in self.broken:
                await asyncio.wait({self._reading}, timeout=LINGER_S)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._taken()
        self._peer.close()

    def _send_close(self, code: int) -> None:
        self.trace.add("client", "close", code=code)
        self._peer.send_frame(Opcode.CLOSE, close_payload(code))

    # What comes.

    def unfinished(self) -> int:
        """Return how many bytes have come of a message that is not whole yet."""
        return self._peer.unfinished

    async def _read(self) -> None:
        try:
            async for frame in self._peer.frames():
                if self.trace.flooded_at and frame.opcode is not Opcode.CLOSE:
                    if self.trace.count(len(frame.data)):
                        self.stop_reading()
                        await self._announce()
                        return
                    continue
                self._frame(frame.opcode, bytes(frame.data), fin=frame.fin)
                if frame.fin:
                    await self._announce()
                if frame.opcode is Opcode.CLOSE:
                    break
                if self.trace.flood() and (flood := flood_of([self.trace])) is not None:
                    raise MessageTooLarge(
                        flood.requirement, flood.text
                    )  # shown already, and no byte more shows it better
                if self.trace.flooded_at:
                    await self._announce()
            else:
                self.trace.add("server", "lost", "the connection ended without a Close frame")
        except BadFrame as problem:
            self.trace.add("server", "raw", f"no frame of RFC 6455: {problem}")
        except MessageTooLarge as problem:
            self.trace.exceed(problem.requirement, str(problem))
            self._peer.abort()
        self._taken()
        await self._finished()

    def _taken(self) -> bytes:
        """Return what came of the message that was under way, which is held no longer."""
        whole, self._whole_message = bytes(self._whole_message), bytearray()
        self.trace.budget.bytes -= len(whole)
        return whole

    def _frame(self, opcode: Opcode, data: bytes, *, fin: bool) -> None:
        if opcode is Opcode.PING:
            self.pings.append(now())
            self.trace.add("server", "ping", data.hex())
            if self.answers_pings:
                self.trace.add("client", "pong", data.hex())
                self._peer.send_frame(Opcode.PONG, data)
        elif opcode is Opcode.PONG:
            self.pongs.append(data)
            self.trace.add("server", "pong", data.hex())
        elif opcode is Opcode.CLOSE:
            self.close_code = code = self._closing(data)
            self.trace.add("server", "close", code=code)
        else:
            if opcode is not Opcode.CONT:
                self._taken()
                self._fragment_kind = opcode
            self._whole_message += data
            self.trace.budget.bytes += len(data)
            if fin:
                self._whole(self._taken())

    def _closing(self, data: bytes) -> int:
        code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
        if not any(record.side == "client" and record.kind == "close" for record in self.trace.records):
            self._peer.send_frame(Opcode.CLOSE, data[:2])
        return code

    def _whole(self, data: bytes) -> None:
        if self._fragment_kind is Opcode.BINARY:
            self.trace.add("server", "binary", f"{len(data)} bytes")
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.trace.add("server", "raw", "a text message that is not UTF-8")
            return
        self.trace.add("server", "text", text, self._received(text))
