"""Steps of a scenario for the nth `start` or `resume`, played to one reader."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from runwire_conformance.tools.check_client.scenario import Plan, Scenario, plan_for
from runwire_conformance.tools.check_client.server.readers import Reader, SocketReader, StreamReader
from runwire_conformance.tools.check_client.server.scenario_run import (
    BAD_REQUEST,
    NOT_FOUND,
    ScenarioRun,
    problem,
    refusal,
)
from runwire_conformance.tools.check_client.wire_log import WireLog
from runwire_conformance.trace.clock import now

#: Pings in an interval of the heartbeat: their Pongs show that a client is there.
PINGS = 4


class ScenarioPlayer:
    """Plays the plans of a scenario to whoever starts or resumes its run."""

    def __init__(self, scenario: Scenario, run: ScenarioRun, log: WireLog) -> None:
        self._scenario = scenario
        self._run = run
        self._log = log
        self._count = 0
        self._playing: dict[int, asyncio.Task[None]] = {}
        self._silent: set[int] = set()
        self._said_at: dict[int, float] = {}
        self._refusing: Mapping[str, Any] | None = None
        self._looks = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def attached(
        self,
        reader: Reader,
        *,
        by: str,
        run_id: Any,
        after: int,
        epoch: Any,
        re: str | None,
        token: str | None,
    ) -> None:
        """Play what the scenario has for this attempt; one that comes again on a connection moves its reader."""
        number = reader.wire.number
        again = number in self._playing
        if again:
            self._playing.pop(number).cancel()  # [RESUME-16]
        self._count += 1
        attach = self._count
        members = {"transport": reader.transport, "by": by, "run_id": run_id, "after": after, "epoch": epoch}
        self._log.note("attach", number, number=attach, token=token, again=again, **members)
        if by == "start":
            self._run.begun(run_id if isinstance(run_id, str) else None)
        elif not self._run.run_id:
            self._run.begun(str(run_id))
        plan = plan_for(self._scenario.attaches, attach)
        self._run.epoch = plan.get("epoch", self._run.epoch)
        task = asyncio.create_task(self._play(reader, plan, attach, members, re))
        self._playing[number] = task
        self.tasks.add(task)

    def is_silent(self, reader: Reader) -> bool:
        """Whether the scenario has nothing said on this connection any more."""
        return reader.wire.number in self._silent

    def looked_at(self, page: bool = False) -> None:
        """Go on with a run whose stream is gathered: behind the first look, and to its end while somebody looks.

        Only whoever is sent a `page` of its log reads it.
        """
        self._looks += 1
        if self._looks == 1:
            return
        self._run.said = min(self._run.last, self._run.said + max(2, self._run.last // 2))
        for seq in range(1, self._run.said + 1):
            self._log.said.setdefault(seq, now())
        if page and self._run.said == self._run.last and self._log.mark("over") is None:
            self._log.note("mark", name="over")

    def refuse_cancel(self, reader: Reader, re: str | None) -> None:
        """Answer a `cancel` that the scenario refuses."""
        if self._refusing is not None:
            reader.say(refusal(self._refusing, re))
            self._refusing = None

    def cancel_refusal(self) -> Mapping[str, Any] | None:
        """Return what refuses a `cancel` over HTTP, if the scenario does."""
        refused, self._refusing = self._refusing, None
        return refused

    def keep_alive(self, reader: SocketReader) -> asyncio.Task[None]:
        """Send heartbeats and Pings while nothing else is sent, until the scenario has it silent."""
        task = asyncio.create_task(self._beat(reader))
        self.tasks.add(task)
        return task

    async def _beat(self, reader: Reader) -> None:
        rest = self._scenario.heartbeat_s / PINGS
        while True:
            await asyncio.sleep(rest)
            number = reader.wire.number
            if number in self._silent:
                continue
            reader.ping()
            if now() - self._said_at.get(number, 0.0) >= self._scenario.heartbeat_s - rest:
                await self._say(reader, {"type": "heartbeat"})

    async def _say(self, reader: Reader, message: Mapping[str, Any], event_id: str = "") -> None:
        self._said_at[reader.wire.number] = now()
        reader.say(message, event_id)
        await reader.settled()

    async def _play(
        self, reader: Reader, plan: Plan, attach: int, asked: Mapping[str, Any], re: str | None
    ) -> None:
        if "mark" in plan:
            self._log.note("mark", reader.wire.number, name=plan["mark"], attach=attach)
        if isinstance(reader, StreamReader) and "answer" in plan:
            await self._answered(reader, plan["answer"], attach)
            return
        if (refused := plan.get("refuse") or self._unfit(asked)) is not None:
            self._refuse(reader, refused, re)
            self._log.note("mark", reader.wire.number, name="ended", attach=attach)
            self._log.note("ended", reader.wire.number)
            return
        after, beats = int(asked["after"]), None
        answers = not (self._scenario.basic or "unanswered" in plan)
        if isinstance(reader, StreamReader) and answers:
            location = f"/v1/runs/{self._run.run_id}/events"
            reader.wire.open_stream([("Location", location)] if asked["by"] == "start" else [])
            reader.begin(f"{self._run.epoch}.{after}")
            beats = asyncio.create_task(self._beat(reader))
            self.tasks.add(beats)
        try:
            if answers:
                first = self._run.started(re) if asked["by"] == "start" else self._run.resumed(after, re)
                await self._say(reader, first)
            self._log.note("mark", reader.wire.number, name="begun", attach=attach)
            await self._steps(reader, plan.get("steps", ({"rest": True},)), after, attach)
        finally:
            if beats is not None:
                beats.cancel()

    def _unfit(self, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return why a `resume` is refused by a server that keeps the rules of chapter 7, None when it is not."""
        if asked["by"] != "resume" or self._scenario.basic:
            return None
        if (asked["epoch"] is not None and asked["epoch"] != self._run.epoch) or asked[
            "run_id"
        ] != self._run.run_id:
            return NOT_FOUND  # [RESUME-12]
        return BAD_REQUEST if not 0 <= int(asked["after"]) <= self._run.last else None  # [RESUME-13]

    def _refuse(self, reader: Reader, told: Mapping[str, Any], re: str | None) -> None:
        if isinstance(reader, SocketReader):
            reader.say({**self._scenario.members, **refusal(told, re)})
            return
        status, body = problem(told)
        text = json.dumps({**self._scenario.members, **body})
        reader.trace.add("server", "response", f"{status} {text}", code=status)
        retry = told.get("retry_after_ms")
        headers = [("Retry-After", str(-(-retry // 1000)))] if retry else []
        reader.wire.answer(status, "application/problem+json", text.encode(), headers)
        reader.wire.close()

    async def _answered(self, reader: StreamReader, answer: Mapping[str, Any], attach: int) -> None:
        if answer.get("gather"):
            self._log.note("mark", reader.wire.number, name="ended", attach=attach)
            return  # nothing comes; what comes later is told to whoever polls
        status = answer.get("status", 200)
        reader.trace.add("server", "response", f"{status} a page of a gateway", code=status)
        self._log.note("mark", reader.wire.number, name="ended", attach=attach)
        self._log.note("ended", reader.wire.number)
        reader.wire.answer(status, "text/html", b"<!doctype html><h1>A gateway speaks</h1>")
        await reader.wire.drain()
        reader.wire.close()

    async def _steps(self, reader: Reader, steps: Any, after: int, attach: int) -> None:
        place = after
        ended = False
        for step in steps:
            ((name, value),) = step.items()
            if name in {"events", "rest"}:
                last = self._run.last if name == "rest" else value
                for seq in range(place + 1, last + 1):
                    await asyncio.sleep(self._scenario.pace_s)
                    await self._event(reader, self._run.event(seq))
                place = max(place, last)
            elif name == "event":
                await self._event(reader, self._run.event(value))
            elif name == "merge":
                await self._event(reader, self._run.merged(*value))
                place = max(place, value[1])
            elif name == "send":
                message = dict(value)
                if "seq" in message:
                    message["run_id"] = self._run.run_id
                await self._event(reader, message)
            elif name == "text" and isinstance(reader, SocketReader):
                reader.text(value)
            elif name == "bytes" and isinstance(reader, StreamReader):
                reader.raw(value)
                await reader.settled()
            elif name == "pause_s":
                await asyncio.sleep(value)
            elif name == "beats":
                for _ in range(value):
                    await self._say(reader, {"type": "heartbeat"})
                    await asyncio.sleep(self._scenario.heartbeat_s / 2)
            elif name == "silence":
                self._silent.add(reader.wire.number)
            elif name == "refuse":
                self._refusing = value
            elif name == "await":
                await self._heard(value)
            elif name == "mark":
                self._log.note("mark", reader.wire.number, name=value, attach=attach)
            elif name in {"close", "cut"}:
                # What the client reads first it may act upon first: the moment is noted before.
                self._log.note("mark", reader.wire.number, name="ended", attach=attach)
                self._log.note("ended", reader.wire.number)
                ended = True
                if name == "close":
                    reader.close(value)
                else:
                    reader.cut()
        if self._run.status != "running" and place >= self._run.last:
            self._log.note("mark", reader.wire.number, name="over", attach=attach)
        if not ended:
            self._log.note("mark", reader.wire.number, name="ended", attach=attach)
            if isinstance(reader, StreamReader) and self._run.status != "running":
                reader.close(1000)  # [SSE-10]
            elif isinstance(reader, SocketReader):
                reader.ping()

    async def _event(self, reader: Reader, message: Mapping[str, Any]) -> None:
        seq = message.get("seq")
        if isinstance(seq, int):
            self._run.said = max(self._run.said, min(seq, self._run.last))
            self._log.said.setdefault(seq, now())
        if self._scenario.basic:
            message = {name: value for name, value in message.items() if name in BASIC}
        self._log.said_at = now()
        await self._say(reader, message, f"{self._run.epoch}.{seq}" if isinstance(seq, int) else "")

    async def _heard(self, kind: str) -> None:
        while not any(one.get("type") == kind for one in self._log.of("says")):
            await self._log.next_entry()


#: The members that a basic server sends.
BASIC = frozenset({"type", "data", "content", "name", "input"})
