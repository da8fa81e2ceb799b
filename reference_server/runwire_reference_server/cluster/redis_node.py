"""Node membership in Redis: the lease, wake-up hints, and loss of contact.

All that a node holds (leases of runs, readers, places) hangs on one lease that it renews. A node that does not is
buried by the others. One that finds out that it was, or that cannot reach the store, lets go of everything and joins
anew under another name: what happened meanwhile is then nothing it has to guess at.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, cast

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from runwire_reference_server.agents import done, error
from runwire_reference_server.run_log.events import Event, encode
from runwire_reference_server.run_log.runs import new_identifier
from runwire_reference_server.run_log.store import StoreGone

log = logging.getLogger(__name__)

#: Seconds after which an answer of the store is given up, and how many steps are asked for at once.
TIMEOUT_S = 5.0
BATCH = 256

#: The longest time between two looks at the store ([NODE-8]), and the time between two attempts to join, in seconds.
LOOK_S = 0.5
RETRY_S = 0.5

#: Seconds between two attempts to reach a store that takes no connection, for TIMEOUT_S and no longer than the lease.
AGAIN_S = 0.1

#: The share of `worker_lost_s` that a lease lasts; what is left is for others to look at it.
LEASE = 0.75

#: How the store itself ends runs: when their worker is lost, and when nobody reads them.
LOST = encode(error("worker_lost", "the node that worked on this run is gone", True))
UNREAD = encode(done("nobody was reading", "cancelled", "disconnected"))

_SCRIPT = "\n".join(
    (files(__package__) / name).read_text(encoding="utf-8") for name in ("redis.lua", "redis_slots.lua")
)


class Listener:
    """What a node tells its store. The default is not to mind."""

    def grown(self, name: str) -> None:
        """The log of a run has grown."""

    def ended(self, name: str) -> None:
        """A run has ended on another node."""

    def reaped(self, terminal: Event) -> None:
        """This node ended a run that another had left, or that nobody read."""

    async def look(self, work: Sequence[str]) -> None:
        """It is time to read again; `work` names the runs whose lease this node holds."""


class Unreached(RedisConnectionError):
    """No connection came about, so that nothing was written."""


class _Telling:
    """A connection that tells by its error whether it could be opened at all."""

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().connect_check_health(*args, **kwargs)  # type: ignore[misc]
        except (RedisError, OSError, TimeoutError) as reason:
            raise Unreached(type(reason).__name__) from None


def client(url: str) -> Redis:
    """Return a client that never repeats a command: what was asked may have happened. Raises ValueError."""
    pool = ConnectionPool.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    pool.connection_class = type("Connection", (_Telling, pool.connection_class), {})
    return Redis.from_pool(pool)


class RedisNode:
    """A node; use it as an asynchronous context manager while the server serves."""

    def __init__(self, url: str, worker_lost_s: float) -> None:
        """A node that dies is buried within `worker_lost_s`; raises ValueError for a wrong `url`."""
        self.id: str | None = None
        self.listener = Listener()
        self.on_lost: Callable[[], None] = lambda: None
        self._client = client(url)
        self._sha = ""
        self._before = ""
        self._lease_until = 0.0
        self._lease_ms = max(1, int(worker_lost_s * 1000 * LEASE))
        self._look_s = min(LOOK_S, worker_lost_s / 8)
        self._living: asyncio.Task[None] | None = None
        self._leaving = False
        self._asked: list[tuple[asyncio.Future[Any], tuple[str | bytes | int, ...]]] = []
        self._wake = asyncio.Event()

    async def __aenter__(self) -> "RedisNode":
        joined = asyncio.Event()
        self._living = asyncio.create_task(self._live(joined))
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await joined.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._living is not None
        # The client library loses a cancellation that meets the end of a write: so all that goes on ends without it.
        node, self.id, self._leaving = self.id, None, True
        self._living.cancel()
        await asyncio.gather(self._living, return_exceptions=True)
        if node is not None:
            with suppress(RedisError, OSError, TimeoutError):
                await self._alone("leave", node, LOST)
        await self._client.aclose()

    async def step(self, name: str, *arguments: str | bytes | int) -> Any:
        """Take a step of the script, also when the caller is cancelled meanwhile; raises StoreGone."""
        if self.id is None:
            raise StoreGone
        answer = asyncio.get_running_loop().create_future()
        self._asked.append((answer, (name, self.id, *arguments)))
        self._wake.set()
        return await answer

    async def _send(self) -> None:
        """Ask for what waits: all that was wanted while an answer was on its way goes out together."""
        node, batch = self.id, self._asked[:0]
        try:
            while node is not None and self.id == node:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._asked[:BATCH]:
                    del self._asked[:BATCH]
                    outcomes = await self._taken([words for _, words in batch])
                    for (answer, _), found in zip(batch, outcomes, strict=True):
                        if not answer.done():
                            answer.set_result(found)
        except (RedisError, OSError, TimeoutError) as reason:
            self._lose(node, reason)
        finally:
            for answer, _ in [*batch, *self._asked]:
                if not answer.done():
                    answer.set_exception(StoreGone())
            self._asked.clear()
        raise StoreGone

    async def _taken(self, steps: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """Return what these steps come to. One that the store certainly did not take is asked for again."""
        outcomes: dict[int, Any] = {}
        loop = asyncio.get_running_loop()
        until = min(loop.time() + TIMEOUT_S, self._lease_until)
        while missing := [place for place in range(len(steps)) if place not in outcomes]:
            pipeline = self._client.pipeline(transaction=False)
            for place in missing:
                pipeline.evalsha(self._sha, 0, *cast(Any, steps[place]))
            try:
                found = await pipeline.execute(raise_on_error=False)
            except Unreached:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(AGAIN_S)
                continue
            for place, outcome in zip(missing, found, strict=True):
                if isinstance(outcome, NoScriptError):  # the store forgot the script
                    self._sha = await self._client.script_load(_SCRIPT)
                elif isinstance(outcome, BusyLoadingError) and loop.time() < until:
                    await asyncio.sleep(AGAIN_S)
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    outcomes[place] = outcome
        return [outcomes[place] for place in range(len(steps))]

    def _lose(self, node: str | None, reason: Exception) -> None:
        if node is not None and self.id == node:
            self._before, self.id = node, None
            # [OBS-9] what the client library says of a failed command quotes its arguments.
            said = "its lease was taken" if "GONE" in str(reason) else type(reason).__name__
            log.warning("this node lost the store and gives up its runs and readers: %s", said)
            self.on_lost()

    async def _alone(self, name: str, node: str, *arguments: str | int) -> Any:
        return await self._client.evalsha(self._sha, 0, name, node, *cast(Any, arguments))

    async def _live(self, joined: asyncio.Event) -> None:
        while not self._leaving:
            with suppress(StoreGone):
                await self._join()
                joined.set()
                await self._until_gone(self._send(), self._tend(), self._listen())
            await asyncio.sleep(RETRY_S)

    async def _join(self) -> None:
        node = new_identifier()
        begun = asyncio.get_running_loop().time()
        try:
            self._sha = await self._client.script_load(_SCRIPT)
            ended = await self._alone("join", node, self._before, self._lease_ms, LOST)
        except (RedisError, OSError, TimeoutError):
            raise StoreGone from None
        if self._leaving:
            raise StoreGone
        self.id, self._before = node, ""
        self._lease_until = begun + self._lease_ms / 1000
        self._reap(ended)

    async def _until_gone(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, StoreGone):
                raise outcome

    async def _tend(self) -> None:
        while True:
            begun = asyncio.get_running_loop().time()
            ended, work = await self.step("tend", self._lease_ms, LOST, UNREAD)
            self._lease_until = begun + self._lease_ms / 1000
            self._reap(ended)
            await self.listener.look([name.decode() for name in work])
            await asyncio.sleep(self._look_s)

    def _reap(self, ended: Sequence[bytes]) -> None:
        for terminal in ended:
            self.listener.reaped(msgspec.json.decode(terminal))

    async def _listen(self) -> None:
        node = self.id
        if node is None:
            raise StoreGone
        while self.id == node:
            # What is missed meanwhile is found by the next look ([NODE-8]); that the store is gone, by the next step.
            with suppress(RedisError, OSError, TimeoutError):
                await self._hear(node)
            await asyncio.sleep(AGAIN_S)
        raise StoreGone

    async def _hear(self, node: str) -> None:
        """Pass on the hints that come, as long as the node is this one; raises RedisError, OSError and TimeoutError."""
        grown = f"runwire:grown:{node}"
        async with self._client.pubsub(ignore_subscribe_messages=True) as hints:
            await hints.subscribe(grown, "runwire:ended")
            while self.id == node:
                message = await hints.get_message(timeout=1.0)
                if message is None:
                    continue
                text = message["data"].decode()
                if message["channel"] == grown.encode():
                    self.listener.grown(text)
                elif not text.startswith(node):
                    self.listener.ended(text.partition(" ")[2])
