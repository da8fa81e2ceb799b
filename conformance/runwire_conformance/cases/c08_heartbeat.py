"""Chapter 8: heartbeats and liveness detection."""

import asyncio
import time

from runwire_conformance.case import Blocked, NotExercised, Wrong, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.connection import BUFFERED_BYTES, IDLE
from runwire_conformance.client.conversations.conversation import LONG_S
from runwire_conformance.client.expectations import expect_back_in_time, expect_member
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits

#: Bytes of which at least some are still unsent at the server when a client with a small buffer takes none.
NETWORK_BYTES = 600_000


@proves("BEAT-3", watches=("BEAT-1",), waits=lambda limits: limits.silence, timing=True)
async def a_connection_without_a_run_hears_heartbeats(client: Client) -> None:
    after = len(client.messages) - 1

    beat = await client.heartbeat(after)

    assert "re" not in beat


@proves("BEAT-1", script=True, waits=lambda limits: limits.silence * 2, watches=("BEAT-4",), timing=True)
async def a_silent_agent_does_not_silence_the_server(client: Client) -> None:
    run = await client.start(scripts.SILENT)

    first = await client.heartbeat(since=run.started_at, owners=("BEAT-3", "BEAT-1"))
    await client.heartbeat(first.index, since=first.at, owners=("BEAT-3", "BEAT-1"))

    await client.cancel()


