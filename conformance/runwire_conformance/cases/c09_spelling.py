"""Chapter 9: weights in `Accept`, the syntax of cursors, and unrequested `id` fields."""

from runwire_conformance.case import proves
from runwire_conformance.cases.c09_http import accepted, until_finished
from runwire_conformance.client.expectations import expect_member, expect_problem, expect_status
from runwire_conformance.client.target import ACCEPT_JSON, EVENT_STREAM, JSON, Target

EXCLUDED = "text/event-stream;q=0, application/json"


@proves("HTTP-26")
async def an_id_is_not_repeated_over_http(target: Target) -> None:
    body = {"id": "asked", "prompt": target.brief}
    run = await (await target.stream("POST", target.runs_url, body)).run()
    await run.terminal()
    assert [message.type for message in run.conversation.messages if "re" in message] == []

    response = await target.post(target.runs_url, {**body, "type": "start"}, ACCEPT_JSON)

    expect_status(response, 202)
    assert "re" not in response.json(), "the body of the 202 has re"
    await until_finished(target, str(response.json()["run_id"]))


@proves("HTTP-3")
async def a_stream_of_no_weight_or_in_a_range_is_not_named(target: Target) -> None:
    for accept in (EXCLUDED, "text/event-stream; q=0.000, */*", "*/*", "text/*"):
        headers = [JSON, ("Accept", accept)]
        response = await target.http("POST", target.runs_url, headers, {"prompt": target.brief})
        assert response.status == 202, f"Accept: {accept}: expected 202; got {response.status}"
        await until_finished(target, str(response.json()["run_id"]))


@proves("SSE-19")
async def the_most_specific_range_excludes_a_stream(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)

    for accept, status in (
        ("text/event-stream;q=0, */*;q=0.5", 406),
        ("*/*, text/*;q=0", 406),
        ("*/*;q=0", 406),
        ("text/*;q=0.1", 200),
        ("*/*;q=0, text/event-stream;q=0.2", 200),
        ("image/png, */*;q=0.1", 200),
    ):
        response = await target.http("GET", target.run_url(run_id, "/events"), [("Accept", accept)])
        assert response.status == status, f"Accept: {accept}: expected {status}; got {response.status}"


@proves("SSE-15")
async def a_bad_query_beside_a_header_is_not_looked_at(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)

    for after in ("x.y.z", "999999", "other-epoch.1"):
        run = await (await target.events(run_id, "1", after=after)).run()
        assert run.opening is not None
        expect_member(run.opening, "next_seq", 2)


@proves("SSE-16")
async def a_cursor_is_written_in_one_way(target: Target) -> None:
    body = await accepted(target, target.brief)
    run_id, epoch = str(body["run_id"]), str(body["epoch"])
    await until_finished(target, run_id)

    # A number that no seq can be is no cursor of another log, either.
    beyond = ("another.01", "another.9007199254740992", "another.9999999999999999", "9" * 20)
    for cursor in ("01", "00", f"{epoch}.01", "%2B1", "0x1", "1e0", *beyond):
        url = target.run_url(run_id, f"/events?after={cursor}")
        expect_problem(await target.http("GET", url, [EVENT_STREAM]), 400, "bad_request")
