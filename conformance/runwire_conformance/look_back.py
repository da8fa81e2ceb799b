"""A look back at a server whose connections broke off: does it break off plain ones too, and by chance?"""

import asyncio
from collections.abc import Callable

from runwire_conformance import scripts
from runwire_conformance.case import Broken, Moot
from runwire_conformance.symptoms import broken_off
from runwire_conformance.target import Target
from runwire_conformance.wire.http import Unanswered, Unreachable

#: How many plain conversations are held, how many at once, and seconds for each.
CONVERSATIONS, AT_ONCE, CONVERSATION_S = 24, 12, 6.0

#: Heartbeats in each of them.
HEARTBEATS = 20


async def breaks_off(made: Callable[[], Target], places: int) -> str | None:
    """Return what shows that the server breaks off plain connections whatever is said on them, or None.

    One that breaks off always and at the same point does so for what was said there, which the cases tell better,
    unless nothing had been said at all.
    """
    room = asyncio.Semaphore(max(1, min(AT_ONCE, places)))

    async def held() -> str | None:
        async with room:
            return await _conversation(made())

    ends = [end for end in await asyncio.gather(*(held() for _ in range(CONVERSATIONS))) if end is not None]
    if not ends or (len(ends) == CONVERSATIONS and set(ends) != {OPENED} and len(set(ends)) == 1):
        return None
    return (
        f"{len(ends)} of {CONVERSATIONS} plain connections broke off without a Close frame, "
        "though nothing was asked on them but heartbeats and a short run"
    )


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
    except (Broken, Moot, Unanswered, Unreachable, TimeoutError):
        pass
    finally:
        await target.end()
    return place if broken_off(target.traces) else None
