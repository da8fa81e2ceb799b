"""Chapter 9: the event stream."""

import asyncio

from runwire_conformance.case import Broken, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import EVENT_S, beyond
from runwire_conformance.client.conversations.run import behind, contents
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_directives,
    expect_ended_without_reader,
    expect_header,
    expect_media_type,
    expect_member,
    expect_no_header,
    expect_one_end,
    expect_problem,
    expect_same_log,
    expect_status,
    expect_text,
)
from runwire_conformance.client.target import EVENT_STREAM, Target, new_run_id
from runwire_conformance.trace.limits import Limits


@proves("SSE-1")
async def a_stream_has_the_headers_that_keep_it_flowing(target: Target) -> None:
    stream = await target.start_stream(target.short)

    expect_media_type(stream.response, "text/event-stream")
    expect_directives(stream.response, "no-store", "no-transform")
    expect_header(stream.response, "X-Accel-Buffering", "no")
    expect_no_header(stream.response, "Content-Encoding")


@proves("SSE-2")
async def a_stream_begins_with_retry_and_cursor(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()

    block = await stream.first_block()

    assert sorted(block.fields) == [("id", f"{run.epoch}.0"), ("retry", "2000")]


@proves("SSE-2")
async def a_resumed_stream_begins_with_its_cursor(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()
    await run.terminal()

    again = await target.events(run.id, f"{run.epoch}.1")

    block = await again.first_block()
    assert sorted(block.fields) == [("id", f"{run.epoch}.1"), ("retry", "2000")]


@proves("SSE-3")
async def a_posted_stream_says_started_first(target: Target) -> None:
    stream = await target.start_stream(target.short)

    first = await stream.next_message(-1)

    expect_member(first, "type", "started")


@proves("SSE-4")
async def a_read_stream_says_resumed_first(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()

    stream = await target.events(run.id)

    first = await stream.next_message(-1)
    expect_member(first, "type", "resumed")


@proves(
    "SSE-5",
    script=True,
    watches=("SSE-6", "SSE-7", "SSE-8", "SSE-11", "SSE-13", "SSE-26"),
)
async def a_stream_carries_the_run(target: Target) -> None:
    stream = await target.start_stream(scripts.EVERYTHING)
    run = await stream.run()

    events = await run.whole()

    expect_text(run, scripts.EVERYTHING_TEXT)
    expect_one_end(events, "done")
    assert {"thinking", "tool_call", "observation", "token"} <= {event.type for event in events}


@proves("SSE-5", script=True)
async def a_stream_resumes_at_its_cursor_and_repeats_nothing(target: Target) -> None:
    posted = await target.start_stream(scripts.EVERYTHING)
    run = await posted.run()
    log = await run.whole()

    for cursor in [0, *(event["seq"] for event in log[:-1])]:
        again = await (await target.events(run.id, f"{run.epoch}.{cursor}")).run()
        expect_same_log(contents(await again.whole()), contents(behind(log, cursor)))
    seqs = [event["seq"] for event in log]
    assert seqs == sorted(set(seqs))


@proves("SSE-8", script=True, waits=lambda limits: limits.silence, timing=True)
async def no_heartbeat_is_named(target: Target) -> None:
    stream = await target.start_stream(scripts.SILENT)
    run = await stream.run()

    await stream.heartbeat()

    assert [block.values("event") for block in stream.blocks if block.values("event")] == []
    await target.post(target.run_url(run.id, "/cancel"), {})


@proves("SSE-6")
async def every_event_has_one_data_line(target: Target) -> None:
    stream = await target.start_stream(target.short)
    await (await stream.run()).terminal()
    await stream.finished()

    counts = {len(block.values("data")) for block in stream.blocks[1:] if block.fields}
    assert counts == {1}


@proves("SSE-7")
async def every_event_of_the_run_has_its_id(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()
    await run.terminal()
    await stream.finished()

    events = [message for message in stream.messages if message.is_event]
    identifiers = [block.values("id") for block in stream.blocks[1:] if block.values("id")]
    assert identifiers == [[f"{run.epoch}.{event.get('seq')}"] for event in events]


@proves("SSE-8")
async def no_event_is_named(target: Target) -> None:
    stream = await target.start_stream(target.short)
    await (await stream.run()).terminal()

    assert [block.values("event") for block in stream.blocks if block.values("event")] == []


@proves("SSE-9", "SSE-10")
async def a_stream_ends_after_the_terminal_with_a_blank_line(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()

    with accuses("SSE-10"):
        await stream.finished(EVENT_S)
    with accuses("SSE-9"):
        rest = stream.cut_off
        behind = " ⏎ ".join(f"{name}: {value}" for name, value in rest.fields) if rest is not None else ""
        assert rest is None or not rest.values("data"), (  # a comment may follow
            f"the last event is not closed by a blank line: after the last blank line, there is {behind[:200]!r}"
        )
    with accuses("SSE-10"):
        assert run.events[-1:] == [event for event in run.events if event.is_terminal]
        assert stream.messages[-1].is_terminal


@proves("SSE-10", script=True)
async def a_stream_lasts_as_long_as_its_run(target: Target, limits: Limits) -> None:
    pause_ms = min(1500, limits["run_s"] * 400)
    stream = await target.start_stream(
        scripts.script(scripts.token("a"), scripts.wait(pause_ms), scripts.token("b"))
    )
    run = await stream.run()

    await run.terminal()

    expect_text(run, "ab")


@proves("SSE-10")
async def a_stream_of_a_finished_run_ends_too(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    await run.terminal()

    stream = await target.events(run.id)

    await stream.finished()
    assert [message.type for message in stream.messages if message.is_terminal] == ["done"]


@proves("SSE-12", "SSE-13", script=True, waits=lambda limits: limits.silence * 2, timing=True)
async def a_silent_stream_has_heartbeats_without_id(target: Target) -> None:
    stream = await target.start_stream(scripts.SILENT)
    run = await stream.run()

    with accuses("SSE-12"):
        first = await stream.heartbeat(since=run.started_at)
        await stream.heartbeat(first.index, since=first.at)

    with accuses("SSE-13"):
        named = [
            block.values("id") for block, message in stream.blocks_and_messages if message.type == "heartbeat"
        ]
        assert [ids for ids in named if ids] == []
    await target.post(target.run_url(run.id, "/cancel"), {})


@proves("SSE-14")
async def a_cursor_comes_in_the_header_or_the_query(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    log = await run.whole()
    rest = contents(behind(log, 1))

    for stream in (
        await target.events(run.id, f"{run.epoch}.1"),
        await target.events(run.id, "1"),
        await target.events(run.id, after=f"{run.epoch}.1"),
        await target.events(run.id, after="1"),
    ):
        again = await stream.run()
        expect_same_log(contents(await again.whole()), rest)


@proves("SSE-14")
async def no_cursor_means_from_the_first_event(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    log = contents(await run.whole())

    again = await (await target.events(run.id)).run()

    expect_same_log(contents(await again.whole()), log)


@proves("SSE-15")
async def the_header_wins_over_the_query(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    await run.terminal()

    stream = await target.events(run.id, f"{run.epoch}.1", after="0")

    again = await stream.run()
    assert again.opening is not None
    expect_member(again.opening, "next_seq", 2)


@proves("SSE-16")
async def a_malformed_cursor_is_400(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    await run.terminal()

    for cursor in (
        str(run.last_seq + 1),
        "x",
        "1.5.7",
        "-1",
        f"{run.epoch}.",
        f"{run.epoch}.{run.last_seq + 1}",
    ):
        headers = [EVENT_STREAM, ("Last-Event-ID", cursor)]
        response = await target.http("GET", target.run_url(run.id, "/events"), headers)
        expect_problem(response, 400, "bad_request")


@proves("SSE-17")
async def a_reader_that_has_everything_gets_204(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    await run.terminal()

    for cursor in (f"{run.epoch}.{run.last_seq}", str(run.last_seq)):
        headers = [EVENT_STREAM, ("Last-Event-ID", cursor)]
        try:
            response = await target.http("GET", target.run_url(run.id, "/events"), headers)
        except Broken:  # perhaps of a stream, whose body does not end
            stream = await target.events(run.id, cursor)
            expect_status(stream.response, 204)
            raise
        expect_status(response, 204)
    for earlier in (f"{run.epoch}.{run.last_seq - 1}", "0"):
        stream = await target.events(run.id, earlier)
        expect_status(stream.response, 200)


@proves("SSE-17", script=True)
async def a_reader_at_the_end_of_a_live_run_gets_no_204(target: Target) -> None:
    posted = await target.start_stream(scripts.QUIET)
    run = await posted.run()
    await run.until_text("first ")

    stream = await target.events(run.id, f"{run.epoch}.{run.last_seq}")

    expect_status(stream.response, 200)
    await target.post(target.run_url(run.id, "/cancel"), {})


@proves("SSE-18")
async def a_cursor_of_another_epoch_is_404(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()
    await run.terminal()

    for cursor in ("another.0", f"another.{run.last_seq}"):
        headers = [EVENT_STREAM, ("Last-Event-ID", cursor)]
        response = await target.http("GET", target.run_url(run.id, "/events"), headers)
        expect_problem(response, 404, "not_found")


@proves("SSE-19")
async def events_in_another_form_are_406(target: Target) -> None:
    posted = await target.start_stream(target.short)
    run = await posted.run()

    response = await target.http("GET", target.run_url(run.id, "/events"), [("Accept", "image/png")])

    expect_status(response, 406)


@proves("SSE-21", script=True, timing=True)
async def one_log_serves_both_transports(client: Client, target: Target) -> None:
    steps = scripts.repeat(
        10, scripts.token("x\r\ny"), scripts.wait(40), scripts.thinking("\nz"), scripts.wait(40)
    )
    run = await client.start(scripts.script(steps))
    while run.last_seq < 5:
        await run.next_event()

    stream = await target.events(run.id, f"{run.epoch}.3")

    streamed = await stream.run()
    await streamed.terminal()
    await run.terminal()
    expect_same_log(contents(streamed.events), contents(behind(run.events, 3)))


@proves("SSE-21", script=True, timing=True)
async def a_run_of_a_stream_is_resumed_on_a_websocket(client: Client, target: Target) -> None:
    stream = await target.start_stream(
        scripts.script(scripts.repeat(20, scripts.token("x"), scripts.wait(40)))
    )
    run = await stream.run()
    while run.last_seq < 5:
        await run.next_event()
    cursor = run.last_seq
    stream.drop()

    again = await client.resume(run.id, cursor, epoch=run.epoch)

    await again.terminal()
    assert run.text[:cursor] + again.text == "x" * 20


@proves("SSE-22", script=True, connections=2, waits=lambda limits: limits["detach_grace_s"] + 1, timing=True)
async def a_stream_keeps_its_run_alive(client: Client, target: Target, limits: Limits) -> None:
    lasts = limits["detach_grace_s"] + 1
    target.needs_to_outlast_grace(lasts + 1)
    run = await client.start(
        scripts.script(scripts.repeat(int(lasts * 10), scripts.token("x"), scripts.wait(100)))
    )
    stream = await target.events(run.id)
    client.drop()

    again = await stream.run()

    expect_completed(await again.terminal(beyond(lasts)))


@proves("SSE-22", script=True, timing=True)
async def a_run_whose_stream_breaks_off_follows_its_policy(
    client: Client, target: Target, limits: Limits
) -> None:
    stream = await target.start_stream(scripts.ENDLESS, on_disconnect="cancel", run_id=new_run_id())
    run = await stream.run()
    await run.next_event()
    stream.drop()
    await asyncio.sleep(limits.seconds("cancel_deadline_ms") / 4 + target.clock.tolerance)

    again = await client.resume(run.id)

    terminal = await again.terminal_within(limits.seconds("cancel_deadline_ms"), again.started_at)
    expect_ended_without_reader(terminal)
