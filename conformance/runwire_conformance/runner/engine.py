"""Plays all cases at once in one event loop, each with a deadline and slots, and keeps what came of them.

Theory of operation. After the preflight the engine knows the server's limits, so it says beforehand how long the suite
will take; no bell rings. It then goes through phases, each of which may accuse only on proof:

1. *Crowd*: every case that needs no quiet plays beside others, as many as the advertised limits allow and as the
   judge's clock bears. The conversations of a case are judged by the invariants as soon as it ends, and only what the
   report may show of them is kept.
2. *Alone*: cases that count connections or runs play one by one, when what the judge itself left behind is gone. Cases
   of the crowd that only wait, without a connection and without a run, go on waiting meanwhile.
3. *Confirmation*: a failure that leans on the clock, on an absence or on a lost connection is a suspicion. It is played
   again alone, and waits for the user's patience where no sentence states a time. What fails again while the clock is
   steady is proof; what passes is dropped; what still cannot be told is *not judged*.
4. *Last*: cases that end the server.

The phases of confirmation and attribution run to their end even when the user's time limit is over.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.footprint import Footprint
from runwire_conformance.client.locate import ServerUnusable
from runwire_conformance.client.pings import round_trips_measured
from runwire_conformance.client.profile import Options, Profile
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.rules import RuleContext
from runwire_conformance.runner.forecast import (
    QUICK_S,
    Forecast,
    Wait,
    forecast,
    in_words,
    interleaved,
    wait_of,
)
from runwire_conformance.runner.gates import unplayed
from runwire_conformance.runner.playing import NO_PLACE, came_of, overtaken
from runwire_conformance.runner.probe import probe
from runwire_conformance.runner.progress import Progress
from runwire_conformance.runner.reset_check import breaks_off
from runwire_conformance.runner.slots import LOOK_S, Slots
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.memory_budget import MemoryBudget
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.attribution import attribute, silenced
from runwire_conformance.verdict.causes import ages_at_the_end
from runwire_conformance.verdict.judge import is_crowded_out, moot_while, watched
from runwire_conformance.verdict.outcome import Case, Outcome, State
from runwire_conformance.verdict.reason import Kind

#: How many cases may be flooded with messages before no further one begins.
MOST_FLOODED = 3

#: How many cases may fail on connections that broke off before the judge looks whether that happens by chance.
MOST_BROKEN_OFF = 3

#: How many cases may find no place alone before the others that found none are not played again.
MOST_CROWDED_OUT = 3

#: How often a suspicion is played again, alone, while the clock is not steady.
MOST_TRIES = 4

#: Seconds to wait for a steady clock before each of these, and for what the judge left behind to be gone.
STEADY_S, SETTLED_S = 5.0, 10.0

#: How many cases play at once when the server advertises no limit on connections.
CROWD = 24

#: How many connections are open at once at most; more would only make the judge's own clock unsteady.
MOST_SLOTS = 60

#: How many unfinished runs a slot may stand for, those that outlive their case included.
RUNS_A_SLOT = 2

#: How many slots are too few for one of them to be spent on measuring.
FEW_SLOTS = 3

#: Share of the advertised connections that the judge allows itself.
SHARE = 0.6

#: Why cases are not exercised that were not over when the server was gone.
GONE = "moot, as the server was gone"

#: Why cases are not judged that the user left no time for.
INTERRUPTED, STOPPED = "interrupted", "stopped at the first failure"

#: How many of the messages that were sent last are kept, and how many characters of each.
MOST_LAST, MOST_SENT = 200, 120

#: An `idle_s` or `run_s` below which a connection may be closed or a run be over that a case still needs, in seconds.
LEAST_IDLE_S, LEAST_RUN_S = 3.0, 5.0


@dataclass(slots=True)
class Engine:
    """Judges one server with a set of cases."""

    url: str
    options: Options
    cases: Sequence[Case]
    concurrency: int | None = None
    stop_after: int = 0
    progress: Progress | None = None
    profile: Profile | None = None
    unusable: ServerUnusable | None = None
    #: What showed that the server was gone before the suite ended, and the moment of its last word.
    died: str | None = None
    last_word: float = 0.0
    #: Requirements that the reset check found broken by the server as a whole, with what showed it.
    ailing: dict[str, str] = field(default_factory=dict)
    #: Requirements of which a finding by the clock could not be told from the judge's slowness, with the reason.
    undecided: dict[str, str] = field(default_factory=dict)
    #: The cases that `--quick` leaves out.
    left_out: set[str] = field(default_factory=set)
    #: Whether the user interrupted it, and whether the user's time limit ended it.
    interrupted: bool = False
    timed_out: bool = False
    #: The last messages that were sent in each conversation, with the moment.
    last_sent: list[tuple[float, str]] = field(default_factory=list)
    #: How long it would take, as known when the limits were.
    forecast: Forecast | None = None
    began_at: float = 0.0
    seconds: float = 0.0
    clock: Clock = field(default_factory=Clock)
    _failed: int = 0
    _memory: MemoryBudget = field(default_factory=MemoryBudget)
    _footprint: Footprint = field(default_factory=Footprint)
    #: What the cases were flooded with, by the requirement that each flood broke.
    _floods: list[str] = field(default_factory=list)
    #: Why the cases under way were cut off, if they were.
    _cut_off: str = ""
    #: The deadlines of the cases under way.
    _alarms: set[asyncio.Timeout] = field(default_factory=set)
    _replayed: set[str] = field(default_factory=set)
    #: What the invariants found broken by the clock, and found again in a case that was played alone.
    _confirmed: set[str] = field(default_factory=set)
    #: Looks through conversations beside the loop, so that it is not stalled.
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "invariants"))

    async def judge(self) -> None:
        """Play every case; raises NoRunwireServer when there is nothing to judge."""
        self.began_at = now()
        self.clock.start()
        try:
            self.profile = await probe(self.url, self.options, self.clock)
            await self._play_all(self.profile)
        except ServerUnusable as problem:
            self.unusable = problem
        except asyncio.CancelledError:
            self.interrupted = True
            self._leave_out(INTERRUPTED)
        finally:
            self.clock.stop()
            self._reader.shutdown(wait=False, cancel_futures=True)
            self._attribute()
            self.seconds = now() - self.began_at

    # The phases.

    async def _play_all(self, profile: Profile) -> None:
        todo = [case for case in self.cases if self._to_play(case, profile)]
        crowd = [case for case in todo if not case.claim.alone and not case.claim.last]
        alone = [case for case in todo if case.claim.alone]
        last = [case for case in todo if case.claim.last]
        slots = self._slots(profile)
        self._announce(profile, crowd, [*alone, *last], slots)
        limit = self.options.time_limit_s
        try:
            async with asyncio.timeout(limit):
                await self._play_crowd(crowd, alone, profile, slots)
        except TimeoutError:
            self.timed_out = True
            self._leave_out(f"the time limit of {limit:g} s was over", last, suspects=False)
        if await self._is_alive(profile):
            await self._check_resets(profile)
            await self._confirm(todo, profile)
            if await self._is_alive(profile):
                for case in last:
                    if case.outcome is None and not self._stops:
                        await self._play(case, profile)
        if self._stops:
            self._leave_out(STOPPED)

    def _to_play(self, case: Case, profile: Profile) -> bool:
        """Settle a case that this server cannot be asked to play, or that the user will not wait for."""
        wait = wait_of(case.claim, profile.limits)
        case.outcome = unplayed(case, profile)
        if case.outcome is None and self.options.quick and wait.seconds > QUICK_S:
            self.left_out.add(case.name)
            return False
        if case.outcome is None and wait.seconds > self.options.patience_s:
            case.outcome = Outcome(State.NOT_EXERCISED, impatient(wait), impatient=True)
        return case.outcome is None

    def _announce(self, profile: Profile, crowd: Sequence[Case], others: Sequence[Case], slots: int) -> None:
        self.forecast = forecast(
            [case.claim for case in crowd],
            [case.claim for case in others],
            profile.limits,
            slots,
            self.options.search.budget_s,
        )
        if self.progress is not None:
            self.progress.begin(len(crowd) + len(others), self.forecast)

    async def _play_crowd(
        self, crowd: Sequence[Case], alone: Sequence[Case], profile: Profile, width: int
    ) -> None:
        measuring = width > FEW_SLOTS
        slots = Slots(width - 1 if measuring else width)
        ordered = interleaved(crowd, lambda case: wait_of(case.claim, profile.limits).seconds)
        leases = [_Lease(slots, case.claim.connections) for case in ordered]
        tasks: list[asyncio.Task[None]] = []
        try:
            async with self._measured(profile) if measuring else nullcontext(), slots.paced(self.clock):
                for case, lease in zip(ordered, leases, strict=True):
                    tasks.append(asyncio.create_task(self._play_in_turn(case, profile, lease)))
                while not all(  # noqa: ASYNC110 - many things may end it
                    task.done() or lease.resting for task, lease in zip(tasks, leases, strict=True)
                ):
                    await asyncio.sleep(LOOK_S)
            for case in alone:
                async with slots.taken(slots.most):
                    if not self._stops:
                        await self._play_alone(case, profile)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _slots(self, profile: Profile) -> int:
        if self.concurrency is not None:
            return self.concurrency
        if "connections_per_principal" not in profile.limits.advertised:
            return CROWD
        connections = SHARE * profile.limits["connections_per_principal"]
        runs = SHARE * profile.limits["runs_per_principal"] / RUNS_A_SLOT
        return max(1, min(MOST_SLOTS, int(connections), int(runs)))

    async def _play_in_turn(self, case: Case, profile: Profile, lease: "_Lease") -> None:
        async with lease.budget():
            if not self._stops:
                await self._memory.room()
                await self._play(case, profile, lease)

    async def _play_alone(self, case: Case, profile: Profile, patient: bool = False) -> None:
        """Play a case when the server had the time it may take to free what was played before."""
        until = now() + SETTLED_S
        while self._footprint.runs_left and now() < until:  # noqa: ASYNC110 - time ends it, too
            await asyncio.sleep(0.1)
        await asyncio.sleep(self.clock.tolerance_since(now() - STEADY_S))
        await self._play(case, profile, patient=patient)

    async def _check_resets(self, profile: Profile) -> None:
        """Find out whether it is by chance that connections broke off, when cases failed on such."""
        failed = [case.outcome for case in self.cases if case.outcome and case.outcome.state is State.FAILED]
        if sum(outcome.broken_off for outcome in failed) < MOST_BROKEN_OFF:
            return
        found = await breaks_off(
            lambda: Target(profile, self.options, self.clock, self._memory),
            self._slots(profile),
            [age for outcome in failed for age in ages_at_the_end(outcome.traces)],
        )
        if found is not None:
            self.ailing["CLOSE-2"] = found

    # Suspicions.

    async def _confirm(self, todo: Sequence[Case], profile: Profile) -> None:
        """Play again, alone, what is suspect, until each requirement is either proved broken or cleared."""
        if self._stops:
            return
        suspects = [case for case in todo if case.outcome is not None and case.outcome.suspect]
        if "CLOSE-2" in self.ailing:
            suspects = [case for case in suspects if case.outcome and not case.outcome.broken_off]
        proved: set[tuple[str, ...]] = set()
        crowded_out = 0
        for case in sorted(suspects, key=_seconds):
            assert case.outcome is not None
            accused = _accused(case)
            if accused in proved and case.outcome.state is State.FAILED:
                continue  # the same sentences were proved broken by a quicker case
            if case.outcome.moot == NO_PLACE and crowded_out >= MOST_CROWDED_OUT:
                continue
            await self._replay(case, profile)
            crowded_out += case.outcome.moot == NO_PLACE
            if case.outcome.state is State.FAILED:
                proved.add(_accused(case))
                self._failed += 1
            if self._stops:
                return
        await self._confirm_timed(todo, profile)

    async def _confirm_timed(self, todo: Sequence[Case], profile: Profile) -> None:
        """Play alone what the invariants found to be late, the shortest cases first, until they find it again."""
        timed = {case.name: case.outcome.timed for case in todo if case.outcome is not None}
        for requirement in sorted(set[str]().union(*timed.values())):
            cases = [case for case in todo if requirement in timed.get(case.name, ())]
            for case in sorted(cases, key=_seconds):
                if case.name not in self._replayed:
                    await self._replay(case, profile)
                assert case.outcome is not None
                if requirement not in case.outcome.timed:
                    continue
                if case.outcome.unsteady:
                    self.undecided[requirement] = case.outcome.unsteady
                    continue
                self._confirmed.add(requirement)
                self.undecided.pop(requirement, None)
                break

    async def _replay(self, case: Case, profile: Profile) -> None:
        """Play a case alone until it passes or fails while the clock is steady."""
        self._replayed.add(case.name)
        if self.progress is not None:
            self.progress.replaying(case.name)
        outcome = Outcome(State.NOT_JUDGED)
        for _ in range(MOST_TRIES):
            await self._steady()
            async with nullcontext() if case.claim.alone else self._measured(profile):
                await self._play_alone(case, profile, patient=True)
            outcome = case.outcome or Outcome(State.NOT_JUDGED)
            if not outcome.unsteady or (outcome.state is not State.FAILED and not outcome.timed):
                break
        if outcome.state is State.FAILED:
            case.outcome = self._doubted(outcome, profile.limits)

    def _doubted(self, outcome: Outcome, limits: Limits) -> Outcome:
        """Return an outcome that accuses nobody of what the judge's own slowness explains, each time."""
        if outcome.unsteady:
            return replace(outcome, state=State.NOT_JUDGED, reason=outcome.unsteady, details="")
        hasty = limits["idle_s"] < LEAST_IDLE_S or limits["run_s"] < LEAST_RUN_S
        if hasty and outcome.overtaken:
            reason = f"over before the case was: set idle_s to {LEAST_IDLE_S:g} and run_s to {LEAST_RUN_S:g} or more"
            return replace(outcome, state=State.NOT_EXERCISED, reason=reason, details="", hasty=True)
        return replace(outcome, suspect=False)

    async def _steady(self) -> None:
        """Wait until the clock is steady, for a while."""
        until = now() + STEADY_S
        while now() < until:
            moment = now()
            await asyncio.sleep(0.2)
            if not self.clock.unsteady_since(moment):
                return

    # One case.

    async def _play(
        self, case: Case, profile: Profile, lease: "_Lease | None" = None, patient: bool = False
    ) -> None:
        if len(self._floods) >= MOST_FLOODED:
            case.outcome = case.outcome or moot_while(self._floods[0])
            return
        target = Target(
            profile,
            self.options,
            self.clock,
            self._memory,
            footprint=self._footprint,
            slots=lease,
            patient=patient,
        )
        if self.progress is not None:
            self.progress.playing(case.name)
        began = now()
        outcome = await came_of(case, target, self._alarms)
        context = RuleContext(profile.limits, self.clock.tolerance_since(began))
        loop = asyncio.get_running_loop()
        late = overtaken(outcome.traces, profile.limits)
        try:
            outcome = await loop.run_in_executor(self._reader, watched, outcome, context)
        except Exception as problem:
            details = "".join(traceback.format_exception(problem))
            outcome = replace(outcome, state=State.JUDGE_ERROR, reason=repr(problem), details=details)
        for trace in outcome.traces:
            trace.forget()
            self._note_last_sent(trace)
        if self._cut_off and outcome.kind is Kind.ENDLESS and outcome.state is State.FAILED:
            outcome = replace(outcome, state=State.NOT_JUDGED, reason=self._cut_off, details="")
        if outcome.flood is not None:
            self._flooded(outcome.flood.requirement)
        case.outcome = replace(outcome, overtaken=late)
        self._failed += (outcome.state is State.FAILED and not outcome.suspect) or bool(outcome.firm_findings)
        if self.progress is not None:
            self.progress.ended(case.name, outcome.state)
        if self._stops:
            self._end_all(STOPPED)

    def _note_last_sent(self, trace: Trace) -> None:
        sent = [record for record in trace.records if record.side == "client" and record.payload]
        self.last_sent += [(record.at, record.payload[:MOST_SENT]) for record in sent[-1:]]
        self.last_sent = sorted(self.last_sent)[-MOST_LAST:]

    @property
    def stopped(self) -> bool:
        """Whether it stopped at the first failure, as the user wanted, and left something out for that."""
        return self._stops and any(
            case.outcome is not None and case.outcome.reason == STOPPED for case in self.cases
        )

    @property
    def _stops(self) -> bool:
        """Whether the user wanted it to stop after so many failures."""
        return bool(self.stop_after) and self._failed >= self.stop_after

    def _flooded(self, requirement: str) -> None:
        """Note a flood; when it was one too many, let the cases under way come to an end too."""
        self._floods.append(requirement)
        if len(self._floods) == MOST_FLOODED:
            self._end_all(f"cut off, as {requirement} is broken")

    def _end_all(self, reason: str) -> None:
        """Have the deadlines of all cases under way be now."""
        self._cut_off = reason
        for alarm in self._alarms:
            if not alarm.expired():
                alarm.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def _measured(self, profile: Profile) -> AsyncIterator[None]:
        """Measure round trips meanwhile: T is made of them (chapter 17)."""
        if not {"MSG-28", "BEAT-5"}.isdisjoint(profile.broken):
            yield
            return
        target = Target(profile, self.options, self.clock)
        try:
            async with round_trips_measured(target, self.clock):
                yield
        finally:
            await target.end()

    # The server as a whole.

    async def _is_alive(self, profile: Profile) -> bool:
        """Return whether the server still answers a handshake; when not, note since when it does not."""
        if await self._absence(profile) is not None:
            await self._steady()
            self.died = await self._absence(profile)
        if self.died is not None:
            self.last_word = max((case.outcome.last_word for case in self.cases if case.outcome), default=0.0)
            for case in self.cases:
                if case.outcome is None:
                    case.outcome = Outcome(State.NOT_EXERCISED, GONE)
        return self.died is None

    async def _absence(self, profile: Profile) -> str | None:
        """Return what shows that the server is gone, or None."""
        target = Target(profile, self.options, self.clock)
        try:
            async with asyncio.timeout(self.options.patience_s):
                await target.connect(ready=False)
        except TimeoutError:
            return f"a handshake was not answered within {self.options.patience_s:g} s"
        except (Unreachable, Unanswered) as problem:
            return str(problem)
        except (Broken, Blocked):
            return None  # refused, so it is there
        finally:
            await target.end()
        return None

    # What is made of it.

    def _leave_out(self, reason: str, but: Iterable[Case] = (), *, suspects: bool = True) -> None:
        """Say that the judge left out what was not played, and what is only suspect, for a reason of its own."""
        spared = {case.name for case in but} | self.left_out
        for case in self.cases:
            outcome = case.outcome
            unproved = outcome is not None and outcome.state is State.FAILED and outcome.suspect
            if case.name not in spared and (outcome is None or (suspects and unproved)):
                case.outcome = replace(
                    outcome or Outcome(State.NOT_JUDGED), state=State.NOT_JUDGED, reason=reason
                )

    def _attribute(self) -> None:
        """Settle what one cause explains: the server was gone, it floods, or it breaks off."""
        if self.profile is None:
            return
        ailing = {**self.profile.broken, **self.ailing}
        for case in self.cases:
            outcome = case.outcome
            if outcome is None:
                continue
            if self.died is not None and outcome.traces and outcome.ended_at > self.last_word:
                began, ended = outcome.began_at, outcome.ended_at
                case.outcome = Outcome(State.NOT_EXERCISED, GONE, began_at=began, ended_at=ended)
            elif self._floods and is_crowded_out(outcome):
                case.outcome = moot_while(self._floods[0])
            else:
                case.outcome = self._settled(outcome, ailing)
        silenced(self.cases)
        attribute(self.cases, self.profile.broken, self.ailing)

    def _settled(self, outcome: Outcome, ailing: dict[str, str]) -> Outcome:
        """Return an outcome with the cause of its failure, and only with findings that hold."""
        unproved = outcome.timed - self._confirmed
        kept = tuple(finding for finding in outcome.findings if finding.requirement not in unproved)
        outcome = replace(outcome, findings=kept)
        if outcome.state is State.FAILED and outcome.cause is None:
            cause = next((name for name in ailing if name in outcome.symptoms), None)
            outcome = replace(outcome, cause=cause)
        return outcome


