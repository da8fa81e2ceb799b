"""Chapter 10: an agent asks its user."""

import asyncio
import datetime
import email.utils
import json
import time
from typing import Any

from runwire_conformance import scripts
from runwire_conformance.bounds import Limits
from runwire_conformance.case import Broken, NotExercised, NotOffered, proves
from runwire_conformance.client import Client
from runwire_conformance.conversation import Run
from runwire_conformance.target import Target, is_problem, new_run_id
from runwire_schemas import violations

BOTH = ("websocket", "sse")

#: A form that wants a number, and says nothing of what else it holds.
FORM = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

#: Kinds of requests, with answers that do not fit and one that does.
UNFIT: tuple[tuple[str, dict[str, Any], tuple[Any, ...], Any], ...] = (
    ("approval", {}, ("yes", 1, None), True),
    ("question", {}, (True, 7, {"text": "x"}), "x"),
    ("form", {"schema": FORM}, ({}, {"n": "1"}, {"n": 1.5}, [], "x"), {"n": 1}),
)

#: Milliseconds of a request that is to expire while a case looks on.
BRIEFLY_MS = 600


async def asked(target: Target, transport: str, *steps: scripts.Step, **members: Any) -> Run:
    """Start a script and return its run when the first request is open."""
    prompt = scripts.script(*steps)
    if transport == "sse":
        run = await (await target.start_stream(prompt, **members)).run()
    else:
        run = await (await target.connect()).start(prompt, **members)
    await run.event("input_request")
    return run


async def give(target: Target, run: Run, request_id: str, data: Any) -> None:
    """Answer a request by the transport that the run is read on; raises Broken when the answer is refused at once."""
    if isinstance(run.conversation, Client):
        await run.conversation.send(
            {"type": "input", "run_id": run.id, "request_id": request_id, "data": data}
        )
        return
    response = await post(target, run.id, request_id, data)
    assert response.status == 200, f"expected 200; came {response.status} {response.body[:200]!r}"
    assert [str(problem) for problem in violations("run-outcome", response.json())] == []


async def post(target: Target, run_id: str, request_id: str, data: Any) -> Any:
    """Answer a request over HTTP and return the response."""
    return await target.post(target.run_url(run_id, "/input"), {"request_id": request_id, "data": data})


async def refusal(target: Target, run: Run, request_id: str, data: Any, run_id: str | None = None) -> str:
    """Return the code that an answer is refused with; raises Broken when it is not."""
    named = run_id or run.id
    if isinstance(run.conversation, Client):
        answer = await run.conversation.ask(
            {"type": "input", "run_id": named, "request_id": request_id, "data": data}
        )
        assert (answer.type, "seq" in answer) == ("error", False), f"expected a refusal; came {answer.type}"
        return str(answer.get("code"))
    response = await post(target, named, request_id, data)
    statuses = {"bad_request": 400, "not_found": 404, "conflict": 409, "input_expired": 410}
    code = str(response.json().get("code"))
    assert is_problem(response, statuses.get(code, 400), code)
    return code


async def closing(run: Run, request_id: str, seconds: float = 5.0) -> Any:
    """Return the `input_closed` of a request; raises Broken."""
    return await run.conversation.message(
        lambda message: (
            run.belongs(message)
            and message.type == "input_closed"
            and message.get("request_id") == request_id
        ),
        f"input_closed of {request_id}",
        seconds=seconds,
    )


async def settled(run: Run) -> None:
    """Wait until what the server had to say about what was sent on the run's connection has come."""
    if isinstance(run.conversation, Client):
        await run.conversation.barrier()
        await run.conversation.barrier()


async def status(target: Target, run_id: str) -> str:
    """Return the status of a run as it stands; raises NotExercised when the server has no way to ask."""
    if "sse" in target.features:
        return str((await target.http("GET", target.run_url(run_id))).json()["status"])
    if "resume" in target.features:
        answer = await (await target.connect()).ask({"type": "resume", "run_id": run_id, "after": 0})
        return str(answer["status"])
    raise NotExercised("the server offers neither sse nor resume, so that no status can be asked for")


