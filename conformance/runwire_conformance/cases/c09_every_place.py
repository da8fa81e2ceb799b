"""Chapters 6, 7 and 9: resume and cancel at every position of a log."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runwire_conformance.case import TooUnsteady, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run, contents, is_live
from runwire_conformance.client.target import Target

#: A short log of which no two neighbours can be merged, and the types of its events.
STEPS = (
    scripts.thinking("Let me see.", agent="helper"),
    scripts.call("c1"),
    scripts.observe("c1", "half", partial=True),
    scripts.observe("c1", {"found": 1}),
    scripts.token("It is "),
    {"replace": "That is "},
    scripts.token("all."),
)
TYPES = ["thinking", "tool_call", "observation", "observation", "token", "replace", "token"]

#: How many places are looked at at once, each on a connection or a stream of its own.
AT_ONCE = 3

#: Milliseconds for which a run stays live behind its steps, for readers to join: longer where they came too late.
LIVE_MS = (300, 3000)

#: Joins a run behind a `seq`, and returns it as it is read there to its end.
Reader = Callable[[Run, int], Awaitable[Run]]


def paused_at(index: int) -> str:
    """Return a script that says nothing more behind its event `index` for half a minute."""
    return scripts.script(*STEPS[:index], scripts.wait(30_000), *STEPS[index:])


async def until_seq(run: Run, seq: int) -> None:
    """Wait until the event `seq` of a run has come."""
    while run.last_seq < seq:
        await run.next_event()


def story(run: Run, steps: int) -> tuple[list[str], Any, Any]:
    """Return the types of a run's events, and with which status and reason it ended.

    Final observations behind its first `steps` events are left out: they may close calls after a cancel ([CANCEL-3]).
    """
    events = run.events
    closing = [event for event in events[steps:] if is_final_observation(event)]
    types = [event.type for event in events if event not in closing]
    return types, events[-1].get("status"), events[-1].get("reason")


def is_final_observation(event: dict[str, Any]) -> bool:
    """Whether an event ends a tool call."""
    return event["type"] == "observation" and event.get("partial") is not True


@proves("CANCEL-1", script=True, connections=AT_ONCE)
async def a_run_is_cancelled_at_every_place_of_its_log(target: Target) -> None:
    async def cancelled_from(first: int) -> None:
        client = await target.connect()
        for index in range(first, len(STEPS) + 1, AT_ONCE):
            run = await client.start(paused_at(index))
            await until_seq(run, index)
            await client.cancel()
            await client.quiet(run)
            assert story(run, index) == ([*TYPES[:index], "done"], "cancelled", "user")

    await asyncio.gather(*map(cancelled_from, range(AT_ONCE)))


@proves("HTTP-8", script=True, connections=AT_ONCE)
async def a_run_is_cancelled_by_post_at_every_place_of_its_log(target: Target) -> None:
    async def cancelled_from(first: int) -> None:
        for index in range(first, len(STEPS) + 1, AT_ONCE):
            stream = await target.start_stream(paused_at(index))
            run = await stream.run()
            await until_seq(run, index)
            await target.post(target.run_url(run.id, "/cancel"), {})
            await run.terminal()
            await stream.finished()
            assert story(run, index) == ([*TYPES[:index], "done"], "cancelled", "user")

    await asyncio.gather(*map(cancelled_from, range(AT_ONCE)))


async def reads_the_rest_from_every_place(client: Client, read: Reader) -> None:
    """Expect that a reader of a live run, wherever in its log it begins, is told what comes behind.

    Raises NotJudged where this machine was too slow to have the readers join before the end of the run.
    """
    for first in range(0, len(STEPS) + 1, AT_ONCE):
        places = range(first, min(first + AT_ONCE, len(STEPS) + 1))
        for live_ms in LIVE_MS:
            run = await client.start(scripts.script(*STEPS, scripts.wait(live_ms), scripts.thinking("Done.")))
            await until_seq(run, len(STEPS))
            joined = await asyncio.gather(*(read(run, after) for after in places))
            whole = await run.whole()
            assert [contents(one.events) for one in joined] == [contents(whole[after:]) for after in places]
            if all(map(is_live, joined)):
                break
        else:
            raise TooUnsteady(
                f"nobody joined a run within the {LIVE_MS[-1] / 1000:g} s for which it was live"
            )


@proves("RESUME-10", script=True, connections=AT_ONCE + 1)
async def a_live_run_is_joined_at_every_place_of_its_log(client: Client, target: Target) -> None:
    async def joined(run: Run, after: int) -> Run:
        reader = await target.connect()
        again = await reader.resume(run.id, after, epoch=run.epoch)
        await again.terminal()
        await reader.leave()
        return again

    await reads_the_rest_from_every_place(client, joined)


@proves("SSE-5", script=True, connections=AT_ONCE + 1)
async def a_live_run_is_streamed_from_every_place_of_its_log(client: Client, target: Target) -> None:
    async def streamed(run: Run, after: int) -> Run:
        again = await (await target.events(run.id, f"{run.epoch}.{after}")).run()
        await again.terminal()
        return again

    await reads_the_rest_from_every_place(client, streamed)


@proves("SSE-5", script=True, connections=2)
async def a_script_is_the_same_log_over_either_transport(client: Client, target: Target) -> None:
    stream, run = await asyncio.gather(
        target.start_stream(scripts.EVERYTHING), client.start(scripts.EVERYTHING)
    )

    streamed, told = await (await stream.run()).whole(), await run.whole()

    logs = [[{**event, "run_id": ""} for event in contents(events)] for events in (streamed, told)]
    assert logs[0] == logs[1]
