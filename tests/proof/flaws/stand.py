"""Good servers to put flaws in front of: reference servers, each a process of its own, used again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.check_reference_server import CREDENTIAL_OPTIONS, credentials, hooks, hooks_alone
from tests.support.patience import patience
from tests.support.redis_stand import RedisStand

from .flaw import ALL_FEATURES, Stand
from .node import Node
from .proxy import Proxy
from .rewrite import Rewrite

START_S = patience(60)
LISTENING = re.compile(r"http://[\w.:\[\]]+:\d+")

CHECK_LIMITS: Mapping[str, float] = {
    "heartbeat_s": 1,
    "pong_timeout_s": 1,
    "detach_grace_s": 1.5,
    "idle_s": 20,
    "run_s": 6,
    "cancel_quiet_ms": 300,
    "cancel_deadline_ms": 1000,
    "drain_s": 2,
    "log_bytes": 1_048_576,
    "max_event_bytes": 16_384,
    "max_message_bytes": 131_072,
    "connections_per_principal": 40,
}
"""Short timings and small limits, so that every bound can be waited for."""


@dataclass(slots=True)
class Server:
    """A running server."""

    url: str
    process: asyncio.subprocess.Process
    limits: Mapping[str, float]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that hold its credentials, none when it wants none."""

    nodes: tuple[str, ...] = ()
    """The base URLs of its further nodes."""

    killable: int = 0
    """The process id of the last of these nodes, if the judge may kill it."""

    @property
    def credentials(self) -> Mapping[str, str]:
        """The credentials by their hooks, and the key of JSON Web Tokens."""
        names = {
            "token": "RUNWIRE_CHECK_TOKEN",
            "other_token": "RUNWIRE_CHECK_OTHER_TOKEN",
            "forbidden_token": "RUNWIRE_CHECK_FORBIDDEN_TOKEN",
            "secret": "RUNWIRE_JWT_SECRET",
        }
        return {name: self.environment[variable] for name, variable in names.items() if self.environment}

    def settings(self, stand: Stand) -> str:
        """Return the `runwire.toml` that tells the judge what it needs to know of this server."""
        drain = {"drain": f"kill -TERM {self.process.pid}"} if stand.drains else {}
        nodes = {"urls": list(self.nodes)} if self.nodes else {}
        kill = {"kill": f"kill -KILL {self.killable}"} if self.killable else {}
        further: dict[str, str | list[str]] = {**drain, **nodes, **kill}
        return hooks(**further) if stand.auth else hooks_alone(**further)

    async def stop(self) -> None:
        """End the process."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start_server(stand: Stand, *options: str, script_agent: bool = True) -> Server:
    """Start a reference server on a free port; raises RuntimeError when it does not come up."""
    command = [str(Path(sys.executable).parent / "runwire-server"), "--port", "0", "--log-level", "error"]
    command += options
    command += ["--script-agent"] if script_agent else []
    for name, value in {**CHECK_LIMITS, **stand.limits}.items():
        command += [f"--{name.replace('_', '-')}", f"{value:g}" if value < 1e5 else str(int(value))]
    for feature in set(ALL_FEATURES) - set(stand.features):
        command += ["--without", feature]
    if not stand.auth:
        return await listening(command)
    secrets = credentials()
    server = await listening([*command, *CREDENTIAL_OPTIONS], {**os.environ, **secrets})
    server.environment = secrets
    return server


@asynccontextmanager
async def two_nodes(stand: Stand) -> AsyncIterator[Server]:
    """Start two reference servers on a Redis of their own; yields the first. Raises RuntimeError."""
    if shutil.which("redis-server") is None:
        raise RuntimeError("redis-server is missing; on Debian: apt-get install redis-server")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = await asyncio.to_thread(RedisStand, folder)
        stack.callback(redis.kill)
        servers: list[Server] = []
        for _ in range(2):
            servers.append(await start_server(stand, f"--redis={redis.url}"))
            stack.push_async_callback(servers[-1].stop)
        first, second = servers
        first.nodes, first.killable = (second.url,), second.process.pid
        yield first


async def listening(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Server:
    """Start a server that prints its URL once it listens; raises RuntimeError when it does not come up."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    said = b""
    try:
        async with asyncio.timeout(START_S):
            while not (found := LISTENING.search(said.decode(errors="replace"))):
                line = await process.stdout.readline() if process.stdout else b""
                if not line:
                    raise RuntimeError(f"the server ended: {said.decode(errors='replace')}")
                said += line
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"the server did not start: {said.decode(errors='replace')}") from None
    try:
        limits = await asyncio.to_thread(_discovery, found[0])
    except OSError as problem:
        process.kill()
        raise RuntimeError(f"the server says it listens and does not: {problem}") from None
    if process.stdout:
        asyncio.create_task(_drain(process.stdout))  # noqa: RUF006 - ends with the process
    return Server(found[0], process, limits)


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.readline():
        pass


def _discovery(url: str) -> Mapping[str, float]:
    """Return the limits of a server that says it listens, and soon does."""
    for _ in range(40):
        try:
            return _limits(url)
        except OSError:
            time.sleep(0.05)
    return _limits(url)


def _limits(url: str) -> Mapping[str, float]:
    with urllib.request.urlopen(f"{url}/.well-known/runwire", timeout=patience(10)) as response:
        limits: Mapping[str, float] = json.load(response)["limits"]
    return limits


@dataclass(slots=True)
class Stands:
    """Keeps servers that nobody uses at the moment, by how they were started."""

    _idle: defaultdict[tuple[object, ...], list[Server]] = field(default_factory=lambda: defaultdict(list))

    @asynccontextmanager
    async def behind(self, stand: Stand, rewrite: Rewrite) -> AsyncIterator[tuple[Proxy, Server]]:
        """Yield a proxy with `rewrite` before a server for `stand`."""
        if stand.killable:
            async with two_nodes(stand) as server:
                rewrite.limits = server.limits
                async with Proxy(server.url, rewrite).listening() as proxy:
                    yield proxy, server
            return
        key = (tuple(sorted(stand.limits.items())), stand.features, stand.auth)
        reusable = not stand.drains
        idle = self._idle[key]
        server = idle.pop() if reusable and idle else await start_server(stand)
        rewrite.limits, rewrite.credentials = server.limits, server.credentials
        try:
            async with AsyncExitStack() as stack:
                proxy = await stack.enter_async_context(Proxy(server.url, rewrite).listening())
                server.nodes = ()
                if stand.nodes:
                    first = await stack.enter_async_context(Proxy(server.url, Node()).listening())
                    server.nodes, proxy = (proxy.url,), first
                yield proxy, server
        except BaseException:
            await server.stop()
            raise
        if reusable and server.process.returncode is None:
            idle.append(server)
        else:
            await server.stop()

    async def end(self) -> None:
        """Stop every server."""
        for servers in self._idle.values():
            for server in servers:
                await server.stop()
        self._idle.clear()
