"""Chapters 4, 7 and 13: precedence of refusals, and messages that must not be refused."""

from typing import Any

from runwire_conformance.case import NotOffered, Wrong, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import LONG_S
from runwire_conformance.client.expectations import expect_completed, expect_refused
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: A log that takes several turns of writing.
REPLAYED_BYTES = 2_000_000

#: A cursor beyond the log of a script of these cases.
BEYOND = 1_000_000


@proves("ERR-10", "RUN-24", script=True, busy=True, connections=2)
async def what_cannot_succeed_is_not_busy(target: Target, limits: Limits) -> None:
    one, other = await target.connect(), await target.connect()
    foreign = await other.start(scripts.SILENT, run_id=new_run_id())
    runs = [
        await one.start(scripts.SILENT, run_id=new_run_id())
        for _ in range(limits.whole("runs_per_connection"))
    ]
    start: dict[str, Any] = {"type": "start", "prompt": "another", "run_id": foreign.id}
    resume: dict[str, Any] = {"type": "resume", "run_id": foreign.id, "after": 0}
    asked = [("a start with the run_id of another", start, "conflict")]
    if "resume" in target.features:
        asked += [
            ("a resume of an unknown run", {**resume, "run_id": new_run_id()}, "not_found"),
            ("a resume with another epoch", {**resume, "epoch": "another"}, "not_found"),
            ("a resume from beyond the log", {**resume, "after": BEYOND}, "bad_request"),
        ]

    with accuses("ERR-10"):
        for what, message, code in asked:
            answer = await one.ask(message)
            if answer.get("code") == "busy":
                raise Wrong(f"expected `{code}` for {what}, on a connection with no room either; got `busy`")
            expect_refused(answer, code)
    if "resume" in target.features:
        with accuses("RUN-24"):
            expect_refused(await one.ask(resume), "busy")
    for client in (one, other):
        await client.cancel()
    for run in (foreign, *runs):
        await run.terminal()


@proves("RESUME-12", script=True, connections=2)
async def the_epoch_is_looked_at_before_the_cursor(client: Client) -> None:
    run = await client.start(scripts.THREE_TOKENS)
    await run.terminal()

    answer = await client.ask({"type": "resume", "run_id": run.id, "after": BEYOND, "epoch": "another"})

    expect_refused(answer, "not_found")


@proves("RUN-6", script=True, deadline_s=60)
async def a_finished_run_that_is_replayed_keeps_no_start_away(
    client: Client, target: Target, limits: Limits
) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    times = int(min(limits["log_bytes"] * 0.4, REPLAYED_BYTES)) // 4000
    old = await client.start(scripts.script(scripts.repeat(times, scripts.token("x" * 3800))))
    await old.terminal(LONG_S)

    await client.send({"type": "resume", "id": "again", "run_id": old.id, "after": 0})
    following = await target.start_again(client, scripts.THREE_TOKENS)

    expect_completed(await following.terminal(LONG_S))
