"""What the soak measures of nodes and Redis, and what must have returned to its start."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from tests.support.cluster_stand import Cluster, Node, within
from tests.support.node_figures import gauges, kept_for_ever, memory, open_files
from tests.support.redis_stand import RedisStand

#: By how much a figure may be above its start at the end. A node's memory is what it had at its busiest, as Python
#: keeps what it has for later; its objects are counted after a collection. Connections to Redis come and go, and so
#: do the tasks and files of each.
MORE_TASKS = 6
MORE_FILES = 6
MORE_OBJECTS = 0.05
MORE_MEMORY = 48 * 2**20
MORE_REDIS = 8 * 2**20


class SoakNode(Node):
    """A node that tells what its process holds."""

    def __init__(self, redis: RedisStand, *options: str, **limits: float) -> None:
        self._folder = redis.socket.parent
        super().__init__(redis, *options, **limits)

    def begin(self) -> None:
        """Begin to start it."""
        if self._call[0] != sys.executable:
            self._call[:1] = [sys.executable, "-m", "tests.soak.node", str(self._folder)]
        super().begin()

    async def told(self) -> dict[str, int]:
        """Return its tasks and objects."""
        file = self._folder / f"{self.process.pid}.json"
        file.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        await within(10, file.exists)
        return TypeAdapter(dict[str, int]).validate_json(file.read_bytes())


@dataclass(frozen=True, slots=True)
class Figures:
    """What one node and Redis hold at a moment. Sizes are in bytes."""

    memory: int
    files: int
    tasks: int
    objects: int
    redis_memory: int
    redis_keys: int

    def as_dict(self) -> dict[str, int]:
        """Return it as JSON has it."""
        return asdict(self)


async def figures_of(node: SoakNode, redis: RedisStand) -> Figures:
    """Measure."""
    told = await node.told()
    info = await asyncio.to_thread(redis.command, "INFO", "memory")
    used = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("used_memory:"))
    keys = await asyncio.to_thread(redis.command, "DBSIZE")
    return Figures(
        memory(node), open_files(node), told["tasks"], told["objects"], int(used), int(keys.split()[-1])
    )


async def is_idle(node: Node) -> bool:
    """Whether a node has no connection and no run."""
    return set((await asyncio.to_thread(gauges, node)).values()) == {0}


def grown(begin: Figures, end: Figures) -> Iterator[str]:
    """Yield what has not returned to its start."""
    bounds = {
        "tasks": begin.tasks + MORE_TASKS,
        "files": begin.files + MORE_FILES,
        "objects": int(begin.objects * (1 + MORE_OBJECTS)),
        "memory": begin.memory + MORE_MEMORY,
        "redis_memory": begin.redis_memory + MORE_REDIS,
        "redis_keys": begin.redis_keys,
    }
    for name, bound in bounds.items():
        if (came := getattr(end, name)) > bound:
            yield f"{name}: {came:,} at the end, {getattr(begin, name):,} at the start"


def kept(cluster: Cluster) -> list[str]:
    """Return the keys in Redis that never expire, but the one that lists the nodes."""
    return [name for name in kept_for_ever(cluster) if name not in {"", "runwire:nodes"}]


def machine() -> str:
    """Return what the machine is, in words."""
    import os
    import platform

    memory_kb = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {int(memory_kb) // 2**20} GB, "
        f"Python {platform.python_version()}"
    )
