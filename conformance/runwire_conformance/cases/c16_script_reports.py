"""Chapter 16: `report` for runs that were ended from outside or never began."""

from runwire_conformance.case import NotExercised, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.conversation import LONG_S, beyond
from runwire_conformance.client.expectations import expect_ended
from runwire_conformance.client.situations.any_transport import start_run, stop
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import object_of

#: Seconds for which an agent would work beyond its deadline; nothing waits for them.
SPARE_S = 20.0


async def reported(target: Target, run_id: str) -> dict[str, object]:
    """Return what a script run reports of another."""
    told = await start_run(target, "websocket", scripts.script(scripts.report(run_id)))
    await told.terminal(LONG_S)
    return object_of(told.text, "the report")


@proves("SCRIPT-9", script=True, waits=lambda limits: limits["run_s"])
async def a_report_tells_of_a_run_that_took_too_long(target: Target, limits: Limits) -> None:
    script = scripts.script(scripts.wait((limits["run_s"] + SPARE_S) * 1000))
    run = await start_run(target, "websocket", script)
    terminal = await run.terminal(beyond(limits["run_s"]))
    expect_ended(terminal, ("RUN-15",), type="error", code="timeout")

    report = await reported(target, run.id)

    assert isinstance(report["stopped_after_ms"], int | float), (
        f"a run that timed out is reported as {report}"
    )


@proves("SCRIPT-9", script=True, connections=2)
async def a_report_tells_of_a_run_that_nobody_reads(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    script = scripts.script(scripts.token("first "), scripts.wait(SPARE_S * 1000))
    run = await start_run(target, "websocket", script, on_disconnect="cancel", run_id=new_run_id())
    await run.until_text("first ")
    run.conversation.drop()  # type: ignore[attr-defined]

    report = await reported(target, run.id)

    end = (await (await (await target.connect()).resume(run.id)).whole())[-1]
    if end.get("reason") != "disconnected":
        raise NotExercised("the run went on without a reader, as RESUME-3 looks at by itself")
    assert isinstance(report["stopped_after_ms"], int | float), f"a run that was left is reported as {report}"


@proves("SCRIPT-13", script=True, connections=4)
async def a_report_of_a_run_that_never_began_ends_the_run(target: Target) -> None:
    session_id = new_run_id()
    first = await start_run(target, "websocket", scripts.ENDLESS, session_id=session_id)
    queued = await start_run(
        target, "websocket", scripts.THREE_TOKENS, session_id=session_id, run_id=new_run_id()
    )

    told = await start_run(target, "websocket", scripts.script(scripts.report(queued.id)))
    expect_ended(await told.terminal(), type="error", code="agent_error")
    await stop(target, queued, by_name=True)
    await queued.terminal()
    told = await start_run(target, "websocket", scripts.script(scripts.report(queued.id)))

    expect_ended(await told.terminal(), type="error", code="agent_error")
    await stop(target, first)
    await first.terminal()
