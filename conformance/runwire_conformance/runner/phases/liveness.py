"""Whether the server is still there; bounded by the user's patience for one handshake, asked twice."""

import asyncio

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.runner.engine import Engine
from runwire_conformance.verdict.outcome import Outcome, State

#: Why cases are not exercised that were not over when the server was gone.
GONE = "blocked because the server was gone"


async def is_alive(engine: Engine) -> bool:
    """Return whether the server still answers a handshake; when not, note since when it does not."""
    if await absence(engine) is not None:
        await engine.steady()
        engine.died = await absence(engine)
    if engine.died is not None:
        engine.last_word = max((outcome.last_word for _, outcome in engine.noted()), default=0.0)
        for case in engine.cases:
            engine.outcomes.setdefault(case.name, Outcome(State.NOT_EXERCISED, GONE))
    return engine.died is None


async def absence(engine: Engine) -> str | None:
    """Return what shows that the server is gone, or None."""
    target, patience_s = engine.target(owned=False), engine.options.patience_s
    try:
        async with asyncio.timeout(patience_s):
            await target.connect(ready=False)
    except TimeoutError:
        return f"a handshake was not answered within {patience_s:g} s"
    except (Unreachable, Unanswered) as problem:
        return str(problem)
    except (Broken, Blocked):
        return None  # refused, so it is there
    finally:
        await target.end()
    return None
