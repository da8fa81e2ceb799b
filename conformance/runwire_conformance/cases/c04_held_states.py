"""Chapters 4, 8 and 9: heartbeats in every run state, and normal service after every kind of end."""

import asyncio
from collections.abc import Awaitable, Callable

from runwire_conformance.case import Broken, NoServerFault, NotExercised, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import NO_SILENCE, Conversation, beyond
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.situations.any_transport import start_run
from runwire_conformance.client.situations.questions import send_answer
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.limits import Limits

#: For how long the agent of a held state does nothing.
LONG_MS = 60_000

#: States in which a run can stay for long without an event, and the script that gets there.
STATES: dict[str, list[scripts.Step]] = {
    "running": [scripts.token("x"), scripts.wait(LONG_MS)],
    "between a tool_call and its observation": [
        scripts.call("c1"),
        scripts.wait(LONG_MS),
        scripts.observe("c1"),
    ],
    "behind a partial observation": [
        scripts.call("c1"),
        scripts.observe("c1", "x", partial=True),
        scripts.wait(LONG_MS),
    ],
}
WAITING = {"waiting for its user": [scripts.asking("q1"), scripts.token("on")]}


async def beaten(conversation: Conversation, limits: Limits, state: str) -> None:
    """Expect two heartbeats in the time that two may take; raises Broken."""
    seen = len([message for message in conversation.messages if message.type == "heartbeat"])
    bound = 2 * (limits.silence + conversation.clock.tolerance)

    def heard() -> bool:
        return len([message for message in conversation.messages if message.type == "heartbeat"]) >= seen + 2

    try:
        await conversation.wait_until(heard, bound, "two heartbeats")
    except NoServerFault:
        raise
    except Broken as problem:
        if conversation.spoke_throughout(now() - bound):
            raise NotExercised(NO_SILENCE) from None
        raise Broken(f"while a run is {state}: {problem}") from None


async def held(target: Target, transport: str, limits: Limits) -> None:
    """Hold a run in each state for two heartbeats, all at once; raises Broken."""
    states = STATES | (WAITING if "input" in target.features else {})

    async def one(state: str, steps: list[scripts.Step]) -> None:
        run = await start_run(target, transport, scripts.script(*steps), session_id=new_run_id())
        await beaten(run.conversation, limits, state)

    async def queued() -> None:
        session_id = new_run_id()
        await start_run(target, transport, scripts.script(scripts.wait(LONG_MS)), session_id=session_id)
        run = await start_run(target, transport, scripts.THREE_TOKENS, session_id=session_id)
        await beaten(run.conversation, limits, "queued")

    await asyncio.gather(queued(), *(one(state, steps) for state, steps in states.items()))


@proves("BEAT-2", script=True, connections=6, waits=lambda limits: 2 * limits.silence, timing=True)
async def no_state_silences_a_connection(target: Target, limits: Limits) -> None:
    await held(target, "websocket", limits)


@proves("SSE-12", script=True, connections=6, waits=lambda limits: 2 * limits.silence, timing=True)
async def no_state_silences_a_stream(target: Target, limits: Limits) -> None:
    await held(target, "sse", limits)


Ending = Callable[[Target, Client, str], Awaitable[None]]


async def completes(_target: Target, client: Client, session_id: str) -> None:
    """End a run by letting it."""
    await (await client.start(scripts.SHORT, session_id=session_id)).terminal()


async def fails(_target: Target, client: Client, session_id: str) -> None:
    """End a run by its agent's failure."""
    await (
        await client.start(scripts.script(scripts.token("x"), scripts.fail()), session_id=session_id)
    ).terminal()


async def is_cancelled(_target: Target, client: Client, session_id: str) -> None:
    """Cancel a run that works."""
    run = await client.start(scripts.ENDLESS, session_id=session_id)
    await run.next_event()
    await client.cancel()
    await run.terminal()


async def is_cancelled_twice(_target: Target, client: Client, session_id: str) -> None:
    """Cancel a run that works twice, the second time when it is over."""
    run = await client.start(scripts.ENDLESS, run_id=new_run_id(), session_id=session_id)
    await run.next_event()
    await client.cancel(run)
    await run.terminal()
    await client.cancel(run)


