"""Judges good servers under conditions, each run against a server that was just started."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof.good_servers import GOOD_SERVERS, option, start
from tests.support.patience import patience
from tests.support.proxy_stand import PROXIES, behind

from .conditions import Condition, one_busy_core
from .distance import Distant
from .flaws.judge import Verdicts, judge
from .flaws.stand import Server, listening

NOT_JUDGED = "not judged"
"""The verdict of what the judge left out for reasons of its own."""


@dataclass(frozen=True, slots=True)
class Conditioned:
    """What came of judging one good server under one condition so many times."""

    server: str
    condition: str
    description: str
    runs: int
    accused: int
    """In how many runs anything was accused."""

    not_judged: int
    """In how many runs anything was not judged."""

    passed: int
    """How many requirements passed, in the run in which the fewest did."""

    seconds: float
    """How long the longest run took."""

    names: dict[str, int] = field(default_factory=dict)
    """The requirements that were accused, and those that were not judged, each with the number of runs."""

    @property
    def place(self) -> tuple[str, str]:
        """Which server, and how it was met."""
        return self.server, self.condition

    def __add__(self, other: Conditioned) -> Conditioned:
        """Return what came of the runs of both."""
        return Conditioned(
            other.server,
            other.condition,
            other.description,
            self.runs + other.runs,
            self.accused + other.accused,
            self.not_judged + other.not_judged,
            min(self.passed, other.passed),
            max(self.seconds, other.seconds),
            dict(Counter(self.names) + Counter(other.names)),
        )


async def judged_under(
    condition: Condition, servers: Sequence[str], runs: int, kept: Callable[[Conditioned], None]
) -> list[Conditioned]:
    """Judge good servers under a condition; `kept` is given what came of each run."""
    places = asyncio.Semaphore(condition.at_once)

    async def one(server: str) -> Conditioned:
        total: Conditioned | None = None
        for number in range(runs):
            async with places:
                news = await _one_run(condition, server)
            print(_told(news, number + 1, runs), flush=True)
            total = news if total is None else total + news
            kept(news)
        assert total is not None
        return total

    with one_busy_core() if condition.one_core else nullcontext():
        return list(await asyncio.gather(*(one(server) for server in servers)))


async def _one_run(condition: Condition, server: str) -> Conditioned:
    begun = time.monotonic()
    async with _served(condition, server) as url:
        try:
            verdicts = await judge(url, deadline_s=patience(condition.deadline_s))
        except TimeoutError:
            verdicts = Verdicts(-1, "the judge did not come to its end", (), {}, {}, {}, {}, 0.0)
    return came_of(condition, server, verdicts, time.monotonic() - begun)


def came_of(condition: Condition, server: str, verdicts: Verdicts, seconds: float) -> Conditioned:
    """Return what one run came to; one without a verdict is told as what it exited with."""
    every = verdicts.by_requirement
    left_out = [name for name, verdict in every.items() if verdict == NOT_JUDGED]
    passed = sum(verdict == "pass" for verdict in every.values())
    names = [*verdicts.blamed, *(f"{name} {NOT_JUDGED}" for name in left_out)]
    for blame in verdicts.blames:
        print(
            f"accused {blame.requirement} of {server}, {condition.name}: {' / '.join(blame.reasons)[:300]}",
            flush=True,
        )
    faulty = bool(verdicts.exit_code) and not names
    if faulty or not passed:
        names.append(f"exit code {verdicts.exit_code}")
        print(verdicts.output[-2000:], flush=True)
    return Conditioned(
        server,
        condition.name,
        condition.description,
        runs=1,
        accused=int(bool(verdicts.blamed) or faulty or not passed),
        not_judged=int(bool(left_out)),
        passed=passed,
        seconds=round(seconds, 1),
        names=dict.fromkeys(names, 1),
    )


def _told(one: Conditioned, number: int, runs: int) -> str:
    names = f": {', '.join(one.names)}" if one.names else ""
    return (
        f"{one.condition:<28}{one.server:<11}run {number} of {runs}, {one.seconds:5.1f} s, "
        f"{one.passed} passed{names}"
    )


@asynccontextmanager
async def _served(condition: Condition, server: str) -> AsyncIterator[str]:
    """Start a server under a condition, behind its proxy if it has one; yields the URL to judge."""
    started = await _started(condition, server)
    try:
        if condition.proxy:
            way = behind(PROXIES[condition.proxy], started.url)
        elif condition.way_s:
            way = Distant(started.url, condition.way_s).listening()
        else:
            way = nullcontext(started.url)
        async with way as url:
            yield url
    finally:
        await started.stop()


async def _started(condition: Condition, server: str) -> Server:
    """Start a good server, or the reference server, with the limits of a condition and no others."""
    good = next((good for good in GOOD_SERVERS if good.name == server), None)
    if good is not None:
        return await start(good, condition.limits)
    command = [
        str(Path(sys.executable).parent / "runwire-server"),
        "--port=0",
        "--script-agent",
        "--log-level=error",
    ]
    command += ["--trust-proxy=127.0.0.1/32"] if condition.proxy else []
    return await listening([*command, *(option(name, value) for name, value in condition.limits.items())])
