"""Model-based search with Hypothesis, over random scripts and random client actions."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import SkipTest, mock

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture import providers

from runwire_conformance.case import Blocked, Violation
from runwire_conformance.client.conversations.conversation import ANSWER_S
from runwire_conformance.client.target import Target
from runwire_conformance.fuzz.plan import Plan, as_json, as_python, from_json
from runwire_conformance.fuzz.player import play
from runwire_conformance.fuzz.strategies import PlanScope, plans
from runwire_conformance.rules import messages  # noqa: F401 - loads the schemas before any clock runs

#: Seconds for one conversation, and for making a failing one smaller.
PLAN_S = 15.0
SHRINK_S = 8.0

#: Seconds to wait for what must come, while a conversation that is known to fail is made smaller.
HASTY_S = 1.5

#: Broken requirements without which no conversation can be played; they are reported by themselves.
NEEDED = ("CONN-15", "MSG-28", "RUN-3", "BEAT-5", "CANCEL-2")


async def search(target: Target, kit: PlanScope) -> None:
    """Play saved and random conversations; raises Violation for the smallest that breaks a sentence."""
    for identifier in NEEDED:
        if identifier in target.profile.broken:
            raise Blocked(identifier)
    searching = _Searching(target, asyncio.get_running_loop())
    for name, text in target.options.search.saved:
        if kit.can_play(plan := from_json(text)):
            await searching.replay(name, plan)
    try:
        await asyncio.to_thread(searching.run, kit)
    finally:
        searching.stopped.set()
    searching.conclude()


class _Enough(SkipTest):
    """The budget is spent. Hypothesis lets a skipped test end at once, in the midst of shrinking too."""


@dataclass(frozen=True, slots=True)
class _Found:
    plan: Plan
    breach: Violation
    target: Target


class _Searching:
    """Hypothesis in a thread of its own, which has each plan played in the judge's loop."""

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop
        #: When it is enough; reckoned from the first conversation, which Hypothesis takes a while to draw.
        self._until: float | None = None
        #: What broke a sentence: a plan's verdict is kept, so that chance cannot take it back.
        self._broken: dict[str, _Found] = {}
        self._fault: BaseException | None = None
        self._smallest: _Found | None = None
        self.stopped = threading.Event()
        self.played = 0

    async def replay(self, name: str, plan: Plan) -> None:
        """Play a saved plan; raises Violation when it still breaks a sentence."""
        own = self._own()
        try:
            await self._play(own, plan)
        except Violation as breach:
            self._target.traces += own.traces
            details = f"{breach}\nas saved in {name}"
            raise Violation(breach.requirement, str(breach), details, late=breach.late) from None

    def run(self, kit: PlanScope) -> None:
        """Search until the budget of examples or seconds is spent."""
        options = self._target.options.search
        test: Callable[[], None] = given(plans(kit))(self._check)
        test = settings(
            max_examples=options.examples,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )(seed(options.seed)(test))
        try:
            # A seed draws the same from a wheel and from a checkout, whose constants Hypothesis would mix in.
            with mock.patch.object(providers, "is_local_module_file", lambda _: False, create=True):
                test()
        except (Violation, _Enough):
            pass  # the smallest that was found is kept

    def conclude(self) -> None:
        """Raise what was found."""
        if self._smallest is not None:
            plan, breach, target = self._smallest.plan, self._smallest.breach, self._smallest.target
            self._target.traces += target.traces
            raise Violation(breach.requirement, str(breach), self._details(plan, breach), late=breach.late)
        if self._fault is not None:
            raise self._fault

    def _details(self, plan: Plan, breach: Violation) -> str:
        options = self._target.options.search
        try:
            file = options.save(as_json(plan), breach.requirement)
            kept = (
                f"Saved as {file}."
                if file
                else "--regressions DIR saves it and plays it first the next time."
            )
        except OSError as problem:
            kept = f"Not saved: {problem.filename}: {problem.strerror}"
        head = f"The smallest conversation that shows it (--seed {options.seed}), as a case:"
        return "\n\n".join((str(breach), head, as_python(plan, breach.requirement) + f"\n{kept}"))

    def _check(self, plan: Plan) -> None:
        if (found := self._broken.get(key := as_json(plan))) is None:
            if self._until is None:
                self._until = time.monotonic() + self._target.options.search.budget_s
            if self.stopped.is_set() or time.monotonic() > self._until:
                raise _Enough("the budget is spent")
            found = self._outcome(plan)
            if found is None:
                return
            if self._smallest is None:
                self._until = time.monotonic() + SHRINK_S
            elif found.breach.requirement != self._smallest.breach.requirement:
                return  # another sentence: the smallest conversation of this one is looked for
            self._broken[key] = found
        if self._smallest is None or len(key) <= len(as_json(self._smallest.plan)):
            self._smallest = found
        raise found.breach

    def _outcome(self, plan: Plan) -> _Found | None:
        own = self._own()
        playing = asyncio.run_coroutine_threadsafe(self._play(own, plan), self._loop)
        self.played += 1
        try:
            playing.result(PLAN_S + 5)
        except Violation as breach:
            return _Found(plan, breach, own)
        except BaseException as problem:
            self._fault = problem
            self.stopped.set()
        return None

    def _own(self) -> Target:
        target = self._target
        return Target(target.profile, target.options, target.clock, target.budget)

    async def _play(self, own: Target, plan: Plan) -> None:
        try:
            async with asyncio.timeout(PLAN_S):
                await play(own, plan, ANSWER_S if self._smallest is None else HASTY_S)
        except Violation:
            raise
        else:
            for trace in own.traces:
                trace.keep(0)
        finally:
            await own.end()
