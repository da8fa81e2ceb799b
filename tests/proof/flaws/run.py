"""Puts flaws before the reference server and asks the judge: `python -m tests.proof.flaws.run`, `tests` on the path."""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from runwire_conformance.runner.suite import suite
from tests.proof.kill_table import Trial, as_json, as_markdown, as_report

from . import catalogue
from .catalogue.related import RELATED
from .catalogue.same_breach import SAME_BREACH
from .flaw import FLAWS, Flaw
from .judge import Verdicts, judge
from .stand import Stands

HIDDEN = re.compile(r"blocked by ([A-Z0-9, -]+)")
"""How the judge says that a case failed for the reason of another requirement."""

WRONGLY = "blamed wrongly"
"""The outcome of a flaw that is blamed, together with a sentence that it does not break."""

CAUGHT = 0.99
"""The share of its runs in which a flaw that acts at random must be blamed."""

assert catalogue.__all__, "importing the catalogue is what fills FLAWS"


async def try_thoroughly(flaw: Flaw, stands: Stands) -> tuple[Trial, Verdicts | None]:
    """Judge a server with `flaw` by the cases of its requirement, and by all cases if those do not blame it."""
    trial, verdicts = await try_flaw(flaw, stands)
    if trial.killed or trial.outcome == WRONGLY:
        return trial, verdicts
    second, _ = await try_flaw(flaw, stands, whole=True)
    return (replace(second, whole=True) if second.killed else trial), verdicts


async def try_flaw(flaw: Flaw, stands: Stands, *, whole: bool = False) -> tuple[Trial, Verdicts | None]:
    """Judge a server with `flaw`, by the cases of its requirement or, if `whole`, by all."""
    begun = time.monotonic()
    options = [
        f"--patience={flaw.stand.patience_s:g}",
        *([] if whole else ["-k", _cases_of(flaw.requirement)]),
    ]
    try:
        async with stands.behind(flaw.stand, flaw.make()) as (proxy, server):
            settings = server.settings(flaw.stand)
            verdicts = await judge(
                proxy.url, options, settings=settings, environment=server.environment, warm=True
            )
    except (RuntimeError, TimeoutError, OSError) as problem:
        return _trial(flaw, "fault", reason=f"{type(problem).__name__}: {problem}", begun=begun), None
    blame = verdicts.blame(flaw.requirement)
    also = tuple(name for name in verdicts.blamed if name != flaw.requirement)
    failed = verdicts.failed & set(verdicts.cases.get(flaw.requirement, ()))
    same = SAME_BREACH.get(flaw.name, ())
    unrelated = [name for name in also if name not in (*same, *RELATED.get(flaw.name, ()))]
    if blame:
        reason = blame.reasons[0] if blame.reasons else ""
        outcome = WRONGLY if unrelated else "blamed"
        reason = f"also {', '.join(unrelated)}" if unrelated else reason
        return _trial(flaw, outcome, blame.cases, reason, also, begun, failed), verdicts
    verdict = verdicts.by_requirement.get(flaw.requirement)
    hidden_by = HIDDEN.search(" ".join(verdicts.reasons.get(flaw.requirement, ())))
    named = {*also, *(hidden_by[1].strip().split(", ") if hidden_by else ())}
    if named & set(same) and not unrelated:
        cases = verdicts.cases.get(flaw.requirement, ())
        reason = f"as {', '.join(sorted(named & set(same)))}"
        return _trial(flaw, "blamed", cases, reason, also, begun, failed), verdicts
    outcomes = {"pass": "survived", None: "no case", "judge error": "fault"}
    said = verdicts.reasons.get(flaw.requirement, ())
    reason = said[0] if said else "" if verdict == "pass" else verdicts.output[-300:]
    return _trial(flaw, outcomes.get(verdict, str(verdict)), (), reason, also, begun), verdicts


def _cases_of(requirement: str) -> str:
    """Return how pytest is told to play the cases of a requirement, whichever other sentences they show broken."""
    return " or ".join(case.name for case in suite() if requirement in case.claim.ids + case.claim.watches)


def _trial(
    flaw: Flaw,
    outcome: str,
    cases: Sequence[str] = (),
    reason: str = "",
    also: Sequence[str] = (),
    begun: float = 0.0,
    failed: Iterable[str] = (),
) -> Trial:
    seconds = round(time.monotonic() - begun, 1)
    text = " ".join(reason.split())[:400]
    return Trial(
        flaw.name,
        flaw.requirement,
        flaw.description,
        outcome,
        tuple(cases),
        text,
        tuple(also),
        seconds,
        blamed=int(outcome == "blamed"),
        clause=flaw.clause,
        failed=tuple(sorted(failed)),
    )


