"""Suite of client scenarios: a few in parallel, then alone those that prove nothing yet.

These are plays that failed by an absence or never began, and those that failed while the judge's clock was unsteady.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from runwire_conformance.tools.check_client.client_under_test.process import Unstartable
from runwire_conformance.tools.check_client.client_under_test.profile import TRANSPORTS, ClientProfile
from runwire_conformance.tools.check_client.play import REFUSED, Launcher, PlayResult, play, returns
from runwire_conformance.tools.check_client.scenario import Scenario, scenarios
from runwire_conformance.trace.clock import Clock

#: The scenario that shows whether a client comes at all and what it reports, and those that show whether it comes back.
FIRST = "what_is_said"
RETURNING = frozenset({"told_to_resume_at_once", "a_stream_that_ends_early", REFUSED})

#: Scenarios that are played at once: in most of them a client waits.
AT_ONCE = 8

#: How often a scenario is played again, alone, until the judge's clock was steady meanwhile.
MOST_AGAIN = 3

#: Seconds that a client is waited for where no sentence states a time.
PATIENCE_S = 10.0

#: Told after each play: how many there are, how many have ended, and the one that ended.
PlayCallback = Callable[[int, int, PlayResult], None]


class NobodyCame(Exception):
    """The client never connected; the message says what it said."""


@dataclass(slots=True)
class Suite:
    """A selection of scenarios for one client, and what came of them so far."""

    profile: ClientProfile
    launch: Launcher
    patience_s: float = PATIENCE_S
    at_once: int = AT_ONCE
    chosen: Callable[[Scenario], bool] = lambda _: True
    on_played: PlayCallback = lambda *_: None
    #: Seconds after which nothing more is begun.
    time_limit_s: float | None = None
    #: Whether that was so.
    timed_out: bool = False
    plays: list[PlayResult] = field(default_factory=list)
    #: The members of reports that came so far.
    reports: frozenset[str] = frozenset()
    #: What the client was seen to do of its own accord, see `returns`.
    returning: frozenset[str] = frozenset()
    clock: Clock = field(default_factory=Clock)

    @property
    def planned(self) -> list[tuple[Scenario, str]]:
        """What is played, on which transport."""
        return [(one, name) for one in scenarios() if self.chosen(one) for name in self.profile.plays(one)]

    async def run(self) -> Sequence[PlayResult]:
        """Play everything; raises NobodyCame and Unstartable. What the time limit leaves over is left out."""
        self.clock.start()
        try:
            async with asyncio.timeout(self.time_limit_s):
                await self._all()
        except TimeoutError:
            self.timed_out = True
            self.leave_out(f"the time limit of {self.time_limit_s:g} s expired")
        finally:
            self.clock.stop()
        return self.plays

    def leave_out(self, why: str) -> None:
        """Note that what was not played to its end is not judged."""
        done = {(one.scenario.name, one.transport) for one in self.plays}
        left = [(one, name) for one, name in self.planned if (one.name, name) not in done]
        self.plays += [replace(_unplayed(one, name, ""), left_out=why) for one, name in left]

    async def _all(self) -> None:
        came = await self._first()
        slots = asyncio.Semaphore(self.at_once)
        waiting = [(one, name) for one, name in self.planned if name in came]
        for scenario, name in self.planned:
            if name not in came:
                self._keep(
                    _unplayed(scenario, name, f"the client does not use {name}; exclude it with --transport")
                )
        again: list[PlayResult] = []
        self.returning = returns(
            await self._together(
                [
                    (one, name)
                    for one in scenarios()
                    if one.name in RETURNING
                    for name in self.profile.plays(one)
                    if name in came
                ]
            )
        )

        async def one_of_several(scenario: Scenario, name: str) -> None:
            async with slots:
                played = await self._play(scenario, name)
            if played.absent or played.in_doubt or not played.connected:
                again.append(played)
            else:
                self._keep(played)

        # What waits longest begins first, so that nothing is waited for in the end.
        waiting.sort(key=lambda planned: planned[0].window_s, reverse=True)
        async with asyncio.TaskGroup() as group:
            for scenario, name in waiting:
                group.create_task(one_of_several(scenario, name))
        await self._look_again(again)

    async def _look_again(self, suspects: Sequence[PlayResult]) -> None:
        """Play alone what proves nothing yet.

        Whoever is then seen to come back has to everywhere, so what it stayed away from is played, too; staying away
        from everything is told once.
        """
        self.returning |= returns(self.plays)
        while due := [one for one in suspects if self._proves_nothing(one)]:
            suspects = [one for one in suspects if not self._proves_nothing(one)]
            for suspect in due:
                self._keep(await self._alone(suspect))
            self.returning |= returns(self.plays)
        for suspect in suspects:
            self._keep(suspect)

    def _proves_nothing(self, played: PlayResult) -> bool:
        return not played.connected or played.in_doubt or played.absent_for(self.returning)

    async def _alone(self, suspect: PlayResult) -> PlayResult:
        """Play it again, until the judge's clock was steady meanwhile."""
        for _ in range(MOST_AGAIN - 1):
            played = await self._play(suspect.scenario, suspect.transport)
            if not played.in_doubt:
                return played
        return await self._play(suspect.scenario, suspect.transport)

    async def _first(self) -> set[str]:
        """Return the transports over which the client comes, as a run to its end shows."""
        first = next(one for one in scenarios() if one.name == FIRST)
        transports = [name for name in TRANSPORTS if name in self.profile.transports]
        tried = await self._together([(first, name) for name in transports])
        self.reports = frozenset(member for played in tried for member in played.reported)
        came = {played.transport for played in tried if played.attached}
        if not any(played.connected for played in tried):
            said = next((" ".join(played.complaint.split()) for played in tried if played.complaint), "")
            codes = [played.exit_code for played in tried if played.exit_code is not None]
            ended = (
                f"it ended with exit code {codes[0]}"
                if codes
                else f"it is still running after {self.patience_s:g} s"
            )
            raise NobodyCame(f"{ended}, and printed {said}" if said else f"{ended}, and printed nothing")
        return came | ({"auto"} if came else set())

    async def _together(self, planned: Sequence[tuple[Scenario, str]]) -> list[PlayResult]:
        """Play these at once; whatever happens, each has ended its client when this ends."""
        tasks = [asyncio.create_task(self._play(one, name)) for one, name in planned]
        try:
            return await asyncio.gather(*tasks)
        except Exception:
            for task in tasks:
                task.cancel()
            raise
        finally:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, scenario: Scenario, name: str) -> PlayResult:
        try:
            return await play(scenario, name, self.launch, self.patience_s, self.reports, self.clock)
        except Unstartable:
            raise
        except Exception:
            return replace(_unplayed(scenario, name, ""), error=traceback.format_exc())

    def _keep(self, played: PlayResult) -> None:
        self.plays.append(played)
        self.on_played(len(self.planned), len(self.plays), played)


def _unplayed(scenario: Scenario, name: str, why: str) -> PlayResult:
    return PlayResult(scenario, name, (), (), (), 0.0, unplayed=why)
