"""Runs on a cluster whose nodes may die: what two readers saw, who leave and come back, is held against the script."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.cluster_stand import Cluster, Message, Node
from tests.support.patience import patience

#: How a connection to a node ends that is killed, drains or is not there.
LOST = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, asyncio.IncompleteReadError)


@dataclass
class Reader:
    """What one reader of a run has seen."""

    cursor: int = 0
    text: str = ""
    terminals: list[Message] = field(default_factory=list)

    def take(self, event: Message) -> bool:
        """Note an event; True when it ends the run."""
        assert not self.terminals, "an event after the terminal"
        assert event.get("first_seq", event["seq"]) == self.cursor + 1, (self.cursor, event)
        self.cursor = event["seq"]
        if event["type"] == "token":
            self.text += event["data"]
        if event["type"] in {"done", "error"}:
            self.terminals.append(event)
        return bool(self.terminals)


class Run:
    """One run, started again until it is there, with readers that drop off and come back wherever they like."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.random = random.Random(seed)
        self.cluster = cluster
        self.id = f"{self.random.getrandbits(132):033x}"
        count, pause = self.random.randint(3, 60), self.random.choice([0, 5, 20, 60])
        self.expected = "".join(f"{number}." for number in range(count))
        steps = [step for number in range(count) for step in ({"token": f"{number}."}, {"wait_ms": pause})]
        self.start = {
            "type": "start",
            "run_id": self.id,
            "prompt": json.dumps({"runwire_script": steps}),
            "on_disconnect": self.random.choice(["grace", "continue"]),
        }
        self.cancels = self.random.random() < 0.2
        self.readers = [Reader(), Reader()]
        self.there = asyncio.Event()
        #: How often a reader or a cancel came to a node.
        self.visits = 0

    async def play(self) -> None:
        """See the run to its end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.until_done(self.first))
            group.create_task(self.until_done(self.second))
            if self.cancels:
                group.create_task(self.until_done(self.cancel))

    async def until_done(self, attempt: Callable[[Node], Awaitable[bool]]) -> None:
        """Try on one node after another."""
        while True:
            self.visits += 1
            try:
                async with asyncio.timeout(patience(10)):
                    if await attempt(self.random.choice(self.cluster.nodes)):
                        return
            except LOST:
                pass
            await asyncio.sleep(self.random.uniform(0, 0.3))

    async def first(self, node: Node) -> bool:
        """Start the run, or come back to it, by WebSocket."""
        reader = self.readers[0]
        if reader.terminals:  # all was read, and the line broke before its goodbye
            return True
        if not self.there.is_set():
            return await self.follow(node, reader, self.start)
        return await self.follow(node, reader, self.resume(reader))

    async def second(self, node: Node) -> bool:
        """Read the run by WebSocket or as a stream."""
        await self.there.wait()
        reader = self.readers[1]
        if reader.terminals:
            return True
        if self.random.random() < 0.5:
            return await self.stream(node, reader)
        return await self.follow(node, reader, self.resume(reader))

    def resume(self, reader: Reader) -> Message:
        return {"type": "resume", "run_id": self.id, "after": reader.cursor}

    async def follow(self, node: Node, reader: Reader, opening: Message) -> bool:
        left = self.patience()
        async with connect(node.url.replace("http", "ws") + "/ws/generate", close_timeout=0.5) as socket:
            await socket.send(json.dumps(opening))
            while True:
                message = json.loads(await socket.recv())
                if "seq" in message:
                    if reader.take(message):
                        return True
                    left -= 1
                    if not left:
                        if self.random.random() < 0.5:
                            socket.transport.abort()
                        return False
                elif message["type"] in {"started", "resumed"}:
                    self.there.set()
                elif message["type"] == "error":
                    assert message["code"] in {"unavailable", "busy"}, message
                    return False

    async def stream(self, node: Node, reader: Reader) -> bool:
        host, port = node.url.removeprefix("http://").split(":")
        left = self.patience()
        incoming, outgoing = await asyncio.open_connection(host, int(port))
        try:
            path = f"/v1/runs/{self.id}/events?after={reader.cursor}"
            outgoing.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            status = (await incoming.readline()).split()
            if status[1:2] != [b"200"]:
                assert status[1:2] in ([], [b"503"], [b"429"]), status
                return False
            while line := await incoming.readline():
                if line.startswith(b"data: "):
                    message = json.loads(line[6:])
                    if "seq" in message and reader.take(message):
                        return True
                    left -= 1
                    if not left:
                        return False
            return False
        finally:
            outgoing.close()

    def patience(self) -> int:
        """After how many messages a reader drops off."""
        return self.random.choice([1, 5, 20, 1000, 1000, 1000])

    async def cancel(self, node: Node) -> bool:
        await self.there.wait()
        await asyncio.sleep(self.random.uniform(0, 1))
        async with connect(node.url.replace("http", "ws") + "/ws/generate", close_timeout=0.5) as socket:
            await socket.send(json.dumps({"type": "cancel", "run_id": self.id}))
            await socket.send(json.dumps({"type": "heartbeat", "id": "after"}))
            while json.loads(await socket.recv()).get("re") != "after":
                pass
        return True

    def judge(self) -> str:
        """Hold what both readers saw against the script; return how the run ended."""
        one, two = self.readers
        assert len(one.terminals) == len(two.terminals) == 1
        assert (one.cursor, one.text, one.terminals) == (two.cursor, two.text, two.terminals)
        end = one.terminals[0]
        assert self.expected.startswith(one.text)
        if end["type"] == "error":
            assert end["code"] == "worker_lost"
            return "worker_lost"
        if end["status"] == "completed":
            assert one.text == self.expected
        elif end["reason"] == "user":
            assert self.cancels
        return f"{end['status']} {end.get('reason', '')}".strip()
