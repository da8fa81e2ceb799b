"""Two hundred runs over three nodes that are killed at random: every run ends once for every reader, and nothing stays.

RUNWIRE_CHAOS_SEED repeats what clients do, and which nodes are killed; what of it a kill meets is up to the machine.
"""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster_runs import Run
from tests.support.cluster_stand import Cluster, within
from tests.support.node_figures import gauges, kept_for_ever, memory, open_files
from tests.support.patience import patience

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

RUNS = 200
AT_ONCE = 25
KILLS = 4

#: How many runs end from one kill to the next, and how many of them at most are under way at a kill.
BETWEEN = RUNS // (KILLS + 1)
UNDER_WAY = 20

#: Bytes by which the memory of a node that was never killed may have grown: less than the logs of all runs.
GROWTH = 24 * 2**20


class Killer:
    """Kills nodes but the first, one at a time and each while runs are under way, and starts them again.

    How many runs have ended says when, and no run begins that a kill has to come before, however slow the machine is.
    """

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self._ended = 0
        self._moved = asyncio.Event()
        self.kills = [asyncio.Event() for _ in range(KILLS)]

    async def turn_of(self, number: int) -> None:
        """Wait until the run of this number may begin."""
        for kill in self.kills[: number // BETWEEN]:
            await kill.wait()

    def ended(self) -> None:
        """Note that a run has ended."""
        self._ended += 1
        self._moved.set()

    async def work(self) -> None:
        """Do all kills."""
        for number, kill in enumerate(self.kills, start=1):
            while self._ended < number * BETWEEN - UNDER_WAY:
                await self._moved.wait()
                self._moved.clear()
            node = self._chance.choice(self._cluster.nodes[1:])
            node.process.kill()
            kill.set()
            await asyncio.to_thread(node.end)
            await asyncio.to_thread(node.start)


async def test_every_run_ends_once_for_every_reader_whatever_dies(tmp_path: Path) -> None:
    seed = int(os.environ.get("RUNWIRE_CHAOS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"RUNWIRE_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    limits: dict[str, Any] = {
        "connections_per_principal": 500,
        "runs_per_principal": 500,
        "detach_grace_s": 3,
        "run_s": 60,
    }
    cluster = Cluster(tmp_path, 3, **limits)
    try:
        await plays([Run(cluster, chance.getrandbits(32)) for _ in range(10)])
        survivor = cluster.nodes[0]
        await within(20, lambda: set(gauges(survivor).values()) == {0})
        before, files = memory(survivor), open_files(survivor)
        runs, killer = [Run(cluster, chance.getrandbits(32)) for _ in range(RUNS)], Killer(cluster, chance)
        async with asyncio.TaskGroup() as group:
            group.create_task(killer.work())
            group.create_task(plays(runs, killer))

        ends = Counter(run.judge() for run in runs)
        print(dict(ends))
        assert all(kill.is_set() for kill in killer.kills)
        assert ends.total() == RUNS
        for node in cluster.nodes:
            await within(20, lambda node=node: set(gauges(node).values()) == {0})
        await within(20, lambda: len(kept_for_ever(cluster)) == 1)
        assert kept_for_ever(cluster) == ["runwire:nodes"]
        await within(20, lambda: cluster.redis.command("ZCARD", "runwire:nodes") == "3")
        await within(20, lambda: open_files(survivor) <= files + 2)
        assert memory(survivor) - before < GROWTH
    finally:
        cluster.end()


async def plays(runs: list[Run], killer: Killer | None = None) -> None:
    """Play runs, so many at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, run: Run) -> None:
        if killer is not None:
            await killer.turn_of(number)
        async with slots, asyncio.timeout(patience(60)):
            await run.play()
        if killer is not None:
            killer.ended()

    await asyncio.gather(*(one(number, run) for number, run in enumerate(runs)))
