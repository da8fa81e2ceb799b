"""Chapter 7: disconnecting, resuming from a cursor, merging."""

import asyncio
import time

from runwire_conformance.case import NotOffered, TooUnsteady, accuses, precondition, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import beyond
from runwire_conformance.client.conversations.run import Run, behind, contents, is_live
from runwire_conformance.client.expectations import (
    expect_back_in_time,
    expect_completed,
    expect_ended_without_reader,
    expect_member,
    expect_refused,
    expect_same_log,
    expect_text,
)
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits


def spoken_for(seconds: float) -> str:
    """Return a script that says something ten times a second for so long."""
    return scripts.script(scripts.repeat(int(seconds * 10), scripts.token("x"), scripts.wait(100)))


@proves("RESUME-1", script=True, connections=2, timing=True)
async def a_run_goes_on_while_its_reader_is_away(target: Target, limits: Limits) -> None:
    away = min(limits["detach_grace_s"] * 0.5, 5)  # less than what the sentence grants
    one = await target.connect()
    run = await one.start(spoken_for(away * 2 + 1))
    await run.next_event()
    one.drop()
    await asyncio.sleep(away)

    other = await target.connect()
    again = await other.resume(run.id)
    expect_back_in_time(again, one, limits["detach_grace_s"])

    expect_completed(await again.terminal())


@proves("RESUME-2", script=True, connections=2, waits=lambda limits: limits["detach_grace_s"], timing=True)
async def a_run_that_nobody_reads_ends_after_the_grace(target: Target, limits: Limits) -> None:
    ended_s = limits["detach_grace_s"] + limits.seconds("cancel_deadline_ms")
    target.needs_to_outlast_grace(ended_s + 1)
    one = await target.connect()
    run = await one.start(spoken_for(limits["detach_grace_s"] + 10))
    await run.next_event()
    one.drop()
    await target.away(ended_s + target.clock.tolerance)

    other = await target.connect()
    again = await other.resume(run.id)

    terminal = (await again.whole())[-1]
    expect_ended_without_reader(terminal)
    assert len(again.text) / 10 >= limits["detach_grace_s"] * 0.5


@proves("RESUME-3", script=True, connections=4, timing=True)
async def a_run_of_policy_cancel_ends_with_its_reader(target: Target, limits: Limits) -> None:
    readers = [await target.connect() for _ in range(3)]
    runs = [await reader.start(scripts.ENDLESS, on_disconnect="cancel") for reader in readers]
    for run in runs:
        await run.next_event()
    left, ended, lost = readers
    await left.leave()
    ended.drop()
    lost.reset()
    await target.away(limits.seconds("cancel_deadline_ms") / 4 + target.clock.tolerance)

    other = await target.connect()
    for run, how in zip(runs, ("a Close frame", "the end of its side", "a reset"), strict=True):
        again = await other.resume(run.id)
        terminal = await again.terminal_within(limits.seconds("cancel_deadline_ms"), time.monotonic())
        assert terminal.get("reason") == "disconnected", f"a reader that left by {how}: got {dict(terminal)}"
        expect_ended_without_reader(terminal)


@proves("RESUME-4", script=True, connections=2, timing=True)
async def a_reader_that_the_server_closed_is_waited_for(target: Target, limits: Limits) -> None:
    one = await target.connect()
    run = await one.start(scripts.ENDLESS, on_disconnect="cancel")
    await run.next_event()
    await one.send_text("no json")
    await one.closed(owners=("MSG-7",))
    away = min(limits["detach_grace_s"] * 0.4, 2)  # less than what the sentence grants
    await asyncio.sleep(away)

    other = await target.connect()
    again = await other.resume(run.id)
    expect_back_in_time(again, one, limits["detach_grace_s"])

    assert again.opening is not None
    expect_member(again.opening, "status", "running")
    await other.cancel(again)


@proves(
    "RESUME-5", script=True, connections=2, waits=lambda limits: limits["detach_grace_s"] + 0.7, timing=True
)
async def a_run_of_policy_continue_outlives_its_readers(target: Target, limits: Limits) -> None:
    away = limits["detach_grace_s"] + 0.7
    target.needs_to_outlast_grace(away + 1)
    one = await target.connect()
    run = await one.start(spoken_for(away + 0.8), on_disconnect="continue")
    await run.next_event()
    one.drop()
    await target.away(away)

    other = await target.connect()
    again = await other.resume(run.id)

    expect_completed(await again.terminal())