@proves("INPUT-1", script=True, connections=2)
async def a_run_waits_as_long_as_a_request_is_open(target: Target) -> None:
    run = await asked(
        target,
        "websocket",
        scripts.asking("q1"),
        scripts.asking("q2"),
        scripts.wait(3000),
        scripts.token("x"),
    )
    await run.conversation.message(lambda m: m.get("request_id") == "q2", "the second request")

    both_open = await status(target, run.id)
    await give(target, run, "q2", True)
    await closing(run, "q2")
    one_open = await status(target, run.id)
    await give(target, run, "q1", True)
    await closing(run, "q1")
    none_open = await status(target, run.id)

    assert (both_open, one_open, none_open) == ("waiting", "waiting", "running")


@proves("INPUT-1", script=True, connections=2)
async def resumed_says_that_a_run_waits(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    run = await asked(target, "websocket", scripts.asking("q1"))

    again = await (await target.connect()).resume(run.id)

    assert again.opening is not None
    assert again.opening["status"] == "waiting"


@proves("INPUT-2", script=True, watches=("INPUT-19",))
async def a_request_tells_what_is_asked_and_until_when(target: Target) -> None:
    run = await asked(
        target,
        "websocket",
        scripts.asking("q1"),
        scripts.asking("q2", "question"),
        scripts.asking("q3", "form", schema=FORM),
    )
    await run.conversation.message(lambda m: m.get("request_id") == "q3", "the third request")

    requests = [event for event in run.events if event.type == "input_request"]

    assert [(event.get("request_id"), event.get("kind")) for event in requests] == [
        ("q1", "approval"),
        ("q2", "question"),
        ("q3", "form"),
    ]
    assert [event.get("schema") for event in requests] == [None, None, FORM]
    assert [isinstance(event.get("expires_at"), str) for event in requests] == [True] * 3


#: Seconds by which a `Date` header may be behind: it has whole ones, and servers write it once a second.
DATE_S = 2


@proves("INPUT-3", script=True)
async def a_request_expires_within_the_limit(target: Target, limits: Limits) -> None:
    beyond = int(limits["input_s"] * 2000)
    assert target.profile.discovery_url is not None
    run = await asked(target, "websocket", scripts.asking("q1"), scripts.asking("q2", expires_in_ms=beyond))
    await run.conversation.message(lambda m: m.get("request_id") == "q2", "the second request")

    now = server_time((await target.http("GET", target.profile.discovery_url)).header("date"))

    for event in [event for event in run.events if event.type == "input_request"]:
        text = str(event["expires_at"])
        assert text.endswith(("Z", "+00:00")), f"{text} is not in UTC"
        ahead = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - now
        assert 0 < ahead <= limits["input_s"] + target.clock.tolerance + DATE_S, (
            f"{text} is {ahead:.1f} s ahead"
        )


def server_time(date: str | None) -> float:
    """Return the server's own time in seconds, from a `Date` header, which has whole ones, or else the judge's."""
    return email.utils.parsedate_to_datetime(date).timestamp() if date else time.time()


@proves("INPUT-4", script=True, on=BOTH)
async def the_first_answer_closes_the_request(target: Target, transport: str) -> None:
    for kind, data, members in (
        ("approval", False, {}),
        ("question", "", {}),
        ("form", {"n": 7, "more": [None]}, {"schema": FORM}),
    ):
        run = await asked(target, transport, scripts.asking("q1", kind, **members), scripts.token("on"))
        await give(target, run, "q1", data)
        assert (await closing(run, "q1")).get("outcome") == "answered"
        assert (await run.terminal()).get("status") == "completed"
        assert run.text == "on"


@proves("INPUT-7", script=True, connections=2)
async def of_two_answers_at_once_one_counts(target: Target) -> None:
    run = await asked(
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
    run = await asked(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    other = await target.connect()

    await other.send({"type": "input", "run_id": run.id, "request_id": "q1", "data": True})

    assert (await closing(run, "q1")).get("outcome") == "answered"
    await run.terminal()
    assert run.text == "true"


@proves("INPUT-5", script=True)
async def a_request_is_answered_by_the_other_transport(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    followed = await asked(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    streamed = await asked(target, "sse", scripts.asking("q1"), scripts.echo("q1"))

    assert (await post(target, followed.id, "q1", True)).status == 200
    client = await target.connect()
    await client.send({"type": "input", "run_id": streamed.id, "request_id": "q1", "data": False})

    await followed.terminal()
    await streamed.terminal()
    assert (followed.text, streamed.text) == ("true", "false")


@proves("INPUT-6", script=True, on=BOTH)
async def the_same_answer_again_changes_nothing(target: Target, transport: str) -> None:
    run = await asked(
        target, transport, scripts.asking("q1", "form", schema=FORM), scripts.echo("q1"), scripts.wait(500)
    )
    await give(target, run, "q1", {"n": 1, "text": "a"})
    await closing(run, "q1")

    await give(target, run, "q1", {"text": "a", "n": 1})

    await run.terminal()
    await settled(run)
    assert [m.get("code") for m in run.conversation.messages if m.type == "error"] == []
    closed = [event for event in run.events if event.type == "input_closed"]
    assert len(closed) == 1
    assert json.loads(run.text) == {"n": 1, "text": "a"}


@proves("INPUT-9", script=True, on=BOTH)
async def the_accepted_answer_may_come_again_after_the_end(target: Target, transport: str) -> None:
    run = await asked(target, transport, scripts.asking("q1"))
    await give(target, run, "q1", True)
    await run.terminal()

    await give(target, run, "q1", True)

    await settled(run)
    assert [m.get("code") for m in run.conversation.messages if m.type == "error"] == []
    assert await refusal(target, run, "q1", False) == "input_expired"


@proves("INPUT-7", script=True, on=BOTH)
async def another_answer_is_a_conflict(target: Target, transport: str) -> None:
    run = await asked(
        target,
        transport,
        scripts.asking("q1"),
        scripts.asking("q2", "form", schema=FORM | {"required": []}),
        scripts.wait(3000),
    )
    await give(target, run, "q1", True)
    await give(target, run, "q2", {"flag": 1})
    await closing(run, "q2")

    assert await refusal(target, run, "q1", False) == "conflict"
    # 1 and true are equal in many languages and different in JSON.
    assert await refusal(target, run, "q2", {"flag": True}) == "conflict"


@proves("INPUT-8", script=True, on=BOTH, timing=True)
async def a_request_that_nobody_answers_expires(target: Target, transport: str) -> None:
    run = await asked(
        target, transport, scripts.asking("q1", expires_in_ms=BRIEFLY_MS), scripts.token("went on")
    )
    opened = next(event for event in run.events if event.type == "input_request")

    closed = await run.conversation.within(
        BRIEFLY_MS / 1000, opened.at, lambda m: m.type == "input_closed", "input_closed"
    )

    assert closed.get("outcome") == "expired"
    if closed.at - opened.at < BRIEFLY_MS / 1000 - target.clock.tolerance:
        raise Broken(
            f"expected the request to be open for {BRIEFLY_MS} ms; it was {closed.at - opened.at:.2f} s"
        )


@proves("INPUT-9", script=True, on=BOTH)
async def an_answer_that_comes_too_late_is_refused(target: Target, transport: str) -> None:
    run = await asked(
        target, transport, scripts.asking("q1", expires_in_ms=100), scripts.token("on"), scripts.wait(3000)
    )
    await closing(run, "q1")

    assert await refusal(target, run, "q1", True) == "input_expired"


@proves("INPUT-10", script=True, on=BOTH)
async def an_answer_to_nothing_is_refused(target: Target, transport: str) -> None:
    run = await asked(target, transport, scripts.asking("q1"))

    assert await refusal(target, run, "q2", True) == "not_found"
    assert await refusal(target, run, "q1", True, run_id=new_run_id()) == "not_found"


@proves("INPUT-11", script=True, on=BOTH)
async def an_answer_that_does_not_fit_leaves_the_request_open(target: Target, transport: str) -> None:
    for kind, members, unfit, fit in UNFIT:
        run = await asked(target, transport, scripts.asking("q1", kind, **members), scripts.echo("q1"))
        for data in unfit:
            assert await refusal(target, run, "q1", data) == "bad_request", f"{json.dumps(data)} as {kind}"
        await give(target, run, "q1", fit)
        assert (await closing(run, "q1")).get("outcome") == "answered"
        await run.terminal()
        assert json.loads(run.text) == fit


@proves("INPUT-12", script=True, on=BOTH)
async def no_answer_stands_in_the_log(target: Target, transport: str) -> None:
    secret = new_run_id()
    run = await asked(
        target,
        transport,
        scripts.asking("q1", "question"),
        scripts.asking("q2", "form", schema=FORM | {"required": []}),
    )

    await give(target, run, "q1", secret)
    await give(target, run, "q2", {"password": secret})

    await closing(run, "q1")
    await closing(run, "q2")
    await run.terminal()
    assert [event for event in run.events if secret in json.dumps(event)] == []


@proves("INPUT-13", script=True, on=BOTH)
async def several_requests_are_answered_each_on_its_own(target: Target, transport: str) -> None:
    run = await asked(
        target,
        transport,
        *(scripts.asking(name, "question") for name in ("q1", "q2", "q3")),
        *(scripts.echo(name) for name in ("q1", "q2", "q3")),
    )
    await run.conversation.message(lambda m: m.get("request_id") == "q3", "the third request")

    for name in ("q3", "q1", "q2"):
        await give(target, run, name, f"{name} ")
        await closing(run, name)

    await run.terminal()
    closed = [event["request_id"] for event in run.events if event.type == "input_closed"]
    assert closed == ["q3", "q1", "q2"]
    assert run.text == '"q1 ""q2 ""q3 "'


@proves("INPUT-14", script=True, on=BOTH)
async def the_end_makes_open_requests_void(target: Target, transport: str) -> None:
    run = await asked(target, transport, scripts.asking("q1"))
    if isinstance(run.conversation, Client):
        await run.conversation.cancel(run)
    else:
        await target.post(target.run_url(run.id, "/cancel"), {})
    await run.terminal()

    assert await refusal(target, run, "q1", True) == "input_expired"
    await settled(run)
    assert [event for event in run.events if event.type == "input_closed"] == []


@proves("INPUT-15", script=True, timing=True)
async def a_waiting_run_is_cancelled_in_time(target: Target, limits: Limits) -> None:
    run = await asked(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    assert isinstance(run.conversation, Client)

    handed = await run.conversation.cancel(run)

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    assert (terminal.get("status"), terminal.get("reason")) == ("cancelled", "user")


@proves("INPUT-15", script=True, timing=True)
async def a_waiting_run_is_cancelled_by_post_in_time(target: Target, limits: Limits) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await asked(target, "sse", scripts.asking("q1"), scripts.echo("q1"))

    handed = time.monotonic()
    await target.post(target.run_url(run.id, "/cancel"), {})

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    assert terminal.get("status") == "cancelled"


@proves("INPUT-16", script=True, on=BOTH)
async def the_agent_goes_on_after_an_expiry(target: Target, transport: str) -> None:
    run = await asked(
        target,
        transport,
        scripts.asking("q1", expires_in_ms=100),
        scripts.echo("q1"),
        scripts.token(" went on"),
    )

    terminal = await run.terminal()

    assert (terminal.type, terminal.get("status"), run.text) == ("done", "completed", "null went on")


@proves("INPUT-17", script=True)
async def an_answer_by_post_tells_how_the_run_stands(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await asked(
        target, "sse", scripts.asking("q1"), scripts.asking("q2"), scripts.wait(3000), scripts.token("x")
    )
    await run.conversation.message(lambda m: m.get("request_id") == "q2", "the second request")

    responses = [await post(target, run.id, name, True) for name in ("q1", "q2")]

    bodies = [response.json() for response in responses]
    assert [response.status for response in responses] == [200, 200]
    assert [str(problem) for body in bodies for problem in violations("run-outcome", body)] == []
    assert [body["run_id"] for body in bodies] == [run.id, run.id]
    assert bodies[0]["status"] == "waiting"
    assert bodies[1]["seq"] >= bodies[0]["seq"] >= 2


@proves("INPUT-17", script=True)
async def an_answer_by_post_is_refused_as_a_message_is(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await asked(target, "sse", scripts.asking("q1"), scripts.wait(3000))
    url = target.run_url(run.id, "/input")

    assert is_problem(await post(target, run.id, "q2", True), 404, "not_found")
    assert is_problem(await post(target, new_run_id(), "q1", True), 404, "not_found")
    assert is_problem(await post(target, run.id, "q1", "yes"), 400, "bad_request")
    assert is_problem(await target.post(url, {"request_id": "q1"}), 400, "bad_request")
    assert is_problem(
        await target.http("POST", url, [("Content-Type", "text/plain")], b"x"), 415, "unsupported"
    )
    assert (await post(target, run.id, "q1", True)).status == 200
    assert is_problem(await post(target, run.id, "q1", False), 409, "conflict")


@proves("INPUT-19", script=True)
async def a_request_id_is_used_once(target: Target) -> None:
    run = await asked(
        target,
        "websocket",
        scripts.asking("q1", expires_in_ms=100),
        scripts.echo("q1"),
        scripts.asking("q1", expires_in_ms=100),
        scripts.token("x"),
    )

    await run.terminal()

    requests = [event for event in run.events if event.type == "input_request"]
    assert len(requests) == 1


@proves("SCRIPT-7", script=True, connections=2)
async def a_script_waits_for_its_requests(client: Client, target: Target) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    before = await client.start(
        scripts.script(scripts.asking("q1"), scripts.token("late")), run_id=new_run_id()
    )
    at_end = await client.start(scripts.script(scripts.token("x"), scripts.asking("q1")), run_id=new_run_id())
    await before.event("input_request")
    await at_end.event("input_request")
    await asyncio.sleep(target.clock.tolerance)
    await client.barrier()

    early = [
        event.type for run in (before, at_end) for event in run.events if event.type in {"token", "done"}
    ]
    for run in (before, at_end):
        await give(target, run, "q1", True)
        await run.terminal()

    assert early == ["token"], "a step was played while a request was open"
    assert (before.text, at_end.text) == ("late", "x")


@proves("SCRIPT-8", script=True)
async def a_script_echoes_the_answer_as_json(target: Target) -> None:
    for kind, data, members in (
        ("approval", True, {}),
        ("question", 'a "quoted" ünïcödé 🚀', {}),
        ("form", {"n": 1, "list": [None, True]}, {"schema": FORM}),
    ):
        run = await asked(target, "websocket", scripts.asking("q1", kind, **members), scripts.echo("q1"))
        await give(target, run, "q1", data)
        await run.terminal()
        assert json.loads(run.text) == data


@proves("SCRIPT-8", script=True)
async def a_script_echoes_null_for_what_expired(target: Target) -> None:
    run = await asked(target, "websocket", scripts.asking("q1", expires_in_ms=100), scripts.echo("q1"))

    await run.terminal()

    assert run.text == "null"
