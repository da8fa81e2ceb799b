"""Chapter 7: the signal that a reader has caught up."""

from runwire_conformance.case import proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.expectations import expect_count
from runwire_conformance.client.target import Target, new_run_id

#: An agent that says three things and then thinks for long.
PAUSED = scripts.script(scripts.token("a"), {"replace": "b"}, scripts.token("c"), scripts.wait(30_000))


async def opened(target: Target, transport: str, run_id: str, after: int) -> Run:
    """Return a run that is read from a cursor."""
    if transport == "sse":
        return await (await target.events(run_id, str(after))).run()
    return await (await target.connect()).resume(run_id, after)


def abandon(run: Run) -> None:
    """Give up the connection or stream that a run is read on."""
    assert isinstance(run.conversation, Client | Stream)
    run.conversation.drop()


def last_seq(run: Run) -> object:
    """Return where `resumed` says that the log ends."""
    return run.opening.get("last_seq") if run.opening is not None else None


@proves("RESUME-28", script=True, on=("websocket", "sse"), connections=2)
async def resumed_says_where_the_log_ends(client: Client, target: Target, transport: str) -> None:
    run = await client.start(scripts.EVERYTHING)
    await run.terminal()

    for after in range(run.last_seq):
        again = await opened(target, transport, run.id, after)
        assert last_seq(again) == run.last_seq, f"resumed after {after}: expected last_seq {run.last_seq}"
        await again.terminal()
        abandon(again)


@proves("RESUME-28", script=True, on=("websocket", "sse"), connections=2)
async def resumed_says_how_far_a_live_run_is(client: Client, target: Target, transport: str) -> None:
    silent = await client.start(scripts.SILENT, run_id=new_run_id())
    run = await client.start(PAUSED, run_id=new_run_id())
    await run.until_text("bc")

    for paused, end in ((silent, 0), (run, 3)):
        expect_count(paused, end)
        for after in range(end + 1):
            again = await opened(target, transport, paused.id, after)
            assert last_seq(again) == end, (
                f"resumed after {after}: expected last_seq {end}; got {last_seq(again)}"
            )
            abandon(again)
    await client.cancel()


@proves("RESUME-28")
async def a_repeated_start_says_where_the_log_ends(client: Client, target: Target) -> None:
    run_id = new_run_id()
    first = await client.start(target.brief, run_id=run_id)
    await first.terminal()
    after = len(client.messages) - 1

    again = await client.start(target.brief, run_id=run_id)

    await again.terminal()
    resumed = await client.message(lambda message: message.type == "resumed", "resumed", after)
    assert resumed.get("last_seq") == first.last_seq
