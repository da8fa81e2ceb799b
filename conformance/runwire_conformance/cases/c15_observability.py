"""Chapter 15: traces."""

from runwire_conformance.case import Blocked, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_member
from runwire_conformance.client.target import Target

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
OTHER_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
OTHER = f"00-{OTHER_ID}-00f067aa0ba902b7-01"


@proves("OBS-1", watches=("OBS-5",))
async def a_run_tells_its_trace(client: Client, target: Target) -> None:
    run = await client.start(target.short)

    terminal = await run.terminal()

    assert run.opening is not None
    assert run.opening.get("trace_id")
    assert terminal.get("trace_id")


@proves("OBS-1", script=True)
async def a_failure_tells_its_trace(client: Client, target: Target) -> None:
    run = await client.start(scripts.script(scripts.fail()))
    terminal = await run.terminal()
    again = await client.resume(run.id) if "resume" in target.features else run

    told = [client.ready, run.opening, terminal, again.opening]
    assert [message.get("trace_id") is not None for message in told if message is not None] == [True] * len(
        told
    )


@proves("OBS-2")
async def a_traceparent_in_the_start_is_taken_over(client: Client, target: Target) -> None:
    run = await client.start(target.short, traceparent=TRACEPARENT)

    assert run.opening is not None
    expect_member(run.opening, "trace_id", TRACE_ID)


@proves("OBS-3")
async def a_traceparent_of_the_handshake_is_taken_over(target: Target) -> None:
    client = await target.connect(headers=[("traceparent", TRACEPARENT)])

    run = await client.start(target.short)

    assert run.opening is not None
    if client.ready is None:
        raise Blocked("CONN-15")
    assert (client.ready["trace_id"], run.opening["trace_id"]) == (TRACE_ID, TRACE_ID)


@proves("OBS-2")
async def the_start_wins_over_the_handshake(target: Target) -> None:
    client = await target.connect(headers=[("traceparent", TRACEPARENT)])

    run = await client.start(target.short, traceparent=OTHER)

    assert run.opening is not None
    expect_member(run.opening, "trace_id", OTHER_ID)


@proves("OBS-4")
async def a_traceparent_header_that_is_not_valid_is_ignored(target: Target) -> None:
    for header in ("nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE_ID}-b7ad6b7169203331-01"):
        client = await target.connect(headers=[("traceparent", header)])
        if client.ready is None:
            raise Blocked("CONN-15")
        assert client.ready["trace_id"] not in {TRACE_ID, "0" * 32}
    client = await target.connect(headers=[("traceparent", TRACEPARENT), ("traceparent", OTHER)])
    if client.ready is None:
        raise Blocked("CONN-15")
    assert client.ready["trace_id"] not in {TRACE_ID, OTHER_ID}, "of two traceparent headers one was taken"


@proves("OBS-5")
async def resumed_names_the_same_trace(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()
    if "resume" not in target.features:
        return

    again = await client.resume(run.id)

    assert run.opening is not None
    assert again.opening is not None
    assert again.opening["trace_id"] == run.opening["trace_id"]
