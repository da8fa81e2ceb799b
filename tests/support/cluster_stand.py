"""Several real server processes on one real Redis, for tests to use, pause and kill."""

import asyncio
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.check_reference_server import command, listening
from tests.support.patience import patience, tries
from tests.support.redis_stand import RedisStand

Message = dict[str, Any]

#: Seconds that anything may take beyond its own bound on a busy machine.
PATIENCE_S = patience(20)


class Node:
    """One server process."""

    def __init__(self, redis: RedisStand, *options: str, **limits: float) -> None:
        self._call = [
            *command(**{"worker_lost_s": 2, "idle_s": 60, **limits}),
            f"--redis={redis.url}",
            *options,
        ]
        self.url = ""
        self.begin()

    def begin(self) -> None:
        """Begin to start it."""
        self.process = subprocess.Popen(self._call, stdout=subprocess.PIPE, text=True)

    def listen(self) -> None:
        """Wait until it is started."""
        self.url = listening(self.process)

    def start(self) -> None:
        """Start it again after it was killed, at another port."""
        self.begin()
        self.listen()

    def ready(self) -> bool:
        """Whether it takes on runs."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=patience(10)) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it, and forget it."""
        self.process.kill()
        self.process.wait(patience(10))
        assert self.process.stdout is not None
        self.process.stdout.close()


class Cluster:
    """Nodes by number, on a Redis of their own."""

    def __init__(
        self,
        folder: Path,
        count: int,
        *options: str,
        durable: bool = False,
        node: type[Node] = Node,
        **limits: float,
    ) -> None:
        self.redis = RedisStand(folder, durable=durable)
        self.nodes = [node(self.redis, *options, **limits) for _ in range(count)]
        for begun in self.nodes:
            begun.listen()

    def end(self) -> None:
        """Kill everything."""
        for node in self.nodes:
            node.end()
        self.redis.kill()


class Client:
    """A connection past its `ready`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps(message))

    async def start(self, *steps: Message, **members: Any) -> Message:
        """Start a script; return `started`."""
        await self.send(type="start", prompt=json.dumps({"runwire_script": list(steps)}), **members)
        return await self.of_type("started", "error")

    async def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Receive until a message is wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(message := json.loads(await self.socket.recv())):
                pass
        return dict(message)

    async def of_type(self, *kinds: str) -> Message:
        """Receive until a message has one of these types."""
        return await self.until(lambda message: message["type"] in kinds)

    async def log(self) -> list[Message]:
        """Receive a run's events up to its terminal."""
        events: list[Message] = []
        async with asyncio.timeout(PATIENCE_S):
            while not events or events[-1]["type"] not in {"done", "error"}:
                message = json.loads(await self.socket.recv())
                if "seq" in message:
                    events.append(message)
        return events

    async def closed(self) -> int:
        """Wait until the server has closed; return its code."""
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.wait_closed()
        return self.socket.close_code or 0


@asynccontextmanager
async def connected(node: Node, **options: Any) -> AsyncIterator[Client]:
    """A connection to a node."""
    address = node.url.replace("http", "ws") + "/ws/generate"
    async with connect(address, compression=None, close_timeout=1, **options) as socket:
        client = Client(socket)
        await client.of_type("ready")
        yield client


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    for _ in tries(seconds, 0.05):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not come to that within {seconds} seconds")
