"""Chapter 4: run start, states, ends, and parallel runs."""

import asyncio
import re
from typing import Any

from runwire_conformance.case import DeadlineMissed, NotExercised, Wrong, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S, EVENTS, beyond
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_ended,
    expect_member,
    expect_one_end,
    expect_refused,
)
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, quiet, start_run, stop
from runwire_conformance.client.target import ACCEPT_JSON, Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: Milliseconds for which a run says nothing while another goes on.
SILENT_MS = 3000

CHOSEN_ID = re.compile(r"[A-Za-z0-9_-]{21,64}")


@proves("RUN-1")
async def a_prompt_without_type_starts_a_run(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})

    await client.message(
        lambda message: message.is_event and message.type != "error",
        "an event",
        seconds=EVENT_S,
        owners=EVENTS,
    )


@proves("RUN-2")
async def a_prompt_alone_shows_what_its_agent_does(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})

    await client.message(lambda message: message.type == "token", "a token", seconds=EVENT_S)


@proves("RUN-2", on=BOTH_TRANSPORTS)
async def a_run_shows_what_its_agent_does(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short)

    await run.event("token")


@proves("RUN-2", script=True, on=BOTH_TRANSPORTS, connections=2)
async def two_runs_of_one_prompt_have_an_agent_each(target: Target, transport: str) -> None:
    doomed = await start_run(target, transport, scripts.ENDLESS)
    run = await start_run(target, transport, scripts.ENDLESS)
    await doomed.next_event()
    await stop(target, doomed)
    await doomed.terminal()
    seen = len(run.events)

    for _ in range(seen + 3):
        event = await run.next_event()
        expect_ended(event, type="token")
    await stop(target, run)


@proves("RUN-3")
async def a_start_is_answered_with_started_first(client: Client, target: Target) -> None:
    await client.send({"type": "start", "prompt": target.short})

    first = await client.message(lambda message: message.type != "ready" and not message.is_aside, "started")
    expect_member(first, "type", "started")


@proves("RUN-3", script=True, on=BOTH_TRANSPORTS)
async def a_run_that_fails_at_once_is_started_too(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.fail()))

    events = await run.whole()

    assert events[0].type == "error"


@proves("RUN-4")
async def a_run_ends_with_exactly_one_terminal(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    await client.message(
        lambda message: message.type in {"done", "error"}, "the end", seconds=EVENT_S, owners=END
    )
    await settled(client)

    assert [message.type for message in client.messages if message.type in {"done", "error"}] in (
        ["done"],
        ["error"],
    )


@proves("RUN-4")
async def every_run_of_a_connection_ends(client: Client, target: Target) -> None:
    for _ in range(3):
        run = await client.start(target.short)
        await run.terminal()


@proves("RUN-4", script=True, on=BOTH_TRANSPORTS)
async def a_run_that_fails_ends_once(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.token("x"), scripts.fail()))

    events = await quiet(run)

    expect_one_end(events, "error")


@proves("RUN-4", script=True, on=BOTH_TRANSPORTS)
async def a_run_that_is_cancelled_ends_once(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.ENDLESS)
    await run.until_text("first xx")

    await stop(target, run)

    events = await quiet(run)
    expect_one_end(events, "done")


