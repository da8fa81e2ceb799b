"""A client over WebSocket, as cases use it."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from websockets.frames import Opcode

from runwire_conformance.case import Blocked, Broken, NotJudged, Violation, Wrong
from runwire_conformance.client.conversation import ANSWER_S, Conversation, Owners, Run, Unstated
from runwire_conformance.client.wire.http import Response
from runwire_conformance.client.wire.websocket import (
    BadFrame,
    FramePeer,
    TooMuch,
    close_payload,
    most_message_bytes,
)
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.trace.clock import Interval, now
from runwire_conformance.trace.limits import RUNS, Limits
from runwire_conformance.trace.trace import Message, Trace, parsed
from runwire_spec import registries

#: Seconds a peer may take to close after it was told to, or after something that closes.
CLOSE_S = Unstated(8.0)

#: The close code of a connection that was not used for `idle_s` ([LIMIT-5]).
IDLE = 1000

#: Seconds to wait for what must have come already.
AT_ONCE_S = 0.1

#: Seconds to wait for the server to close when the server was seen not to answer a Close frame.
NEVER_S = Unstated(2.0)

#: Seconds the end of a case waits for a server to answer its Close frames, so that its places are free again.
LINGER_S = 1.0

#: By the type of a client's message: the sentences that order its answer.
ANSWERS: Mapping[str, Owners] = {
    "start": ("RUN-3",),
    "resume": ("RESUME-9",),
    "heartbeat": ("BEAT-5",),
    "cancel": ("CANCEL-10",),
}

#: By its code: the sentences that a refusal of a good `start` may break.
REFUSED_BY: Mapping[str, Owners] = {
    "busy": ("RUN-23", "LIMIT-4"),
    "bad_request": ("MSG-20", "MSG-22", "RUN-1"),
}

#: Codes that end no run.
REFUSALS = frozenset(row["code"] for row in registries()["errors"] if row["use"] == "refusal")


class Client(Conversation):
    """An open WebSocket connection."""

    def __init__(
        self,
        peer: FramePeer,
        response: Response,
        trace: Trace,
        limits: Limits,
        clock: Interval,
        broken: Mapping[str, str],
        own: Callable[[str], str] = str,
    ) -> None:
        super().__init__(trace, limits, clock)
        self.response = response
        #: Requirements that the probe found broken, which block what depends on them.
        self.broken = broken
        self.close_code: int | None = None
        self.pings: list[float] = []
        self.pongs: list[bytes] = []
        self.answers_pings = True
        #: Whether the case counts places itself, so that `busy` is what it looks for.
        self.counts_places = False
        self._peer = peer
        #: Makes a prompt one that no other case sends.
        self._own = own
        peer.measure.most_bytes = most_message_bytes(limits)
        self._whole_message = bytearray()
        self._fragment_kind = Opcode.TEXT
        self._reading = asyncio.create_task(self._read())

    @property
    def ready(self) -> Message | None:
        """The connection's `ready`, if it came."""
        first = self.messages[0] if self.messages else None
        return first if first is not None and first.type == "ready" else None

    # What a client does.

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

    async def ask(self, message: dict[str, Any], seconds: float = ANSWER_S) -> Message:
        """Send a message with an `id` and return the message that answers it; raises Broken."""
        if "MSG-28" in self.broken:
            raise Blocked("MSG-28")
        identifier = message.get("id") or f"q{secrets.token_hex(4)}"
        after = len(self.messages) - 1
        await self.send({**message, "id": identifier})
        kind = message.get("type", "start")
        return await self._answer(
            identifier, f"an answer to {kind} with re {identifier!r}", after, seconds, kind
        )

    async def _answer(self, identifier: str, expected: str, after: int, seconds: float, kind: str) -> Message:
        """Return the answer to the message with that `id`; raises Violation when it came without `re`, else Broken."""
        answer = await self.message(
            lambda message: message.get("re") == identifier or self._answers_namelessly(message, kind),
            expected,
            after,
            seconds,
            (*ANSWERS.get(kind, ()), "MSG-30", "MSG-28"),
        )
        if kind == "start":
            self._expect_a_place(answer)
        if answer.get("re") != identifier:
            raise Violation(
                "MSG-28", f"the {answer.type} that answers a {kind} with id {identifier!r} has no re"
            )
        return answer

    def _answers_namelessly(self, message: Message, kind: str) -> bool:
        """Whether a message without `re` can only be the answer to one that has an `id`, as all have here."""
        if "re" in message or "seq" in message:
            return False
        if message.type == "error":
            asked = list(self.trace.messages("client"))
            named = all("id" in one or one.type == "heartbeat" for one in asked)
            return named and "run_id" not in message and message.get("code") in REFUSALS
        return message.type == {"start": "started", "resume": "resumed"}.get(kind)

    async def ask_text(self, text: str, seconds: float = ANSWER_S) -> Message:
        """Send a text and return the next message that can be its answer."""
        after = len(self.messages) - 1
        await self.send_text(text)
        return await self.message(
            lambda answer: not answer.is_aside and not answer.is_event, "an answer", after, seconds
        )

    async def start(self, prompt: str, **members: Any) -> Run:
        """Start a run and return it when it is `started`; raises Broken when it is refused."""
        if "RUN-3" in self.broken:
            raise Blocked("RUN-3")
        after = len(self.messages) - 1
        identifier = f"s{secrets.token_hex(4)}"
        begun = now()
        await self.send({"type": "start", "id": identifier, "prompt": self._own(prompt), **members})
        answer = await self.message(
            lambda message: (
                (message.type == "started" and message.get("re", identifier) == identifier)
                or (message.type == "error" and "seq" not in message and message.get("re") == identifier)
                or (message.type == "error" and self._answers_namelessly(message, "start"))
            ),
            "started",
            after,
            owners=("RUN-3", "RUN-1"),
        )
        if answer.type != "started":
            self._expect_a_place(answer)
            raise self._refused(answer)
        run = Run(self, answer.get("run_id"), after, answer)
        run.started_at = begun
        return run

    def _refused(self, answer: Message) -> Exception:
        """Return what a refused `start` says of the server: one that keeps to its schema has to be accepted."""
        if "re" not in answer:
            return Violation("MSG-28", "a start with an id was refused by an error without re")
        if answer.get("code") == "rate_limited":
            return NotJudged("the server throttles the judge (rate_limited), which is its own choice")
        owners = REFUSED_BY.get(str(answer.get("code")), ("RUN-3",))
        return Broken(f"expected started; came a refusal: {json.dumps(answer)[:300]}", owners)

    def _expect_a_place(self, answer: Message) -> None:
        """Raise Blocked when a start is `busy` on a connection without a run: the judge keeps below what is
        advertised.
        """
        if answer.get("code") == "busy" and not self.counts_places and not self._has_unfinished():
            why = f"a start was refused with busy, with no run on its connection; {self.limits.remedy(*RUNS)}"
            raise Blocked("LIMIT-4", f"blocked by LIMIT-4: {why}")

    def _missed(self, problem: Broken) -> Broken:
        for message in self.messages:
            if message.type == "error" and "seq" not in message:
                self._expect_a_place(message)
        return problem

    def _has_unfinished(self) -> bool:
        """Whether the connection shows a run that has not ended."""
        followed = {m.word("run_id") for m in self.messages if m.is_event or m.type in {"started", "resumed"}}
        return bool(followed - {m.word("run_id") for m in self.messages if m.is_terminal})

    async def started(self) -> Message:
        """Return the first `started` of the connection; raises Broken ([RUN-3])."""
        return await self.message(
            lambda message: message.type == "started", "started", owners=("RUN-3",), certain=True
        )

    async def resume(self, run_id: str, after: int = 0, **members: Any) -> Run:
        """Resume a run and return it when it is `resumed`; raises Broken when it is refused ([RESUME-27])."""
        place = len(self.messages) - 1
        answer = await self.ask({"type": "resume", "run_id": run_id, "after": after, **members})
        if answer.get("code") == "busy" and any(
            message.is_terminal and message.get("run_id") == run_id for message in self.messages
        ):
            problem = Violation("RESUME-27", "a resume of a finished run was refused with busy")
            problem.compared = True
            raise problem
        if answer.type != "resumed":
            raise Broken(f"expected resumed; came {json.dumps(answer)[:300]}", ("RESUME-9", "RUN-33"))
        return Run(self, run_id, max(place, answer.index), answer)

    async def cancel(self, run: Run | None = None) -> float:
        """Send a cancel, of `run` or of all, and return when it was handed to the transport.

        Raises Blocked when the server was seen not to heed any: whatever hangs on it would only fail for that.
        """
        if "CANCEL-2" in self.broken:
            raise Blocked("CANCEL-2")
        message = {"type": "cancel"} if run is None else {"type": "cancel", "run_id": run.id}
        handed = now()
        await self.send(message)
        return handed

    async def barrier(self) -> list[Message]:
        """Return what came until the answer to a heartbeat: what the server sent before, stands before it."""
        if "BEAT-5" in self.broken:
            raise Blocked("BEAT-5")
        before = len(self.messages)
        answer = await self.ask({"type": "heartbeat"})
        return self.messages[before : answer.index]

    async def send_heartbeat(self) -> None:
        """Send a heartbeat and wait for any message; raises Blocked when none comes, as [BEAT-5] is then broken."""
        before = len(self.messages)
        await self.send({"type": "heartbeat"})
        try:
            await self.wait_until(lambda: len(self.messages) > before, ANSWER_S, "an answer", ("BEAT-5",))
        except Broken:
            raise Blocked("BEAT-5") from None

    async def quiet(self, run: Run) -> list[Message]:
        """Return the run's events once nothing more can follow: terminal, barrier, and a further barrier."""
        await run.terminal()
        await self.barrier()
        await self.barrier()
        return run.events

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
                raise Broken(
                    f"expected a message that arrives to be waited for; closed with {self.close_code}"
                )
        self.trace.add("client", "text", f"{text} (in {seconds:.1f} s)", Message(message))

    def stop_reading(self) -> None:
        """Take no more bytes from the socket."""
        self.trace.deaf = True
        self._peer.may_read.clear()

    def read_slowly(self, most: int, rest_s: float) -> None:
        """Take at most `most` bytes at once and rest after each."""
        self.trace.deaf = True
        self._peer.pace = (most, rest_s)

    def resume_reading(self) -> None:
        """Take bytes again, at full speed."""
        self._peer.pace = None
        self._peer.may_read.set()

    def outlive_the_server(self) -> None:
        """Expect no Close frame: what is at the other end is about to be killed."""
        self.trace.bereft = True

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        self.trace.add("client", "lost", "cut by the client")
        self._peer.abort()
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
        self._peer.close()  # a server may wait for it before it frees the place
        return self.close_code if self.close_code is not None else 1006

    def expect_open(self) -> None:
        """Raise Broken when the server has ended the connection."""
        if self.ended:
            how = f"closed with {self.close_code}" if self.close_code is not None else "broken off"
            raise Broken(f"expected the connection to stay open; it was {how}", self.ended_by())

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
        said = "no Close frame" if came == 1006 else f"the close code {came} after {waited:.2f} s"
        problem = Wrong(f"expected the close code {code}; came {said}")
        problem.proven = came != 1006
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
                    raise TooMuch(
                        flood.requirement, flood.text
                    )  # shown already, and no byte more shows it better
                if self.trace.flooded_at:
                    await self._announce()
            else:
                self.trace.add("server", "lost", "the connection ended without a Close frame")
        except BadFrame as problem:
            self.trace.add("server", "raw", f"no frame of RFC 6455: {problem}")
        except TooMuch as problem:
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