class _Lease:
    """The slots that one case holds."""

    def __init__(self, slots: Slots, count: int) -> None:
        self._slots = slots
        self._count = count
        self._taken = 0
        #: Whether the case only waits, with nothing of its own at the server.
        self.resting = False

    @asynccontextmanager
    async def budget(self) -> AsyncIterator[None]:
        self._taken = await self._slots.take(self._count)
        try:
            yield
        finally:
            self._slots.give_back(self._taken)

    @asynccontextmanager
    async def lent(self, *, resting: bool) -> AsyncIterator[None]:
        """Have others use the slots while the body runs."""
        self._slots.give_back(self._taken)
        self._taken = 0
        self.resting = resting
        try:
            yield
        finally:
            self._taken = await self._slots.take(self._count, back=True)
            self.resting = False


def impatient(wait: Wait) -> str:
    """Return why a case is not exercised that waits longer than the user will."""
    settings = " and ".join(wait.settings)
    seconds = in_words(wait.seconds) if wait.seconds > 60 else f"{wait.seconds:g} s"
    return f"would take {seconds}; set a smaller {settings} on the server or use --patience {wait.seconds:g}"


def _accused(case: Case) -> tuple[str, ...]:
    """Return what a failed case holds to be broken."""
    outcome = case.outcome
    assert outcome is not None
    named = outcome.breach or outcome.shows
    return (named,) if named is not None else case.claim.ids


def _seconds(case: Case) -> float:
    return case.outcome.seconds if case.outcome is not None else 0.0