@proves("RUN-5", waits=lambda limits: limits.silence)
async def nothing_follows_the_terminal_even_later(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    terminal = await run.terminal()

    beat = await client.heartbeat(terminal.index)

    assert [
        message.type for message in client.messages[terminal.index + 1 : beat.index] if message.is_event
    ] == []


@proves("RUN-5")
async def nothing_follows_the_terminal(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    terminal = await client.message(
        lambda message: message.type in {"done", "error"}, "the end", seconds=EVENT_S, owners=END
    )
    await settled(client)

    after = [
        m.type
        for m in client.messages[terminal.index + 1 :]
        if m.is_event and m.type not in {"done", "error"}
    ]
    assert after == []


@proves("RUN-5", on=BOTH_TRANSPORTS)
async def no_event_follows_the_end_of_a_run(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short)

    events = await quiet(run)

    first = next(place for place, event in enumerate(events) if event.is_terminal)
    assert [event.type for event in events[first + 1 :] if not event.is_terminal] == []


async def settled(client: Client) -> None:
    """Wait until nothing more can follow what came, or on a basic server until it is likely."""
    if client.ended:
        return
    if "BEAT-5" in client.broken or "MSG-28" in client.broken:
        try:
            async with asyncio.timeout(0.5):  # nobody is accused of what comes later
                await client.closed()
        except TimeoutError:
            return
    else:
        await client.barrier()


@proves("RUN-6", watches=("CONN-19",))
async def a_connection_takes_one_run_after_another(client: Client, target: Target) -> None:
    first = await client.start(target.short)
    await first.terminal()

    second = await target.start_again(client, target.short)

    await second.terminal()
    assert second.id != first.id


@proves("RUN-7", busy=True)
async def a_second_prompt_is_busy(client: Client, target: Target) -> None:
    run = await client.start(slow(target))

    answer = await client.ask({"type": "start", "prompt": target.short})

    expect_refused(answer, "busy")
    await client.barrier()
    assert not any(event.is_terminal for event in run.events)


def slow(target: Target) -> str:
    """Return a prompt whose run lasts for some seconds."""
    return scripts.ENDLESS if target.profile.has_script_agent else target.long


@proves("RUN-8", on=BOTH_TRANSPORTS)
async def a_run_without_id_gets_one(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short)

    assert CHOSEN_ID.fullmatch(run.id)


@proves("RUN-36")
async def a_named_run_is_called_by_its_name(client: Client, target: Target) -> None:
    run_id = new_run_id()

    answer = await client.ask({"type": "start", "prompt": target.short, "run_id": run_id})

    assert (answer.type, answer.get("run_id")) == ("started", run_id)


@proves("RUN-36")
async def a_posted_run_is_called_by_its_name(target: Target) -> None:
    if "sse" not in target.features:
        raise NotExercised("the server does not offer sse")
    run_id = new_run_id()

    accepted = await target.post(target.runs_url, {"prompt": target.short, "run_id": run_id}, ACCEPT_JSON)

    expect_member(accepted.json(), "run_id", run_id)


@proves("RUN-13", script=True, on=BOTH_TRANSPORTS)
async def a_cancel_that_races_the_end_leaves_one_terminal(target: Target, transport: str) -> None:
    prompt = scripts.script(scripts.token("x"), scripts.wait(20))
    client = await target.connect() if transport == "websocket" else None
    for delay_ms in range(0, 40, 4):
        run = await (client.start(prompt) if client else start_run(target, transport, prompt))
        await asyncio.sleep(delay_ms / 1000)
        await stop(target, run)
        expect_one_end(await quiet(run), "done")


@proves("RUN-13", script=True, on=BOTH_TRANSPORTS)
async def a_run_whose_agent_fails_ends(target: Target, transport: str) -> None:
    run = await start_run(
        target, transport, scripts.script(scripts.token("x"), scripts.fail("upstream_error", "no answer"))
    )

    await run.terminal()


@proves("RUN-13", script=True, on=BOTH_TRANSPORTS, waits=lambda limits: limits["run_s"])
async def a_run_whose_time_is_over_ends(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.wait(limits["run_s"] * 1000 + 8000)))

    await run.terminal(beyond(limits["run_s"]))


@proves("RUN-14", script=True, on=BOTH_TRANSPORTS)
async def a_failing_agent_ends_the_run_with_an_error(target: Target, transport: str) -> None:
    run = await start_run(
        target, transport, scripts.script(scripts.token("x"), scripts.fail("upstream_error", "no answer"))
    )

    terminal = await run.terminal()

    expect_ended(terminal, type="error", code="upstream_error")


@proves(
    "RUN-15",
    script=True,
    on=BOTH_TRANSPORTS,
    connections=4,
    waits=lambda limits: limits["run_s"] * 1.2,
    timing=True,
)
async def a_run_beyond_its_time_ends_with_timeout(target: Target, limits: Limits, transport: str) -> None:
    # Time as queued or waiting is not counted: such a run takes longer than `run_s` and less than that at its work.
    share_s = limits["run_s"] * 0.6

    async def times_out() -> None:
        endless = scripts.script(scripts.token("x"), scripts.block(limits["run_s"] * 1000 + 8000))
        run = await start_run(target, transport, endless)
        running = await run.next_event()
        terminal = await run.terminal_within(limits["run_s"], running.at)
        expect_ended(terminal, type="error", code="timeout")
        if terminal.at - run.started_at < limits["run_s"] * 0.9:
            raise Wrong(f"expected the run to last {limits['run_s']:g} s; it ended too early")

    async def is_queued() -> None:
        session_id = new_run_id()
        working = scripts.script(scripts.wait(share_s * 1000), scripts.token("done"))
        before = await start_run(target, transport, working, session_id=session_id)
        run = await start_run(target, transport, working, session_id=session_id)
        await before.terminal(beyond(share_s))
        expect_completed(await run.terminal(beyond(share_s)), owners=("RUN-16", "SCRIPT-2"))

    async def waits() -> None:
        if "input" not in target.features:
            return
        expires: dict[str, Any] = {"expires_in_ms": int(share_s * 1000)}
        asks = scripts.script(
            scripts.asking("q1", **expires), scripts.wait(share_s * 1000), scripts.token("done")
        )
        run = await start_run(target, transport, asks)
        expect_completed(await run.terminal(beyond(2 * share_s)), owners=("INPUT-16", "SCRIPT-2"))

    await asyncio.gather(times_out(), waits(), is_queued())


@proves("RUN-23")
async def a_connection_follows_several_runs(client: Client, target: Target, limits: Limits) -> None:
    runs = [
        await target.start_again(client, slow(target), run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]

    for run in runs:
        await run.next_event()

    await client.cancel()
    for run in runs:
        await run.terminal()


@proves("RUN-24", busy=True)
async def one_run_too_many_is_busy(client: Client, target: Target, limits: Limits) -> None:
    runs = [
        await client.start(slow(target), run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]

    answer = await client.ask({"type": "start", "prompt": target.short, "run_id": new_run_id()})

    expect_refused(answer, "busy")
    await client.cancel()
    for run in runs:
        await run.terminal()


@proves("RESUME-27", script=True)
async def a_finished_run_takes_no_place_beside_unfinished_ones(client: Client, limits: Limits) -> None:
    old = await client.start(scripts.THREE_TOKENS, run_id=new_run_id())
    await old.terminal()
    runs = [
        await client.start(scripts.ENDLESS, run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]

    again = await client.resume(old.id)

    assert contents(await again.whole()) == contents(old.events)
    await client.cancel()
    for run in runs:
        await run.terminal()


@proves("RUN-26", script=True, timing=True)
async def a_silent_run_does_not_hold_up_another(client: Client, limits: Limits) -> None:
    if limits.whole("runs_per_connection") < 2:
        raise NotExercised("runs_per_connection is 1")
    silent = await client.start(scripts.script(scripts.block(SILENT_MS)), run_id=new_run_id())

    lively = await client.start(scripts.THREE_TOKENS, run_id=new_run_id())

    terminal = await lively.terminal()
    assert silent.events == []
    if terminal.at - silent.started_at >= SILENT_MS / 1000:
        raise DeadlineMissed(
            "expected a run to end while another is silent; it ended no sooner than that one"
        )
    await client.cancel()
