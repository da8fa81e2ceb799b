"""Chapter 12: limits and slow readers."""

import asyncio
import time
from collections.abc import Iterator

from websockets.frames import Frame, Opcode

from runwire_conformance.case import (
    Blocked,
    Broken,
    NotExercised,
    NotOffered,
    TooSlow,
    TooUnsteady,
    accuses,
    precondition,
    proves,
)
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S, LONG_S, beyond
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_header,
    expect_member,
    expect_problem,
    expect_refused,
    expect_started,
    expect_status,
    expect_text,
)
from runwire_conformance.client.target import ACCEPT_JSON, EVENT_STREAM, Target, new_run_id
from runwire_conformance.client.wire.http import Response
from runwire_conformance.rules.wire import MOST_UNASKED, is_unasked
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits

#: How many connections or runs the judge is willing to open to reach a limit.
MOST = 300

#: How many requests the judge sends at once where only their number matters.
REQUESTS_AT_ONCE = 8

#: Seconds between two heartbeats of a client that uses its connection for nothing else; any will do.
BEAT_S = 0.3

#: Frames that a client may send at once ([LIMIT-14]).
FRAMES_AT_ONCE = 2000

#: For how long a run has no events yet, so that its reader stops reading before them, and for how long it then takes
#: nothing at most, so that the server gets ahead of it; any will do.
BEFOREHAND_S, GETS_AHEAD_S = 0.2, 2.0

#: More than the buffers of a network take by themselves, so that a server has data waiting.
NETWORK_BYTES = 10_000_000


def reachable(value: float, name: str) -> int:
    """Return a limit that can be reached; raises NotExercised for a larger one."""
    if value > MOST:
        raise NotExercised(
            f"{name} is {value:.15g}; set it to at most {MOST} on the server to have it judged"
        )
    return int(value)


def several(items: list[str]) -> Iterator[list[str]]:
    """Yield as many items as the judge sends requests at once."""
    for first in range(0, len(items), REQUESTS_AT_ONCE):
        yield items[first : first + REQUESTS_AT_ONCE]


def expect_all_unfinished(begun: float, limits: Limits) -> None:
    """Raise TooSlow when the first of the runs begun since then may be over, so that its place is free again."""
    if time.monotonic() - begun >= limits["run_s"] * 0.9:
        raise TooSlow(
            "run_s was over before runs_per_principal was reached; set a longer run_s on the server"
        )


async def until_all_are_gone(target: Target, limits: Limits) -> None:
    """Wait until what earlier cases left behind has no place any more; raises NotExercised when that takes too long.

    A peer that fell silent is dropped after the time of [BEAT-7], a run without a reader after `detach_grace_s`, and a
    run whose id nobody told after `run_s` and `input_s` at the latest.
    """
    usual, runs = max(limits.gives_up_after, limits["detach_grace_s"]), target.footprint.seconds_left
    longest = max(usual, runs) + target.clock.tolerance
    target.within_patience(longest, "detach_grace_s" if usual >= runs else "run_s and input_s")
    await asyncio.sleep(longest)


async def admitted(target: Target, limits: Limits) -> Client:
    """Return a connection, asked for again when there was no place for it; raises Broken when there is none."""
    try:
        return await target.connect()
    except Broken:
        await until_all_are_gone(target, limits)
        return await target.connect()


async def asked_by_a_page(target: Target, body: dict[str, object], accept: tuple[str, str]) -> Response:
    """Return the answer to a POST of a run as a page of a listed origin sends it, or nobody's where none is listed.

    What it lacks for the page to read it, the rules find ([HTTP-17]).
    """
    response = await target.post(target.runs_url, body, accept, ("Origin", target.origin))
    return response if response.status != 403 else await target.post(target.runs_url, body, accept)


