"""Chapter 4: the log of a run: numbering, identity for all readers, retention."""

import asyncio
import json

from runwire_conformance.case import NotExercised, TooSlow, Wrong, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S, LONG_S
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.expectations import excerpt, expect_count, expect_same_log, expect_text
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: Bytes that a token and a thought of one letter take in a log, at most.
LONGEST_PAIR = 800


@proves("RUN-27", watches=("RUN-28", "RUN-29"))
async def every_event_has_its_place(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    await client.message(
        lambda message: message.type in {"done", "error"}, "the end", seconds=EVENT_S, owners=END
    )

    events = [message for message in client.messages if message.is_event]
    assert [event.type for event in events if "run_id" not in event or "seq" not in event] == []


@proves("RUN-27", script=True, on=BOTH_TRANSPORTS)
async def the_error_that_ends_a_run_has_its_place(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.token("x"), scripts.fail()))

    error = await run.conversation.message(
        lambda message: message.type == "error", "the error", seconds=EVENT_S, owners=END
    )
    if error.get("run_id") != run.id or "seq" not in error:
        raise Wrong(f"expected an error with run_id and seq; got {excerpt(error)}")


@proves("RUN-28")
async def every_run_of_a_connection_counts_from_one(client: Client, target: Target) -> None:
    for _ in range(2):
        run = await client.start(target.short)
        events = await run.whole()
        assert events[0].get("first_seq", events[0].get("seq")) == 1


@proves("RUN-28", script=True, on=BOTH_TRANSPORTS, watches=("RUN-29",))
async def a_long_run_is_numbered_without_hole(target: Target, limits: Limits, transport: str) -> None:
    times = min(500, int(limits["log_bytes"] / LONGEST_PAIR))
    run = await start_run(
        target, transport, scripts.script(scripts.repeat(times, scripts.token("x"), scripts.thinking("y")))
    )

    await run.whole()

    expect_text(run, "x" * times)
    expect_count(run, 2 * times + 1)


@proves("RUN-28", script=True, watches=("RUN-27", "RUN-29"))
async def what_else_is_said_takes_no_number(client: Client) -> None:
    run = await client.start(scripts.script(scripts.repeat(8, scripts.wait(100), scripts.token("x"))))
    for _ in range(3):
        await run.next_event()
        await client.ask({"type": "heartbeat"})
        await client.ask({"type": "vendor:hello"})

    await run.whole()

    assert run.last_seq == 9


@proves("RUN-28", script=True, watches=("RUN-27", "RUN-29"))
async def runs_of_one_connection_are_numbered_apart(client: Client, limits: Limits) -> None:
    most = min(3, limits.whole("runs_per_connection"))
    # Slow enough that all of them run at once, however long a start takes on a busy machine.
    steps = [scripts.repeat(10, scripts.wait(50), scripts.token(f"{number}")) for number in range(most)]
    runs = [await client.start(scripts.script(step), run_id=new_run_id()) for step in steps]

    for number, run in enumerate(runs):
        await run.whole()
        expect_text(run, f"{number}" * 10)
        assert run.last_seq == 11


@proves("RUN-30", script=True)
async def a_stream_tells_the_same_as_a_websocket(client: Client, target: Target) -> None:
    if "sse" not in target.features:
        raise NotExercised("the server does not offer sse")
    many = scripts.script(scripts.repeat(60, scripts.token("x"), scripts.thinking("y")))
    for prompt in (scripts.EVERYTHING, many):
        run = await client.start(prompt)
        await run.terminal()

        streamed = await (await target.events(run.id)).run()

        expect_same_log(contents(await streamed.whole()), contents(run.events))


@proves("RUN-30", script=True, connections=3)
async def every_reader_sees_the_same_events(target: Target) -> None:
    prompt = scripts.EVERYTHING
    clients = [await target.connect() for _ in range(3)]
    first = await clients[0].start(prompt)
    second = await clients[1].resume(first.id)
    await first.terminal()
    third = await clients[2].resume(first.id)

    logs = [contents(await run.whole()) for run in (first, second, third)]

    assert logs[0] == logs[1] == logs[2]


@proves("RUN-33", connections=2, timing=True)
async def a_log_is_whole_while_its_run_is_unfinished_and_after_its_end(target: Target) -> None:
    scripted = target.profile.has_script_agent
    slowly = scripts.script(scripts.repeat(12, scripts.token("x"), scripts.wait(40), scripts.thinking("y")))
    client, reader = await target.connect(), await target.connect()
    run = await client.start(slowly if scripted else target.long)
    for _ in range(5):
        await run.next_event()
    early = await reader.resume(run.id)
    if any(event.is_terminal for event in run.events):
        raise TooSlow("the run was over before its log could be read; name a longer [prompts] long")

    whole = contents(await run.whole(LONG_S))

    expect_same_log(contents(await early.whole(LONG_S)), whole)
    at_once = await reader.resume(run.id)
    expect_same_log(contents(await at_once.whole()), whole)
    await asyncio.sleep(2.0)  # the window is at least a minute; this is what the judge waits
    later = await reader.resume(run.id)
    expect_same_log(contents(await later.whole()), whole)


@proves("RUN-34", script=True, on=BOTH_TRANSPORTS, fills=True)
async def a_log_beyond_its_size_ends_as_incomplete(target: Target, transport: str) -> None:
    piece = "x" * 4000
    times = target.pieces_beyond_log(4000)
    run = await start_run(target, transport, scripts.script(scripts.repeat(times, scripts.thinking(piece))))

    terminal = await run.terminal(LONG_S)

    assert (terminal.type, terminal.get("status"), terminal.get("reason")) == (
        "done",
        "incomplete",
        "length",
    ), f"got {json.dumps(terminal)[:200]}"
