"""Chapter 9: the HTTP endpoints."""

import json
from urllib.parse import urlsplit

from runwire_conformance.case import NotExercised, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import beyond
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.discovery.endpoints import joined
from runwire_conformance.client.expectations import (
    expect_directives,
    expect_ended_by_user,
    expect_header,
    expect_media_type,
    expect_problem,
    expect_same_log,
    expect_status,
    expect_valid,
)
from runwire_conformance.client.target import ACCEPT_JSON, JSON, Target, new_run_id
from runwire_conformance.trace.limits import Limits
from runwire_spec import registries


async def accepted(target: Target, prompt: str, **members: object) -> dict[str, object]:
    """Start a run without a stream and return the body of the 202."""
    response = await target.post(target.runs_url, {"prompt": target.own(prompt), **members}, ACCEPT_JSON)
    expect_status(response, 202)
    body = response.json()
    assert isinstance(body, dict)
    return body


async def until_finished(target: Target, run_id: str) -> dict[str, object]:
    """Read a run to its end and return its status as it stands then."""
    stream = await target.events(run_id)
    await (await stream.run()).terminal()
    response = await target.http("GET", target.run_url(run_id))
    body = response.json()
    assert isinstance(body, dict)
    return body


@proves("HTTP-1")
async def a_post_starts_a_run_as_a_start_does(target: Target) -> None:
    run_id, session_id = new_run_id(), new_run_id()

    stream = await target.start_stream(
        target.short, run_id=run_id, session_id=session_id, on_disconnect="continue"
    )

    run = await stream.run()
    assert run.opening is not None
    assert (run.opening["run_id"], run.opening["session_id"]) == (run_id, session_id)
    await run.terminal()


@proves("HTTP-1")
async def unknown_members_of_a_body_are_ignored(target: Target) -> None:
    stream = await target.stream(
        "POST", target.runs_url, {"prompt": target.short, "vendor:mood": [1], "later": {}}
    )

    await (await stream.run()).terminal()


@proves("HTTP-2")
async def a_post_that_accepts_a_stream_among_others_gets_one(target: Target) -> None:
    headers = [("Accept", "application/json;q=0.4, text/event-stream")]
    response = await target.http("POST", target.runs_url, [JSON, *headers], {"prompt": target.short})

    assert (response.status, response.media_type) == (200, "text/event-stream")


@proves("HTTP-2")
async def a_post_that_accepts_a_stream_gets_one(target: Target) -> None:
    stream = await target.start_stream(target.short)

    assert (stream.response.status, stream.response.media_type) == (200, "text/event-stream")


@proves("HTTP-3")
async def a_post_that_names_no_stream_gets_202(target: Target) -> None:
    response = await target.post(target.runs_url, {"prompt": target.short}, ACCEPT_JSON)

    expect_status(response, 202)
    expect_valid("run-accepted", response.json())


@proves("HTTP-4")
async def the_answer_says_where_the_events_are(target: Target) -> None:
    response = await target.post(target.runs_url, {"prompt": target.short}, ACCEPT_JSON)
    run_id = response.json()["run_id"]

    location = joined(target.runs_url, response.header("location") or "")

    assert urlsplit(location).path == urlsplit(target.run_url(run_id, "/events")).path


