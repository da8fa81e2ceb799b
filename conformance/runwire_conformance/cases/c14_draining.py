"""Chapter 14: draining."""

import time
from contextlib import suppress

from runwire_conformance.case import Broken, accuses, precondition, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.conversation import beyond
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_ended,
    expect_problem,
    expect_refused,
)
from runwire_conformance.client.options.hooks import executed
from runwire_conformance.client.target import ACCEPT_JSON, Target, new_run_id
from runwire_conformance.trace.limits import Limits

DRAINING = ("DRAIN-1", "DRAIN-2", "DRAIN-3", "DRAIN-4", "DRAIN-5", "DRAIN-6", "DRAIN-8", "DRAIN-9")


@proves(
    *DRAINING,
    script=True,
    last=True,
    busy=True,  # nothing else is played meanwhile
    connections=4,
    waits=lambda limits: limits["drain_s"],
    beyond=("robust",),
    hooks=("drain",),
)
async def a_server_that_is_told_to_stop_drains(target: Target, limits: Limits) -> None:
    robust = "robust" in target.features
    command = target.hook("drain")
    target.needs("runs_per_connection", 2, "for a brief and an endless run")
    target.needs("run_s", limits["drain_s"] + 1, "to outlast drain_s")
    with precondition("RUN-2"):  # of draining nobody has told the server yet
        client, idle = await target.connect(), await target.connect()
        brief = await client.start(
            scripts.script(scripts.wait(limits["drain_s"] * 400), scripts.token("x")), run_id=new_run_id()
        )
        endless = await client.start(scripts.ENDLESS, run_id=new_run_id())
        await endless.next_event()

    await executed("drain", command)
    told = time.monotonic()

    with accuses("DRAIN-2"):
        for connection in (client, idle):
            await connection.message(
                lambda m: m.type == "notice" and m.get("code") == "draining", "notice draining"
            )
    with accuses("DRAIN-8"):
        idle.expects_busy = True  # what it is refused with is the question
        answer = await idle.ask({"type": "start", "prompt": scripts.THREE_TOKENS})
    with accuses("DRAIN-1"):
        expect_refused(answer, "unavailable")
        if "sse" in target.features:
            posted = await target.post(target.runs_url, {"prompt": scripts.THREE_TOKENS}, ACCEPT_JSON)
            expect_problem(posted, 503, "unavailable")
    with accuses("DRAIN-4"):
        if "resume" in target.features:
            await idle.resume(endless.id)
    with accuses("DRAIN-9"), suppress(*(() if robust else (Exception,))):
        late = await target.connect()
        second = await late.next_message(0)
        if (second.type, second.get("code")) != ("notice", "draining"):
            raise Broken(
                f"expected a notice of code draining as the second message; got {second.type} after ready"
            )
        await late.leave()
    with accuses("DRAIN-3"):
        expect_completed(await brief.terminal(beyond(limits["drain_s"])))
        assert brief.text == "x", "a run that ended while draining lost its text"
    with accuses("DRAIN-5"), suppress(*(() if robust else (Exception,))):
        terminal = await endless.terminal(beyond(limits["drain_s"]))
        expect_ended(terminal, type="error", code="worker_lost")
        assert terminal.at - told <= limits["drain_s"] + target.clock.tolerance + 1
    with accuses("DRAIN-6"):
        for connection in (client, idle):
            code = await connection.closed()
            # One that could not resume follows no run, and may be closed as idle before the drain is over.
            was_idle = code == 1000 and connection.trace.closed_for_idleness(limits["idle_s"])
            assert code == 4000 or was_idle, f"expected the close code 4000; got {code}"