async def is_cancelled_queued(_target: Target, client: Client, session_id: str) -> None:
    """Cancel a run that waits for its session, and then the one in front of it."""
    first = await client.start(scripts.ENDLESS, run_id=new_run_id(), session_id=session_id)
    second = await client.start(scripts.THREE_TOKENS, run_id=new_run_id(), session_id=session_id)
    await client.cancel(second)
    await second.terminal()
    await client.cancel(first)
    await first.terminal()


async def is_cancelled_waiting(_target: Target, client: Client, session_id: str) -> None:
    """Cancel a run that waits for its user."""
    run = await client.start(scripts.script(scripts.asking("q1")), session_id=session_id)
    await run.event("input_request")
    await client.cancel()
    await run.terminal()


def open_requests(run: Run) -> set[object]:
    """Return the requests that a run has opened."""
    return {event.get("request_id") for event in run.events if event.type == "input_request"}


async def is_answered(target: Target, client: Client, session_id: str) -> None:
    """End a run whose user was asked twice."""
    script = scripts.script(
        scripts.asking("q1"), scripts.echo("q1"), scripts.asking("q2", "question"), scripts.echo("q2")
    )
    run = await client.start(script, session_id=session_id)
    for name, data in (("q1", True), ("q2", "yes")):
        await run.conversation.wait_until(lambda: name in open_requests(run), 5, "a request")  # noqa: B023
        await send_answer(target, run, name, data)
    await run.terminal()


async def is_left(target: Target, _client: Client, session_id: str) -> None:
    """Leave a run that ends with its reader."""
    leaving = await target.connect()
    run = await leaving.start(scripts.ENDLESS, session_id=session_id, on_disconnect="cancel")
    await run.next_event()
    leaving.drop()


ENDINGS: tuple[Ending, ...] = (
    completes,
    fails,
    is_cancelled,
    is_cancelled_twice,
    is_cancelled_queued,
    is_left,
)
ASKED: tuple[Ending, ...] = (is_cancelled_waiting, is_answered)


async def ordinary(target: Target, client: Client, where: str, after: str, **members: str) -> None:
    """Expect a run that ends as if nothing had been before it; raises Broken."""
    run = await target.start_again(client, scripts.SHORT, **members)
    try:
        terminal = await run.terminal()
    except NoServerFault:
        raise
    except Broken as problem:
        raise Broken(f"a run {where}, after one that {after}: {problem}") from None
    if terminal.get("status") != "completed":
        raise Broken(f"a run {where}, after one that {after}, ended with {dict(terminal)}")


@proves("RUN-2", "RUN-6", script=True, connections=4, deadline_s=60)
async def after_every_ending_the_next_run_is_an_ordinary_one(target: Target, limits: Limits) -> None:
    endings = ENDINGS + (ASKED if "input" in target.features else ())
    if limits.whole("runs_per_connection") < 2:
        raise NotExercised("runs_per_connection is 1")
    client = await target.connect()
    for ending in endings:
        session_id, after = new_run_id(), ending.__name__.replace("_", " ")
        with accuses("RUN-2"):
            await ending(target, client, session_id)
        with accuses("RUN-6"):
            await ordinary(target, client, "on the same connection", after)
        with accuses("RUN-2"):
            await ordinary(target, client, "in the same session", after, session_id=session_id)
            other = await target.connect()  # one that was open meanwhile would have been idle
            await ordinary(target, other, "in the same session elsewhere", after, session_id=session_id)
            await other.leave()


@proves("RUN-2", script=True, deadline_s=60, timing=True)
async def after_a_timeout_the_next_run_is_an_ordinary_one(target: Target, limits: Limits) -> None:
    if limits["run_s"] > target.options.patience_s:  # what ends by its time is no clause of RUN-2
        raise NotExercised("run_s is longer than the patience")
    client, session_id = await target.connect(), new_run_id()
    run = await client.start(
        scripts.script(scripts.wait(limits["run_s"] * 1000 + 9000)), session_id=session_id
    )
    await run.terminal(beyond(limits["run_s"]))

    await ordinary(target, client, "on the same connection", "timed out")
    await ordinary(target, client, "in the same session", "timed out", session_id=session_id)
