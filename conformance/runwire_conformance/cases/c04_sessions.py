"""Chapter 4: sequential runs of one session."""

import re

from runwire_conformance.case import DeadlineMissed, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.conversation import beyond
from runwire_conformance.client.expectations import expect_member
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run, stop
from runwire_conformance.client.target import Target, new_run_id

#: Seconds for which the tool of a run that was stopped blocks: much more than a run takes to begin.
BLOCKS_S = 6.0

CHOSEN_ID = re.compile(r"[A-Za-z0-9_-]{21,64}")


@proves("RUN-10", on=BOTH_TRANSPORTS)
async def a_named_session_is_kept(target: Target, transport: str) -> None:
    session_id = new_run_id()

    run = await start_run(target, transport, target.short, session_id=session_id)

    assert run.opening is not None
    expect_member(run.opening, "session_id", session_id)


@proves("RUN-10", on=BOTH_TRANSPORTS)
async def an_unnamed_session_gets_an_id(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short)

    assert run.opening is not None
    assert CHOSEN_ID.fullmatch(run.opening["session_id"])


@proves("RUN-13", script=True, on=BOTH_TRANSPORTS, connections=2)
async def a_queued_run_that_is_cancelled_ends(target: Target, transport: str) -> None:
    session_id = new_run_id()
    first = await start_run(target, transport, scripts.ENDLESS, session_id=session_id)
    queued = await start_run(target, transport, scripts.THREE_TOKENS, session_id=session_id)

    await stop(target, queued, by_name=True)

    await queued.terminal()
    await stop(target, first)


@proves("RUN-16", script=True, on=BOTH_TRANSPORTS, connections=2, timing=True)
async def runs_of_one_session_do_not_overlap(target: Target, transport: str) -> None:
    session_id = new_run_id()
    slowly = scripts.script(scripts.wait(1000), scripts.token("1"))
    first = await start_run(target, transport, slowly, session_id=session_id)
    second = await start_run(target, transport, scripts.script(scripts.token("2")), session_id=session_id)

    early = await second.terminal()
    late = await first.terminal()

    # Two connections need not deliver in the order of the logs.
    assert late.at < second.events[0].at + target.clock.tolerance
    assert second.events[0].at <= early.at


@proves("RUN-17", script=True, on=BOTH_TRANSPORTS, connections=2)
async def a_run_that_waits_for_its_session_is_queued(target: Target, transport: str) -> None:
    session_id = new_run_id()
    first = await start_run(target, transport, scripts.ENDLESS, session_id=session_id)

    second = await start_run(target, transport, scripts.THREE_TOKENS, session_id=session_id)

    assert second.opening is not None
    expect_member(second.opening, "status", "queued")
    await stop(target, first)
    await second.terminal()


@proves("RUN-38", script=True, on=BOTH_TRANSPORTS, connections=2, deadline_s=40, timing=True)
async def a_run_does_not_wait_for_the_tool_of_one_that_was_stopped(target: Target, transport: str) -> None:
    session_id = new_run_id()
    blocked = scripts.script(scripts.token("first "), scripts.block(BLOCKS_S * 1000))
    first = await start_run(target, transport, blocked, session_id=session_id)
    await first.until_text("first ")
    second = await start_run(target, transport, scripts.THREE_TOKENS, session_id=session_id)

    await stop(target, first, by_name=True)

    end = await first.terminal()
    began = (await second.next_event(beyond(BLOCKS_S))).at
    if began - end.at > BLOCKS_S * 0.7:
        raise DeadlineMissed(
            f"the next run of the session began {began - end.at:.2f} s after the terminal of the one that was stopped, "
            f"when its tool had blocked for {BLOCKS_S:g} s"
        )
    await second.terminal()
