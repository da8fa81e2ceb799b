"""The proof: every flaw is blamed and nothing good is accused. `python -m flaws.proof`, `tests` on the path."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from good_servers import GOOD_SERVERS, GoodServer, start

from .benign import BENIGN, Benign
from .flaw import FLAWS
from .judge import Verdicts, judge
from .kill_table import Trial
from .proof_data import Accused, as_json, totals
from .proxy import Proxy
from .run import try_all
from .stand import Server, start_server
from .survivors import SURVIVORS

DATA = Path(__file__).parent.parent.parent / "build" / "proof.json"

FLAWS_AT_ONCE = 10
"""Most of a trial is waiting, so that two cores carry so many."""

SUITES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Meeting:
    """A server that nobody may accuse, and the benign change it is met with."""

    server: GoodServer | None
    """None for the reference server."""
    benign: Benign = BENIGN[0]

    @property
    def name(self) -> str:
        """What the server is called in the table."""
        return self.server.name if self.server else "reference"


async def met(meeting: Meeting, runs: int, places: asyncio.Semaphore) -> Accused:
    """Judge a good server, changed in a benign way, with the whole suite so many times."""
    blames: list[str] = []
    for _ in range(runs):
        async with places:
            verdicts = await _judged(meeting)
        if verdicts.exit_code or verdicts.blamed or "pass" not in verdicts.by_requirement.values():
            said = ", ".join(verdicts.blamed) or f"exit code {verdicts.exit_code}"
            blames.append(said)
            print(f"accused       {meeting.name} {meeting.benign.name}: {said}\n{verdicts.output[-3000:]}")
    return Accused(meeting.name, meeting.benign.name, meeting.benign.description, runs, len(blames))


async def _judged(meeting: Meeting) -> Verdicts:
    benign = meeting.benign
    server: Server = await (
        start(meeting.server)
        if meeting.server
        else start_server(benign.stand, script_agent=benign.script_agent)
    )
    rewrite = benign.make()
    rewrite.limits, rewrite.credentials = server.limits, server.credentials
    try:
        async with Proxy(server.url, rewrite).listening() as proxy:
            settings = server.settings(benign.stand)
            return await judge(proxy.url, settings=settings, environment=server.environment)
    finally:
        await server.stop()


def meetings(*, every_change: bool) -> Iterable[Meeting]:
    """Yield each good server, as it is or with every change that its proxy can make."""
    for server in (None, *GOOD_SERVERS):
        yield Meeting(server)
        if every_change:
            for benign in BENIGN[1:]:
                if server is None or benign.of_the_wire:
                    yield Meeting(server, benign)


async def proved(*, quick: bool, runs: int) -> tuple[list[Trial], list[Accused]]:
    """Try every flaw, and judge every good server `runs` times; `quick` leaves out the benign changes."""

    def told(trial: Trial) -> None:
        if not trial.killed:
            print(f"{trial.outcome:<14}{trial.requirement:<11}{trial.flaw}: {trial.reason}", flush=True)

    trials, _ = await try_all(FLAWS.values(), parallel=FLAWS_AT_ONCE, repeat=not quick, told=told)
    places = asyncio.Semaphore(SUITES_AT_ONCE)
    accused = await asyncio.gather(
        *(
            met(meeting, runs if meeting.benign is BENIGN[0] else 1, places)
            for meeting in meetings(every_change=not quick)
        )
    )
    return trials, accused


def main() -> None:
    """Prove the judge; exit code 1 when a flaw gets by or a good server is accused."""
    parser = argparse.ArgumentParser(
        description="Prove the judge: it blames every flaw and accuses no good server."
    )
    parser.add_argument("--quick", action="store_true", help="without the benign changes, writing nothing")
    parser.add_argument("--runs", type=int, default=1, help="how often each good server is judged")
    arguments = parser.parse_args()
    trials, accused = asyncio.run(proved(quick=arguments.quick, runs=arguments.runs))
    print(totals(trials, accused))
    if not arguments.quick:
        DATA.parent.mkdir(exist_ok=True)
        DATA.write_text(as_json(trials, accused), encoding="utf-8")
    unexpected = [trial for trial in trials if trial.killed == (trial.flaw in SURVIVORS)]
    raise SystemExit(bool(unexpected or any(one.accusations for one in accused)))


if __name__ == "__main__":
    main()