@proves(
    "RESUME-6", script=True, connections=2, waits=lambda limits: limits["detach_grace_s"] + 1, timing=True
)
async def a_second_reader_keeps_the_run_alive(target: Target, limits: Limits) -> None:
    lasts = limits["detach_grace_s"] + 1
    target.needs_to_outlast_grace(lasts + 1)
    one, other = await target.connect(), await target.connect()
    run = await one.start(spoken_for(lasts + 0.5))
    await run.next_event()
    second = await other.resume(run.id)
    one.drop()

    terminal = await second.terminal(beyond(lasts))

    expect_completed(terminal)


@proves("RESUME-6", script=True, connections=2)
async def a_second_reader_keeps_a_run_of_policy_cancel_alive(target: Target) -> None:
    one, other = await target.connect(), await target.connect()
    run = await one.start(
        scripts.script(scripts.token("a"), scripts.wait(800), scripts.token("b")), on_disconnect="cancel"
    )
    await run.next_event()
    second = await other.resume(run.id)
    one.drop()

    terminal = await second.terminal()

    expect_completed(terminal)


@proves("RESUME-6", script=True, waits=lambda limits: limits["detach_grace_s"] * 1.5 + 1, timing=True)
async def a_reader_that_came_back_stops_the_clock(target: Target, limits: Limits) -> None:
    lasts = limits["detach_grace_s"] * 1.5 + 1
    target.needs_to_outlast_grace(lasts + 1)
    one = await target.connect()
    run = await one.start(spoken_for(lasts))
    await run.next_event()
    one.drop()
    await asyncio.sleep(limits["detach_grace_s"] * 0.3)
    other = await target.connect()
    again = await other.resume(run.id)
    expect_back_in_time(again, one, limits["detach_grace_s"])

    terminal = await again.terminal(beyond(lasts))

    expect_completed(terminal)


@proves("RESUME-8", without="resume", script=True, connections=2)
async def without_resume_a_lost_reader_ends_the_run(target: Target, limits: Limits) -> None:
    one, other = await target.connect(), await target.connect()
    run = await one.start(scripts.script(scripts.repeat(2000, scripts.token("x"), scripts.wait(10))))
    await run.next_event()
    await one.leave()
    told = await other.start(scripts.script(scripts.report(run.id)))

    await told.terminal_within(limits.seconds("cancel_deadline_ms"), told.started_at)


