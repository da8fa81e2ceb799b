"""The soak itself: visits of clients, restarts of nodes, and figures before, meanwhile and afterwards.

Theory of operation. Visits begin at a fixed rate, and never more than MOST_AT_ONCE are under way: on a slow machine
fewer begin. The first node lives all the time and is measured; of the others one at a time is killed or told to
drain, and started again. A visit is bounded by patience; what it saw of its run is held against the run's script.
After the last one everything has to become idle, and logs have to expire, before figures are compared.
"""

import asyncio
import json
import random
import signal
import subprocess
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import InvalidStatus

from tests.soak.figures import Figures, SoakNode, figures_of, grown, is_idle, kept, machine
from tests.soak.hostile import attack
from tests.support.cluster_runs import LOST, Run
from tests.support.cluster_stand import Cluster, connected
from tests.support.patience import patience

NODES = 3
MOST_AT_ONCE = 25

#: Seconds from the last visit to the last look: logs stay for `resume_window_s`, whose least value is 60.
SETTLING_S = 70.0
WINDOW_S = 60

#: Seconds from one restart of a node to the next, and between two looks at the figures.
RESTART_S = 12.0
LOOK_S = 30.0

LIMITS: dict[str, Any] = {
    "connections_per_principal": 500,
    "runs_per_principal": 500,
    "detach_grace_s": 3,
    "run_s": 60,
    "input_s": 30,
    # A node that a busy machine leaves no time for three quarters of this lets go of its runs.
    "worker_lost_s": 8,
    "resume_window_s": WINDOW_S,
    # What attackers start shares its caller with everyone here, as all have one address.
    "kept_bytes_per_principal": 1_000_000_000,
}


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """How long to soak in all, how many visits begin in a second, and what chance does."""

    seconds: float
    rate: float
    seed: int


