"""The places for connections: as many as there are, in the order they were asked for."""

from __future__ import annotations

import asyncio

from runwire_conformance.runner.slots import Slots
from tests.support.patience import patience


def test_places_are_given_in_the_order_they_were_asked_for_and_never_more_than_there_are() -> None:
    begun: list[int] = []
    held = most = 0

    async def hold(slots: Slots, number: int, count: int) -> None:
        nonlocal held, most
        async with slots.taken(count):
            begun.append(number)
            held += min(count, 4)
            most = max(most, held)
            await asyncio.sleep(0)
            held -= min(count, 4)

    async def play() -> None:
        slots = Slots(4)
        counts = [1, 3, 2, 9, 1, 1, 4, 2]
        await asyncio.gather(*(hold(slots, number, count) for number, count in enumerate(counts)))

    asyncio.run(asyncio.wait_for(play(), patience(10)))
    assert begun == list(range(8))
    assert most == 4


def test_who_gives_up_waiting_or_holding_leaves_the_places_to_the_others() -> None:
    async def wait_for_ever(slots: Slots) -> None:
        async with slots.taken(2):
            await asyncio.Event().wait()

    async def play() -> None:
        slots = Slots(2)
        tasks = [asyncio.create_task(wait_for_ever(slots)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with slots.taken(2):
            pass

    asyncio.run(asyncio.wait_for(play(), patience(10)))


def test_who_lent_its_slots_gets_them_back_before_others_begin() -> None:
    begun: list[str] = []

    async def play() -> None:
        slots = Slots(1)
        held = await slots.take(1)

        async def wait(name: str, *, back: bool) -> None:
            await slots.take(1, back=back)
            begun.append(name)
            slots.give_back(1)

        waiting = [asyncio.create_task(wait(f"new {number}", back=False)) for number in range(3)]
        waiting.append(asyncio.create_task(wait("returned", back=True)))
        await asyncio.sleep(0)
        slots.give_back(held)
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(play(), patience(10)))
    assert begun == ["returned", "new 0", "new 1", "new 2"]
