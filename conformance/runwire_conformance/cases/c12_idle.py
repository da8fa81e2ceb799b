"""Chapter 12: client messages that reset the idle timeout, whether or not they succeed."""

import asyncio
import time
from typing import Any

from runwire_conformance.case import Broken, NotExercised, NotOffered, TooSlow, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.connection import BUFFERED_BYTES, IDLE
from runwire_conformance.client.conversations.conversation import LONG_S
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits

#: Seconds between two messages of a client; less than half of the shortest `idle_s`.
PAUSE_S = 0.3

#: Seconds after `idle_s` by which a server that counts wrongly has closed.
BEYOND_S = 0.7


@proves("LIMIT-5", connections=2, waits=lambda limits: limits["idle_s"] + BEYOND_S, timing=True)
async def messages_that_are_not_served_are_use(target: Target, limits: Limits) -> None:
    talking: dict[str, tuple[Client, dict[str, Any]]] = {
        "messages that are refused": (await target.connect(), {"type": "start", "prompt": 7}),
        "messages of an unknown type": (await target.connect(), {"type": "vendor:hello"}),
    }
    begun = said = time.monotonic()
    longest = 0.0

    while said - begun < limits["idle_s"] + BEYOND_S:
        for what, (client, message) in talking.items():
            if client.ended and longest > 0.5 * limits["idle_s"]:
                raise TooSlow("idle_s was nearly over between two messages of the judge")
            if client.close_code != IDLE:
                client.expect_open()
            if client.ended:
                raise Broken(
                    f"expected a connection with {what} every {PAUSE_S} s to stay open for more than idle_s; "
                    f"it was closed with {client.close_code} after {said - begun:.2f} s",
                    ("LIMIT-5",),
                )
            await client.send(message)
        await asyncio.sleep(PAUSE_S)
        now = time.monotonic()
        longest, said = max(longest, now - said), now

    for client, _ in talking.values():
        await client.leave()


@proves("LIMIT-5", waits=lambda limits: limits["idle_s"], timing=True)
async def a_run_that_was_read_to_its_end_is_not_followed(
    client: Client, target: Target, limits: Limits
) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    run = await client.start(target.short)
    await run.terminal()
    await client.resume(run.id, run.last_seq)
    bound = limits["idle_s"] + client.clock.tolerance + LATE_S

    await client.closed("the idle connection to be closed", bound, ("LIMIT-5",))

    await client.closed_with(IDLE)


@proves("LIMIT-6", script=True, waits=lambda limits: limits["idle_s"] + BEYOND_S, deadline_s=60, timing=True)
async def a_reader_behind_the_end_of_its_run_is_not_idle(target: Target, limits: Limits) -> None:
    span = limits["idle_s"] + BEYOND_S
    per_second = BUFFERED_BYTES / (
        limits["pong_timeout_s"] * 0.4
    )  # so that a Ping is not on its way for long
    size = int(min(limits["log_bytes"] * 0.8, 6_000_000))
    count = int(per_second * span * 1.2) // size + 1
    if count > limits["runs_per_connection"]:
        raise NotExercised("a reader cannot lag for idle_s; set a larger log_bytes, or a smaller idle_s")
    client = await target.connect(small_buffer=True)
    client.read_slowly(8192, per_second)
    script = scripts.script(scripts.repeat(size // 4000, scripts.token("x" * 3800)))

    async with client.while_read_slowly(limits["pong_timeout_s"]):
        runs = [await client.start(script, run_id=new_run_id(), on_disconnect="cancel") for _ in range(count)]
        await asyncio.sleep(span)
        behind = not all(any(event.is_terminal for event in run.events) for run in runs)
        if client.close_code == IDLE and behind:
            raise Broken("closed with code 1000 before the terminal of a run that it follows", ("LIMIT-6",))
        client.expect_open()

    client.resume_reading()
    for run in runs:
        await run.terminal(LONG_S)
    if not behind:
        raise NotExercised("the reader was not behind for idle_s; set a larger log_bytes")