@proves("LIMIT-1", "LIMIT-2", "LIMIT-4", "LIMIT-10", alone=True, deadline_s=90)
async def connections_are_counted(target: Target, limits: Limits) -> None:
    counting = target.counting()
    with accuses("LIMIT-4"):  # what other cases had is free again
        clients = [await admitted(counting, limits)]
    most = reachable(limits["connections_per_principal"], "connections_per_principal")
    with accuses("LIMIT-2"):
        while len(clients) < most:
            clients.append(await admitted(counting, limits))

    with accuses("LIMIT-1"):
        try:
            refused = await counting.refused_handshake()
        except Broken:
            if any(client.ended for client in clients):
                raise TooSlow(
                    "idle_s was over before connections_per_principal was reached; raise it"
                ) from None
            raise

        expect_problem(refused, 429, "busy")
    with accuses("LIMIT-10"):
        expect_header(refused, "Retry-After")
    if "sse" in target.features:
        with accuses("LIMIT-1"):
            stream = await asked_by_a_page(counting, {"prompt": scripts.THREE_TOKENS}, EVENT_STREAM)
            expect_problem(stream, 429, "busy")
        with accuses("LIMIT-10"):
            expect_header(stream, "Retry-After")
    with accuses("LIMIT-4"):
        await clients[0].leave()
        await asyncio.sleep(target.clock.tolerance)
        await counting.connect()


@proves("LIMIT-14")
async def a_burst_of_frames_is_taken(client: Client) -> None:
    unasked_pong = Frame(Opcode.PONG, b"").serialize(mask=True, extensions=[])
    # With room for the Pongs that the server's own Pings bring about.
    await client.send_bytes(unasked_pong * (FRAMES_AT_ONCE - 50))

    await client.barrier()