@proves("HTTP-4")
async def a_stream_says_where_the_events_are(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()

    expect_header(stream.response, "Location")
    assert urlsplit(stream.place).path == urlsplit(target.run_url(run.id, "/events")).path


@proves("HTTP-5")
async def a_run_tells_how_it_stands(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()
    await run.terminal()

    response = await target.http("GET", target.run_url(run.id))

    body = response.json()
    expect_status(response, 200)
    expect_valid("run-status", body)
    assert (body["run_id"], body["epoch"], body["seq"], body["text"]) == (
        run.id,
        run.epoch,
        run.last_seq,
        run.text,
    )


@proves("HTTP-5", script=True)
async def the_text_of_a_run_heeds_replace(target: Target) -> None:
    body = await accepted(target, scripts.EVERYTHING)

    status = await until_finished(target, str(body["run_id"]))

    assert (status["status"], status["text"]) == ("completed", scripts.EVERYTHING_TEXT)


@proves("HTTP-6", "HTTP-8", script=True)
async def a_run_is_cancelled_by_post(target: Target, limits: Limits) -> None:
    stream = await target.start_stream(scripts.BLOCKED)
    run = await stream.run()
    await run.until_text("first ")

    with accuses("HTTP-6"):
        response = await target.post(target.run_url(run.id, "/cancel"), {})

        body = response.json()
        expect_status(response, 200)
        expect_valid("run-outcome", body)
    with accuses("HTTP-8"):
        terminal = await run.terminal(beyond(limits.seconds("cancel_deadline_ms")))
        expect_ended_by_user(terminal)


@proves("HTTP-6")
async def cancelling_a_finished_run_tells_how_it_stands(target: Target) -> None:
    body = await accepted(target, target.short)
    status = await until_finished(target, str(body["run_id"]))

    response = await target.post(target.run_url(str(body["run_id"]), "/cancel"), {})

    outcome = response.json()
    expect_status(response, 200)
    assert (outcome["status"], outcome["seq"]) == (status["status"], status["seq"])


@proves("HTTP-7")
async def an_unknown_run_is_404(target: Target) -> None:
    run_id = new_run_id()

    expect_problem(await target.http("GET", target.run_url(run_id)), 404, "not_found")
    expect_problem(await target.http("GET", target.run_url(run_id, "/events")), 404, "not_found")
    expect_problem(await target.post(target.run_url(run_id, "/cancel"), {}), 404, "not_found")


@proves("HTTP-8", script=True)
async def a_run_of_a_websocket_is_cancelled_by_post(client: Client, target: Target) -> None:
    run = await client.start(scripts.ENDLESS)
    await run.next_event()

    await target.post(target.run_url(run.id, "/cancel"), {})

    terminal = await run.terminal()
    expect_ended_by_user(terminal)


@proves("HTTP-9")
async def another_content_type_is_415(target: Target) -> None:
    body = json.dumps({"prompt": target.short}).encode()

    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = await target.http("POST", target.runs_url, [("Content-Type", media_type)], body)
        expect_problem(response, 415, "unsupported")


@proves("HTTP-9")
async def a_cancel_without_content_type_is_415(target: Target) -> None:
    accepted_run = await accepted(target, target.short)

    response = await target.http("POST", target.run_url(str(accepted_run["run_id"]), "/cancel"), [], b"")

    expect_problem(response, 415, "unsupported")


@proves("HTTP-10")
async def a_body_beyond_the_limit_is_413(target: Target, limits: Limits) -> None:
    body = b'{"prompt":"' + b"x" * limits.whole("max_message_bytes") + b'"}'

    response = await target.http("POST", target.runs_url, [JSON, ACCEPT_JSON], body)

    expect_problem(response, 413, "payload_too_large")


@proves("HTTP-11")
async def a_body_that_is_no_valid_start_is_400(target: Target) -> None:
    bodies = [
        b'{"prompt":"x","on_disconnect":"never"}',
        b"",
        b"{",
        b"[]",
        b'{"prompt":7}',
        b'{"prompt":"\\ud800"}',
        b'{"prompt":"x","inputs":{"n":NaN}}',
        b"\xff",
    ]

    for body in bodies:
        expect_problem(await target.post(target.runs_url, body, ACCEPT_JSON), 400, "bad_request")


@proves("HTTP-12")
async def refusals_are_problems(target: Target) -> None:
    responses = [
        await target.http("GET", target.run_url(new_run_id())),
        await target.post(target.runs_url, {"prompt": 7}, ACCEPT_JSON),
        await target.http("POST", target.runs_url, [("Content-Type", "text/plain")], b"x"),
    ]

    for response in responses:
        body = response.json()
        expect_media_type(response, "application/problem+json")
        expect_valid("problem", body)
        assert body["status"] == response.status == registered_status(str(body["code"]))


def registered_status(code: str) -> int:
    """Return the HTTP status that the errors registry gives for a code."""
    return next(int(row["http_status"]) for row in registries()["errors"] if row["code"] == code)


@proves("HTTP-13")
async def nothing_below_runs_is_stored(target: Target) -> None:
    stream = await target.start_stream(target.short)
    run = await stream.run()
    await run.terminal()
    responses = [
        stream.response,
        await target.post(target.runs_url, {"prompt": target.short}, ACCEPT_JSON),
        await target.http("GET", target.run_url(run.id)),
        await target.http("GET", target.run_url(new_run_id())),
        await target.post(target.run_url(run.id, "/cancel"), {}),
        await target.http("DELETE", target.runs_url),
        await target.http("POST", target.runs_url, [("Content-Type", "text/plain")], b"{"),
    ]

    for response in responses:
        expect_directives(response, "no-store")


@proves("HTTP-14")
async def another_method_is_405(target: Target) -> None:
    response = await target.http("DELETE", target.runs_url)

    expect_status(response, 405)
    assert "POST" in (response.header("allow") or "")


@proves("HTTP-15", script=True)
async def a_cancel_needs_no_body(target: Target) -> None:
    stream = await target.start_stream(scripts.ENDLESS)
    run = await stream.run()

    response = await target.post(target.run_url(run.id, "/cancel"), None)
    again = await target.post(target.run_url(run.id, "/cancel"), {})

    assert (response.status, again.status) == (200, 200)
    await run.terminal()


@proves("HTTP-15")
async def the_members_of_a_cancel_are_ignored(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    bodies: list[dict[str, object]] = [
        {"reason": "x"},
        {"id": 7},
        {"type": 5},
        {"run_id": "x"},
        {"prompt": [None]},
    ]

    for body in bodies:
        response = await target.post(target.run_url(run_id, "/cancel"), body)
        assert response.status == 200, (
            f"a cancel with {json.dumps(body)}: expected 200; got {response.status}"
        )


@proves("HTTP-16")
async def a_repeated_post_is_the_same_run(target: Target) -> None:
    run_id = new_run_id()
    first = await accepted(target, target.short, run_id=run_id)

    again = await accepted(target, target.short, run_id=run_id)

    assert (again["run_id"], again["epoch"]) == (first["run_id"], first["epoch"])


@proves("HTTP-16")
async def a_repeated_post_streams_the_run_from_its_first_event(target: Target) -> None:
    run_id = new_run_id()
    first = await (await target.start_stream(target.short, run_id=run_id)).run()
    await first.whole()

    stream = await target.start_stream(target.short, run_id=run_id)

    again = await stream.run()
    await again.whole()
    kinds = [message.type for message in stream.messages if message.type in {"started", "resumed"}]
    assert (again.epoch, kinds) == (first.epoch, ["started", "resumed"])
    expect_same_log(contents(again.events), contents(first.events))


@proves("HTTP-16")
async def another_body_under_the_same_id_is_409(target: Target) -> None:
    run_id = new_run_id()
    await accepted(target, target.short, run_id=run_id)

    response = await target.post(
        target.runs_url, {"prompt": target.short + "!", "run_id": run_id}, ACCEPT_JSON
    )

    expect_problem(response, 409, "conflict")


@proves("HTTP-17")
async def a_listed_origin_may_read(target: Target) -> None:
    origin = target.origin

    response = await target.http("GET", target.run_url(new_run_id()), [("Origin", origin)])

    if response.status == 403:
        raise NotExercised(f"{origin} is not listed; configure [hooks] origin in runwire.toml")
    exposed = (response.header("access-control-expose-headers") or "").lower()
    expect_header(response, "Access-Control-Allow-Origin", origin)
    assert {"location", "retry-after", "www-authenticate"} <= set(exposed.replace(" ", "").split(","))


@proves("HTTP-18")
async def a_preflight_is_answered(target: Target) -> None:
    origin = target.origin
    asked = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type, accept, authorization, last-event-id"),
    ]

    response = await target.as_caller(None).http("OPTIONS", target.runs_url, asked)

    if response.status == 403:
        raise NotExercised(f"{origin} is not listed; configure [hooks] origin in runwire.toml")
    headers = (response.header("access-control-allow-headers") or "").lower().replace(" ", "").split(",")
    assert response.status in {200, 204}
    expect_header(response, "Access-Control-Allow-Origin", origin)
    assert {"content-type", "accept", "authorization", "last-event-id"} <= set(headers)
