"""Chapter 4: run ids chosen by the client, and idempotent starts."""

import asyncio
import json

from runwire_conformance.case import NotOffered, Wrong, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.expectations import expect_member, expect_refused, expect_same_log
from runwire_conformance.client.situations.any_transport import (
    BOTH_TRANSPORTS,
    client_of,
    start_answered,
    start_run,
)
from runwire_conformance.client.target import Target, new_run_id


@proves("RUN-18", on=BOTH_TRANSPORTS, connections=2)
async def two_starts_at_once_become_one_run(target: Target, transport: str) -> None:
    run_id = new_run_id()
    clients = [await target.connect() if transport == "websocket" else None for _ in range(2)]

    one, other = await asyncio.gather(
        *(start_answered(target, client, prompt=target.short, run_id=run_id) for client in clients)
    )

    if "resume" in target.features:
        assert "epoch" in one and one["epoch"] == other.get("epoch"), (
            f"got {json.dumps(one)[:200]} and {json.dumps(other)[:200]}"
        )
    else:
        assert sorted(answer.type for answer in (one, other)) == ["error", "started"]


@proves("RUN-19", on=BOTH_TRANSPORTS, connections=2)
async def a_repeated_start_replays_the_run(target: Target, transport: str) -> None:
    run_id = new_run_id()
    first = await start_run(target, transport, target.short, run_id=run_id)
    await first.terminal()

    again = await start_run(target, transport, target.short, run_id=run_id)

    await again.terminal()
    assert again.epoch == first.epoch
    said = again.conversation.messages
    assert [message.type for message in said if message.type in {"started", "resumed"}] == [
        "started",
        "resumed",
    ]
    expect_same_log(contents(again.events), contents(first.events))


@proves("RUN-19", on=BOTH_TRANSPORTS, connections=2)
async def defaults_belong_to_the_same_body(target: Target, transport: str) -> None:
    run_id = new_run_id()
    first = await start_run(target, transport, target.short, run_id=run_id)
    await first.terminal()

    again = await start_run(target, transport, target.short, run_id=run_id, on_disconnect="grace")

    assert again.epoch == first.epoch
    await again.terminal()


@proves("RUN-37", on=BOTH_TRANSPORTS)
async def two_spellings_of_a_body_are_the_same(target: Target, transport: str) -> None:
    numbers = {"n": 1, "list": [1.5, None, True], "name": {"a": 1, "b": 2}}
    spelled = '{"name":{"b":2e0,"a":1.0},"list":[15e-1,null,true],"n":1.0}'
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    for first, again in (
        ({}, {"inputs": {}}),
        ({"inputs": {}}, {}),
        ({"on_disconnect": "grace"}, {}),
        ({}, {**trace, "id": "another"}),
        ({"inputs": numbers}, {"inputs": json.loads(spelled)}),
        ({"inputs": {"n": 2**53}}, {"inputs": {"n": 2**53 + 1}}),
    ):
        run = await start_run(target, transport, target.brief, run_id=new_run_id(), **first)
        await run.terminal()
        body = {"prompt": target.brief, "run_id": run.id, **again}
        answer = await start_answered(target, client_of(run), **body)
        assert answer.get("epoch") == run.epoch, (
            f"{json.dumps(first)} and {json.dumps(again)} were taken for two bodies: {json.dumps(answer)[:200]}"
        )
        if isinstance(run.conversation, Client):
            await run.conversation.leave()


@proves("RUN-20", on=BOTH_TRANSPORTS)
async def another_prompt_under_the_same_id_is_a_conflict(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short, run_id=new_run_id())
    await run.terminal()

    answer = await start_answered(target, client_of(run), prompt=target.short + " ", run_id=run.id)

    expect_member(answer, "code", "conflict")


@proves("RUN-20", on=BOTH_TRANSPORTS)
async def other_inputs_under_the_same_id_are_a_conflict(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short, run_id=new_run_id(), inputs={"n": 1})
    await run.terminal()

    again = {"prompt": target.short, "run_id": run.id, "inputs": {"n": True}}
    answer = await start_answered(target, client_of(run), **again)

    expect_member(answer, "code", "conflict")


@proves("RUN-20", "RUN-37", on=BOTH_TRANSPORTS)
async def every_member_of_the_body_counts_there_or_absent(target: Target, transport: str) -> None:
    client = await target.connect() if transport == "websocket" else None
    for members in ({"on_disconnect": "continue"}, {"session_id": new_run_id()}, {"inputs": {"n": 1}}):
        for first, again in (({}, members), (members, {})):
            body = {"prompt": target.brief, "run_id": new_run_id()}
            started = await start_answered(target, client, **body, **first)
            expect_member(started, "run_id", body["run_id"])
            answer = await start_answered(target, client, **body, **again)
            with accuses("RUN-20" if again else "RUN-37"):
                if answer.get("code") != "conflict":
                    raise Wrong(
                        f"expected `conflict` for {again} after {first}; got {json.dumps(answer)[:200]}"
                    )
            if client is not None:
                await client.message(
                    lambda message: message.is_terminal, "the terminal", started.index, EVENT_S, END
                )


@proves("RUN-37", on=BOTH_TRANSPORTS)
async def an_absent_session_is_not_the_one_that_the_server_chose(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.brief, run_id=new_run_id())
    await run.terminal()
    assert run.opening is not None
    chosen = run.opening["session_id"]

    body = {"prompt": target.brief, "run_id": run.id, "session_id": chosen}
    answer = await start_answered(target, client_of(run), **body)

    expect_member(answer, "code", "conflict")


@proves("RUN-21", without="resume")
async def without_resume_a_known_id_is_a_conflict(client: Client, target: Target) -> None:
    run_id = new_run_id()
    run = await client.start(target.short, run_id=run_id)
    await run.terminal()

    answer = await client.ask({"type": "start", "prompt": target.short, "run_id": run_id})

    expect_refused(answer, "conflict")


@proves("RUN-22", on=BOTH_TRANSPORTS)
async def an_id_of_another_form_is_refused(target: Target, transport: str) -> None:
    client = await target.connect() if transport == "websocket" else None
    for name in ("run_id", "session_id"):
        for value in (
            "short",
            "x" * 20,
            "x" * 65,
            "with space and more text",
            "ünïcödé-letters-of-words",
            "x" * 21 + "\n",
        ):
            answer = await start_answered(target, client, prompt=target.short, **{name: value})
            if answer.get("code") != "bad_request":
                raise Wrong(
                    f"expected `bad_request` for the {name} {value!r}; got {json.dumps(answer)[:200]}"
                )


@proves("RUN-25", script=True)
async def a_second_start_of_the_same_run_does_not_double_it(client: Client, target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    prompt = scripts.script(scripts.token("a"), scripts.wait(600), scripts.token("b"))
    run_id = new_run_id()
    await client.start(prompt, run_id=run_id)
    again = await client.start(prompt, run_id=run_id)

    await client.quiet(again)

    ends = [message for message in client.messages if message.type == "done"]
    assert len(ends) == 1
