"""Latency monitor: requests a heartbeat at intervals while the cases run."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import ANSWER_S
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.trace.clock import LEAST_TOLERANCE_S, Clock

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
                with clock.round_trip() as is_missing:
                    looking = asyncio.create_task(_lives(client, is_missing))
                    try:
                        await client.ask({"type": "heartbeat"})
                    finally:
                        looking.cancel()
                await asyncio.sleep(PACE_S)
        await asyncio.sleep(PACE_S)


async def _lives(client: Client, is_missing: Callable[[], None]) -> None:
    """Call `is_missing` when a Ping is answered ([CONN-12]) that was sent behind a heartbeat without an answer.

    Who answers the later of the two is not slow: it would be excused for what it leaves out.
    """
    await asyncio.sleep(LEAST_TOLERANCE_S)
    data = secrets.token_bytes(4)
    with suppress(Broken):
        client.ping(data)
        await client.wait_until(lambda: data in client.pongs, ANSWER_S, "a Pong")
        await asyncio.sleep(LEAST_TOLERANCE_S)
        is_missing()
