"""Reset check: whether a server that reset connections also resets plain ones.

Bounded by `CONVERSATIONS` of `CONVERSATION_S` seconds each.
"""

import asyncio
from collections.abc import Callable, Sequence
from statistics import median

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client import scripts
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.phases.selection import slots_for
from runwire_conformance.trace.clock import now
from runwire_conformance.verdict.causes import ages_at_the_end, broken_off
from runwire_conformance.verdict.outcome import State

#: How many plain conversations are held, how many at once, and seconds for each.
CONVERSATIONS, AT_ONCE, CONVERSATION_S = 24, 12, 6.0

#: How many connections that broke off at one age show a rule, by which share their ages may differ, and the least age.
FEWEST, ALIKE, SHORTEST_S = 3, 0.2, 1.0

#: Seconds between two heartbeats of one that is held for as long as others lasted.
BEAT_S = 0.3

#: Heartbeats in each of them.
HEARTBEATS = 20

#: How many cases may fail on connections that broke off before the judge looks whether that happens by chance.
MOST_BROKEN_OFF = 3


async def check_resets(engine: Engine) -> None:
    """Find out whether it is by chance that connections broke off, when cases failed on such."""
    failed = [outcome for _, outcome in engine.noted() if outcome.state is State.FAILED]
    if sum(outcome.broken_off for outcome in failed) < MOST_BROKEN_OFF:
        return
    ages = [age for outcome in failed for age in ages_at_the_end(outcome.traces)]
    found = await breaks_off(lambda: engine.target(owned=False), slots_for(engine), ages)
    if found is not None:
        engine.broken_throughout["CLOSE-2"] = found


async def breaks_off(made: Callable[[], Target], places: int, ages: Sequence[float] = ()) -> str | None:
    """Return what shows that the server breaks off plain connections whatever is said on them, or None.

    One that breaks off always and at the same point does so for what was said there, which the cases tell better,
    unless nothing had been said at all. `ages` are those of the connections that broke off before, in seconds: when
    most of them are alike, a plain connection is held for as long.
    """
    if (age := _common_age(ages)) is not None and (ended := await _age_at_end(made(), age)) is not None:
        shown = f"most of them after {age:.1f} s; so did one with heartbeats alone after {ended:.1f} s"
        return f"{len(ages)} connections broke off, {shown}"
    room = asyncio.Semaphore(max(1, min(AT_ONCE, places)))

    async def held() -> str | None:
        async with room:
            return await _conversation(made())

    ends = [end for end in await asyncio.gather(*(held() for _ in range(CONVERSATIONS))) if end is not None]
    if not ends or (len(ends) == CONVERSATIONS and set(ends) != {OPENED} and len(set(ends)) == 1):
        return None
    return (
        f"{len(ends)} of {CONVERSATIONS} plain connections broke off without a Close frame, "
        "although they carried only heartbeats and a short run"
    )


def _common_age(ages: Sequence[float]) -> float | None:
    """Return the age at which most connections broke off, or None when there is no such age."""
    middle = median(ages) if len(ages) >= FEWEST else 0.0
    alike = [age for age in ages if abs(age - middle) <= ALIKE * middle]
    return middle if middle > SHORTEST_S and 2 * len(alike) > len(ages) else None


async def _age_at_end(target: Target, age: float) -> float | None:
    """Return how old a connection was that broke off though it carried only heartbeats, at an age like this."""
    try:
        client = await target.connect()
        begun = client.trace.began
        # It is never silent: a proxy may cut what is, and that is no fault of the server.
        while not client.ended and now() - begun < age * (1 + ALIKE) + target.clock.tolerance:
            await client.send({"type": "heartbeat"})
            await asyncio.sleep(BEAT_S)
    except (Broken, Blocked, Unanswered, Unreachable):
        return None
    finally:
        await target.end()
    ended = (client.ended_at or begun) - begun
    return ended if broken_off(target.traces) and ended >= age * (1 - ALIKE) else None


#: Where a conversation broke off: before or while it was opened.
OPENED = "opening"


async def _conversation(target: Target) -> str | None:
    """Hold a plain conversation; return where it broke off, or None when it did not."""
    place = OPENED
    try:
        async with asyncio.timeout(CONVERSATION_S):
            client = await target.connect()
            # So that one which breaks off by itself is not taken for one that was provoked.
            await asyncio.sleep(0.05)
            if client.ended:
                return place
            place = "heartbeat"
            for _ in range(HEARTBEATS):
                await client.ask({"type": "heartbeat"})
            place = "run"
            if target.profile.has_script_agent:
                await (await client.start(scripts.THREE_TOKENS)).terminal()
            place = "end"
            await client.leave()
    except (Broken, Blocked, Unanswered, Unreachable, TimeoutError):
        pass
    finally:
        await target.end()
    return place if broken_off(target.traces) else None
