"""WebSockets of a play: handshakes, frames, client messages."""

from collections.abc import Container, Mapping
from typing import Any

from websockets.frames import Opcode

from runwire_conformance.tools.check_client.scenario import Scenario, plan_for
from runwire_conformance.tools.check_client.server.answering import answer_json, answer_problem, opened
from runwire_conformance.tools.check_client.server.peers import (
    BAD_FRAMES,
    ClientFrameReader,
    PeerConnection,
    Request,
)
from runwire_conformance.tools.check_client.server.readers import SocketReader
from runwire_conformance.tools.check_client.server.scenario_player import ScenarioPlayer
from runwire_conformance.tools.check_client.server.scenario_run import UNAUTHORIZED, ScenarioRun, problem
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import Trace


class Sockets:
    """Takes handshakes as the scenario has it; `tokens` are the credentials that are good."""

    def __init__(
        self,
        scenario: Scenario,
        transport: str,
        run: ScenarioRun,
        player: ScenarioPlayer,
        log: WireLog,
        tokens: Container[str],
    ) -> None:
        self._scenario = scenario
        self._transport = transport
        self._run = run
        self._player = player
        self._log = log
        self._tokens = tokens
        self._handshakes = 0

    async def handshake(self, wire: PeerConnection, request: Request, seen: Mapping[str, Any]) -> None:
        """Take a handshake, of which `seen` is noted, and the messages that follow."""
        self._handshakes += 1
        self._log.note("handshake", wire.number, number=self._handshakes, **seen)
        trace = opened(self._log, "websocket", request)
        plan = plan_for(self._scenario.handshakes, self._handshakes)
        if self._transport == "sse" or plan["do"] == "refuse":
            trace.add("server", "response", str(plan.get("status", 403)))
            status, body = problem(
                {"code": "forbidden", "retryable": False, "status": plan.get("status", 403)}
            )
            self._log.note("ended", wire.number)
            answer_json(wire, status, body, None, "application/problem+json")
            return
        if plan["do"] == "ignore":
            while await wire.read():
                pass
            self._log.note("gone", wire.number)
            return
        if self._scenario.token and request.token not in self._tokens:
            trace.add("server", "response", "401")
            answer_problem(wire, UNAUTHORIZED)
            return
        trace.add("server", "response", "101")
        self._log.note("mark", wire.number, name="opened")
        reader = SocketReader(wire, trace, self._scenario.fragments)
        frames = ClientFrameReader(wire.upgrade(request))
        if plan["do"] == "accept" and not self._scenario.basic:
            reader.say(self._run.ready(plan.get("ready", {})))
        if plan["do"] == "accept":
            self._log.note("mark", wire.number, name="greeted")
        if "close" in plan:
            reader.close(plan["close"])
            self._log.note("ended", wire.number)
        beats = (
            self._player.keep_alive(reader) if plan["do"] == "accept" and not self._scenario.basic else None
        )
        try:
            await self._frames(reader, frames, trace, request, plan["do"] == "mute")
        finally:
            if beats is not None:
                beats.cancel()
            if not reader.broken_off:  # by the scenario, which shows nothing of the client
                self._log.note("gone", wire.number)

    async def _frames(
        self, reader: SocketReader, frames: ClientFrameReader, trace: Trace, request: Request, mute: bool
    ) -> None:
        whole = bytearray()
        while True:
            try:
                while (frame := frames.next()) is not None:
                    if frame.opcode in {Opcode.TEXT, Opcode.CONT, Opcode.BINARY}:
                        whole += frame.data
                        if frame.fin:
                            text, whole = bytes(whole).decode("utf-8", "replace"), bytearray()
                            message = parsed(text)
                            trace.add("client", "text", text, message)
                            if message is not None and not mute:
                                self._said(reader, message, request)
                    elif frame.opcode is Opcode.PING:
                        reader.pong(bytes(frame.data))
                    elif frame.opcode is Opcode.PONG:
                        self._log.note("pong", reader.wire.number)
                    elif frame.opcode is Opcode.CLOSE:
                        code = int.from_bytes(frame.data[:2], "big") if len(frame.data) > 1 else 1005
                        trace.add("client", "close", code=code)
                        self._log.note("close", reader.wire.number, code=code)
                        reader.close(1000 if code == 1005 else code)
                        return
            except BAD_FRAMES:
                return
            data = await reader.wire.read()
            if not data:
                return
            frames.feed(data)

    def _said(self, reader: SocketReader, message: Message, request: Request) -> None:
        kind = message.type or ("start" if "prompt" in message else "")
        re = message.get("id") if isinstance(message.get("id"), str) else None
        self._log.note("says", reader.wire.number, type=kind, message=message)
        if self._player.is_silent(reader):
            return
        if kind == "heartbeat":
            reader.say({"type": "heartbeat", **({"re": re} if re else {})})
        elif kind in {"start", "resume"}:
            after = message.get("after") if kind == "resume" else 0
            self._player.attached(
                reader,
                by=kind,
                run_id=message.get("run_id"),
                after=after if isinstance(after, int) else -1,
                epoch=message.get("epoch"),
                re=re,
                token=request.token,
            )
        elif kind == "cancel":
            self._player.refuse_cancel(reader, re)
        else:
            told = {"type": "notice", "code": "unknown_type", "data": f"what is {kind or 'this'}?"}
            reader.say({**told, **({"re": re} if re else {})})
