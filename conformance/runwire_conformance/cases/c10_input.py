"""Chapter 10: input requests, and runs that wait for an answer."""

import datetime
import email.utils
import time

from runwire_conformance.case import Broken, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_ended_by_user, expect_member, expect_text
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS
from runwire_conformance.client.situations.questions import (
    FORM,
    closing,
    expect_input_refused,
    opened,
    run_that_asks,
    send_answer,
    settled,
    status,
)
from runwire_conformance.client.target import Target
from runwire_conformance.trace.limits import Limits

#: Milliseconds of a request that is to expire while a case looks on.
BRIEFLY_MS = 600

#: Seconds by which a `Date` header may be behind: it has whole ones, and a busy server writes it every other second.
DATE_S = 5


@proves("INPUT-1", script=True, connections=2)
async def a_run_waits_as_long_as_a_request_is_open(target: Target) -> None:
    run = await run_that_asks(
        target,
        "websocket",
        scripts.asking("q1"),
        scripts.asking("q2"),
        scripts.wait(3000),
        scripts.token("x"),
    )
    await opened(run, "q2")

    both_open = await status(target, run.id)
    await send_answer(target, run, "q2", True)
    await closing(run, "q2")
    one_open = await status(target, run.id)
    await send_answer(target, run, "q1", True)
    await closing(run, "q1")
    none_open = await status(target, run.id)

    assert (both_open, one_open, none_open) == ("waiting", "waiting", "running")


@proves("INPUT-1", script=True, connections=2)
async def resumed_says_that_a_run_waits(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    run = await run_that_asks(target, "websocket", scripts.asking("q1"))

    again = await (await target.connect()).resume(run.id)

    assert again.opening is not None
    expect_member(again.opening, "status", "waiting")


@proves("INPUT-2", script=True, watches=("INPUT-19",))
async def a_request_tells_what_is_asked_and_until_when(target: Target) -> None:
    run = await run_that_asks(
        target,
        "websocket",
        scripts.asking("q1"),
        scripts.asking("q2", "question"),
    )
    await opened(run, "q2")

    requests = [event for event in run.events if event.type == "input_request"]

    assert [(event.get("request_id"), event.get("kind")) for event in requests] == [
        ("q1", "approval"),
        ("q2", "question"),
    ]
    assert [isinstance(event.get("expires_at"), str) for event in requests] == [True] * 2


@proves("INPUT-20", script=True)
async def a_form_tells_its_schema(target: Target) -> None:
    run = await run_that_asks(target, "websocket", scripts.asking("q1", "form", schema=FORM))

    request = run.events[0]

    assert (request.get("kind"), request.get("schema")) == ("form", FORM)
    assert isinstance(request.get("expires_at"), str)


@proves("INPUT-22", script=True, without="forms")
async def a_server_without_forms_asks_for_none(client: Client) -> None:
    run = await client.start(scripts.script(scripts.asking("q1", "form", schema=FORM)))

    terminal = await run.terminal()

    assert [event for event in run.events if event.type == "input_request"] == []
    assert (terminal.type, terminal.get("code")) == ("error", "agent_error")


@proves("INPUT-3", script=True)
async def a_request_expires_within_the_limit(target: Target, limits: Limits) -> None:
    beyond = int(limits["input_s"] * 2000)
    assert target.profile.discovery_url is not None
    run = await run_that_asks(
        target, "websocket", scripts.asking("q1"), scripts.asking("q2", expires_in_ms=beyond)
    )
    await opened(run, "q2")

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


@proves("INPUT-8", script=True, on=BOTH_TRANSPORTS, timing=True)
async def a_request_that_nobody_answers_expires(target: Target, transport: str) -> None:
    run = await run_that_asks(
        target, transport, scripts.asking("q1", expires_in_ms=BRIEFLY_MS), scripts.token("went on")
    )
    opened = next(event for event in run.events if event.type == "input_request")

    closed = await run.conversation.within(
        BRIEFLY_MS / 1000, opened.at, lambda m: m.type == "input_closed", "input_closed"
    )

    expect_member(closed, "outcome", "expired")
    if closed.at - opened.at < BRIEFLY_MS / 1000 - target.clock.tolerance:
        raise Broken(
            f"expected the request to be open for {BRIEFLY_MS} ms; it was {closed.at - opened.at:.2f} s"
        )


@proves("INPUT-13", script=True, on=BOTH_TRANSPORTS)
async def several_requests_are_answered_each_on_its_own(target: Target, transport: str) -> None:
    run = await run_that_asks(
        target,
        transport,
        *(scripts.asking(name, "question") for name in ("q1", "q2", "q3")),
        *(scripts.echo(name) for name in ("q1", "q2", "q3")),
    )
    await opened(run, "q3")

    for name in ("q3", "q1", "q2"):
        await send_answer(target, run, name, f"{name} ")
        await closing(run, name)

    await run.terminal()
    closed = [event["request_id"] for event in run.events if event.type == "input_closed"]
    assert closed == ["q3", "q1", "q2"]
    expect_text(run, '"q1 ""q2 ""q3 "')


@proves("INPUT-14", script=True, on=BOTH_TRANSPORTS)
async def the_end_makes_open_requests_void(target: Target, transport: str) -> None:
    run = await run_that_asks(target, transport, scripts.asking("q1"))
    if isinstance(run.conversation, Client):
        await run.conversation.cancel(run)
    else:
        await target.post(target.run_url(run.id, "/cancel"), {})
    await run.terminal()

    await expect_input_refused(target, run, "q1", True, code="input_expired")
    await settled(run)
    assert [event for event in run.events if event.type == "input_closed"] == []


@proves("INPUT-15", script=True, timing=True)
async def a_waiting_run_is_cancelled_in_time(target: Target, limits: Limits) -> None:
    run = await run_that_asks(target, "websocket", scripts.asking("q1"), scripts.echo("q1"))
    assert isinstance(run.conversation, Client)

    handed = await run.conversation.cancel(run)

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    expect_ended_by_user(terminal)


@proves("INPUT-15", script=True, timing=True)
async def a_waiting_run_is_cancelled_by_post_in_time(target: Target, limits: Limits) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    run = await run_that_asks(target, "sse", scripts.asking("q1"), scripts.echo("q1"))

    handed = time.monotonic()
    await target.post(target.run_url(run.id, "/cancel"), {})

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    expect_member(terminal, "status", "cancelled")


@proves("INPUT-16", script=True, on=BOTH_TRANSPORTS)
async def the_agent_goes_on_after_an_expiry(target: Target, transport: str) -> None:
    run = await run_that_asks(
        target,
        transport,
        scripts.asking("q1", expires_in_ms=100),
        scripts.echo("q1"),
        scripts.token(" went on"),
    )

    terminal = await run.terminal()

    assert (terminal.type, terminal.get("status"), run.text) == ("done", "completed", "null went on")


@proves("INPUT-19", script=True)
async def a_request_id_is_used_once(target: Target) -> None:
    run = await run_that_asks(
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