class Soak:
    """One soak, in a folder of its own."""

    def __init__(self, folder: Path, options: SoakOptions) -> None:
        self._options = options
        self._chance = random.Random(options.seed)
        self._cluster = Cluster(folder, NODES, "--log-level=error", node=SoakNode, **LIMITS)
        self._counts: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._attacks: Counter[str] = Counter()
        self._problems: list[str] = []
        self._looks: list[dict[str, float]] = []
        self._began = time.monotonic()
        #: What visits do, and how often of so many.
        self._visits: list[tuple[Callable[[random.Random], Awaitable[None]], int]] = [
            (self._play, 55),
            (self._answer, 10),
            (self._lag, 10),
            (self._harm, 25),
        ]

    @property
    def _survivor(self) -> SoakNode:
        """The node that lives all the time."""
        node = self._cluster.nodes[0]
        assert isinstance(node, SoakNode)
        return node

    async def run(self) -> dict[str, Any]:
        """Soak; return what was found, with `problems` that say what must not be."""
        try:
            for visit, _ in self._visits:  # what is loaded only when it is needed belongs to the start
                await self._watched(visit, self._chance.getrandbits(32))
            await self._becomes_idle()
            await asyncio.sleep(1)
            begin = await figures_of(self._survivor, self._cluster.redis)
            for counts in (self._counts, self._ends, self._attacks):
                counts.clear()
            self._began = time.monotonic()
            await self._soaks(max(10.0, self._options.seconds - SETTLING_S))
            soaked = time.monotonic() - self._began
            await self._becomes_idle()
            await asyncio.sleep(SETTLING_S)
            end = await figures_of(self._survivor, self._cluster.redis)
            self._problems += grown(begin, end)
            self._problems += [f"{key} stays in Redis for ever" for key in kept(self._cluster)]
            return self._report(begin, end, soaked)
        finally:
            self._cluster.end()

    def _report(self, begin: Figures, end: Figures, soaked: float) -> dict[str, Any]:
        return {
            "machine": machine(),
            "seed": self._options.seed,
            "seconds": round(soaked),
            "visits": dict(sorted(self._counts.items())),
            "ends": dict(sorted(self._ends.items())),
            "attacks": dict(sorted(self._attacks.items())),
            "start": begin.as_dict(),
            "end": end.as_dict(),
            "meanwhile": self._looks,
            "problems": self._problems,
        }

    async def _soaks(self, seconds: float) -> None:
        under_way: set[asyncio.Task[None]] = set()
        beside = [asyncio.create_task(self._restarts(seconds)), asyncio.create_task(self._look())]
        visits, weights = zip(*self._visits, strict=True)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.monotonic()
            (visit,) = self._chance.choices(visits, weights)
            task = asyncio.create_task(self._watched(visit, self._chance.getrandbits(32)))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            while len(under_way) >= MOST_AT_ONCE:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(max(0.0, 1 / self._options.rate - (time.monotonic() - begun)))
        await beside[0]
        await asyncio.gather(*under_way)
        beside[1].cancel()
        await asyncio.gather(beside[1], return_exceptions=True)

    async def _watched(self, visit: Callable[[random.Random], Awaitable[None]], seed: int) -> None:
        """Make a visit, and note what must not be."""
        name = visit.__name__.strip("_")
        try:
            async with asyncio.timeout(patience(60)):
                await visit(random.Random(seed))
        except TimeoutError:
            self._broken(f"hung: {name}, seed {seed}")
        except Exception as problem:
            shown = "".join(traceback.format_exception(problem))
            self._broken(f"{name}, seed {seed}: {shown[-2000:]}")
        self._counts[name] += 1

    def _broken(self, problem: str) -> None:
        """Note what must not be, and say so at once."""
        self._problems.append(problem)
        print(f"broken: {problem}", flush=True)

    # Visits.

    async def _play(self, chance: random.Random) -> None:
        """Have a run that two readers follow, who drop off and come back, some cancelling it."""
        run = Run(self._cluster, chance.getrandbits(32))
        await run.play()
        self._counts["connections of readers"] += run.visits
        self._ends[run.judge()] += 1

    async def _answer(self, chance: random.Random) -> None:
        """Answer what an agent asks; a node that dies meanwhile takes the run with it."""
        run_id, node = f"{chance.getrandbits(132):033x}", chance.choice(self._cluster.nodes)
        question = {"input_request": {"request_id": "q", "kind": "question", "data": "Where to?"}}
        try:
            async with connected(node) as client:
                started = await client.start({"token": "a"}, question, {"token": "b"}, run_id=run_id)
                if started["type"] == "error":
                    assert started["code"] == "unavailable", started
                    return
                asked = await client.of_type("input_request")
                await client.send(type="input", run_id=run_id, request_id=asked["request_id"], data="on")
                end = await client.until(
                    lambda message: message["type"] in {"done", "error"} and "seq" in message
                )
                assert end.get("status") == "completed" or end.get("code") == "worker_lost", end
                self._ends["answered" if end["type"] == "done" else "worker_lost"] += 1
        except TimeoutError:
            raise  # hung, and not lost
        except LOST:
            self._counts["connections lost"] += 1

    async def _lag(self, chance: random.Random) -> None:
        """Start a run of some megabytes and take little of it, or nothing; it must end whatever its reader does."""
        node, run_id = chance.choice(self._cluster.nodes), f"{chance.getrandbits(132):033x}"
        script, accepted = {"repeat": 500, "steps": [{"token": "x" * 3000}]}, False
        try:
            async with connected(node, max_queue=1) as client:
                answer = await client.start(script, run_id=run_id)
                if answer["type"] == "error":
                    assert answer["code"] == "unavailable", answer
                    return
                accepted = True
                reads = chance.choice([0, 10, 60])
                for _ in range(reads):
                    await client.socket.recv()
                    await asyncio.sleep(0.02)
                await asyncio.sleep(chance.uniform(0, 4))
        except TimeoutError:
            raise  # hung, and not lost
        except LOST:
            self._counts["connections lost"] += 1
        status = await self._ended(run_id)
        assert not (accepted and status == "404"), "a run that was accepted is unknown"

    async def _ended(self, run_id: str) -> str:
        """Wait until a run is over, whichever node tells; return its status, `404` for one that is not there."""
        while True:
            node = self._chance.choice(self._cluster.nodes)
            try:
                status = await asyncio.to_thread(status_of, f"{node.url}/v1/runs/{run_id}")
            except OSError:
                status = ""
            if status in {"completed", "incomplete", "cancelled", "failed", "404"}:
                self._ends["not there" if status == "404" else f"not read: {status}"] += 1
                return status
            await asyncio.sleep(0.3)

    async def _harm(self, chance: random.Random) -> None:
        """Do harm to a node; the one that lives all the time still answers others."""
        self._attacks[await attack(chance.choice(self._cluster.nodes).url, chance)] += 1
        while not await self._is_served():
            self._counts["handshakes refused for a moment"] += 1
            await asyncio.sleep(0.2)

    async def _is_served(self) -> bool:
        """Whether the node that lives all the time answers a heartbeat; one that lost touch with Redis refuses."""
        try:
            async with connected(self._survivor) as client:
                await client.send(type="heartbeat", id="after")
                await client.until(lambda message: message.get("re") == "after")
                return True
        except InvalidStatus as refused:
            assert refused.response.status_code == 503, refused
            return False

    # Beside them.

    async def _restarts(self, seconds: float) -> None:
        """Kill a node, or have it drain, again and again; start it anew each time."""
        until = time.monotonic() + seconds - RESTART_S / 2
        await asyncio.sleep(RESTART_S / 2)
        while time.monotonic() < until:
            node = self._chance.choice(self._cluster.nodes[1:])
            if self._chance.random() < 0.5:
                node.process.kill()
                self._counts["nodes killed"] += 1
            else:
                node.signal(signal.SIGTERM)
                self._counts["nodes drained"] += 1
                await self._exits(node.process.wait)
            await asyncio.to_thread(node.end)
            await asyncio.to_thread(node.start)
            await asyncio.sleep(RESTART_S)

    async def _exits(self, wait: Callable[[float], int]) -> None:
        try:
            code = await asyncio.to_thread(wait, patience(30))
        except subprocess.TimeoutExpired:
            self._broken("hung: a node that was told to drain did not exit")
        else:
            if code not in {0, -signal.SIGTERM}:
                self._broken(f"a node that was told to drain ended with exit code {code}")

    async def _look(self) -> None:
        """Take figures now and then, and say how far it is."""
        while True:
            await asyncio.sleep(LOOK_S)
            figures = await figures_of(self._survivor, self._cluster.redis)
            second = round(time.monotonic() - self._began)
            self._looks.append({"second": second, **figures.as_dict()})
            print(
                f"{second:5} s  {self._counts['play']} runs  {figures.memory >> 20} MB  {figures.tasks} tasks  "
                f"{figures.files} files  Redis {figures.redis_memory >> 20} MB  {len(self._problems)} problems",
                flush=True,
            )

    async def _becomes_idle(self) -> None:
        """Wait until no node has a connection or a run."""
        until = time.monotonic() + patience(30)
        for node in self._cluster.nodes:
            while not await is_idle(node):
                if time.monotonic() > until:
                    self._broken(f"hung: node {self._cluster.nodes.index(node)} has work nobody waits for")
                    return
                await asyncio.sleep(0.2)


def status_of(url: str) -> str:
    """Return the status of a run as its node tells it, `404` for an unknown one; raises OSError."""
    try:
        with urllib.request.urlopen(url, timeout=patience(10)) as response:
            return str(json.load(response)["status"])
    except urllib.error.HTTPError as refused:
        with refused:
            return str(refused.code)
