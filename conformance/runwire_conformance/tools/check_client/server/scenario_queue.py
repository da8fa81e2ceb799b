"""Scenario hand-out for clients that the judge does not start: pages, and clients started by hand.

`GET /next` waits for a scenario and answers with what a client is told, and its number `play`; 204 when there is none
for a while. `POST /report?play=N` takes what the client shows. `GET /over?play=N` answers when the scenario is over.
`GET /runwire-check.js` is a script that does all this for a page, as the global `runwireCheck`.
"""

import asyncio
import json
from dataclasses import dataclass, field
from importlib.resources import files

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.client_under_test.process import LaunchedClient, Unstartable
from runwire_conformance.tools.check_client.client_under_test.reports import NoReport, checked
from runwire_conformance.tools.check_client.server.peers import PeerConnection, Request
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.json_reading import read_json

HOST = "127.0.0.1"

#: Seconds that a request waits for something to happen before it is answered with 204.
ASK_S = 20.0

#: Seconds that a scenario waits for a client that fetches it.
FETCH_S = 300.0


@dataclass(slots=True)
class QueuedPlay:
    """One play, as a client that fetches its scenario sees it."""

    number: int
    parameters: LaunchParameters
    log: WireLog
    fetched: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    misreported: str = ""
    complaint: str = ""

    @property
    def ended(self) -> int | None:
        """Nobody sees whether a page has ended."""
        return None

    async def stop(self) -> None:
        """Have the client let go of it."""
        self.over.set()


class ScenarioQueue:
    """Hands out scenarios, and takes reports."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._waiting: asyncio.Queue[QueuedPlay] = asyncio.Queue()
        self._visits: dict[str, QueuedPlay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> int:
        """Listen, and return the port; raises OSError."""
        self._server = await asyncio.start_server(self._serve, HOST, port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Tell everyone that it is over."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed lets go of its socket

    async def launch(self, told: LaunchParameters, log: WireLog) -> LaunchedClient:
        """Wait until a client has fetched a scenario; raises Unstartable."""
        visit = QueuedPlay(len(self._visits) + 1, told, log)
        self._visits[str(visit.number)] = visit
        await self._waiting.put(visit)
        try:
            async with asyncio.timeout(FETCH_S):
                await visit.fetched.wait()
        except TimeoutError:
            raise Unstartable(f"no client fetched a scenario for {FETCH_S:g} s") from None
        return visit

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = PeerConnection(reader, writer, 0)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = await wire.request()
            if request is not None:
                await self._answer(wire, request)
                await wire.drain()
        except asyncio.CancelledError:
            wire.cut()
        finally:
            self._tasks.discard(task)
            wire.close()

    async def _answer(self, wire: PeerConnection, request: Request) -> None:
        visit = self._visits.get(next(iter(request.query.get("play", [])), ""))
        what = (request.method, request.path)
        if request.method == "OPTIONS":
            wire.answer(204, "", b"")
        elif what == ("GET", "/next"):
            await self._next(wire)
        elif what == ("GET", "/runwire-check.js"):
            script = files(__package__).joinpath("runwire-check.js").read_bytes()
            wire.answer(200, "text/javascript", script)
        elif visit is not None and what == ("GET", "/over"):
            over = await _within(visit.over)
            wire.answer(200 if over else 204, "text/plain" if over else "", b"over" if over else b"")
        elif visit is not None and what == ("POST", "/report"):
            self._report(wire, visit, request.body)
        else:
            wire.answer(404, "text/plain", (__doc__ or "").encode())

    async def _next(self, wire: PeerConnection) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                visit = await self._waiting.get()
        except TimeoutError:
            wire.answer(204, "", b"")
            return
        visit.fetched.set()
        told = {"play": visit.number, **visit.parameters.values}
        wire.answer(200, "application/json", json.dumps(told).encode())

    def _report(self, wire: PeerConnection, visit: QueuedPlay, body: bytes) -> None:
        try:
            visit.log.note("report", **checked(read_json(body)))
            wire.answer(204, "", b"")
        except (NoReport, ValueError) as problem:
            visit.misreported = visit.misreported or str(problem)
            wire.answer(400, "text/plain", str(problem).encode())


async def _within(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(ASK_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
