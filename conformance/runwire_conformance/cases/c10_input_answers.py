"""Chapter 10: answers to input requests."""

import json
from typing import Any

from runwire_conformance.case import NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_member,
    expect_problem,
    expect_status,
    expect_text,
    expect_valid,
)
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS
from runwire_conformance.client.situations.questions import (
    FORM,
    closing,
    expect_input_refused,
    opened,
    post,
    run_that_asks,
    send_answer,
    settled,
)
from runwire_conformance.client.target import Target, new_run_id

#: Kinds of requests, with answers that do not fit and one that does.
UNFIT: tuple[tuple[str, dict[str, Any], tuple[Any, ...], Any], ...] = (
    ("approval", {}, ("yes", 1, None), True),
    ("question", {}, (True, 7, {"text": "x"}), "x"),
)
#: Answers that a form refuses, because they are none or do not fit its schema.
UNFIT_FORMS: tuple[Any, ...] = ({}, {"n": "1"}, {"n": 1.5}, [], "x")


@proves("INPUT-4", script=True, on=BOTH_TRANSPORTS)
async def the_first_answer_closes_the_request(target: Target, transport: str) -> None:
    for kind, data, members in (
        ("approval", False, {}),
        ("question", "", {}),
        ("form", {"n": 7, "more": [None]}, {"schema": FORM}),
    ):
        if kind == "form" and "forms" not in target.features:
            continue
        run = await run_that_asks(
            target, transport, scripts.asking("q1", kind, **members), scripts.token("on")
        )
        await send_answer(target, run, "q1", data)
        expect_member(await closing(run, "q1"), "outcome", "answered")
        expect_completed(await run.terminal())
        expect_text(run, "on")


@proves("INPUT-7", script=True, connections=2)
async def of_two_answers_at_once_one_counts(target: Target) -> None:
    run = await run_that_asks(
        target, "websocket", scripts.asking("q1", "question"), scripts.echo("q1"), scripts.wait(1000)
    )
    one, other = run.conversation, await target.connect()
    assert isinstance(one, Client)

    for client, data in ((one, "mine"), (other, "yours")):
        await client.send(
            {"type": "input", "id": "answer", "run_id": run.id, "request_id": "q1", "data": data}
        )
    await closing(run, "q1")
    await run.event("token")
    for client in (one, other):
        await client.barrier()
        await client.barrier()

    refused = {
        data: [m.get("code") for m in client.messages if m.get("re") == "answer"]
        for client, data in ((one, "mine"), (other, "yours"))
    }
    counted = json.loads(run.text)
    loser = {"mine": "yours", "yours": "mine"}[counted]
    assert refused == {counted: [], loser: ["conflict"]}


