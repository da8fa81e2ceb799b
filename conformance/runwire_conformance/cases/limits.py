"""Chapter 12: limits and slow readers."""

import asyncio
import time

from websockets.frames import Frame, Opcode

from runwire_conformance import scripts
from runwire_conformance.bounds import Limits
from runwire_conformance.case import Broken, NotExercised, NotOffered, proves, shows
from runwire_conformance.client import AT_ONCE_S, Client
from runwire_conformance.conversation import EVENT_S
from runwire_conformance.invariants.wire import MOST_UNASKED, is_unasked
from runwire_conformance.stream import Stream
from runwire_conformance.target import Target, expect_refusal, new_run_id

#: How many connections or runs the judge is willing to open to reach a limit.
MOST = 300

#: Frames that a client may send at once ([LIMIT-14]).
FRAMES_AT_ONCE = 2000

#: More than the buffers of a network take by themselves, so that a server has data waiting.
NETWORK_BYTES = 10_000_000


def reachable(value: float, name: str) -> int:
    """Return a limit that can be reached; raises NotExercised for a larger one."""
    if value > MOST:
        raise NotExercised(f"{name} is {value:g}; set it to at most {MOST} on the server to have it judged")
    return int(value)


@proves("LIMIT-1", "LIMIT-2", "LIMIT-4", "LIMIT-10", alone=True, deadline_s=40)
async def connections_are_counted(target: Target, limits: Limits) -> None:
    most = reachable(limits["connections_per_principal"], "connections_per_principal")
    with shows("LIMIT-2"):
        clients = [await target.connect() for _ in range(most)]

    with shows("LIMIT-1"):
        refused = await target.refused_handshake()

        assert (refused.status, refused.json().get("code")) == (429, "busy")
    with shows("LIMIT-10"):
        assert refused.header("retry-after")
    with shows("LIMIT-4"):
        await clients[0].leave()
        await asyncio.sleep(target.clock.tolerance)
        await target.connect()


@proves("LIMIT-14")
async def a_burst_of_frames_is_taken(client: Client) -> None:
    unasked_pong = Frame(Opcode.PONG, b"").serialize(mask=True, extensions=[])
    # With room for the Pongs that the server's own Pings bring about.
    await client.send_bytes(unasked_pong * (FRAMES_AT_ONCE - 50))

    await client.barrier()


@proves("LIMIT-3", "LIMIT-4", script=True, alone=True, deadline_s=40)
async def unfinished_runs_are_counted(target: Target, limits: Limits) -> None:
    most = reachable(limits["runs_per_principal"], "runs_per_principal")
    each = limits.whole("runs_per_connection")
    clients: list[Client] = []
    with shows("LIMIT-4"):  # what other cases had is free again
        for number in range(most):
            if number % each == 0:
                clients.append(await target.connect())
            await clients[-1].start(scripts.SILENT, run_id=new_run_id(), on_disconnect="cancel")
        last = await target.connect()

    with shows("LIMIT-3"):
        answer = await last.ask({"type": "start", "prompt": scripts.THREE_TOKENS, "run_id": new_run_id()})

        expect_refusal(answer, "busy")
    for client in clients:
        await client.cancel()
    for client in clients:
        await client.wait_until(lambda c=client: sum(m.is_terminal for m in c.messages) > 0, 10, "the end")  # type: ignore[misc]
    for client in clients:
        await client.barrier()
    with shows("LIMIT-4"):
        again = await last.start(scripts.THREE_TOKENS)
        await again.terminal()


@proves("LIMIT-5", deadline_s=90, timing=True)
async def an_idle_connection_is_closed(client: Client, limits: Limits, target: Target) -> None:
    target.within_patience(limits["idle_s"], "idle_s")
    begun = time.monotonic()

    while not client.ended and time.monotonic() - begun < limits["idle_s"] + 3:
        await client.send({"type": "heartbeat"})
        await asyncio.sleep(0.3)

    assert await client.closed("the idle connection to be closed", AT_ONCE_S) == 1000
    assert client.ended_at is not None
    assert limits["idle_s"] * 0.9 <= client.ended_at - begun <= limits["idle_s"] + client.clock.tolerance + 1


@proves("LIMIT-6", script=True, deadline_s=90, timing=True)
async def a_connection_with_a_run_is_not_idle(client: Client, limits: Limits, target: Target) -> None:
    span = limits["idle_s"] + 0.7
    target.within_patience(span, "idle_s")
    if limits["run_s"] < span + 1:
        raise NotExercised("run_s is shorter than idle_s; set a longer run_s on the server")
    run = await client.start(scripts.script(scripts.wait(span * 1000), scripts.token("still here")))

    await run.terminal(span + 5)

    assert run.text == "still here"


