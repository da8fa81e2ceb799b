"""Chapter 4: starting, states, ends, and several runs at once."""

import asyncio
import re

from runwire_conformance import scripts
from runwire_conformance.bounds import Limits
from runwire_conformance.case import NotExercised, proves
from runwire_conformance.client import Client
from runwire_conformance.conversation import EVENT_S, contents
from runwire_conformance.target import ACCEPT_JSON, Target, expect_refusal, new_run_id

CHOSEN_ID = re.compile(r"[A-Za-z0-9_-]{21,64}")


@proves("RUN-1")
async def a_prompt_without_type_starts_a_run(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})

    await client.message(
        lambda message: message.is_event and message.type != "error", "an event", seconds=EVENT_S
    )


@proves("RUN-2")
async def a_run_shows_what_its_agent_does(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})

    await client.message(lambda message: message.type == "token", "a token", seconds=EVENT_S)


@proves("RUN-3")
async def a_start_is_answered_with_started_first(client: Client, target: Target) -> None:
    await client.send({"type": "start", "prompt": target.short})

    first = await client.message(lambda message: message.type != "ready" and not message.is_aside, "started")
    assert first.type == "started"


@proves("RUN-3", script=True)
async def a_run_that_fails_at_once_is_started_too(client: Client) -> None:
    run = await client.start(scripts.script(scripts.fail()))

    events = await run.whole()

    assert events[0].type == "error"


@proves("RUN-4")
async def a_run_ends_with_exactly_one_terminal(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    await client.message(lambda message: message.type in {"done", "error"}, "the end", seconds=EVENT_S)
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


@proves("RUN-4", script=True)
async def a_run_that_fails_ends_once(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("x"), scripts.fail()))

    events = await client.quiet(run)

    assert [event.type for event in events if event.is_terminal] == ["error"]


@proves("RUN-4", script=True)
async def a_run_that_is_cancelled_ends_once(client: Client) -> None:
    run = await client.start(scripts.ENDLESS)
    await run.until_text("first xx")

    await client.cancel()

    events = await client.quiet(run)
    assert [event.type for event in events if event.is_terminal] == ["done"]


@proves("RUN-5", deadline_s=60)
async def nothing_follows_the_terminal_even_later(client: Client, target: Target, limits: Limits) -> None:
    target.within_patience(limits.silence, "heartbeat_s")
    run = await client.start(target.short)
    terminal = await run.terminal()

    beat = await client.message(
        lambda message: message.type == "heartbeat" and "re" not in message,
        "a heartbeat",
        terminal.index,
        limits.silence + 1,
    )

    assert [
        message.type for message in client.messages[terminal.index + 1 : beat.index] if message.is_event
    ] == []


@proves("RUN-5")
async def nothing_follows_the_terminal(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    terminal = await client.message(
        lambda message: message.type in {"done", "error"}, "the end", seconds=EVENT_S
    )
    await settled(client)

    after = [
        m.type
        for m in client.messages[terminal.index + 1 :]
        if m.is_event and m.type not in {"done", "error"}
    ]
    assert after == []


async def settled(client: Client) -> None:
    """Wait until nothing more can follow what came, or on a basic server until it is likely."""
    if client.ended:
        return
    if "BEAT-5" in client.broken or "MSG-28" in client.broken:
        try:
            async with asyncio.timeout(0.5):
                await client.closed()
        except TimeoutError:
            return
    else:
        await client.barrier()


@proves("RUN-6", watches=("CONN-19",))
async def a_connection_takes_one_run_after_another(client: Client, target: Target) -> None:
    first = await client.start(target.short)
    await first.terminal()

    second = await client.start(target.short)

    await second.terminal()
    assert second.id != first.id


@proves("RUN-7")
async def a_second_prompt_is_busy(client: Client, target: Target) -> None:
    run = await client.start(slow(target))

    answer = await client.ask({"type": "start", "prompt": target.short})

    expect_refusal(answer, "busy")
    await client.barrier()
    assert not any(event.is_terminal for event in run.events)


def slow(target: Target) -> str:
    """Return a prompt whose run lasts for some seconds."""
    return scripts.ENDLESS if target.profile.has_script_agent else target.long


@proves("RUN-8")
async def a_run_without_id_gets_one(client: Client, target: Target) -> None:
    run = await client.start(target.short)

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

    assert accepted.json().get("run_id") == run_id


@proves("RUN-13", script=True)
async def a_cancel_that_races_the_end_leaves_one_terminal(client: Client) -> None:
    for delay_ms in range(0, 40, 4):
        run = await client.start(scripts.script(scripts.token("x"), scripts.wait(20)))
        await asyncio.sleep(delay_ms / 1000)
        await client.cancel()
        events = await client.quiet(run)
        assert [event.type for event in events if event.is_terminal] == ["done"]


@proves("RUN-13", script=True)
async def a_run_whose_agent_fails_ends(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("x"), scripts.fail("upstream_error", "no answer")))

    await run.terminal()


@proves("RUN-13", script=True, deadline_s=60)
async def a_run_whose_time_is_over_ends(client: Client, limits: Limits, target: Target) -> None:
    target.within_patience(limits["run_s"], "run_s")
    run = await client.start(scripts.script(scripts.wait(limits["run_s"] * 1000 + 8000)))

    await run.terminal(limits["run_s"] + 5)


@proves("RUN-14", script=True)
async def a_failing_agent_ends_the_run_with_an_error(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("x"), scripts.fail("upstream_error", "no answer")))

    terminal = await run.terminal()

    assert (terminal.type, terminal.get("code")) == ("error", "upstream_error")


@proves("RUN-15", script=True, deadline_s=60, timing=True)
async def a_run_beyond_its_time_ends_with_timeout(client: Client, limits: Limits, target: Target) -> None:
    target.within_patience(limits["run_s"], "run_s")
    run = await client.start(scripts.script(scripts.token("x"), scripts.block(limits["run_s"] * 1000 + 8000)))
    running = await run.next_event()

    terminal = await run.terminal_within(limits["run_s"], running.at)

    assert (terminal.type, terminal.get("code")) == ("error", "timeout")
    assert terminal.at - run.started_at >= limits["run_s"] * 0.9


@proves("RUN-23")
async def a_connection_follows_several_runs(client: Client, target: Target, limits: Limits) -> None:
    runs = [
        await client.start(slow(target), run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]

    for run in runs:
        await run.next_event()

    await client.cancel()
    for run in runs:
        await run.terminal()


@proves("RUN-24")
async def one_run_too_many_is_busy(client: Client, target: Target, limits: Limits) -> None:
    runs = [
        await client.start(slow(target), run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]

    answer = await client.ask({"type": "start", "prompt": target.short, "run_id": new_run_id()})

    expect_refusal(answer, "busy")
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
    silent = await client.start(scripts.script(scripts.block(3000)), run_id=new_run_id())

    lively = await client.start(scripts.THREE_TOKENS, run_id=new_run_id())

    await lively.terminal(2.5)
    assert silent.events == []
    await client.cancel()
