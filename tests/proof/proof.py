"""The proof: every flaw is blamed and nothing good is accused. `python -m tests.proof.proof`, `tests` on the path."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from tests.proof.good_servers import GOOD_SERVERS, GoodServer, start

from .benign import BENIGN, Benign
from .conditioned import Conditioned, judged_under
from .conditions import CONDITIONS, EVERY, Condition
from .flaws.flaw import FLAWS
from .flaws.judge import judge
from .flaws.proxy import Proxy
from .flaws.run import chosen, try_all
from .flaws.stand import CHECK_LIMITS, Server, start_server
from .kill_table import Trial
from .proof_data import Accused, Proof, read, written
from .survivors import SURVIVORS

DATA = Path(__file__).parents[2] / "docs" / "proof.json"

FLAWS_AT_ONCE = 10
"""Most of a trial is waiting, so that two cores carry so many."""

SUITES_AT_ONCE = 2

AS_IT_IS = BENIGN[0]

QUICKER = {"idle_s": 3, "run_s": 5}
"""Limits of a server that is met as it is."""

CHANGED = {"idle_s": 6}
"""Limits of one that stands behind a proxy, which takes its time."""

FURTHER_TRIES = 2
"""How often a flaw that got by once must be blamed without fail, in a quick proof."""

TOLD_EVERY = 100
"""After how many flaws the proof says how far it is."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A server that nobody may accuse, the benign change it is met with, and how often."""

    server: GoodServer | None
    """None for the reference server."""
    benign: Benign = AS_IT_IS
    runs: int = 1
    busy: bool = False
    """Whether something else keeps every core busy."""

    @property
    def is_changed(self) -> bool:
        """Whether a benign change is before the server."""
        return self.benign is not AS_IT_IS

    @property
    def name(self) -> str:
        """What the server is called in the table."""
        return self.server.name if self.server else "reference"


async def met(meeting: Meeting, places: asyncio.Semaphore) -> Accused:
    """Judge a good server, changed in a benign way, with the whole suite so many times."""
    accusations, benign = 0, meeting.benign
    told: list[Mapping[str, str]] = []
    async with places, _served(meeting) as (url, server):
        begun = time.monotonic()
        for _ in range(meeting.runs):
            settings = server.settings(benign.stand)
            verdicts = await judge(url, settings=settings, environment=server.environment, warm=True)
            told.append(verdicts.by_requirement)
            if verdicts.exit_code or verdicts.blamed or "pass" not in verdicts.by_requirement.values():
                accusations += 1
                said = ", ".join(verdicts.blamed) or f"exit code {verdicts.exit_code}"
                print(f"accused       {meeting.name} {benign.name}: {said}\n{verdicts.output[-3000:]}")
    busy = " on a busy machine" if meeting.busy else ""
    took = time.monotonic() - begun
    for requirement, seen in differing(told):
        print(f"differs       {meeting.name} {benign.name}: {requirement} was {seen}")
    print(
        f"{accusations} accusations in {meeting.runs} runs of {meeting.name}, {benign.name}{busy}: {took:.0f} s",
        flush=True,
    )
    return Accused(meeting.name, benign.name, benign.description, meeting.busy, meeting.runs, accusations)