async def all_that_may_run(target: Target, limits: Limits) -> tuple[list[Client], dict[str, object]]:
    """Begin `runs_per_principal` silent runs; return the connections that follow them, and the last `start`."""
    most = reachable(limits["runs_per_principal"], "runs_per_principal")
    each = limits.whole("runs_per_connection")
    needed = -(-most // each) + 1
    if needed > limits["connections_per_principal"]:
        raise NotExercised(
            f"set connections_per_principal to at least {needed}, or runs_per_principal smaller"
        )
    clients: list[Client] = []
    start: dict[str, object] = {"type": "start", "prompt": scripts.SILENT, "on_disconnect": "cancel"}
    for number in range(most):
        if number % each == 0:
            clients.append(await target.counting().connect())
        start = {**start, "run_id": new_run_id()}
        answer = await clients[-1].ask(start)
        if answer.get("code") == "busy":
            await until_all_are_gone(target, limits)
            answer = await clients[-1].ask(start)
        expect_started(answer)
    return clients, start


@proves("LIMIT-3", "LIMIT-4", script=True, alone=True, deadline_s=90)
async def unfinished_runs_are_counted(target: Target, limits: Limits) -> None:
    begun = time.monotonic()
    with accuses("LIMIT-4"):  # what other cases had is free again
        clients, _ = await all_that_may_run(target, limits)
        last = await target.counting().connect()

    with accuses("LIMIT-3"):
        answer = await last.ask({"type": "start", "prompt": scripts.THREE_TOKENS, "run_id": new_run_id()})

        if answer.type == "started":
            expect_all_unfinished(begun, limits)
        expect_refused(answer, "busy")
    for client in clients:
        await client.cancel()
    for client in clients:
        await client.message(lambda message: message.is_terminal, "the end of a run", owners=END)
    for client in clients:
        await client.barrier()
    with accuses("LIMIT-4"):
        answer = await last.ask({"type": "start", "prompt": scripts.THREE_TOKENS})

        expect_started(answer)


@proves("RUN-19", script=True, alone=True, deadline_s=90)
async def a_repeated_start_begins_no_run_to_count(target: Target, limits: Limits) -> None:
    if "robust" not in target.features:
        raise NotOffered("the server does not offer robust, so it need not count runs")
    begun = time.monotonic()
    try:
        clients, start = await all_that_may_run(target, limits)
    except Broken:
        raise Blocked("LIMIT-4") from None
    last = await target.counting().connect()

    answer = await last.ask(start)

    if answer.type != "started":
        expect_all_unfinished(begun, limits)
    expect_started(answer)
    expect_member(answer, "run_id", start["run_id"])
    for client in (last, *clients):
        await client.cancel()


@proves("LIMIT-3", "LIMIT-4", "LIMIT-10", script=True, alone=True, deadline_s=90)
async def unfinished_runs_are_counted_over_http(target: Target, limits: Limits) -> None:
    most = reachable(limits["runs_per_principal"], "runs_per_principal")
    run_ids = [new_run_id() for _ in range(most)]
    body = {"prompt": scripts.SILENT, "on_disconnect": "continue"}

    async def start(run_id: str) -> Response:
        return await target.post(target.runs_url, {**body, "run_id": run_id})

    first = time.monotonic()
    with accuses("LIMIT-4"):  # what other cases had is free again
        for some in several(run_ids):
            begun = await asyncio.gather(*map(start, some))
            refused = [run_id for run_id, answer in zip(some, begun, strict=True) if answer.status == 429]
            if refused:
                await until_all_are_gone(target, limits)
            for answer in (
                *(answer for answer in begun if answer.status != 429),
                *[await start(run_id) for run_id in refused],
            ):
                expect_status(answer, 202)

    with accuses("LIMIT-3"):
        beyond_most = await asked_by_a_page(target, {**body, "run_id": new_run_id()}, ACCEPT_JSON)

        if beyond_most.status == 202:
            expect_all_unfinished(first, limits)
        expect_problem(beyond_most, 429, "busy")
    with accuses("LIMIT-10"):
        expect_header(beyond_most, "Retry-After")
    for some in several(run_ids):
        await asyncio.gather(*(target.post(target.run_url(run_id, "/cancel")) for run_id in some))
    freed_at = time.monotonic() + limits.seconds("cancel_deadline_ms")
    with accuses("LIMIT-4"):
        last = await start(new_run_id())
        while last.status == 429 and time.monotonic() <= freed_at + target.clock.tolerance:
            await asyncio.sleep(BEAT_S)
            last = await start(new_run_id())
        expect_status(last, 202)
    await target.post(target.run_url(str(last.json()["run_id"]), "/cancel"))


@proves("LIMIT-5", waits=lambda limits: limits["idle_s"], timing=True)
async def an_idle_connection_is_closed(client: Client, limits: Limits) -> None:
    begun = time.monotonic()
    bound = limits["idle_s"] + client.clock.tolerance

    while not client.ended and time.monotonic() - begun < bound + LATE_S:
        await client.send({"type": "heartbeat"})
        await asyncio.sleep(BEAT_S)

    if not client.ended:
        raise Broken(f"expected an idle connection to be closed within {bound:.2f} s; it is open")
    await client.closed_with(1000)
    assert client.ended_at is not None
    assert limits["idle_s"] * 0.9 <= client.ended_at - begun <= limits["idle_s"] + client.clock.tolerance


@proves("LIMIT-6", script=True, waits=lambda limits: limits["idle_s"] + 0.7, timing=True)
async def a_connection_with_a_run_is_not_idle(client: Client, target: Target, limits: Limits) -> None:
    span = limits["idle_s"] + 0.7
    target.needs("run_s", span + 1, "to outlast idle_s")
    run = await client.start(scripts.script(scripts.wait(span * 1000), scripts.token("still here")))

    await run.terminal(beyond(span))

    expect_text(run, "still here")


@proves("FLOW-1", script=True, connections=2, deadline_s=40)
async def a_slow_reader_does_not_hold_up_another(target: Target, limits: Limits) -> None:
    target.needs("log_bytes", 100_000, "for a burst of events")
    slow, free = await target.connect(small_buffer=True), await target.connect()
    times = int(min(limits["log_bytes"] * 0.6, 3_000_000)) // 40_000
    burst = scripts.repeat(10, scripts.token("x" * 3800))
    run = await free.start(scripts.script(scripts.wait(300), scripts.repeat(times, burst, scripts.wait(20))))
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    await slow.resume(run.id)
    # Slow enough to need minutes, steady enough never to be dropped.
    slow.read_slowly(4096, 4096 / min(0.5, limits["pong_timeout_s"] / 3))

    terminal = await run.terminal(LONG_S)

    expect_completed(terminal)
    assert len(run.text) == times * 38_000


@proves("FLOW-3", "FLOW-4", script=True, deadline_s=60, timing=True)
async def a_slow_but_steady_reader_gets_everything(target: Target, limits: Limits) -> None:
    client = await target.connect(small_buffer=True)
    size = int(min(limits["log_bytes"] * 0.6, 2_000_000))
    text_size = size // 1000 * 700
    span = min(limits["pong_timeout_s"] * 1.5, 5)
    burst = scripts.repeat(size // 1000, scripts.token("x" * 700))

    run = await client.start(scripts.script(scripts.wait(BEFOREHAND_S * 1000), burst))
    client.stop_reading()
    await asyncio.sleep(BEFOREHAND_S + min(limits["pong_timeout_s"] * 0.4, GETS_AHEAD_S))
    lag = await _lag(target, run)
    client.read_slowly(8192, size / span)

    with accuses("FLOW-3"):
        async with client.while_read_slowly(limits["pong_timeout_s"]):
            await run.terminal(beyond(span * 3))
    with accuses("FLOW-4"):
        assert len(run.text) == text_size
    if lag is not None and lag < text_size // 2:
        reason = f"a reader that is slow on purpose was only {lag} of {text_size} characters behind"
        raise TooUnsteady(reason) if target.clock.unsteady else TooSlow(reason)


async def _lag(target: Target, run: Run) -> int | None:
    """Return how many characters of answer text a reader has not got yet; None where the server does not tell."""
    if "sse" not in target.features:
        return None
    with precondition("HTTP-5"):
        answer = await target.http("GET", target.run_url(run.id))
        expect_status(answer, 200)
        return len(str(answer.json()["text"])) - len(run.text)


@proves("FLOW-5", script=True, waits=lambda limits: limits.gives_up_after, timing=True)
async def a_reader_that_takes_nothing_is_dropped(target: Target, limits: Limits) -> None:
    client = await target.connect(small_buffer=True)
    size = int(limits["log_bytes"] * 0.9)
    if size < 600_000:
        raise NotExercised("log_bytes is too small to fill the network's buffers; set at least 1000000")
    script = scripts.script(scripts.repeat(size // 4000, scripts.token("x" * 3800)))
    count = min(limits.whole("runs_per_connection"), -(-NETWORK_BYTES // size))
    runs = [await client.start(script, run_id=new_run_id()) for _ in range(count)]
    client.stop_reading()
    await asyncio.sleep(limits.gives_up_after + client.clock.tolerance)

    client.resume_reading()

    await client.closed("the connection to be gone")
    if all(any(event.is_terminal for event in run.events) for run in runs):
        raise NotExercised("all that was sent fits into the network's buffers; raise log_bytes")


@proves("FLOW-7", script=True, connections=2, waits=lambda limits: limits.gives_up_after, timing=True)
async def a_run_outlives_the_reader_that_was_dropped(target: Target, limits: Limits) -> None:
    if "robust" not in target.features:
        raise NotOffered("the server does not offer robust, so it need not drop a reader that is silent")
    client, other = await target.connect(), await target.connect()
    run = await client.start(
        scripts.script(scripts.token("x"), scripts.wait((limits.gives_up_after + 0.3) * 1000))
    )
    await run.next_event()
    client.stop_answering_pings()
    client.trace.not_reading = True
    bound = limits.gives_up_after + client.clock.tolerance
    await client.closed("the server to drop the connection", bound + LATE_S, ("BEAT-7",))

    again = await other.resume(run.id)

    expect_completed(await again.terminal(beyond(limits.gives_up_after)))


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
    assert len(unasked) <= most, f"got {len(unasked)}, of which at most {most:.0f} may come in this time"