@proves("FLOW-1", script=True, connections=2, deadline_s=40)
async def a_slow_reader_does_not_hold_up_another(target: Target, limits: Limits) -> None:
    slow, free = await target.connect(small_buffer=True), await target.connect()
    times = int(min(limits["log_bytes"] * 0.6, 3_000_000)) // 40_000
    burst = scripts.repeat(10, scripts.token("x" * 3800))
    run = await free.start(scripts.script(scripts.wait(300), scripts.repeat(times, burst, scripts.wait(20))))
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    await slow.resume(run.id)
    # Slow enough to need minutes, steady enough never to be dropped.
    slow.read_slowly(4096, min(0.5, limits["pong_timeout_s"] / 3))

    terminal = await run.terminal(15)

    assert terminal.get("status") == "completed"
    assert len(run.text) == times * 38_000


@proves("FLOW-3", "FLOW-4", script=True, deadline_s=60, timing=True)
async def a_slow_but_steady_reader_gets_everything(target: Target, limits: Limits) -> None:
    client = await target.connect(small_buffer=True)
    size = int(min(limits["log_bytes"] * 0.6, 2_000_000))
    span = min(limits["pong_timeout_s"] * 1.5, 5)
    client.read_slowly(8192, 8192 / (size / span))

    run = await client.start(scripts.script(scripts.repeat(size // 1000, scripts.token("x" * 700))))

    with shows("FLOW-3"):
        await run.terminal(span * 3 + 10)
    with shows("FLOW-4"):
        assert len(run.text) == size // 1000 * 700


@proves("FLOW-5", script=True, deadline_s=90, timing=True)
async def a_reader_that_takes_nothing_is_dropped(target: Target, limits: Limits) -> None:
    target.within_patience(limits.gives_up_after, "heartbeat_s and pong_timeout_s")
    client = await target.connect(small_buffer=True)
    size = int(limits["log_bytes"] * 0.9)
    if size < 600_000:
        raise NotExercised("log_bytes is too small to fill the network's buffers; set at least 1000000")
    script = scripts.script(scripts.repeat(size // 4000, scripts.token("x" * 3800)))
    count = min(limits.whole("runs_per_connection"), -(-NETWORK_BYTES // size))
    runs = [await client.start(script, run_id=new_run_id()) for _ in range(count)]
    client.stop_reading()
    await asyncio.sleep(limits.gives_up_after + client.clock.tolerance + 1)

    client.resume_reading()

    await client.closed("the connection to be gone", 10)
    if all(any(event.is_terminal for event in run.events) for run in runs):
        if count * size < NETWORK_BYTES:
            raise NotExercised("all that was sent fits into the network's buffers; raise log_bytes")
        raise Broken("expected the reader to be dropped; it was sent every run to its end afterwards")


@proves("FLOW-7", script=True, connections=2, deadline_s=90, timing=True)
async def a_run_outlives_the_reader_that_was_dropped(target: Target, limits: Limits) -> None:
    target.within_patience(limits.gives_up_after, "heartbeat_s and pong_timeout_s")
    client, other = await target.connect(), await target.connect()
    run = await client.start(
        scripts.script(scripts.token("x"), scripts.wait((limits.gives_up_after + 0.3) * 1000))
    )
    await run.next_event()
    client.stop_answering_pings()
    client.trace.deaf = True
    await client.closed("the server to drop the connection", limits.gives_up_after + 2)

    again = await other.resume(run.id)

    assert (await again.terminal(limits.gives_up_after + 6)).get("status") == "completed"


@proves("FLOW-8", on=("websocket", "sse"))
async def what_nobody_asked_for_comes_seldom(target: Target, transport: str) -> None:
    begun = time.monotonic()
    conversation: Client | Stream
    if transport == "sse":
        conversation = await target.start_stream(target.brief)
        await conversation.finished(EVENT_S)
    else:
        conversation = await target.connect()
        run = await conversation.start(target.brief)
        await conversation.quiet(run)

    most = MOST_UNASKED * (time.monotonic() - begun + 1)
    unasked = [message.type for message in conversation.messages if is_unasked(message)]
    assert len(unasked) <= most, f"came {len(unasked)}, of which at most {most:.0f} may come in this time"
