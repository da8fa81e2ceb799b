"""Liveness check of the server, bounded by the user's patience for one handshake, tried twice.

One that breaks connections off is asked `TRIES` times, as it may do so at random and still be there.
"""

import asyncio

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.runner.engine import Engine
from runwire_conformance.verdict.outcome import Outcome, State

#: How many handshakes a server that breaks them off has to break off, one after the other, to be gone.
TRIES = 8

#: Why cases are not exercised that were not over when the server was gone.
GONE = "blocked because the server stopped responding"


async def is_alive(engine: Engine) -> bool:
    """Return whether the server still answers a handshake; when not, note since when it does not."""
    problem, asked = await absence(engine), 1
    while problem is not None and asked < (
        TRIES if isinstance(problem, Unanswered) and problem.broke_off else 2
    ):
        await engine.wait_until_steady()
        problem, asked = await absence(engine), asked + 1
    engine.server_gone = None if problem is None else str(problem)
    if engine.server_gone is not None:
        engine.last_message_at = max((outcome.last_message_at for _, outcome in engine.noted()), default=0.0)
        for case in engine.cases:
            engine.outcomes.setdefault(case.name, Outcome(State.NOT_EXERCISED, GONE))
    return engine.server_gone is None


async def absence(engine: Engine) -> Unreachable | Unanswered | None:
    """Return what shows that the server may be gone, or None."""
    target, patience_s = engine.target(owned=False), engine.options.patience_s
    try:
        async with asyncio.timeout(patience_s):
            await target.connect(ready=False)
    except TimeoutError:
        return Unanswered(f"a handshake was not answered within {patience_s:g} s")
    except (Unreachable, Unanswered) as problem:
        return problem
    except (Broken, Blocked):
        return None  # refused, so it is there
    finally:
        await target.end()
    return None
