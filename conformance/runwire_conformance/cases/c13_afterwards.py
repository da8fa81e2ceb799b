"""Chapters 6 to 10 and 13: absence of side effects after refused messages, waits, slow readers and ended runs."""

import asyncio
import json
import time

from runwire_conformance.case import Broken, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import EVENT_S, Conversation
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.expectations import expect_member, expect_text
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run, stop
from runwire_conformance.client.situations.questions import closing, opened, send_answer
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: Milliseconds between two rounds of an agent that does everything it can until it is stopped.
ROUND_MS = 15


async def ordinary(run: Run) -> None:
    """Expect that a run ends as if nothing had been before it; raises Broken."""
    terminal = await run.terminal()
    if terminal.get("status") != "completed":
        raise Broken(f"expected an ordinary end; got {json.dumps(terminal)[:200]}")


@proves("ERR-9")
async def what_is_answered_with_a_notice_changes_nothing(client: Client, target: Target) -> None:
    named = new_run_id()
    for message in (
        {"type": "cancel"},
        {"type": "cancel", "run_id": named},
        {"type": "vendor:stop", "run_id": named},
    ):
        answer = await client.ask(message)
        assert answer.type == "notice", f"expected a notice; got {json.dumps(answer)[:200]}"

    await ordinary(await client.start(target.short))
    await ordinary(await client.start(target.short, run_id=named))
    await client.ask({"type": "cancel", "run_id": named})
    await ordinary(await client.start(target.short))


@proves("CANCEL-3", script=True)
async def nothing_new_is_begun_after_a_cancel(client: Client, limits: Limits) -> None:
    calls = [step for n in range(300) for step in (scripts.call(f"n{n}"), scripts.wait(ROUND_MS))]
    for going_on in (
        [scripts.repeat(300, {"replace": "again"}, scripts.wait(ROUND_MS))],
        [scripts.repeat(300, scripts.delta("c2", "more"), scripts.wait(ROUND_MS))],
        [
            scripts.call("c1"),
            scripts.repeat(300, scripts.observe("c1", "x", partial=True), scripts.wait(ROUND_MS)),
        ],
        calls,
    ):
        run = await client.start(scripts.script(*going_on))
        await run.next_event()
        handed = await client.cancel()

        await client.quiet(run)

        late = handed + limits.seconds("cancel_quiet_ms") + client.clock.tolerance
        closing = {"observation", "input_closed", "done", "error"}
        kinds = [
            event.type
            for event in run.events
            if event.at > late and (event.type not in closing or event.get("partial"))
        ]
        assert kinds == [], f"arrived later than cancel_quiet_ms: {kinds[:5]}"