@proves("BEAT-3", waits=lambda limits: limits.silence, timing=True)
async def heartbeats_go_on_after_a_run(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    terminal = await run.terminal()

    await client.heartbeat(terminal.index, since=terminal.at)


@proves("BEAT-2", script=True, waits=lambda limits: limits.silence, timing=True)
async def heartbeats_come_while_a_tool_blocks(client: Client, limits: Limits) -> None:
    run = await client.start(scripts.script(scripts.block(limits.silence * 1000 + 1500)))

    await client.heartbeat(since=run.started_at, owners=("BEAT-3", "BEAT-2"))

    await client.cancel()


@proves("BEAT-4", deadline_s=60)
async def a_heartbeat_is_not_in_the_log(client: Client) -> None:
    answer = await client.ask({"type": "heartbeat"})

    assert answer.keys() & {"run_id", "seq"} == set()


@proves("BEAT-5")
async def a_heartbeat_is_answered_with_exactly_one(client: Client) -> None:
    for number in range(10):
        await client.send({"type": "heartbeat", "id": f"h{number}"})
    await client.answered((f"h{number}" for number in range(10)), ("BEAT-5", "MSG-28"))
    await client.barrier()

    answers = [message.type for message in client.messages if str(message.get("re", "")).startswith("h")]
    assert answers == ["heartbeat"] * 10


@proves("BEAT-5", deadline_s=60)
async def a_heartbeat_without_id_is_answered_too(client: Client) -> None:
    before = len([message for message in client.messages if message.type == "heartbeat"])
    for _ in range(20):
        await client.send({"type": "heartbeat"})

    await client.barrier()

    heard = len([message for message in client.messages if message.type == "heartbeat"]) - before - 1
    assert heard >= 20, f"expected 20 answers; got {heard}"


@proves("BEAT-6", waits=lambda limits: limits["heartbeat_s"], timing=True)
async def the_server_pings(client: Client, target: Target, limits: Limits) -> None:
    target.needs("idle_s", 2 * limits["heartbeat_s"] + 0.5, "for two Pings")
    begun = time.monotonic()

    await client.wait_until(
        lambda: len(client.pings) >= 2, 2 * limits["heartbeat_s"] + 4 * client.clock.tolerance, "two Pings"
    )

    assert client.pings[1] - begun <= 2 * (limits["heartbeat_s"] + client.clock.tolerance)


@proves("BEAT-7", waits=lambda limits: limits.gives_up_after, timing=True)
async def a_peer_that_answers_no_ping_is_dropped(client: Client, limits: Limits) -> None:
    client.stop_answering_pings()
    client.trace.not_reading = True
    last_pong = time.monotonic()

    bound = limits.gives_up_after + client.clock.tolerance + LATE_S
    await client.closed("the server to drop the connection", bound)

    if client.close_code == IDLE:
        raise NotExercised("idle_s was over before a Pong was overdue; set a longer idle_s on the server")
    assert client.ended_at is not None
    assert client.ended_at - last_pong <= limits.gives_up_after + client.clock.tolerance


@proves("BEAT-13", script=True, waits=lambda limits: limits.gives_up_after, timing=True)
async def an_overdue_pong_has_a_code_of_its_own(client: Client, limits: Limits) -> None:
    await client.start(scripts.SILENT)  # with it, the connection is not idle
    client.stop_answering_pings()
    client.trace.not_reading = True

    bound = limits.gives_up_after + client.clock.tolerance + LATE_S
    code = await client.closed("the server to drop the connection", bound, ("BEAT-7",))

    if client.close_code is None:
        raise Blocked("CLOSE-2")
    assert code == 1011, f"expected the close code 1011 for an overdue Pong; got {code}"


@proves("BEAT-7", waits=lambda limits: limits.gives_up_after, timing=True)
async def messages_are_no_pongs(client: Client, limits: Limits) -> None:
    client.stop_answering_pings()
    client.trace.not_reading = True
    bound = limits.gives_up_after + client.clock.tolerance + LATE_S
    begun = time.monotonic()

    while not client.ended and time.monotonic() - begun < bound:
        await client.send({"type": "vendor:talk"})  # with it, the connection is not idle
        await asyncio.sleep(0.2)  # between two messages of a client that talks; any time will do

    if not client.ended:
        raise Wrong(
            f"expected a client that talks and sends no Pong to be dropped within {bound:.2f} s; it is not"
        )
    await client.closed()
    assert client.close_code != IDLE, "expected a drop for want of a Pong; it was closed as idle"


@proves("BEAT-7", script=True, waits=lambda limits: limits.gives_up_after, timing=True)
async def a_busy_run_does_not_save_a_peer_that_answers_no_ping(client: Client, limits: Limits) -> None:
    await client.start(scripts.ENDLESS, on_disconnect="cancel")
    client.stop_answering_pings()
    client.trace.not_reading = True

    bound = limits.gives_up_after + client.clock.tolerance + LATE_S
    await client.closed("the server to drop the connection", bound)


@proves("RESUME-4", script=True, connections=2, waits=lambda limits: limits.gives_up_after, timing=True)
async def a_reader_that_owes_a_pong_is_waited_for(target: Target, limits: Limits) -> None:
    one = await target.connect()
    run = await one.start(scripts.SILENT, on_disconnect="cancel")
    one.stop_answering_pings()
    one.trace.not_reading = True
    bound = limits.gives_up_after + one.clock.tolerance + LATE_S
    await one.closed("the server to drop the connection", bound, ("BEAT-7",))
    await asyncio.sleep(min(limits["detach_grace_s"] * 0.4, 2))  # less than what the sentence grants

    other = await target.connect()
    again = await other.resume(run.id)
    expect_back_in_time(again, one, limits["detach_grace_s"])

    assert again.opening is not None
    expect_member(again.opening, "status", "running")
    await other.cancel(again)


@proves("BEAT-8", script=True, waits=lambda limits: limits.gives_up_after + 2, timing=True)
async def a_ping_behind_data_is_not_overdue(target: Target, limits: Limits) -> None:
    # Of what the network's buffers hold all the server has sent, and the time for the Pong behind it counts.
    least = NETWORK_BYTES / 0.8 / limits.whole("runs_per_connection")
    target.needs("log_bytes", least, "to fill the network's buffers")
    span = limits.gives_up_after + 2
    client = await target.connect(small_buffer=True)
    per_second = BUFFERED_BYTES / (
        limits["pong_timeout_s"] * 0.4
    )  # so that a Ping is not on its way for long
    size = int(min(limits["log_bytes"] * 0.8, 6_000_000))
    count = min(limits.whole("runs_per_connection"), -(-int(per_second * span) // size))
    client.read_slowly(8192, min(per_second, count * size / span))

    # All have begun before the first of them speaks.
    script = scripts.script(scripts.wait(500), scripts.repeat(size // 4000, scripts.token("x" * 3800)))
    async with client.while_read_slowly(limits["pong_timeout_s"]):
        runs = [await client.start(script, run_id=new_run_id()) for _ in range(count)]
        await asyncio.sleep(span * 0.9)
        client.expect_open()
        client.resume_reading()
        for run in runs:
            await run.terminal(LONG_S)


@proves("BEAT-9", waits=lambda limits: min(limits.gives_up_after + 1, limits["idle_s"] * 0.9), timing=True)
async def a_peer_that_answers_pings_may_be_silent(client: Client, limits: Limits) -> None:
    span = min(limits.gives_up_after + 1, limits["idle_s"] * 0.9)

    await asyncio.sleep(span)

    client.expect_open()
