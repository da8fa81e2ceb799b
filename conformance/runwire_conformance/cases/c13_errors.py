"""Chapter 13: refusals and close codes."""

from runwire_conformance.case import Blocked, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_completed, expect_member, expect_refused
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits


@proves("ERR-1", watches=("ERR-4", "ERR-5", "CLOSE-1"))
async def refusals_have_codes_for_refusals(client: Client, target: Target) -> None:
    answers = [
        await client.ask({"type": "start", "prompt": 7}),
        await client.ask({"type": "resume", "run_id": new_run_id(), "after": 0}),
        await client.ask({"type": "start", "prompt": target.short, "run_id": "short"}),
    ]

    assert [answer.type for answer in answers] == ["error"] * 3


@proves("ERR-2")
async def a_refused_start_starts_nothing(client: Client, target: Target) -> None:
    run_id = new_run_id()
    refused = await client.ask({"type": "start", "prompt": 7, "run_id": run_id})
    expect_refused(refused, "bad_request")

    accepted = await client.start(target.short, run_id=run_id)

    assert accepted.id == run_id
    await accepted.terminal()


@proves("ERR-2")
async def a_refused_second_prompt_leaves_the_first_run_alone(client: Client, target: Target) -> None:
    if target.profile.has_script_agent:
        prompt = scripts.script(scripts.token("a"), scripts.wait(400), scripts.token("b"))
    else:
        prompt = target.short
    run = await client.start(prompt)

    await client.ask({"type": "start", "prompt": 7})

    expect_completed(await run.terminal())


@proves("ERR-2")
async def a_refused_start_leaves_no_run(client: Client, target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    run_id = new_run_id()
    refused = await client.ask({"type": "start", "prompt": target.short, "run_id": run_id, "inputs": 7})
    expect_refused(refused, "bad_request")

    answer = await client.ask({"type": "resume", "run_id": run_id, "after": 0})

    expect_refused(answer, "not_found")


@proves("ERR-2", script=True)
async def a_refused_cancel_cancels_nothing(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("a"), scripts.wait(500), scripts.token("b")))

    expect_refused(await client.ask({"type": "cancel", "run_id": 7}), "bad_request")

    expect_completed(await run.terminal())


@proves("ERR-3")
async def the_connection_outlives_a_refusal(client: Client, target: Target) -> None:
    for _ in range(5):
        expect_refused(await client.ask({"type": "start", "prompt": 7}), "bad_request")

    run = await client.start(target.short)
    await run.terminal()


@proves("ERR-4")
async def a_refusal_is_as_retryable_as_registered(client: Client) -> None:
    refused = await client.ask({"type": "start", "prompt": 7})

    expect_member(refused, "retryable", False)


@proves("ERR-4", busy=True)
async def busy_is_worth_another_try(client: Client, target: Target) -> None:
    run = await client.start(scripts.ENDLESS if target.profile.has_script_agent else target.long)

    refused = await client.ask({"type": "start", "prompt": target.short})

    expect_refused(refused, "busy")
    expect_member(refused, "retryable", True)
    await client.cancel()
    await run.terminal()


@proves("ERR-4", script=True)
async def a_call_that_is_too_large_is_not_worth_another_try(client: Client) -> None:
    size = client.limits.whole("max_event_bytes")
    run = await client.start(scripts.script(scripts.call("c1", "t", "x" * size)))

    expect_member(await run.terminal(), "retryable", False)


@proves("ERR-5")
async def a_refusal_has_a_text_for_a_person(client: Client) -> None:
    refused = await client.ask({"type": "start", "prompt": 7})
    noticed = await client.ask({"type": "vendor:hello"})

    assert refused.get("data")
    assert noticed.get("data")


@proves("CLOSE-1", watches=("CLOSE-2",))
async def a_bad_message_is_answered_with_a_registered_code(client: Client) -> None:
    await client.send_text("no json")

    await client.closed(owners=("MSG-7",))

    if client.close_code is None:
        raise Blocked("CLOSE-2")
    assert client.close_code != 1005, "a Close frame without a code"


@proves("LIMIT-5", watches=("CLOSE-1", "CLOSE-2"), timing=True, waits=lambda limits: limits["idle_s"])
async def an_idle_connection_ends_with_a_registered_code(client: Client, limits: Limits) -> None:

    await client.closed(
        "the idle connection to be closed", limits["idle_s"] + client.clock.tolerance + LATE_S, ("LIMIT-5",)
    )


@proves("CLOSE-3")
async def a_new_connection_is_welcome_after_most_closes(client: Client, target: Target) -> None:
    run = await client.start(target.short)
    await run.terminal()

    code = await client.leave()

    assert not 4400 <= code <= 4499


@proves("CLOSE-3", script=True, busy=True)
async def who_was_refused_for_now_may_come_again(client: Client) -> None:
    await client.start(scripts.SILENT, on_disconnect="cancel")

    await client.ask({"prompt": scripts.THREE_TOKENS})

    assert not 4400 <= await client.leave() <= 4499


@proves("INPUT-18", without="input")
async def without_input_an_input_is_unsupported(client: Client) -> None:
    answer = await client.ask({"type": "input", "run_id": new_run_id(), "request_id": "q1", "data": True})

    expect_refused(answer, "unsupported")