def differing(told: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the requirements whose verdict was not the same in every run, with how often it was what."""
    for requirement in dict.fromkeys(name for verdicts in told for name in verdicts):
        seen = Counter(verdicts.get(requirement, "not judged") for verdicts in told)
        if len(seen) > 1:
            yield (
                requirement,
                ", ".join(f"{verdict} {number} times" for verdict, number in seen.most_common()),
            )


@asynccontextmanager
async def _served(meeting: Meeting) -> AsyncIterator[tuple[str, Server]]:
    """Start a good server, put the change before it if there is one, and yield the URL to judge."""
    benign = meeting.benign
    limits = CHANGED if meeting.is_changed else QUICKER
    server: Server = await (
        start(meeting.server, {**CHECK_LIMITS, **limits})
        if meeting.server
        else start_server(
            replace(benign.stand, limits={**benign.stand.limits, **limits}), script_agent=benign.script_agent
        )
    )
    try:
        if not meeting.is_changed:
            yield server.url, server
            return
        rewrite = benign.make()
        rewrite.limits, rewrite.credentials = server.limits, server.credentials
        async with Proxy(server.url, rewrite).listening() as proxy:
            yield proxy.url, server
    finally:
        await server.stop()


def meetings(*, changes: bool, runs: int) -> Iterable[Meeting]:
    """Yield each good server as it is, half the time on a busy machine, and with every change a proxy can make."""
    for server in (None, *GOOD_SERVERS):
        yield Meeting(server, runs=runs - runs // 2)
        if runs > 1:
            yield Meeting(server, runs=runs // 2, busy=True)
        if changes:
            for benign in BENIGN[1:]:
                if server is None or benign.of_the_wire:
                    yield Meeting(server, benign)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with something else."""
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


async def tried(names: Sequence[str], *, quick: bool, whole: bool = False) -> list[Trial]:
    """Put flaws before the judge, all of them when none is named; tell of those that get by, and how far it is.

    With `whole` all cases are played against each, so that every sentence that is accused for it is counted.
    Those that act at random are tried as often as they say, but for a `quick` proof. In that one, which gates changes
    on machines that are busy with other things, a flaw that got by is tried further times, alone.
    """
    flaws, begun, done = chosen(names, ()), time.monotonic(), 0

    def told(trial: Trial) -> None:
        nonlocal done
        done += 1
        if not trial.killed:
            print(f"{trial.outcome:<14}{trial.requirement:<11}{trial.flaw}: {trial.reason}", flush=True)
        if done % TOLD_EVERY == 0 or done == len(flaws):
            print(f"{done} of {len(flaws)} flaws tried, {time.monotonic() - begun:.0f} s", flush=True)

    trials, _ = await try_all(
        flaws, parallel=FLAWS_AT_ONCE, whole=whole, thorough=not whole, repeat=not quick, told=told
    )
    return [await _tried_again(trial) for trial in trials] if quick else trials


async def _tried_again(trial: Trial) -> Trial:
    """Return the trial of a flaw, of one that got by the trial that counts after FURTHER_TRIES."""
    if trial.killed:
        return trial
    further, _ = await try_all([FLAWS[trial.flaw]] * FURTHER_TRIES, parallel=1)
    blamed = sum(one.killed for one in further)
    print(
        f"tried again   {trial.requirement:<11}{trial.flaw}: blamed {blamed} times of {len(further)}",
        flush=True,
    )
    worst = next((one for one in further if not one.killed), further[0])
    return replace(worst, runs=1 + len(further), blamed=blamed)


async def judged(wanted: Sequence[Meeting], kept: Callable[[Proof], None]) -> list[Accused]:
    """Judge good servers as they are, then on a busy machine, then changed; `kept` is given each one's news."""
    places = asyncio.Semaphore(SUITES_AT_ONCE)

    async def one(meeting: Meeting) -> Accused:
        accused = await met(meeting, places)
        kept(Proof((), (accused,)))
        return accused

    accused = list(await asyncio.gather(*(one(m) for m in wanted if not (m.busy or m.is_changed))))
    if busy := [meeting for meeting in wanted if meeting.busy]:
        with busy_cores():
            accused += await asyncio.gather(*(one(meeting) for meeting in busy))
    return accused + list(await asyncio.gather(*(one(m) for m in wanted if m.is_changed)))


def changed(change: Callable[[Proof], Proof]) -> None:
    """Change what is published, while no other proof that runs at the same time does."""
    DATA.touch()
    with DATA.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = written(change(read(DATA) if file.read(1) else Proof()))
        file.seek(0)
        file.write(text)
        file.truncate()


def planned(
    names: Sequence[str] | None, only: Sequence[str] | None, runs: int, quick: bool
) -> Iterator[tuple[Condition, Sequence[str], int]]:
    """Yield the conditions to try, each with its servers and how often: as often as it says when `runs` is 0."""
    for condition in CONDITIONS:
        if names and not any(fnmatch(condition.name, name) for name in names):
            continue
        servers = condition.quick if quick and not names else EVERY
        chosen = [server for server in servers if not only or server in only]
        if chosen:
            yield condition, chosen, 1 if quick else runs or condition.runs


def main() -> None:
    """Prove the judge; exit code 1 when a flaw gets by or a good server is accused."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof",
        description="Prove the judge: it blames every flaw and accuses no good server.",
    )
    parser.add_argument("flaws", nargs="*", help="only these flaws, by the beginnings of their names")
    parser.add_argument("--quick", action="store_true", help="each once, no benign changes, writing nothing")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="play all cases against each flaw, to count what it is accused of",
    )
    parser.add_argument("--runs", type=int, default=0, help="how often each good server is judged")
    parser.add_argument(
        "--server", action="append", help="only this good server, or `reference`; may come again"
    )
    parser.add_argument("--change", action="append", help="only this benign change; may come again")
    parser.add_argument(
        "--condition",
        action="append",
        help="only this condition, or those like 'smallest-*'; may come again",
    )
    parser.add_argument(
        "--add", action="store_true", help="add the runs of conditions to those that are known"
    )
    parser.add_argument(
        "--only", choices=("flaws", "servers", "changes", "conditions"), help="one part of the proof"
    )
    arguments = parser.parse_args()
    if arguments.condition:
        arguments.only = "conditions"
    if arguments.change:
        arguments.only = "changes"

    def kept(news: Proof) -> None:
        if not arguments.quick:
            changed(lambda old: old.with_news(news, FLAWS))

    trials: list[Trial] = []
    accused: list[Accused] = []
    if arguments.only in {None, "flaws"}:
        trials = asyncio.run(tried(arguments.flaws, quick=arguments.quick, whole=arguments.whole))
        kept(Proof(tuple(trials)))
    if arguments.only not in {"flaws", "conditions"} and not arguments.flaws:
        wanted = meetings(changes=not arguments.quick, runs=arguments.runs or 1)
        met_now = [
            one
            for one in wanted
            if (arguments.only != "changes" or one.is_changed)
            and (not arguments.server or one.name in arguments.server)
            and (not arguments.change or one.benign.name in arguments.change)
        ]
        try:
            accused = asyncio.run(judged(met_now, kept))
        except RuntimeError as problem:
            sys.exit(f"the good servers cannot be judged: {problem}")
    conditioned: list[Conditioned] = []
    if arguments.only in {None, "conditions"} and not arguments.flaws:
        for condition, servers, runs in planned(
            arguments.condition,
            arguments.server,
            arguments.runs if arguments.condition else 0,
            arguments.quick,
        ):
            if not (arguments.quick or arguments.add):
                places = [(server, condition.name) for server in servers]
                changed(lambda old, places=places: old.without_conditions(places))
            conditioned += asyncio.run(
                judged_under(condition, servers, runs, lambda one: kept(Proof(conditions=(one,))))
            )
    print(Proof(tuple(trials), tuple(accused), tuple(conditioned)).totals())
    unexpected = [trial for trial in trials if trial.killed == (trial.flaw in SURVIVORS)]
    wrong = any(one.accusations for one in accused) or any(
        one.accused or one.not_judged for one in conditioned
    )
    raise SystemExit(bool(unexpected or wrong))


if __name__ == "__main__":
    main()
