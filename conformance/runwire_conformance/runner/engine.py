"""Engine: plays the cases against one server, with its profile, the outcomes, and the time limits.

Theory of operation. The phases (`phases/`) say which cases play when; the engine plays one, has the rules judge its
conversations as soon as it ends, keeps only what a report may show of them, and notes its outcome. A case is never
changed; `outcomes` holds what came of it, and `note` is the one place that says so.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from runwire_conformance.client.discovery.locate import ServerUnusable
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.footprint import Footprint
from runwire_conformance.client.pings import round_trips_measured
from runwire_conformance.client.target import Target
from runwire_conformance.rules import RuleContext
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.runner.forecast import Forecast
from runwire_conformance.runner.playing import limit_expired, outcome_of
from runwire_conformance.runner.progress import Progress
from runwire_conformance.runner.slots import Lease
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.memory_budget import MemoryBudget
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.judge import blocked_by_flood, watched
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.proxies.signs import ProxySigns, signs_of
from runwire_conformance.verdict.reason import Kind

#: How many cases may be flooded with messages before no further one begins.
MOST_FLOODED = 3

#: Seconds to wait for a steady clock before each of these, and for what the judge left behind to be gone.
STEADY_S, SETTLED_S = 5.0, 10.0

#: Why cases are not judged that the user left no time for.
STOPPED = "stopped at the first failure"

#: How many of the messages that were sent last are kept, and how many characters of each.
MOST_LAST, MOST_SENT = 200, 120


@dataclass(slots=True)
class Engine:
    """Plays cases against one server, and knows what came of them."""

    url: str
    options: Options
    cases: Sequence[Case]
    concurrency: int | None = None
    stop_after: int = 0
    progress: Progress | None = None
    profile: ServerProfile | None = None
    unusable: ServerUnusable | None = None
    #: What came of each case, by its name; set by `note` alone.
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    #: What showed that the server was gone before the suite ended, and the moment of its last word.
    server_gone: str | None = None
    last_message_at: float = 0.0
    #: Requirements that the reset check found broken by the server as a whole, with what showed it.
    broken_throughout: dict[str, str] = field(default_factory=dict)
    #: Requirements of which a finding by the clock could not be told from the judge's slowness, with the reason.
    undecided: dict[str, str] = field(default_factory=dict)
    #: What the rules found broken by the clock, and found again in a case that was played alone.
    confirmed: set[str] = field(default_factory=set)
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
    #: The requirement that each flood of messages broke, in their order.
    floods: list[str] = field(default_factory=list)
    #: How many failures are proved.
    failed: int = 0
    _memory: MemoryBudget = field(default_factory=MemoryBudget)
    _footprint: Footprint = field(default_factory=Footprint)
    #: Why the cases under way were cut off, if they were.
    _cut_off: str = ""
    #: The deadlines of the cases under way.
    _alarms: set[asyncio.Timeout] = field(default_factory=set)
    #: Looks through conversations beside the loop, so that it is not stalled.
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rules"))

    # What is known.

    def note(self, case: Case, outcome: Outcome) -> None:
        """Say what came of a case, whatever was said of it before."""
        self.outcomes[case.name] = outcome

    @property
    def played(self) -> tuple[CaseResult, ...]:
        """Every case with what came of it."""
        return tuple(CaseResult(case, self.outcomes.get(case.name)) for case in self.cases)

    def noted(self) -> Iterator[tuple[Case, Outcome]]:
        """Yield the cases of which something came, each with its outcome."""
        for case in self.cases:
            if (outcome := self.outcomes.get(case.name)) is not None:
                yield case, outcome

    @property
    def known_profile(self) -> ServerProfile:
        """What the preflight showed of the server, which every phase after it needs."""
        assert self.profile is not None
        return self.profile

    @property
    def stops(self) -> bool:
        """Whether the user wanted it to stop after so many failures."""
        return bool(self.stop_after) and self.failed >= self.stop_after

    @property
    def stopped(self) -> bool:
        """Whether it stopped at the first failure, as the user wanted, and left something out for that."""
        return self.stops and any(outcome.reason == STOPPED for outcome in self.outcomes.values())

    # Playing.

    def target(self, *, lease: Lease | None = None, patient: bool = False, owned: bool = True) -> Target:
        """Return a view of the server for one case; one that is not `owned` is held against no budget of the suite."""
        budget, footprint = (self._memory, self._footprint) if owned else (None, None)
        return Target(
            self.known_profile,
            self.options,
            self.clock,
            budget,
            footprint=footprint,
            slots=lease,
            patient=patient,
        )

    @property
    def proxy_signs(self) -> ProxySigns:
        """What all conversations so far showed of a proxy, those of the preflight among them."""
        total = signs_of(self.unusable.traces if self.unusable is not None else ())
        for traces in self.profile.shown.values() if self.profile is not None else ():
            total += signs_of(traces)
        for _, outcome in self.noted():
            total += outcome.signs
        return total

    async def play_in_turn(self, case: Case, lease: Lease) -> None:
        """Play a case when there are slots and memory for it."""
        async with lease.budget():
            if not self.stops:
                await self._memory.room()
                await self.play(case, lease)

    async def play_alone(self, case: Case, *, patient: bool = False) -> None:
        """Play a case when the server had the time it may take to free what was played before.

        One that measures how others are served while one does harm counts nothing, and is waited with when it failed.
        """
        if patient or not case.claim.timing:
            until = now() + SETTLED_S
            while self._footprint.runs_left and now() < until:  # noqa: ASYNC110 - time ends it, too
                await asyncio.sleep(0.1)
            await asyncio.sleep(self.clock.tolerance_since(now() - STEADY_S))
        await self.play(case, patient=patient)

    async def play(self, case: Case, lease: Lease | None = None, *, patient: bool = False) -> None:
        """Play a case, have its conversations judged, and note what came of it."""
        if len(self.floods) >= MOST_FLOODED:
            known = self.outcomes.get(case.name)
            if known is None or known.suspect:
                self.note(case, blocked_by_flood(self.floods[0]))
            return
        if self.progress is not None:
            self.progress.playing(case.name)
        began = now()
        outcome = await outcome_of(case, self.target(lease=lease, patient=patient), self._alarms)
        # A flood is noted before its conversations are judged, as those of others are filled meanwhile.
        if (flood := flood_of(outcome.traces)) is not None:
            self._flooded(flood.requirement)
        elif len(self.floods) >= MOST_FLOODED and outcome.state is State.FAILED and outcome.suspect:
            for trace in outcome.traces:
                trace.forget()
            self._end(case, blocked_by_flood(self.floods[0]))
            return
        self._end(case, await self._judged(outcome, began))

    async def _judged(self, outcome: Outcome, began: float) -> Outcome:
        limits = self.known_profile.limits
        context = RuleContext(limits, self.clock.tolerance_since(began))
        late = limit_expired(outcome.traces, limits)
        try:
            loop = asyncio.get_running_loop()
            outcome = await loop.run_in_executor(self._reader, watched, outcome, context)
        except Exception as problem:
            details = "".join(traceback.format_exception(problem))
            outcome = replace(outcome, state=State.JUDGE_ERROR, reason=repr(problem), details=details)
        for trace in outcome.traces:
            trace.forget()
            self._note_last_sent(trace)
        if self._cut_off and outcome.kind is Kind.ENDLESS and outcome.state is State.FAILED:
            outcome = replace(outcome, state=State.NOT_JUDGED, reason=self._cut_off, details="")
        return replace(outcome, limit_expired=late)

    def _end(self, case: Case, outcome: Outcome) -> None:
        self.note(case, outcome)
        self.failed += (outcome.state is State.FAILED and not outcome.suspect) or bool(outcome.firm_findings)
        if self.progress is not None:
            self.progress.ended(case.name, outcome.state)
        if self.stops:
            self._end_all(STOPPED)

    def _note_last_sent(self, trace: Trace) -> None:
        self.last_sent += [
            (record.at, record.payload[:MOST_SENT]) for record in trace.sent[-1:] if record.payload
        ]
        self.last_sent = sorted(self.last_sent)[-MOST_LAST:]

    def _flooded(self, requirement: str) -> None:
        """Note a flood; when it was one too many, let the cases under way come to an end too."""
        self.floods.append(requirement)
        if len(self.floods) == MOST_FLOODED:
            self._end_all(f"cut off because {requirement} is broken")

    def _end_all(self, reason: str) -> None:
        """Have the deadlines of all cases under way be now."""
        self._cut_off = reason
        for alarm in self._alarms:
            if not alarm.expired():
                alarm.reschedule(asyncio.get_running_loop().time())

    def close(self) -> None:
        """Stop the clock and the thread that reads conversations."""
        self.clock.stop()
        self._reader.shutdown(wait=False, cancel_futures=True)

    # Time.

    async def wait_until_steady(self) -> None:
        """Wait until the clock is steady, for a while."""
        until = now() + STEADY_S
        while now() < until:
            moment = now()
            await asyncio.sleep(0.2)
            if not self.clock.unsteady_since(moment):
                return

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure round trips meanwhile: T is made of them (chapter 17)."""
        if not {"MSG-28", "BEAT-5"}.isdisjoint(self.known_profile.broken):
            yield
            return
        target = self.target(owned=False)
        try:
            async with round_trips_measured(target, self.clock):
                yield
        finally:
            await target.end()