async def _repeated(
    flaw: Flaw, first: Trial, stands: Stands, places: asyncio.Semaphore, *, whole: bool
) -> Trial:
    """Try a flaw that acts at random again and again; it counts as blamed when it nearly always is."""

    async def again() -> Trial:
        async with places:
            trial, _ = await try_flaw(flaw, stands, whole=whole)
            return trial

    trials = [first, *await asyncio.gather(*(again() for _ in range(flaw.runs - 1)))]
    killed = [trial for trial in trials if trial.killed]
    worst = next((trial for trial in trials if not trial.killed), first)
    told = killed[0] if len(killed) >= CAUGHT * len(trials) else worst
    return replace(told, runs=len(trials), blamed=len(killed))


async def try_all(
    flaws: Iterable[Flaw],
    *,
    parallel: int = 3,
    whole: bool = False,
    thorough: bool = False,
    repeat: bool = False,
    told: Callable[[Trial], None] | None = None,
) -> tuple[list[Trial], dict[str, tuple[str, ...]]]:
    """Try flaws, some at a time; return the trials in the order given and the cases of each requirement.

    With `repeat`, flaws that act at random are tried as often as they say.
    """
    stands, places = Stands(), asyncio.Semaphore(parallel)
    cases: dict[str, tuple[str, ...]] = {}

    async def one(flaw: Flaw) -> Trial:
        async with places:
            if thorough:
                trial, verdicts = await try_thoroughly(flaw, stands)
            else:
                trial, verdicts = await try_flaw(flaw, stands, whole=whole)
        trial = await _repeated(flaw, trial, stands, places, whole=whole) if repeat else trial
        if verdicts:
            cases.setdefault(flaw.requirement, verdicts.cases.get(flaw.requirement, ()))
        if told:
            told(trial)
        return trial

    try:
        trials = await asyncio.gather(*(one(flaw) for flaw in flaws))
    finally:
        await stands.end()
    return list(trials), cases


def chosen(names: Sequence[str], requirements: Sequence[str]) -> list[Flaw]:
    """Return flaws by name or requirement, all of them when neither is given; a prefix is enough."""
    return [
        flaw
        for flaw in FLAWS.values()
        if not (names or requirements)
        or any(flaw.name.startswith(name) for name in names)
        or any(
            flaw.requirement.split("-")[0] == wanted or flaw.requirement == wanted for wanted in requirements
        )
    ]


def main() -> None:
    """Try flaws, show each, and write the kill table."""
    parser = argparse.ArgumentParser(
        description="Prove the judge: put flaws before a good server and see them blamed."
    )
    parser.add_argument("names", nargs="*", help="flaws, by the beginnings of their names; all without")
    parser.add_argument(
        "--requirement", action="append", default=[], help="an id, or the letters before its dash"
    )
    parser.add_argument("--parallel", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="play the whole suite, to see unrelated blame")
    parser.add_argument("--thorough", action="store_true", help="play the whole suite for what is not blamed")
    parser.add_argument(
        "--output", type=Path, help="folder for kill-table.json, kill-table.md and flaw-report.md"
    )
    arguments = parser.parse_args()
    flaws = chosen(arguments.names, arguments.requirement)

    def told(trial: Trial) -> None:
        also = f" (also {', '.join(trial.also)})" if trial.also else ""
        print(f"{trial.outcome:<14}{trial.requirement:<11}{trial.flaw} {trial.seconds} s{also}", flush=True)
        if not trial.killed or arguments.names:
            print(f"              {trial.reason}", flush=True)

    trials, cases = asyncio.run(
        try_all(
            flaws, parallel=arguments.parallel, whole=arguments.whole, thorough=arguments.thorough, told=told
        )
    )
    print(f"{sum(trial.killed for trial in trials)} of {len(trials)} blamed")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "kill-table.json").write_text(as_json(trials))
        (arguments.output / "kill-table.md").write_text(as_markdown(trials))
        (arguments.output / "flaw-report.md").write_text(as_report(trials, cases))
    raise SystemExit(any(not trial.killed for trial in trials))


if __name__ == "__main__":
    main()
