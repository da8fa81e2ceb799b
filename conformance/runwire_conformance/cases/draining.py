"""Chapter 14: a server that is told to stop."""

import time

from runwire_conformance import scripts
from runwire_conformance.bounds import Limits
from runwire_conformance.case import proves, shows
from runwire_conformance.hooks import executed
from runwire_conformance.target import ACCEPT_JSON, Target, expect_refusal, is_problem, new_run_id

DRAINING = ("DRAIN-1", "DRAIN-2", "DRAIN-3", "DRAIN-4", "DRAIN-5", "DRAIN-6", "DRAIN-8", "DRAIN-9")


@proves(*DRAINING, script=True, last=True, connections=4, deadline_s=60)
async def a_server_that_is_told_to_stop_drains(target: Target, limits: Limits) -> None:
    command = target.hook("drain")
    target.within_patience(limits["drain_s"], "drain_s")
    client, idle = await target.connect(), await target.connect()
    brief = await client.start(
        scripts.script(scripts.wait(limits["drain_s"] * 400), scripts.token("x")), run_id=new_run_id()
    )
    endless = await client.start(scripts.ENDLESS, run_id=new_run_id())
    await endless.next_event()

    await executed("drain", command)
    told = time.monotonic()

    with shows("DRAIN-2"):
        for connection in (client, idle):
            await connection.message(
                lambda m: m.type == "notice" and m.get("code") == "draining", "notice draining"
            )
    with shows("DRAIN-9"):
        late = await target.connect()
        second = await late.next_message(0, 2)
        assert (second.type, second.get("code")) == ("notice", "draining"), f"came {second.type} after ready"
        await late.leave()
    with shows("DRAIN-8"):
        answer = await idle.ask({"type": "start", "prompt": scripts.THREE_TOKENS})
    with shows("DRAIN-1"):
        expect_refusal(answer, "unavailable")
        if "sse" in target.features:
            posted = await target.post(target.runs_url, {"prompt": scripts.THREE_TOKENS}, ACCEPT_JSON)
            assert is_problem(posted, 503, "unavailable")
    with shows("DRAIN-4"):
        if "resume" in target.features:
            await idle.resume(endless.id)
    with shows("DRAIN-3"):
        assert (await brief.terminal(limits["drain_s"] + 5)).get("status") == "completed"
        assert brief.text == "x", "a run that ended while draining lost its text"
    with shows("DRAIN-5"):
        terminal = await endless.terminal(limits["drain_s"] + 5)
        assert (terminal.type, terminal.get("code")) == ("error", "worker_lost")
        assert terminal.at - told <= limits["drain_s"] + target.clock.tolerance + 1
    with shows("DRAIN-6"):
        assert [await connection.closed() for connection in (client, idle)] == [4000, 4000]
