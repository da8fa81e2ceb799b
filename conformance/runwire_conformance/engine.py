"""Plays all cases at once in one event loop, each with a deadline and a place, and keeps what came of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace

from runwire_conformance.aftermath import (
    is_crowded_out,
    last_word,
    moot_while,
    tells_of_lateness,
    unwatched,
    watched,
)
from runwire_conformance.attribution import attribute
from runwire_conformance.bounds import STALL_S, Clock
from runwire_conformance.case import Broken, Moot
from runwire_conformance.first_look import Mute
from runwire_conformance.gates import unplayed
from runwire_conformance.held import MOST_BYTES, Held
from runwire_conformance.invariants import Facts
from runwire_conformance.look_back import breaks_off
from runwire_conformance.metronome import round_trips_measured
from runwire_conformance.outcome import Case, Outcome, State
from runwire_conformance.places import Places
from runwire_conformance.playing import came_of, overtaken, was_dropped
from runwire_conformance.probe import probe
from runwire_conformance.profile import Options, Profile
from runwire_conformance.symptoms import Flood, ages_at_the_end, broken_off, cancel_unheeded, flood_of
from runwire_conformance.target import Target
from runwire_conformance.wire.http import Unanswered, Unreachable

#: Seconds for the whole suite; what has not been played by then is not exercised.
SUITE_S = 48.0

#: Seconds from the beginning after which the invariants look through no further conversation.
WATCHED_S = 57.0

#: Seconds within which a server must answer a last handshake to count as alive.
ALIVE_S = 4.0

#: How many cases may be flooded with messages before no further one begins.
MOST_FLOODED = 3

#: How many cases may fail on connections that broke off before the judge looks whether that happens by chance.
MOST_BROKEN_OFF = 3

#: How many failures of timing are repeated before anyone is accused.
MOST_REPEATS = 20

#: How many cases play at once when the server advertises no limit on connections.
CROWD = 24

#: How many connections are open at once at most; more would only make the judge's own clock unsteady.
MOST_PLACES = 60

#: How many unfinished runs a place may stand for, those that outlive their case included.
RUNS_A_PLACE = 2

#: How many places are too few for one of them to be spent on measuring.
FEW_PLACES = 3

#: Share of the advertised connections that the judge allows itself.
SHARE = 0.6


#: Why cases are not exercised that were not over when the server was gone.
GONE = "moot, as the server was gone"


@dataclass(slots=True)
class Engine:
    """Judges one server with a set of cases."""

    url: str
    options: Options
    cases: Sequence[Case]
    concurrency: int | None = None
    stop_after: int = 0
    progress: Callable[[int, int], None] | None = None
    profile: Profile | None = None
    mute: Mute | None = None
    #: What showed that the server was gone before the suite ended, and the moment of its last word.
    died: str | None = None
    last_word: float = 0.0
    #: Requirements that a look back found broken by the server as a whole, with what showed it.
    ailing: dict[str, str] = field(default_factory=dict)
    began_at: float = 0.0
    seconds: float = 0.0
    _clock: Clock = field(default_factory=Clock)
    _failed: int = 0
    _done: int = 0
    _held: Held = field(default_factory=Held)
    #: What the cases were flooded with, by the requirement that each flood broke.
    _floods: list[str] = field(default_factory=list)
    #: The deadlines of the cases under way.
    _alarms: set[asyncio.Timeout] = field(default_factory=set)
    _repeated: set[str] = field(default_factory=set)
    #: What the invariants found broken by the clock, and found again in a case that was played alone.
    _confirmed: set[str] = field(default_factory=set)

    async def judge(self) -> None:
        """Play every case; raises NoRunwireServer when there is nothing to judge."""
        self.began_at = time.monotonic()
        self._clock.start()
        try:
            self.profile = await probe(self.url, self.options, self._clock)
            async with asyncio.timeout(SUITE_S + self._further_s):
                await self._play_all(self.profile)
        except Mute as mute:
            self.mute = mute
        except TimeoutError:
            self._give_up(f"the suite's time of {SUITE_S:g} s was over")
            self._spare_unrepeated()
            if self.profile is not None:
                await self._look_again(self.profile)
        finally:
            self._clock.stop()
            self.seconds = time.monotonic() - self.began_at
        self._watch()
        self.seconds = time.monotonic() - self.began_at

    @property
    def _further_s(self) -> float:
        """Seconds that the user's patience and wishes add to what the judge may take, or take from it."""
        return self.options.patience_s - 30 + self.options.search.further_s

    def _watch(self) -> None:
        """Have the invariants judge every conversation, when no clock runs any more."""
        if self.profile is None:
            return
        facts = Facts(self.profile.limits, self._clock.worst_tolerance)
        ailing = {**self.profile.broken, **self.ailing}
        until = self.began_at + WATCHED_S + self._further_s
        for case in sorted(self.cases, key=_did_not_fail):
            if case.outcome is None:
                continue
            if self.died is not None and case.outcome.traces and case.outcome.ended_at > self.last_word:
                began, ended = case.outcome.began_at, case.outcome.ended_at
                case.outcome = Outcome(State.NOT_EXERCISED, GONE, began_at=began, ended_at=ended)
            elif self._floods and is_crowded_out(case.outcome):
                case.outcome = moot_while(self._floods[0])
            elif time.monotonic() > until:
                case.outcome = unwatched(case.outcome, facts, ailing)
            else:
                case.outcome = watched(case.outcome, facts, ailing, self._confirmed)
        attribute(self.cases, self.profile.broken, self.ailing)

    async def _play_all(self, profile: Profile) -> None:
        todo = [case for case in self.cases if self._offered(case, profile)]
        crowd = [case for case in todo if not case.claim.alone and not case.claim.last]
        # First those that wait for the server's bounds, as the whole takes as long as the last to end.
        crowd.sort(key=lambda case: -case.claim.takes_long)
        width = self._width(profile)
        measuring = width > FEW_PLACES
        places = Places(width - 1 if measuring else width)
        async with self._measured(profile) if measuring else nullcontext():
            await asyncio.gather(*(self._play_in_turn(case, profile, places) for case in crowd))
        for case in [case for case in todo if case.claim.alone]:
            await self._play_alone(case, profile)
        if not await self._look_again(profile):
            return
        await self._look_back(profile)
        late = [case for case in todo if case.outcome is not None and case.outcome.late]
        if "CLOSE-2" in self.ailing:
            late = [case for case in late if case.outcome is not None and not broken_off(case.outcome.traces)]
        for case in late[:MOST_REPEATS]:
            await self._repeat(case, profile)
        await self._confirm(todo, profile)
        if self._repeated and not await self._look_again(profile):
            return
        for case in [case for case in todo if case.claim.last]:
            await self._play(case, profile)

    def _width(self, profile: Profile) -> int:
        if self.concurrency is not None:
            return self.concurrency
        if "connections_per_principal" not in profile.limits.advertised:
            return CROWD
        connections = SHARE * profile.limits["connections_per_principal"]
        runs = SHARE * profile.limits["runs_per_principal"] / RUNS_A_PLACE
        return max(1, min(MOST_PLACES, int(connections), int(runs)))

    def _offered(self, case: Case, profile: Profile) -> bool:
        """Settle a case that this server cannot be asked to play."""
        case.outcome = unplayed(case, profile)
        if case.outcome is not None:
            self._done += 1
        return case.outcome is None

    async def _play_in_turn(self, case: Case, profile: Profile, places: Places) -> None:
        async with places.taken(case.claim.connections):
            if self.stop_after and self._failed >= self.stop_after:
                case.outcome = Outcome(State.NOT_EXERCISED, "stopped after an earlier failure")
            else:
                await self._play(case, profile)

    async def _repeat(self, case: Case, profile: Profile) -> None:
        async with nullcontext() if case.claim.alone else self._measured(profile):
            await self._play_alone(case, profile)
        self._repeated.add(case.name)
        self._doubt(case, profile)

    async def _confirm(self, todo: Sequence[Case], profile: Profile) -> None:
        """Play alone what the invariants found to be late, the shortest cases first, until they find it again."""
        facts = Facts(profile.limits, self._clock.worst_tolerance)
        told = {case.name: tells_of_lateness(case.outcome, facts) for case in todo}
        for requirement in sorted(set[str]().union(*told.values())):
            cases = [case for case in todo if requirement in told[case.name]]
            for case in sorted(cases, key=_seconds)[:MOST_REPEATS]:
                if case.name not in self._repeated:
                    await self._repeat(case, profile)
                if requirement in tells_of_lateness(case.outcome, facts):
                    self._confirmed.add(requirement)
                    break

    def _doubt(self, case: Case, profile: Profile) -> None:
        """Accuse nobody of what the judge's own slowness explains, twice."""
        outcome = case.outcome
        if outcome is None or outcome.state is not State.FAILED or outcome.proven:
            return
        longer_than = max(profile.limits["pong_timeout_s"] / 2, STALL_S)
        if was_dropped(outcome.traces) and self._clock.stalled_since(outcome.began_at, longer_than):
            reason = "the judge's own clock stood still for too long to tell; try on a machine less busy"
        elif not case.claim.timing and self._was_overtaken(outcome, profile):
            reason = (
                "idle_s or run_s was over before the judge was done; raise it, or try on a machine less busy"
            )
        else:
            return
        case.outcome = replace(outcome, state=State.NOT_EXERCISED, reason=reason, traces=())

    def _was_overtaken(self, outcome: Outcome, profile: Profile) -> bool:
        """Tell whether a bound of the server may have ended what the judge was too slow for; a cancel comes first."""
        facts = Facts(profile.limits, self._clock.worst_tolerance)
        unheeded = cancel_unheeded(outcome.traces, facts, outcome.ended_at)
        return overtaken(outcome.traces, profile.limits) and not unheeded

    async def _play_alone(self, case: Case, profile: Profile) -> None:
        """Play a case when the server had the time it may take to free the places of what was played before."""
        await asyncio.sleep(self._clock.tolerance)
        await self._play(case, profile)

    @asynccontextmanager
    async def _measured(self, profile: Profile) -> AsyncIterator[None]:
        """Measure round trips meanwhile: T is made of them (chapter 17)."""
        if not {"MSG-28", "BEAT-5"}.isdisjoint(profile.broken):
            yield
            return
        target = Target(profile, self.options, self._clock)
        try:
            async with round_trips_measured(target, self._clock):
                yield
        finally:
            await target.end()

    def _overrun(self) -> Outcome | None:
        """Return what becomes of a case that is not begun any more, as too much has come of others."""
        if len(self._floods) >= MOST_FLOODED:
            return moot_while(self._floods[0])
        if self._held.bytes > MOST_BYTES:
            return Outcome(
                State.NOT_EXERCISED, f"not begun, as {self._held.bytes >> 20} MB of others are held"
            )
        return None

    def _flooded(self, flood: Flood) -> None:
        """Note a flood; when it was one too many, let the cases under way come to an end too."""
        self._floods.append(flood.requirement)
        if len(self._floods) == MOST_FLOODED:
            for alarm in self._alarms:
                if not alarm.expired():
                    alarm.reschedule(asyncio.get_running_loop().time())

    async def _play(self, case: Case, profile: Profile) -> None:
        if (overrun := self._overrun()) is not None:
            case.outcome = case.outcome or overrun
            return
        target = Target(profile, self.options, self._clock, self._held)
        outcome = await came_of(case, target, self._alarms)
        if (flood := flood_of(outcome.traces)) is not None:
            self._flooded(flood)
        elif outcome.state is State.FAILED and (overrun := self._overrun()) is not None:
            outcome = overrun  # it may have been crowded out
        case.outcome = outcome
        self._done += 1
        self._failed += outcome.state is State.FAILED
        if self.progress is not None:
            self.progress(self._done, len(self.cases))

    async def _look_again(self, profile: Profile) -> bool:
        """Return whether the server still answers a handshake; when not, note since when it does not."""
        problem = await self._absence(profile)
        if problem is not None:
            self.died = await self._absence(profile)
        if self.died is not None:
            self.last_word = max(map(last_word, self.cases), default=0.0)
            self._give_up(GONE)
        return self.died is None

    async def _look_back(self, profile: Profile) -> None:
        """Find out whether it is by chance that connections broke off, when cases failed on such."""
        outcomes = [case.outcome for case in self.cases if case.outcome is not None]
        failed = [outcome for outcome in outcomes if outcome.state is State.FAILED]
        if sum(broken_off(outcome.traces) for outcome in failed) < MOST_BROKEN_OFF:
            return
        found = await breaks_off(
            lambda: Target(profile, self.options, self._clock, self._held),
            self._width(profile),
            [age for outcome in failed for age in ages_at_the_end(outcome.traces)],
        )
        if found is not None:
            self.ailing["CLOSE-2"] = found

    async def _absence(self, profile: Profile) -> str | None:
        """Return what shows that the server is gone, or None."""
        target = Target(profile, self.options, self._clock)
        try:
            async with asyncio.timeout(ALIVE_S):
                await target.connect(ready=False)
        except TimeoutError:
            return f"a handshake was not answered within {ALIVE_S:g} s"
        except (Unreachable, Unanswered) as problem:
            return str(problem)
        except (Broken, Moot):
            return None  # refused, so it is there
        finally:
            await target.end()
        return None

    def _spare_unrepeated(self) -> None:
        """Accuse nobody of a few failures by the clock that there was no time left to play again, alone."""
        late = [
            (case, case.outcome)
            for case in self.cases
            if case.outcome is not None
            and case.outcome.state is State.FAILED
            and case.outcome.late
            and case.name not in self._repeated
        ]
        for case, outcome in late if len(late) <= MOST_REPEATS else ():
            reason = "it came too late, and the suite's time was over before it could be asked again, alone"
            case.outcome = replace(outcome, state=State.NOT_EXERCISED, reason=reason)

    def _give_up(self, reason: str) -> None:
        for case in self.cases:
            if case.outcome is None:
                case.outcome = Outcome(State.NOT_EXERCISED, reason)


def _seconds(case: Case) -> float:
    return case.outcome.seconds if case.outcome is not None else 0.0


def _did_not_fail(case: Case) -> bool:
    """Sort the cases that failed before the others."""
    return case.outcome is None or case.outcome.state is not State.FAILED
