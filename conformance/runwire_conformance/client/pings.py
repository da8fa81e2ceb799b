"""Latency monitor: requests a heartbeat at intervals while the cases run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.trace.clock import Clock

#: Seconds between two questions.
PACE_S = 0.1


@asynccontextmanager
async def round_trips_measured(target: Target, clock: Clock) -> AsyncIterator[None]:
    """Have the clock know the round trips to the server while the body runs.

    A machine that is busy delays the server as it delays the judge; only the server's answers show it.
    """
    task = asyncio.create_task(_ask(target, clock))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _ask(target: Target, clock: Clock) -> None:
    # A server that does not answer is accused of that elsewhere, and one that closes when idle is asked anew.
    while True:
        with suppress(Broken, Blocked, Unanswered, Unreachable):
            client = await target.connect()
            while True:
                with clock.round_trip():
                    await client.ask({"type": "heartbeat"})
                await asyncio.sleep(PACE_S)
        await asyncio.sleep(PACE_S)