@proves("INPUT-5", script=True, connections=2)
async def a_connection_that_does_not_follow_the_run_answers(target: Target) -> None:
    run = await run_that_asks(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    other = await target.connect()

    await other.send({"type": "input", "run_id": run.id, "request_id": "q1", "data": True})

    expect_member(await closing(run, "q1"), "outcome", "answered")
    await run.terminal()
    expect_text(run, "true")


@proves("INPUT-5", script=True)
async def a_request_is_answered_by_the_other_transport(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    followed = await run_that_asks(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    streamed = await run_that_asks(target, "sse", scripts.asking("q1"), scripts.echo("q1"))

    expect_status(await post(target, followed.id, "q1", True), 200)
    client = await target.connect()
    await client.send({"type": "input", "run_id": streamed.id, "request_id": "q1", "data": False})

    await followed.terminal()
    await streamed.terminal()
    assert (followed.text, streamed.text) == ("true", "false")


@proves("INPUT-6", script=True, on=BOTH_TRANSPORTS)
async def the_same_answer_again_changes_nothing(target: Target, transport: str) -> None:
    form = "forms" in target.features
    question = scripts.asking("q1", "form", schema=FORM) if form else scripts.asking("q1", "question")
    first, again = ({"n": 1, "text": "a"}, {"text": "a", "n": 1}) if form else ("a", "a")
    run = await run_that_asks(target, transport, question, scripts.echo("q1"), scripts.wait(500))
    await send_answer(target, run, "q1", first)
    await closing(run, "q1")

    await send_answer(target, run, "q1", again)

    await run.terminal()
    await settled(run)
    assert [m.get("code") for m in run.conversation.messages if m.type == "error"] == []
    closed = [event for event in run.events if event.type == "input_closed"]
    assert len(closed) == 1
    assert json.loads(run.text) == first


@proves("INPUT-9", script=True, on=BOTH_TRANSPORTS)
async def the_accepted_answer_may_come_again_after_the_end(target: Target, transport: str) -> None:
    run = await run_that_asks(target, transport, scripts.asking("q1"))
    await send_answer(target, run, "q1", True)
    await run.terminal()

    await send_answer(target, run, "q1", True)

    await settled(run)
    assert [m.get("code") for m in run.conversation.messages if m.type == "error"] == []
    await expect_input_refused(target, run, "q1", False, code="input_expired")


@proves("INPUT-7", script=True, on=BOTH_TRANSPORTS)
async def another_answer_is_a_conflict(target: Target, transport: str) -> None:
    run = await run_that_asks(target, transport, scripts.asking("q1"), scripts.wait(3000))
    await send_answer(target, run, "q1", True)
    await closing(run, "q1")

    await expect_input_refused(target, run, "q1", False, code="conflict")
    # Whether it fits the request is not asked any more.
    await expect_input_refused(target, run, "q1", "yes", code="conflict")
    if "forms" not in target.features:
        return
    form = scripts.asking("q2", "form", schema=FORM | {"required": []})
    run = await run_that_asks(target, transport, form, scripts.wait(3000))
    await send_answer(target, run, "q2", {"flag": 1})
    await closing(run, "q2")
    # 1 and true are equal in many languages and different in JSON.
    await expect_input_refused(target, run, "q2", {"flag": True}, code="conflict")


@proves("INPUT-9", script=True, on=BOTH_TRANSPORTS)
async def an_answer_that_comes_too_late_is_refused(target: Target, transport: str) -> None:
    run = await run_that_asks(
        target, transport, scripts.asking("q1", expires_in_ms=100), scripts.token("on"), scripts.wait(3000)
    )
    await closing(run, "q1")

    await expect_input_refused(target, run, "q1", True, code="input_expired")


@proves("INPUT-10", script=True, on=BOTH_TRANSPORTS)
async def an_answer_to_nothing_is_refused(target: Target, transport: str) -> None:
    run = await run_that_asks(target, transport, scripts.asking("q1"))

    await expect_input_refused(target, run, "q2", True, code="not_found")
    await expect_input_refused(target, run, "q1", True, run_id=new_run_id(), code="not_found")


@proves("INPUT-11", script=True, on=BOTH_TRANSPORTS)
async def an_answer_that_does_not_fit_leaves_the_request_open(target: Target, transport: str) -> None:
    for kind, members, unfit, fit in UNFIT:
        run = await run_that_asks(
            target, transport, scripts.asking("q1", kind, **members), scripts.echo("q1")
        )
        for data in unfit:
            await expect_input_refused(target, run, "q1", data, code="bad_request")
        await send_answer(target, run, "q1", fit)
        expect_member(await closing(run, "q1"), "outcome", "answered")
        await run.terminal()
        assert json.loads(run.text) == fit


@proves("INPUT-21", script=True, on=BOTH_TRANSPORTS)
async def a_form_that_does_not_fit_its_schema_leaves_the_request_open(target: Target, transport: str) -> None:
    run = await run_that_asks(
        target, transport, scripts.asking("q1", "form", schema=FORM), scripts.echo("q1")
    )
    for data in UNFIT_FORMS:
        await expect_input_refused(target, run, "q1", data, code="bad_request")

    await send_answer(target, run, "q1", {"n": 1})

    assert (await closing(run, "q1")).get("outcome") == "answered"
    await run.terminal()
    assert json.loads(run.text) == {"n": 1}


@proves("INPUT-12", script=True, on=BOTH_TRANSPORTS)
async def no_answer_stands_in_the_log(target: Target, transport: str) -> None:
    secret = new_run_id()
    run = await run_that_asks(
        target,
        transport,
        scripts.asking("q1", "question"),
        scripts.asking("q2", "form", schema=FORM | {"required": []})
        if "forms" in target.features
        else scripts.asking("q2", "question"),
    )

    await send_answer(target, run, "q1", secret)
    await send_answer(target, run, "q2", {"password": secret} if "forms" in target.features else secret)

    await closing(run, "q1")
    await closing(run, "q2")
    await run.terminal()
    assert [event for event in run.events if secret in json.dumps(event)] == []


@proves("INPUT-17", script=True)
async def an_answer_by_post_tells_how_the_run_stands(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await run_that_asks(
        target, "sse", scripts.asking("q1"), scripts.asking("q2"), scripts.wait(3000), scripts.token("x")
    )
    await opened(run, "q2")

    responses = [await post(target, run.id, name, True) for name in ("q1", "q2")]

    bodies = [response.json() for response in responses]
    assert [response.status for response in responses] == [200, 200]
    for body in bodies:
        expect_valid("run-outcome", body)
    assert [body["run_id"] for body in bodies] == [run.id, run.id]
    expect_member(bodies[0], "status", "waiting")
    assert bodies[1]["seq"] >= bodies[0]["seq"] >= 2


@proves("INPUT-17", script=True)
async def an_answer_by_post_is_refused_as_a_message_is(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await run_that_asks(target, "sse", scripts.asking("q1"), scripts.wait(3000))
    url = target.run_url(run.id, "/input")

    expect_problem(await post(target, run.id, "q2", True), 404, "not_found")
    expect_problem(await post(target, new_run_id(), "q1", True), 404, "not_found")
    expect_problem(await post(target, run.id, "q1", "yes"), 400, "bad_request")
    expect_problem(await target.post(url, {"request_id": "q1"}), 400, "bad_request")
    expect_problem(await target.http("POST", url, [("Content-Type", "text/plain")], b"x"), 415, "unsupported")
    expect_status(await post(target, run.id, "q1", True), 200)
    expect_problem(await post(target, run.id, "q1", False), 409, "conflict")
