"""HTTP endpoints of a play: starts, streams, polls, cancels."""

import asyncio
from collections.abc import Container, Mapping
from typing import Any

from runwire_conformance.tools.check_client.scenario import Scenario
from runwire_conformance.tools.check_client.server.answering import answer_json, answer_problem, opened
from runwire_conformance.tools.check_client.server.peers import PeerConnection, Request
from runwire_conformance.tools.check_client.server.readers import StreamReader
from runwire_conformance.tools.check_client.server.scenario_player import ScenarioPlayer
from runwire_conformance.tools.check_client.server.scenario_run import (
    BAD_REQUEST,
    NOT_FOUND,
    UNAUTHORIZED,
    ScenarioRun,
)
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.message import parsed

RUNS = "/v1/runs"


class RunsOverHttp:
    """Answers requests for runs; `tokens` are the credentials that are good."""

    def __init__(
        self,
        scenario: Scenario,
        run: ScenarioRun,
        player: ScenarioPlayer,
        log: WireLog,
        tokens: Container[str],
    ) -> None:
        self._scenario = scenario
        self._run = run
        self._player = player
        self._log = log
        self._tokens = tokens

    async def answer(self, wire: PeerConnection, request: Request, seen: Mapping[str, Any]) -> None:
        """Answer a request, of which `seen` is noted."""
        self._log.note("request", wire.number, **seen)
        if self._scenario.token and request.token not in self._tokens:
            answer_problem(wire, UNAUTHORIZED)
            return
        rest = request.path.removeprefix(RUNS).strip("/").split("/")
        what = (request.method, *rest[1:])
        if request.method == "POST" and rest == [""]:
            await self._post(wire, request)
        elif what == ("GET", "events"):
            await self._events(wire, request, seen, rest[0])
        elif what == ("GET",):
            self._log.note("poll", wire.number, page=False, **seen)
            self._player.looked_at()
            trace = opened(self._log, "http", request)
            answer_json(wire, 200, self._run.state(), trace)
        elif what == ("POST", "cancel"):
            trace = opened(self._log, "http", request)
            self._log.note("says", wire.number, type="cancel")
            if refused := self._player.cancel_refusal():
                answer_problem(wire, refused)
            else:
                answer_json(
                    wire, 200, {name: self._run.state()[name] for name in ("run_id", "status", "seq")}, trace
                )
        else:
            answer_problem(wire, NOT_FOUND)

    async def _post(self, wire: PeerConnection, request: Request) -> None:
        body = parsed(request.body)
        if body is None or "prompt" not in body:
            answer_problem(wire, BAD_REQUEST)
            return
        if "text/event-stream" not in request.header("accept"):
            self._run.begun(body.get("run_id"))
            told = {"run_id": self._run.run_id, "epoch": self._run.epoch, "status": "running"}
            trace = opened(self._log, "http", request)
            answer_json(wire, 202, told, trace, headers=[("Location", f"{RUNS}/{self._run.run_id}/events")])
            return
        cursor = request.header("last-event-id")
        after, epoch = _cursor(cursor) if cursor else (0, None)
        await self._stream(wire, request, by="start", run_id=body.get("run_id"), after=after, epoch=epoch)

    async def _events(
        self, wire: PeerConnection, request: Request, seen: Mapping[str, Any], run_id: str
    ) -> None:
        cursor = request.header("last-event-id") or next(iter(request.query.get("after", [])), "")
        after, epoch = _cursor(cursor) if cursor else (0, None)
        accept = request.header("accept")
        if "application/json" in accept and "text/event-stream" not in accept:
            self._log.note("poll", wire.number, page=True, **seen)
            self._player.looked_at(page=True)
            trace = opened(self._log, "http", request)
            if self._run.said <= after and self._run.status == "running":
                wait = next(iter(request.query.get("wait", [])), "0")
                seconds = float(wait) if wait.replace(".", "", 1).isdigit() else 0.0
                await asyncio.sleep(min(seconds, self._scenario.heartbeat_s))  # [POLL-4]
            answer_json(wire, 200, self._run.page(after), trace)
            return
        await self._stream(wire, request, by="resume", run_id=run_id, after=after, epoch=epoch)

    async def _stream(self, wire: PeerConnection, request: Request, **asked: Any) -> None:
        trace = opened(self._log, "sse", request)
        style = self._scenario.stream
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
        self._player.attached(reader, re=None, token=request.token, **asked)
        while await wire.read():
            pass
        if not reader.broken_off:
            self._log.note("gone", wire.number)


def _cursor(text: str) -> tuple[int, str | None]:
    """Return seq and epoch of a cursor ([SSE-14]); -1 for one that is malformed."""
    epoch, _, seq = text.rpartition(".")
    return (int(seq) if seq.isdigit() else -1), epoch or None