@proves("BEAT-12", waits=lambda limits: limits.gives_up_after + 1.5, timing=True)
async def a_long_message_on_a_slow_line_arrives(client: Client, limits: Limits, target: Target) -> None:
    span = limits.gives_up_after + 1.5
    if limits["idle_s"] < span + 2:  # a connection that follows a run is not idle
        target.needs("runs_per_connection", 2, f"for a message of {span:g} s while idle_s is shorter")
        target.needs(
            "run_s", span + 2 - limits["idle_s"], f"for a message of {span:g} s while idle_s is shorter"
        )
        going_on = scripts.SILENT if target.profile.has_script_agent else target.long
        await client.start(going_on, run_id=new_run_id())
    padding = "x" * min(60_000, limits.whole("max_message_bytes") // 2)
    run_id, inputs = new_run_id(), {"padding": padding}
    message = {"type": "start", "id": "slow", "prompt": target.brief, "run_id": run_id, "inputs": inputs}
    client.stop_answering_pings()  # no Pong can stand inside a frame
    client.trace.not_reading = True

    await client.send_slowly(message, span)
    client.answer_the_last_ping()

    answer = await client.message(lambda m: m.get("re") == "slow", "the answer to a slow message")
    assert answer.type == "started", f"expected started; got {json.dumps(answer)[:200]}"
    await client.message(
        lambda m: m.is_terminal and m.get("run_id") == run_id, "the terminal", answer.index, EVENT_S
    )


async def held(conversation: Conversation, run: Run, seconds: float) -> None:
    """Follow a run that does not end for so long; raises Broken when the server ends that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(0.1)  # how often it is looked, and no bound
        if conversation.ended and not any(event.is_terminal for event in run.events):
            held_for = seconds - (until - time.monotonic())
            raise Broken(
                f"the server ended what followed an unfinished run, after {held_for:.1f} s, for no reason"
            )


def longer_than_heartbeats(limits: Limits) -> float:
    """Return for how many seconds an unfinished run is watched."""
    return min(3 * limits["heartbeat_s"] + 1, limits["run_s"] * 0.7, limits.stream_s * 0.9)


@proves("CLOSE-10", script=True, on=BOTH_TRANSPORTS, waits=longer_than_heartbeats, timing=True, connections=2)
async def a_reader_of_an_unfinished_run_is_let_be(target: Target, limits: Limits, transport: str) -> None:
    span = longer_than_heartbeats(limits)
    busy = scripts.script(scripts.repeat(int(span * 20) + 100, scripts.token("x"), scripts.wait(50)))

    async def follow(prompt: str) -> None:
        if transport == "sse":
            stream = await target.start_stream(prompt)
            run = await stream.run()
            await held(stream, run, span)
            await target.post(target.run_url(run.id, "/cancel"), {})
        else:
            client = await target.connect()
            run = await client.start(prompt)
            await held(client, run, span)
            await client.cancel(run)
        await run.terminal()

    await asyncio.gather(follow(scripts.script(scripts.wait(span * 1000 + 20_000))), follow(busy))


@proves("BEAT-3", script=True, timing=True, waits=lambda limits: 2 * limits.silence)
async def a_connection_whose_runs_have_ended_still_has_heartbeats(client: Client) -> None:
    for steps in ([scripts.token("x")], [scripts.fail()]):
        await (await client.start(scripts.script(*steps))).terminal()
    run = await client.start(scripts.ENDLESS)
    await run.next_event()
    await client.cancel()
    terminal = await run.terminal()

    first = await client.heartbeat(terminal.index)
    await client.heartbeat(first.index, since=first.at)


@proves("RESUME-1", script=True, connections=2, timing=True)
async def a_run_has_its_own_policy_and_not_that_of_the_run_before(target: Target, limits: Limits) -> None:
    client = await target.connect()
    before = await client.start(scripts.THREE_TOKENS, on_disconnect="cancel")
    await before.terminal()
    run = await client.start(scripts.ENDLESS)
    await run.next_event()
    client.drop()
    await asyncio.sleep(limits["detach_grace_s"] * 0.3)  # within the grace, so that nothing may end it

    again = await (await target.connect()).resume(run.id)

    assert again.opening is not None
    expect_member(again.opening, "status", "running")
    await stop(target, again)
    await again.terminal()


@proves("INPUT-4", script=True, on=BOTH_TRANSPORTS)
async def a_request_of_the_run_before_answers_none_of_the_next(target: Target, transport: str) -> None:
    session_id = new_run_id()
    client = await target.connect() if transport == "websocket" else None
    prompt = scripts.script(scripts.asking("q1"), scripts.echo("q1"))
    for answer in (True, False):
        members = {"session_id": session_id, "run_id": new_run_id()}
        run = await (
            client.start(prompt, **members) if client else start_run(target, transport, prompt, **members)
        )
        await opened(run, "q1")
        await send_answer(target, run, "q1", answer)
        await closing(run, "q1")
        await run.terminal()
        expect_text(run, json.dumps(answer), ("SCRIPT-8",))


@proves("HTTP-5", script=True)
async def the_text_of_a_run_is_its_own(target: Target) -> None:
    session_id = new_run_id()
    for text in ("first", "second"):
        run = await start_run(target, "sse", scripts.script(scripts.token(text)), session_id=session_id)
        await run.terminal()
        status = (await target.http("GET", target.run_url(run.id))).json()
        expect_member(status, "text", text)
