"""Chapter 6: cancellation."""

import asyncio

from runwire_conformance.case import NotExercised, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S, beyond
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_ended_by_user,
    expect_noticed,
    expect_one_end,
    expect_text,
)
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, quiet, start_run, stop
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import object_of

#: A run that lasts long enough for another one to be cancelled meanwhile.
A_MOMENT = scripts.script(scripts.token("a"), scripts.wait(500), scripts.token("b"))


def slow(target: Target) -> str:
    """Return a prompt whose run lasts for some seconds."""
    return scripts.ENDLESS if target.profile.has_script_agent else target.long


def long_enough(limits: Limits) -> float:
    """Return the seconds within which a cancel that was heard has ended its run; without it `run_s` might."""
    return limits.seconds("cancel_deadline_ms") + LATE_S


@proves("CANCEL-1", on=BOTH_TRANSPORTS)
async def a_cancelled_run_ends_as_cancelled_by_its_user(
    target: Target, limits: Limits, transport: str
) -> None:
    run = await start_run(target, transport, slow(target))
    await run.next_event()

    await stop(target, run)

    terminal = await run.terminal(long_enough(limits))
    expect_ended_by_user(terminal)


@proves("CANCEL-2", watches=("CANCEL-3",))
async def a_cancelled_run_ends_within_the_advertised_deadline(
    client: Client, target: Target, limits: Limits
) -> None:
    run = await client.start(slow(target))
    await run.next_event()

    handed = await client.cancel()

    await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)


@proves("CANCEL-2", on=BOTH_TRANSPORTS)
async def a_run_cancelled_by_its_name_ends_in_time_too(
    target: Target, limits: Limits, transport: str
) -> None:
    run = await start_run(target, transport, slow(target), run_id=new_run_id())
    await run.next_event()

    handed = await stop(target, run, by_name=True)

    await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)


