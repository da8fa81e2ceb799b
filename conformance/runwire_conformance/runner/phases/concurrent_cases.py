"""Concurrent cases: what needs no quiet plays beside others, as many as the advertised limits and the clock bear.

Cases that count connections or runs play one by one afterwards, when what the judge left behind is gone. Cases that
only wait, without a connection and without a run, go on waiting meanwhile.
"""

import asyncio
from contextlib import nullcontext

from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.forecast import interleaved, wait_of
from runwire_conformance.runner.phases.selection import Selected
from runwire_conformance.runner.slots import LOOK_S, Lease, Slots
from runwire_conformance.verdict.outcome import Case

#: How many slots are too few for one of them to be spent on measuring.
FEW_SLOTS = 3


def leaves_runs(case: Case) -> bool:
    """Whether the runs of a case outlive it, as nobody has the credential that could cancel them.

    It begins early, so that they are over when the cases play that count runs.
    """
    return "short_lived_token" in case.claim.hooks


async def play_concurrently(engine: Engine, selected: Selected) -> None:
    """Play the concurrent cases, and then those that play alone."""
    measuring = selected.slots > FEW_SLOTS
    slots = Slots(selected.slots - 1 if measuring else selected.slots)
    limits = engine.known_profile.limits
    lasts = limits["run_s"] + limits["detach_grace_s"]
    ordered = interleaved(
        selected.concurrent,
        lambda case: lasts if leaves_runs(case) else wait_of(case.claim, limits).seconds,
        lambda case: case.claim.deadline_s,
    )
    leases = [Lease(slots, case.claim.connections) for case in ordered]
    tasks: list[asyncio.Task[None]] = []
    try:
        async with engine.measured() if measuring else nullcontext(), slots.paced(engine.clock):
            for case, lease in zip(ordered, leases, strict=True):
                tasks.append(asyncio.create_task(engine.play_in_turn(case, lease)))
            while not all(  # noqa: ASYNC110 - many things may end it
                task.done() or lease.resting for task, lease in zip(tasks, leases, strict=True)
            ):
                await asyncio.sleep(LOOK_S)
        for case in selected.alone:
            async with slots.taken(slots.most):
                if not engine.stops:
                    await engine.play_alone(case)
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
