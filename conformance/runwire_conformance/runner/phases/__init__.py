"""Phases of a judging, in order; each accuses only on proof and states its time bound.

1. *Preflight* (`preflight`, `probe`): what the server is and admits. Bounded by its own deadlines.
2. *Selection* (`selection`): which cases it can be asked to play, and how long that will take.
3. *Concurrent cases* (`concurrent_cases`): every case that needs no quiet beside others, then the others one by
   one. Bounded by the user's time limit and by each case's deadline.
4. *Reset check* (`reset_check`): whether it is by chance that connections broke off. Bounded by its conversations.
5. *Confirmation* (`confirmation`): a failure that leans on the clock, on an absence or on a lost connection is a
   suspicion, and is played again alone. Bounded by tries; it runs to its end even when the time limit is over.
6. *Last*: the cases that end the server.
7. *Settlement* (`settlement`): what one cause explains is settled. No I/O.
"""

import asyncio

from runwire_conformance.client.discovery.locate import ServerUnusable
from runwire_conformance.runner.engine import STOPPED, Engine
from runwire_conformance.runner.phases import settlement
from runwire_conformance.runner.phases.concurrent_cases import play_concurrently
from runwire_conformance.runner.phases.confirmation import confirm
from runwire_conformance.runner.phases.liveness import is_alive
from runwire_conformance.runner.phases.probe import probe
from runwire_conformance.runner.phases.reset_check import check_resets
from runwire_conformance.runner.phases.selection import announce, select
from runwire_conformance.trace.clock import now

#: Why cases are not judged that were not over when the user interrupted the suite.
INTERRUPTED = "interrupted"


async def judge_server(engine: Engine) -> None:
    """Play every case of an engine; raises NoRunwireServer when there is nothing to judge."""
    engine.began_at = now()
    engine.clock.start()
    try:
        asked = {name for case in engine.cases for name in (*case.claim.ids, *case.claim.watches)}
        engine.profile = await probe(engine.url, engine.options, engine.clock, asked)
        await _play_all(engine)
    except ServerUnusable as problem:
        engine.unusable = problem
    except asyncio.CancelledError:
        engine.interrupted = True
        settlement.leave_out(engine, INTERRUPTED)
    finally:
        engine.close()
        settlement.settle(engine)
        engine.seconds = now() - engine.began_at


async def _play_all(engine: Engine) -> None:
    selected = select(engine)
    announce(engine, selected)
    limit = engine.options.time_limit_s
    try:
        async with asyncio.timeout(limit):
            await play_concurrently(engine, selected)
    except TimeoutError:
        engine.timed_out = True
        settlement.leave_out(engine, f"the time limit of {limit:g} s expired", selected.last, suspects=False)
    if await is_alive(engine):
        await check_resets(engine)
        await confirm(engine, selected.cases)
        if await is_alive(engine):
            for case in selected.last:
                if case.name not in engine.outcomes and not engine.stops:
                    await engine.play(case)
    if engine.stops:
        settlement.leave_out(engine, STOPPED)
