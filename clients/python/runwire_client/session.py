"""What the transports share: a server, a log, and the decision what to try next."""

import asyncio
import json
from collections.abc import Collection
from itertools import count
from typing import Any

from runwire_client.http import over_http
from runwire_client.log import Emit, RunLog
from runwire_client.options import Options
from runwire_client.outbox import Outbox, Unsent, Way
from runwire_client.problem import RunwireError
from runwire_client.retry import Blocked, Next, Retry
from runwire_client.server import FAULTS, Server
from runwire_client.websocket import over_websocket


class Session:
    """One run on its way; `emit` tells its user of everything."""

    def __init__(self, options: Options, prompt: str | None, run_id: str, emit: Emit) -> None:
        self.options = options
        self.emit = emit
        self.server = Server(options)
        self.transport = self._first
        self.failure: RunwireError | None = None
        #: What delivers a message over the WebSocket, while there is one.
        self.say: Way | None = None
        #: Whether the `start` may have reached the server.
        self.started = False
        self.outbox = Outbox(self._way, emit)
        self.log = RunLog(run_id, options.start(prompt, run_id), emit, self.outbox)
        self.left = False
        self._awake = asyncio.Event()
        self._working: asyncio.Task[Next] | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._ids = count(1)
        self._retry = Retry()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to follow."""
        return self.log.ended is not None or self.failure is not None or self.left

    def new_id(self) -> str:
        """Return an `id` for a message ([MSG-32])."""
        return str(next(self._ids))

    def wire(self, direction: str, text: str) -> None:
        """Tell of what goes over the wire, without credentials."""
        self.emit("wire", {"direction": direction, "text": text})

    def delay(self, *, at_once: bool = False, least_s: float = 0.0) -> float:
        """Return the seconds to wait before the next attempt."""
        return self._retry.delay(self.log.cursor, at_once=at_once, least_s=least_s)

    async def follow(self) -> None:
        """Follow the run until it is over."""
        try:
            while not self.over:
                after = await self._attempt()
                if self.over:
                    break
                wait = self.delay(at_once=after.at_once, least_s=after.least_s)
                state = "offline" if after.offline else "reconnecting"
                self.emit("state", {"state": state, "detail": after.why, "wait_s": wait})
                await self._sleep(wait)
        finally:
            self.outbox.clear()
            await self._end([*self._posts])
            await self.server.close()

    def cancel(self) -> None:
        """Ask the server to stop."""
        if self.over or self.log.cancelled:
            return
        self.log.cancelled = True
        if self.started or self.log.is_there:
            self.outbox.add("cancel", {})
        else:
            self._stop(RunwireError("stopped before it was started", code="cancelled"))

    def leave(self) -> None:
        """Stop following."""
        self.left = True
        self.break_off()
        self._awake.set()

    def break_off(self) -> None:
        """Break the connection off, as a network would."""
        if self._working is not None:
            self._working.cancel()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _attempt(self) -> Next:
        """Follow the run over one connection, and return how to go on."""
        self._working = asyncio.create_task(self._connection())
        try:
            await asyncio.wait({self._working})
        finally:
            await self._end([self._working])
            self._unplug()
        if self._working.cancelled():
            return Next("dropped", at_once=True)
        problem = self._working.exception()
        if problem is None:
            return self._working.result()
        return await self._hindered(problem)

    async def _connection(self) -> Next:
        if self.server.endpoints is None:
            await self.server.discover()
        if self.over:
            return Next()
        return await (over_http(self) if self.transport == "sse" else over_websocket(self))

    async def _hindered(self, problem: BaseException) -> Next:
        """Decide by what went wrong how to go on."""
        if self.over:
            return Next()
        if isinstance(problem, Blocked):
            return await self._fall_back(problem)
        if isinstance(problem, FAULTS):
            return Next(str(problem) or type(problem).__name__, offline=True)
        if not isinstance(problem, RunwireError):
            raise problem
        if problem.code == "unauthorized":
            self.emit("state", {"state": "unauthorized", "detail": str(problem)})
            try:
                renewed = await self.server.renew()
            except RunwireError as no_token:
                return self._stop(no_token)
            if renewed:
                if self.options.transport == "auto" and not self.log.accepted:
                    self.transport = self._first
                return Next(str(problem))
        if not problem.retryable:
            return self._stop(problem)
        return Next(str(problem), least_s=problem.retry_after_s)

    async def _fall_back(self, blocked: Blocked) -> Next:
        """Find out why the WebSocket did not open, and use the fallback when only it is blocked (chapter 9)."""
        self.server.endpoints = None
        if self.options.transport != "auto" or self.server.is_socket:
            return Next(str(blocked))
        try:
            await self.server.discover()
        except (RunwireError, *FAULTS) as problem:
            return await self._hindered(problem)
        if self.server.wants_token:
            return await self._hindered(RunwireError("a token is wanted", code="unauthorized"))
        if "sse" not in self.server.features:
            return Next(str(blocked))
        self.transport = "sse"
        self.emit("state", {"state": "reconnecting", "detail": str(blocked), "wait_s": 0.0})
        return await self._attempt()

    def _stop(self, problem: RunwireError) -> Next:
        self.failure = problem
        self.emit("state", {"state": "refused", "detail": str(problem)})
        self.break_off()
        self._awake.set()
        return Next()

    def _unplug(self) -> None:
        self.say = None
        self.log.following = False

    @property
    def _first(self) -> str:
        return "sse" if self.options.transport == "sse" else "websocket"

    def _way(self) -> Way | None:
        """Return what delivers a cancel or an answer now."""
        if self.over:
            return None
        if self.transport == "websocket":
            return self.say
        return self._post if self.log.accepted else None

    def _post(self, one: Unsent) -> None:
        task = asyncio.create_task(self._posted(one))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _posted(self, one: Unsent) -> None:
        try:
            url = self.server.run_url(self.log.id, f"/{one.kind}")
            body = self.server.checked(json.dumps(one.body))
            self.wire("→", f"POST {url} {body}")
            await self.server.json(url, method="POST", body=body)
        except RunwireError as problem:
            self.outbox.undelivered(one, problem)
        except FAULTS:
            self.outbox.undelivered(one, None)
        else:
            self.outbox.answered(lambda other: other is one)

    @staticmethod
    async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