@proves("CANCEL-3", script=True, on=BOTH_TRANSPORTS)
async def a_cancelled_run_falls_silent(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(
        target, transport, scripts.script(scripts.repeat(400, scripts.token("x"), scripts.wait(15)))
    )
    await run.next_event()
    handed = await stop(target, run)

    await quiet(run)

    late = handed + limits.seconds("cancel_quiet_ms") + run.conversation.clock.tolerance
    assert [
        event.type for event in run.events if event.type in {"token", "thinking"} and event.at > late
    ] == []


@proves("CANCEL-4", script=True, on=BOTH_TRANSPORTS)
async def a_tool_that_cannot_be_interrupted_is_fenced(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(target, transport, scripts.BLOCKED)
    await run.until_text("first ")

    handed = await stop(target, run)

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    expect_ended_by_user(terminal)
    expect_text(run, "first ")


@proves("CANCEL-4", script=True, watches=("RUN-5",), connections=2, deadline_s=30)
async def what_a_fenced_tool_says_later_is_not_in_the_log(client: Client, target: Target) -> None:
    run = await client.start(
        scripts.script(scripts.token("first "), scripts.block(1000), scripts.token("late"))
    )
    await run.until_text("first ")
    await client.cancel()
    await run.terminal()
    await asyncio.sleep(1.3)  # the tool's own time: what it says afterwards is what is looked for

    await client.quiet(run)

    assert [event.type for event in run.events] == ["token", "done"]
    if "resume" in target.features:
        again = await (await target.connect()).resume(run.id)
        assert (await again.whole())[-1].get("seq") == run.last_seq


@proves("CANCEL-5")
async def a_cancel_without_id_ends_every_run_of_the_connection(
    client: Client, target: Target, limits: Limits
) -> None:
    runs = [await client.start(slow(target), run_id=new_run_id()) for _ in range(min(3, most_runs(client)))]

    await client.cancel()

    for run in runs:
        expect_ended_by_user(await run.terminal(long_enough(limits)))


@proves("CANCEL-5", connections=2)
async def a_cancel_without_id_ends_resumed_runs_too(target: Target, limits: Limits) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    one, other = await target.connect(), await target.connect()
    run = await one.start(slow(target))
    await run.next_event()
    followed = await other.resume(run.id)

    await other.cancel()

    expect_ended_by_user(await followed.terminal(long_enough(limits)))


def most_runs(client: Client) -> int:
    """Return how many runs the connection may follow."""
    return client.limits.whole("runs_per_connection")


@proves("CANCEL-6")
async def a_cancel_acts_on_the_start_right_before_it(client: Client, target: Target) -> None:
    await client.send({"type": "start", "id": "s", "prompt": slow(target)})
    await client.send({"type": "cancel"})

    terminal = await client.message(
        lambda message: message.is_terminal, "the terminal", seconds=EVENT_S, owners=("CANCEL-2", *END)
    )

    expect_ended_by_user(terminal)


@proves("CANCEL-7", on=BOTH_TRANSPORTS)
async def a_repeated_cancel_changes_nothing(target: Target, transport: str) -> None:
    run = await start_run(target, transport, slow(target), run_id=new_run_id())
    await run.next_event()

    for _ in range(3):
        await stop(target, run, by_name=True)

    events = await quiet(run)
    expect_one_end(events, "done")
    expect_ended_by_user(events[-1])
    assert [message for message in run.conversation.messages if message.type == "error"] == []


@proves("CANCEL-7", script=True, connections=2)
async def a_repeated_cancel_finds_nothing_only_when_the_run_has_ended(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    client, other = await target.connect(), await target.connect()
    run = await client.start(scripts.BLOCKED, run_id=new_run_id())
    await run.until_text("first ")
    await client.cancel(run)
    await client.send({"type": "cancel", "id": "again", "run_id": run.id})

    await client.barrier()

    answers = [message for message in client.messages if message.get("re") == "again"]
    if answers:
        expect_noticed(answers[0], "not_active")
        looked = (await other.resume(run.id)).opening
        assert looked is not None
        assert looked["status"] not in {"running", "waiting", "queued"}, (
            f"a repeated cancel was told that there is nothing to cancel; the run was {looked['status']} afterwards"
        )
    await run.terminal()
    assert len(answers) < 2, "a repeated cancel was answered twice"


@proves("CANCEL-8", script=True, on=BOTH_TRANSPORTS, connections=2, timing=True)
async def a_cancelled_agent_really_stops(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(
        target, transport, scripts.script(scripts.repeat(2000, scripts.token("x"), scripts.wait(10)))
    )
    await run.next_event()
    await stop(target, run)
    await run.terminal()

    told = await start_run(target, transport, scripts.script(scripts.report(run.id)))

    await told.terminal()
    report = object_of(told.text, "the report")
    bound = limits["cancel_deadline_ms"] + run.conversation.clock.tolerance * 1000
    assert report["stopped_after_ms"] <= bound
    assert report["steps_after_cancel"] <= bound / 10


@proves("CANCEL-9", script=True, on=BOTH_TRANSPORTS, connections=2)
async def a_queued_run_that_is_cancelled_never_runs(target: Target, transport: str) -> None:
    session_id = new_run_id()
    first = await start_run(target, transport, scripts.ENDLESS, session_id=session_id)
    queued = await start_run(target, transport, scripts.THREE_TOKENS, session_id=session_id)

    handed = await stop(target, queued, by_name=True)

    terminal = await queued.terminal_within(target.limits.seconds("cancel_deadline_ms"), handed)
    expect_ended_by_user(terminal)
    assert [event.type for event in queued.events] == ["done"]
    await stop(target, first, by_name=True)
    await first.terminal()


@proves("CANCEL-10")
async def a_cancel_of_nothing_is_noticed(client: Client) -> None:
    answer = await client.ask({"type": "cancel"})

    expect_noticed(answer, "not_active")


@proves("CANCEL-10")
async def a_cancel_of_a_finished_run_is_noticed(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    answer = await client.ask({"type": "cancel", "run_id": run.id})

    expect_noticed(answer, "not_active")


@proves("CANCEL-10")
async def a_cancel_of_an_unknown_run_is_noticed(client: Client) -> None:
    answer = await client.ask({"type": "cancel", "run_id": new_run_id()})

    expect_noticed(answer, "not_active")


@proves("CANCEL-11", on=BOTH_TRANSPORTS, connections=2)
async def any_connection_can_cancel(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(target, transport, slow(target), run_id=new_run_id())
    other = await target.connect()
    await run.next_event()

    handed = await other.cancel(run)

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    expect_ended_by_user(terminal)


@proves("CANCEL-12", script=True, on=BOTH_TRANSPORTS, waits=lambda limits: limits["run_s"])
async def a_deadline_is_no_cancel(target: Target, limits: Limits, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.wait(limits["run_s"] * 1000 + 8000)))

    terminal = await run.terminal(beyond(limits["run_s"]))

    assert terminal.get("status") != "cancelled"


@proves("CANCEL-13")
async def a_connection_takes_a_start_after_a_cancel(client: Client, target: Target) -> None:
    run = await client.start(slow(target))
    await run.next_event()
    await client.cancel()
    await run.terminal()

    following = await target.start_again(client, target.short)

    expect_completed(await following.terminal())


@proves("CANCEL-13", script=True)
async def another_run_goes_on_after_a_cancel(client: Client, limits: Limits) -> None:
    if limits.whole("runs_per_connection") < 2:
        raise NotExercised("runs_per_connection is 1")
    doomed = await client.start(scripts.ENDLESS, run_id=new_run_id())
    other = await client.start(A_MOMENT, run_id=new_run_id())

    await client.cancel(doomed)
    await doomed.terminal()

    expect_completed(await other.terminal())
    expect_text(other, "ab")


@proves("HTTP-8", script=True, connections=2)
async def a_cancel_by_request_stops_no_other_run(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    doomed = await start_run(target, "sse", scripts.ENDLESS, run_id=new_run_id())
    other = await start_run(target, "sse", A_MOMENT, run_id=new_run_id())

    await stop(target, doomed, by_name=True)
    await doomed.terminal()

    expect_completed(await other.terminal())
    expect_text(other, "ab")
