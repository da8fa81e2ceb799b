"""Confirmation: suspected failures are played again, alone, until they are proved or cleared.

A replay waits for the user's patience where no sentence states a time. What fails again while the clock is steady is
proof; what passes is dropped; what still cannot be told is *not judged*. A suspicion has at most `MOST_TRIES` tries.
"""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from runwire_conformance.case import NO_CAPACITY
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.playing import LEAST_S
from runwire_conformance.trace.limits import Limits
from runwire_conformance.verdict.outcome import Case, Outcome, State
from runwire_conformance.verdict.proxies.products import Symptom
from runwire_conformance.verdict.proxies.signs import ProxySigns, explained_by_proxy
from runwire_conformance.verdict.verdict import shown_of

#: How many cases may find no place alone before the others that found none are not played again.
MOST_WITHOUT_SLOT = 3

#: How many cases fail alone, each time for one thing that a proxy did, before the others are not played again for it.
MOST_EXPLAINED = 3

#: How often a suspicion is played again, alone, while the clock is not steady.
MOST_TRIES = 4


async def confirm(engine: Engine, cases: Sequence[Case]) -> None:
    """Play again, alone, what is suspect, until each requirement is either proved broken or cleared."""
    if engine.stops:
        return
    replayed: set[str] = set()
    proved: set[tuple[str, ...]] = set()
    without_slot = 0
    signs, explained, chance = engine.proxy_signs, Counter[Symptom](), set[Symptom]()
    for case in _suspects(engine, cases):
        outcome = engine.outcomes[case.name]
        if shown_of(case, outcome) in proved and outcome.state is State.FAILED:
            continue  # the same sentences were proved broken by a quicker case
        if outcome.blocked_by == NO_CAPACITY and without_slot >= MOST_WITHOUT_SLOT:
            continue
        symptom = _symptom_of(case, outcome, signs)
        if symptom is not None and symptom not in chance and explained[symptom] >= MOST_EXPLAINED:
            continue  # nobody is accused of it, and it would fail once more
        outcome = await _replay(engine, case)
        replayed.add(case.name)
        without_slot += outcome.blocked_by == NO_CAPACITY
        if symptom is not None:
            explained[symptom] += 1
            chance |= {symptom} if _symptom_of(case, outcome, signs) is not symptom else set()
        if outcome.state is State.FAILED:
            proved.add(shown_of(case, outcome))
            engine.failed += 1
        if engine.stops:
            return
    await _confirm_timed(engine, cases, replayed)


def _symptom_of(case: Case, outcome: Outcome, signs: ProxySigns) -> Symptom | None:
    """Return what a proxy did that explains all that a failure would accuse, or None."""
    if outcome.state is not State.FAILED or outcome.cause is not None:
        return None
    names = {*shown_of(case, outcome), *(finding.requirement for finding in outcome.findings)}
    found = {explained_by_proxy(name, outcome.traces, signs) for name in names}
    return found.pop() if len(found) == 1 else None


def _suspects(engine: Engine, cases: Sequence[Case]) -> list[Case]:
    """Return the cases whose outcome is suspect and not explained by the server as a whole, the shortest first."""
    reset = "CLOSE-2" in engine.broken_throughout
    outcomes = {case.name: engine.outcomes.get(case.name, Outcome(State.NOT_JUDGED)) for case in cases}
    return sorted(
        (case for case in cases if (own := outcomes[case.name]).suspect and not (reset and own.broken_off)),
        key=lambda case: outcomes[case.name].seconds,
    )


async def _confirm_timed(engine: Engine, cases: Sequence[Case], replayed: set[str]) -> None:
    """Play alone what the rules found to be late, the shortest cases first, until they find it again."""
    timed = {case.name: engine.outcomes[case.name].timed for case in cases if case.name in engine.outcomes}
    for requirement in sorted(set[str]().union(*timed.values())):
        late = [case for case in cases if requirement in timed.get(case.name, ())]
        for case in sorted(late, key=lambda case: engine.outcomes[case.name].seconds):
            if case.name not in replayed:
                await _replay(engine, case)
                replayed.add(case.name)
            outcome = engine.outcomes[case.name]
            if requirement not in outcome.timed:
                continue
            if outcome.unsteady:
                engine.undecided[requirement] = outcome.unsteady
                continue
            engine.confirmed.add(requirement)
            engine.undecided.pop(requirement, None)
            break


async def _replay(engine: Engine, case: Case) -> Outcome:
    """Play a case alone until it passes or fails while the clock is steady, and return what came of it.

    The clock is measured by a connection beside it where the server has a place for one.
    """
    limits = engine.known_profile.limits
    places = limits.advertised.get("connections_per_principal", math.inf)
    measuring = not case.claim.alone and case.claim.connections < places
    if engine.progress is not None:
        engine.progress.replaying(case.name)
    for _ in range(MOST_TRIES):
        await engine.wait_until_steady()
        async with engine.measured() if measuring else nullcontext():
            await engine.play_alone(case, patient=True)
        outcome = engine.outcomes[case.name]
        if not outcome.unsteady or (outcome.state is not State.FAILED and not outcome.timed):
            break
    if outcome.state is State.FAILED:
        outcome = _discounting_slowness(outcome, engine.known_profile.limits)
        engine.note(case, outcome)
    return outcome


def _discounting_slowness(outcome: Outcome, limits: Limits) -> Outcome:
    """Return an outcome that accuses nobody of what the judge's own slowness explains, each time."""
    if outcome.unsteady:
        return replace(outcome, state=State.NOT_JUDGED, reason=outcome.unsteady, details="")
    short = {name: least for name, least in LEAST_S.items() if limits[name] < least}
    if short and outcome.limit_expired:
        told = " and ".join(f"{name} to {least:g}" for name, least in short.items())
        reason = f"a limit of the server ended it before the case was over: set {told} or more"
        return replace(outcome, state=State.NOT_EXERCISED, reason=reason, details="", hasty=True)
    return replace(outcome, suspect=False)
