"""Server of one play: sockets on free loopback ports, driven by the scenario."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.scenario import Scenario
from runwire_conformance.tools.check_client.server.answering import answer_json, answer_problem, opened
from runwire_conformance.tools.check_client.server.peers import PeerConnection, Request
from runwire_conformance.tools.check_client.server.runs_over_http import RUNS, RunsOverHttp
from runwire_conformance.tools.check_client.server.scenario_player import ScenarioPlayer
from runwire_conformance.tools.check_client.server.scenario_run import NOT_FOUND, ScenarioRun
from runwire_conformance.tools.check_client.server.sockets import Sockets
from runwire_conformance.tools.check_client.wire_log import WireLog

HOST = "127.0.0.1"
DISCOVERY, SOCKET, TOKEN = "/.well-known/runwire", "/ws/generate", "/token"

#: What a gateway answers in place of the server.
PAGE = b"<!doctype html><title>A gateway</title><h1>Please wait</h1>"


class PlayServer:
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
        self.acting = ScenarioPlayer(scenario, self.run, self.log)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._tokens: list[str] = []
        self._ports: list[int] = []
        played = (self.run, self.acting, self.log, self._tokens)
        self._sockets = Sockets(scenario, transport, *played)
        self._runs = RunsOverHttp(scenario, *played)

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
    def launch_parameters(self) -> LaunchParameters:
        """What the client is told."""
        origin = f"{HOST}:{self._ports[0]}"
        return LaunchParameters(
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
        wire = PeerConnection(reader, writer, self._numbers)
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

    async def _route(self, wire: PeerConnection, request: Request, place: Mapping[str, Any]) -> None:
        if request.method == "OPTIONS":
            wire.answer(204, "", b"")
            return
        if request.path == TOKEN:
            answer_json(wire, 200, {"token": self._new_token()})
            return
        seen = {**place, "token": request.token, "method": request.method, "path": request.path}
        if request.upgrades:
            await self._sockets.handshake(wire, request, seen)
        elif request.path == DISCOVERY:
            self._discover(wire, request, seen)
        elif request.path == RUNS or request.path.startswith(f"{RUNS}/"):
            await self._runs.answer(wire, request, seen)
        else:
            answer_problem(wire, NOT_FOUND)

    def _discover(self, wire: PeerConnection, request: Request, seen: Mapping[str, Any]) -> None:
        self.log.note("discovery", wire.number, **seen)
        trace = opened(self.log, "http", request)
        asked = len(self.log.of("discovery"))
        if asked > len(self.scenario.discovery):
            answer_json(wire, 200, self._discovery(), trace)
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
