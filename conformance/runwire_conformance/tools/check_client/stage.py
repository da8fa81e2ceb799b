"""The server of one play: sockets on free ports of the loopback interface, and what the scenario has them do."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from typing import Any

from websockets.frames import Opcode

from runwire_conformance.tools.check_client.acting import Acting
from runwire_conformance.tools.check_client.peers import BAD_FRAMES, Frames, Request, Wire
from runwire_conformance.tools.check_client.readers import SocketReader, StreamReader
from runwire_conformance.tools.check_client.run_of_scenario import (
    BAD_REQUEST,
    NOT_FOUND,
    UNAUTHORIZED,
    ScenarioRun,
    problem,
)
from runwire_conformance.tools.check_client.scenario import Scenario, plan_for
from runwire_conformance.tools.check_client.told import Told
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.trace import Message, Trace, Transport, parsed

HOST = "127.0.0.1"
DISCOVERY, SOCKET, RUNS, TOKEN = "/.well-known/runwire", "/ws/generate", "/v1/runs", "/token"

#: What a gateway answers in place of the server.
PAGE = b"<!doctype html><title>A gateway</title><h1>Please wait</h1>"


class Stage:
    """One server for one play. `log` is what it saw."""

    def __init__(self, scenario: Scenario, transport: str, reports: frozenset[str] = frozenset()) -> None:
        self.reports = reports
        self.scenario = scenario
        self.transport = transport
        self.log = WireLog()
        features = (
            ["resume"] + (["sse"] if transport != "websocket" else []) + (["poll"] if scenario.poll else [])
        )
        features += ["auth"] if scenario.token else []
        self.run = ScenarioRun(scenario, features=features)
        self.acting = Acting(scenario, self.run, self.log)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._handshakes = 0
        self._tokens: list[str] = []
        self._ports: list[int] = []

    async def open(self) -> None:
        """Listen: on one port, and on a second one that is another origin."""
        for _ in range(2 if self.scenario.foreign else 1):
            server = await asyncio.start_server(self._serve, HOST, 0)
            self._servers.append(server)
            self._ports.append(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End every connection."""
        for server in self._servers:
            server.close()
        for task in [*self._tasks, *self.acting.tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self.acting.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed lets go of its socket

    @property
    def told(self) -> Told:
        """What the client is told."""
        origin = f"{HOST}:{self._ports[0]}"
        return Told(
            # A basic server has no discovery document.
            f"ws://{origin}{SOCKET}" if self.scenario.basic else f"http://{origin}",
            f"ws://{origin}{SOCKET}",
            f"http://{origin}{RUNS}",
            "Say something.",
            self.transport,
            self._new_token() if self.scenario.token else "",
            f"http://{origin}{TOKEN}" if self.scenario.token else "",
            self.scenario.act,
            self.run.run_id if self.scenario.given else "",
            self.run.cursor,
        )

    def _new_token(self) -> str:
        self._tokens.append(secrets.token_urlsafe(16))
        return self._tokens[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._numbers += 1
        wire = Wire(reader, writer, self._numbers)
        try:
            request = await wire.request()
            if request is not None:
                port = writer.get_extra_info("sockname")[1]
                foreign = f"{HOST}:{port}" if port != self._ports[0] else None
                await self._route(wire, request, {"foreign": foreign, "own": f"{HOST}:{self._ports[0]}"})
            await wire.drain()
        except asyncio.CancelledError:
            wire.cut()
        finally:
            self._tasks.discard(task)
            wire.close()

    async def _route(self, wire: Wire, request: Request, place: Mapping[str, Any]) -> None:
        if request.method == "OPTIONS":
            wire.answer(204, "", b"")
            return
        if request.path == TOKEN:
            self._json(wire, 200, {"token": self._new_token()})
            return
        seen = {**place, "token": request.token, "method": request.method, "path": request.path}
        if request.upgrades:
            await self._handshake(wire, request, seen)
        elif request.path == DISCOVERY:
            self._discover(wire, request, seen)
        elif request.path == RUNS or request.path.startswith(f"{RUNS}/"):
            await self._runs(wire, request, seen)
        else:
            self._problem(wire, NOT_FOUND)

    def _discover(self, wire: Wire, request: Request, seen: Mapping[str, Any]) -> None:
        self.log.note("discovery", wire.number, **seen)
        trace = self._trace("http", request)
        asked = len(self.log.of("discovery"))
        if asked > len(self.scenario.discovery):
            self._json(wire, 200, self._discovery(), trace)
            return
        status = self.scenario.discovery[asked - 1].get("status", 200)
        trace.add("server", "response", f"{status} a page of a gateway", code=status)
        self.log.note("mark", wire.number, name="paged")
        wire.answer(status, "text/html", PAGE)

    def _discovery(self) -> dict[str, Any]:
        base = f"http://{HOST}:{self._ports[1]}" if self.scenario.foreign else ""
        endpoints = {"websocket": f"{base}{SOCKET}"}
        endpoints |= {"runs": f"{base}{RUNS}"} if self.transport != "websocket" else {}
        return {
            "protocol": "runwire",
            "versions": [1],
            "endpoints": endpoints,
            "features": list(self.run.features),
            "limits": dict(self.run.limits),
            "auth": ["bearer"] if self.scenario.token else ["none"],
            "script_agent": False,
            "server": {"name": "runwire check-client", "version": "1"},
            **self.scenario.members,
        }

    # WebSocket

    async def _handshake(self, wire: Wire, request: Request, seen: Mapping[str, Any]) -> None:
        self._handshakes += 1
        self.log.note("handshake", wire.number, number=self._handshakes, **seen)
        trace = self._trace("websocket", request)
        plan = plan_for(self.scenario.handshakes, self._handshakes)
        if self.transport == "sse" or plan["do"] == "refuse":
            trace.add("server", "response", str(plan.get("status", 403)))
            status, body = problem(
                {"code": "forbidden", "retryable": False, "status": plan.get("status", 403)}
            )
            self.log.note("ended", wire.number)
            self._json(wire, status, body, None, "application/problem+json")
            return
        if plan["do"] == "ignore":
            while await wire.read():
                pass
            self.log.note("gone", wire.number)
            return
        if self.scenario.token and request.token not in self._tokens:
            trace.add("server", "response", "401")
            self._problem(wire, UNAUTHORIZED)
            return
        trace.add("server", "response", "101")
        reader = SocketReader(wire, trace, self.scenario.fragments)
        frames = Frames(wire.upgrade(request))
        if plan["do"] == "accept" and not self.scenario.basic:
            reader.say(self.run.ready(plan.get("ready", {})))
        if plan["do"] == "accept":
            self.log.note("mark", wire.number, name="greeted")
        if "close" in plan:
            reader.close(plan["close"])
            self.log.note("ended", wire.number)
        beats = self.acting.keep_alive(reader) if plan["do"] == "accept" and not self.scenario.basic else None
        try:
            await self._frames(reader, frames, trace, request, plan["do"] == "mute")
        finally:
            if beats is not None:
                beats.cancel()
            if not reader.broken_off:  # by the scenario, which shows nothing of the client
                self.log.note("gone", wire.number)

    async def _frames(
        self, reader: SocketReader, frames: Frames, trace: Trace, request: Request, mute: bool
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
                        self.log.note("pong", reader.wire.number)
                    elif frame.opcode is Opcode.CLOSE:
                        code = int.from_bytes(frame.data[:2], "big") if len(frame.data) > 1 else 1005
                        trace.add("client", "close", code=code)
                        self.log.note("close", reader.wire.number, code=code)
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
        self.log.note("says", reader.wire.number, type=kind, message=message)
        if self.acting.is_silent(reader):
            return
        if kind == "heartbeat":
            reader.say({"type": "heartbeat", **({"re": re} if re else {})})
        elif kind in {"start", "resume"}:
            after = message.get("after") if kind == "resume" else 0
            self.acting.attached(
                reader,
                by=kind,
                run_id=message.get("run_id"),
                after=after if isinstance(after, int) else -1,
                epoch=message.get("epoch"),
                re=re,
                token=request.token,
            )
        elif kind == "cancel":
            self.acting.asked(reader, re)
        else:
            told = {"type": "notice", "code": "unknown_type", "data": f"what is {kind or 'this'}?"}
            reader.say({**told, **({"re": re} if re else {})})

    # HTTP

    async def _runs(self, wire: Wire, request: Request, seen: Mapping[str, Any]) -> None:
        self.log.note("request", wire.number, **seen)
        if self.scenario.token and request.token not in self._tokens:
            self._problem(wire, UNAUTHORIZED)
            return
        rest = request.path.removeprefix(RUNS).strip("/").split("/")
        what = (request.method, *rest[1:])
        if request.method == "POST" and rest == [""]:
            await self._post(wire, request)
        elif what == ("GET", "events"):
            await self._events(wire, request, seen, rest[0])
        elif what == ("GET",):
            self.log.note("poll", wire.number, page=False, **seen)
            self.acting.looked_at()
            trace = self._trace("http", request)
            self._json(wire, 200, self.run.state(), trace)
        elif what == ("POST", "cancel"):
            trace = self._trace("http", request)
            self.log.note("says", wire.number, type="cancel")
            if refused := self.acting.refusal_of_request():
                self._problem(wire, refused)
            else:
                self._json(
                    wire, 200, {name: self.run.state()[name] for name in ("run_id", "status", "seq")}, trace
                )
        else:
            self._problem(wire, NOT_FOUND)

    async def _post(self, wire: Wire, request: Request) -> None:
        body = parsed(request.body)
        if body is None or "prompt" not in body:
            self._problem(wire, BAD_REQUEST)
            return
        if "text/event-stream" not in request.header("accept"):
            self.run.begun(body.get("run_id"))
            told = {"run_id": self.run.run_id, "epoch": self.run.epoch, "status": "running"}
            trace = self._trace("http", request)
            self._json(wire, 202, told, trace, headers=[("Location", f"{RUNS}/{self.run.run_id}/events")])
            return
        cursor = request.header("last-event-id")
        after, epoch = _cursor(cursor) if cursor else (0, None)
        await self._stream(wire, request, by="start", run_id=body.get("run_id"), after=after, epoch=epoch)

    async def _events(self, wire: Wire, request: Request, seen: Mapping[str, Any], run_id: str) -> None:
        cursor = request.header("last-event-id") or next(iter(request.query.get("after", [])), "")
        after, epoch = _cursor(cursor) if cursor else (0, None)
        accept = request.header("accept")
        if "application/json" in accept and "text/event-stream" not in accept:
            self.log.note("poll", wire.number, page=True, **seen)
            self.acting.looked_at()
            trace = self._trace("http", request)
            if self.run.said <= after and self.run.status == "running":
                wait = next(iter(request.query.get("wait", [])), "0")
                seconds = float(wait) if wait.replace(".", "", 1).isdigit() else 0.0
                await asyncio.sleep(min(seconds, self.scenario.heartbeat_s))  # [POLL-4]
            self._json(wire, 200, self.run.page(after), trace)
            return
        await self._stream(wire, request, by="resume", run_id=run_id, after=after, epoch=epoch)

    async def _stream(self, wire: Wire, request: Request, **asked: Any) -> None:
        trace = self._trace("sse", request)
        style = self.scenario.stream
        reader = StreamReader(
            wire,
            trace,
            style.get("line_end", "\n"),
            style.get("cut_every", 0),
            style.get("comments", False),
            "" if style.get("tight") else " ",
            style.get("byte_order_mark", False),
            style.get("folded", False),
        )
        self.acting.attached(reader, re=None, token=request.token, **asked)
        while await wire.read():
            pass
        if not reader.broken_off:
            self.log.note("gone", wire.number)

    def _trace(self, transport: Transport, request: Request) -> Trace:
        trace = Trace(transport, f"{request.method} {request.path}")
        cursor = request.header("last-event-id")
        shown = f"{request.method} {request.path}" + (f"  Last-Event-ID: {cursor}" if cursor else "")
        trace.add("client", "request", shown)
        if request.body:
            body = request.body.decode("utf-8", "replace")
            trace.add("client", "text", body, parsed(body))
        self.log.traces.append(trace)
        return trace

    def _json(
        self,
        wire: Wire,
        status: int,
        value: Mapping[str, Any],
        trace: Trace | None = None,
        media: str = "application/json",
        headers: Any = (),
    ) -> None:
        text = json.dumps(value, ensure_ascii=False)
        if trace is not None:
            trace.add("server", "response", f"{status} {text}", code=status)
        wire.answer(status, media, text.encode(), headers)

    def _problem(self, wire: Wire, told: Mapping[str, Any]) -> None:
        status, body = problem(told)
        headers = [("WWW-Authenticate", "Bearer")] if status == 401 else []
        self._json(wire, status, body, None, "application/problem+json", headers)


def _cursor(text: str) -> tuple[int, str | None]:
    """Return seq and epoch of a cursor ([SSE-14]); -1 for one that is malformed."""
    epoch, _, seq = text.rpartition(".")
    return (int(seq) if seq.isdigit() else -1), epoch or None