@proves("RESUME-9")
async def a_resume_is_answered_with_its_place(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    for after in (0, 1, run.last_seq):
        answer = await client.ask({"type": "resume", "run_id": run.id, "after": after, "epoch": run.epoch})
        assert (answer.type, answer.get("next_seq"), answer.get("epoch")) == ("resumed", after + 1, run.epoch)


@proves("RESUME-9")
async def a_resume_needs_no_epoch(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    answer = await client.ask({"type": "resume", "run_id": run.id, "after": 0})

    assert (answer.type, answer.get("next_seq")) == ("resumed", 1)


@proves("RESUME-10", script=True, watches=("RUN-29", "RESUME-25"))
async def a_finished_run_is_replayed_from_every_cut(client: Client) -> None:
    run = await client.start(scripts.EVERYTHING)
    log = await run.whole()

    for after in [0, *(event["seq"] for event in log)]:
        again = await client.resume(run.id, after)
        if after < run.last_seq:
            await again.terminal()
        await client.barrier()
        expect_same_log(contents(again.events), contents(behind(log, after)))


@proves("RESUME-10", script=True, watches=("RESUME-25",), connections=2, deadline_s=40)
async def a_live_run_is_joined_without_seam(target: Target) -> None:
    writer, reader = await target.connect(), await target.connect()
    run = await writer.start(scripts.script(scripts.repeat(300, scripts.token("x"), scripts.wait(3))))
    joined: list[Run] = []
    while not any(event.is_terminal for event in run.events):
        await run.next_event()
        if run.last_seq % 37 == 1:
            joined.append(await reader.resume(run.id, max(0, run.last_seq - 5)))
    last = await reader.resume(run.id)

    expect_same_log(contents(await last.whole()), contents(await run.whole()))
    if not any(map(is_live, joined)):
        raise TooUnsteady("nobody joined the run before its end")


@proves("RESUME-11")
async def an_unknown_run_is_not_found(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 0})

    expect_refused(answer, "not_found")


@proves("RESUME-12")
async def another_epoch_is_not_found(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    answer = await client.ask({"type": "resume", "run_id": run.id, "after": 0, "epoch": "another"})

    expect_refused(answer, "not_found")


@proves("RESUME-13")
async def a_cursor_beyond_the_end_is_refused(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    answer = await client.ask({"type": "resume", "run_id": run.id, "after": run.last_seq + 1})

    expect_refused(answer, "bad_request")


@proves("RESUME-14", script=True, connections=4)
async def many_readers_are_served(target: Target) -> None:
    clients = [await target.connect() for _ in range(4)]
    run = await clients[0].start(spoken_for(1))
    async with target.compared(scripts.SHORT):
        runs = [run] + [await client.resume(run.id) for client in clients[1:]]

    for reader in runs:
        await reader.terminal()

    assert [reader.text for reader in runs] == ["x" * 10] * 4


@proves("RESUME-15", script=True, connections=2)
async def a_second_viewer_does_not_disturb_the_first(target: Target) -> None:
    one, other = await target.connect(), await target.connect()
    run = await one.start(spoken_for(1))
    await run.next_event()
    second = await other.resume(run.id, 1)
    await second.next_event()
    other.drop()

    await run.terminal()

    seqs = [int(event["seq"]) for event in run.events]
    expect_text(run, "x" * 10)
    assert seqs == sorted(set(seqs))
    one.expect_open()


@proves("RESUME-16", script=True)
async def a_resume_of_a_followed_run_moves_its_reader(client: Client, target: Target) -> None:
    target.needs("run_s", 2.5, "for a run of a second and a half")
    run = await client.start(spoken_for(1.5))
    for _ in range(5):
        await run.next_event()

    again = await client.resume(run.id, 2)

    await again.terminal()
    first = again.events[0]
    assert first.get("first_seq", first.get("seq")) == 3
    expect_text(again, "x" * 13)


@proves("RESUME-17", without="resume")
async def without_resume_a_resume_is_unsupported(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 0})

    expect_refused(answer, "unsupported")


@proves("RESUME-18")
async def a_finished_run_is_read_to_its_end(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    log = await run.whole()

    again = await client.resume(run.id)
    events = await client.quiet(again)

    expect_same_log(contents(events), contents(log))
    following = await target.start_again(client, target.short)
    await following.terminal()


@proves("RESUME-24", script=True, watches=("RESUME-25", "RESUME-26"), connections=2, deadline_s=40)
async def a_reader_that_came_late_gets_merged_events_or_all(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    writer, reader = await target.connect(), await target.connect()
    step = [scripts.token("x"), scripts.token("y"), scripts.thinking("t")]
    run = await writer.start(scripts.script(scripts.repeat(2000, *step)))
    await run.terminal()

    again = await reader.resume(run.id, 7)

    await again.terminal()
    expect_text(again, ("xy" * 2000)[5:])
    assert "".join(event["content"] for event in again.events if event.type == "thinking") == "t" * 1998


@proves("RESUME-24", script=True, watches=("RESUME-25", "RESUME-26"), deadline_s=40)
async def a_reader_that_is_slow_gets_merged_events_or_all(client: Client) -> None:
    client.read_slowly(32_768, 3_000_000)
    run = await client.start(scripts.script(scripts.repeat(4000, scripts.token("x"), scripts.token("y"))))

    await run.terminal()

    expect_text(run, "xy" * 4000)


@proves("RESUME-26", script=True, connections=2, deadline_s=40)
async def what_differs_is_not_merged(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    writer, reader = await target.connect(), await target.connect()
    steps = [
        scripts.call("c1"),
        scripts.call("c2"),
        scripts.repeat(
            200,
            scripts.thinking("own "),
            scripts.thinking("its ", agent="helper", parent_call_id="c1"),
            scripts.observe("c1", "one ", partial=True),
            scripts.observe("c2", "two ", partial=True),
            {"replace": "new "},
            scripts.token("text "),
        ),
        scripts.observe("c1"),
        scripts.observe("c2"),
    ]
    run = await writer.start(scripts.script(*steps))
    await run.terminal()

    again = await reader.resume(run.id)

    await again.terminal()
    for reading in (run, again):
        thoughts = [(one.get("agent"), one["content"]) for one in reading.events if one.type == "thinking"]
        parts = [(one["call_id"], one["content"]) for one in reading.events if one.get("partial") is True]
        texts = [(one.type, one["data"]) for one in reading.events if one.type in {"replace", "token"}]
        # What was never merged and is not the script is wrong for another reason.
        with (
            accuses("RESUME-26")
            if any("first_seq" in one for one in reading.events)
            else precondition("SCRIPT-1")
        ):
            assert thoughts == [(None, "own "), ("helper", "its ")] * 200
            assert parts == [("c1", "one "), ("c2", "two ")] * 200
            assert texts == [("replace", "new "), ("token", "text ")] * 200
