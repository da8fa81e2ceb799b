"""Chapter 9: polling a log."""

import asyncio
import time
from typing import Any

from runwire_conformance.case import Blocked, Broken, NotExercised, proves
from runwire_conformance.cases.c09_http import accepted, until_finished
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.run import behind, contents
from runwire_conformance.client.target import ACCEPT_JSON, Target, new_run_id
from runwire_conformance.client.wire.http import Response
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_schemas import violations

#: How many polls read a short log, however few events each of them brings.
MOST_POLLS = 200


async def asked(
    target: Target, run_id: str, query: str = "", *headers: tuple[str, str], waits_s: float = 0.0
) -> Response:
    """Poll a run and return the answer, whatever it is."""
    url = target.run_url(run_id, "/events" + query)
    return await target.http("GET", url, [ACCEPT_JSON, *headers], waits_s=waits_s)


async def polled(target: Target, run_id: str, after: str = "", wait_s: float = 0.0) -> dict[str, Any]:
    """Poll a run and return the body; raises Blocked when there is none, which [POLL-1] is about."""
    query = [f"after={after}"] * bool(after) + [f"wait={wait_s:g}"] * bool(wait_s)
    waits_s = min(wait_s, target.limits["heartbeat_s"])
    response = await asked(target, run_id, "?" + "&".join(query) if query else "", waits_s=waits_s)
    if response.status != 200 or response.media_type != "application/json":
        raise Blocked("POLL-1")
    body = dict(response.json())
    if violations("run-events", body):
        raise Blocked("POLL-1")
    return body


async def whole(target: Target, run_id: str, after: str = "") -> list[Message]:
    """Return every event behind a cursor, poll by poll, up to the terminal; raises Broken."""
    events: list[Message] = []
    for _ in range(MOST_POLLS):
        body = await polled(target, run_id, after, 0.5)
        events += [Message(event) for event in body["events"]]
        last = f"{body['epoch']}.{events[-1]['seq']}" if events else after
        if body["events"] and body["next"] != last:
            raise Broken(f"expected next {last}; got {body['next']}")
        if events and events[-1].is_terminal:
            return events
        after = body["next"]
    raise Broken(f"expected the terminal within {MOST_POLLS} polls; got {len(events)} events")


@proves("POLL-1", script=True)
async def a_poll_is_answered_with_what_the_log_holds(target: Target) -> None:
    run_id = str((await accepted(target, scripts.EVERYTHING))["run_id"])
    await until_finished(target, run_id)

    for query in ("", "?after=1", "?wait=0.1", "?after=2&wait=0"):
        response = await asked(target, run_id, query)
        assert (response.status, response.media_type) == (200, "application/json")
        assert [str(problem) for problem in violations("run-events", response.json())] == []


@proves("POLL-2", script=True)
async def polls_read_the_same_log_as_a_stream(target: Target) -> None:
    run_id = str((await accepted(target, scripts.EVERYTHING))["run_id"])
    await until_finished(target, run_id)
    run = await (await target.events(run_id)).run()
    log = await run.whole()

    for cursor in ["", *(f"{run.epoch}.{event['seq']}" for event in log[:-1])]:
        rest = behind(log, int(cursor.rpartition(".")[2] or 0))
        assert contents(await whole(target, run_id, cursor)) == contents(rest)


@proves("POLL-2", script=True, timing=True)
async def polls_follow_a_live_run(target: Target) -> None:
    # Between two polls nobody reads, and that may last for longer than the grace.
    policy = {"on_disconnect": "continue"} if "resume" in target.features else {}
    steps = [step for n in range(30) for step in (scripts.token(f"{n} "), scripts.wait(20))]
    run_id = str((await accepted(target, scripts.script(*steps), **policy))["run_id"])

    events = await whole(target, run_id)

    assert scripts.answer_text(events) == "".join(f"{n} " for n in range(30))
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs))
    assert events[-1].get("status") == "completed"


@proves("POLL-3", script=True, timing=True)
async def what_is_there_comes_at_once(target: Target, limits: Limits) -> None:
    wait_s = limits["heartbeat_s"]
    target.within_patience(wait_s, "heartbeat_s")
    run_id = str((await accepted(target, scripts.QUIET))["run_id"])
    await polled(target, run_id, "", wait_s)

    begun = time.monotonic()
    body = await polled(target, run_id, "", wait_s)
    took = time.monotonic() - begun

    assert body["events"]
    assert took < max(wait_s * 0.8, target.clock.tolerance), (
        f"an event that was there arrived after {took:.2f} s"
    )
    await target.post(target.run_url(run_id, "/cancel"), {})


@proves("POLL-3", timing=True)
async def the_end_of_a_finished_run_is_told_at_once(target: Target, limits: Limits) -> None:
    wait_s = limits["heartbeat_s"]
    target.within_patience(wait_s, "heartbeat_s")
    run_id = str((await accepted(target, target.brief))["run_id"])
    status = await until_finished(target, run_id)

    begun = time.monotonic()
    body = await polled(target, run_id, f"{status['epoch']}.{status['seq']}", wait_s)
    took = time.monotonic() - begun

    assert (body["events"], body["next"]) == ([], f"{status['epoch']}.{status['seq']}")
    assert took < max(wait_s * 0.8, target.clock.tolerance), (
        f"nothing more can come, and that took {took:.2f} s"
    )


@proves("POLL-4", script=True, timing=True, waits=lambda limits: limits["heartbeat_s"] * 2)
async def a_poll_waits_as_long_as_it_asks(target: Target, limits: Limits) -> None:
    longest = limits["heartbeat_s"]
    run_id = str((await accepted(target, scripts.SILENT))["run_id"])

    for asked_s, bound_s in ((0.0, 0.0), (longest / 2, longest / 2), (longest * 50, longest)):
        begun = time.monotonic()
        body = await polled(target, run_id, "", asked_s)
        took = time.monotonic() - begun
        assert body["events"] == []
        assert took >= bound_s * 0.9, f"wait={asked_s:g}: an empty answer after {took:.2f} s"
        assert took <= bound_s + target.clock.tolerance, f"wait={asked_s:g}: answered after {took:.2f} s"
    await target.post(target.run_url(run_id, "/cancel"), {})


@proves("POLL-4", script=True, timing=True)
async def a_poll_brings_an_event_as_soon_as_there_is_one(target: Target, limits: Limits) -> None:
    longest = limits["heartbeat_s"]
    target.within_patience(longest, "heartbeat_s")
    pause_s = longest * 0.3
    run_id = str(
        (await accepted(target, scripts.script(scripts.wait(pause_s * 1000), scripts.token("x"))))["run_id"]
    )

    begun = time.monotonic()
    body = await polled(target, run_id, "", longest)
    took = time.monotonic() - begun

    assert [event["type"] for event in body["events"]][:1] == ["token"]
    assert took <= pause_s + target.clock.tolerance + 0.1, (
        f"an event after {pause_s:.2f} s arrived after {took:.2f} s"
    )


@proves("POLL-5", script=True, timing=True, waits=lambda limits: limits["detach_grace_s"] * 2.5)
async def who_polls_keeps_the_run_going(target: Target, limits: Limits) -> None:
    grace = limits["detach_grace_s"]
    target.needs_to_outlast_grace(grace * 2 + 1)
    if grace < 2 * target.clock.tolerance:
        raise NotExercised("detach_grace_s is too short for a poll now and then")

    async def kept(policy: str) -> None:
        begun = await accepted(target, scripts.SILENT, run_id=new_run_id(), on_disconnect=policy)
        run_id, until = str(begun["run_id"]), time.monotonic() + grace * 2
        while time.monotonic() < until:
            body = await polled(target, run_id, "", min(0.2, limits["heartbeat_s"]))
            assert body["status"] == "running", f"policy {policy}: {body['status']} while somebody polled"
            await asyncio.sleep(grace * 0.4)
        await target.post(target.run_url(run_id, "/cancel"), {})

    await asyncio.gather(kept("grace"), kept("cancel"))


@proves(
    "POLL-5",
    script=True,
    timing=True,
    waits=lambda limits: limits["detach_grace_s"] + limits.seconds("cancel_deadline_ms"),
)
async def who_polls_no_more_has_left(target: Target, limits: Limits) -> None:
    bound = limits["detach_grace_s"] + limits.seconds("cancel_deadline_ms")
    target.needs_to_outlast_grace(bound + 1)
    run_id = str((await accepted(target, scripts.SILENT))["run_id"])
    await polled(target, run_id)

    await asyncio.sleep(bound + target.clock.tolerance)

    status = (await target.http("GET", target.run_url(run_id))).json()
    assert status["status"] == "cancelled", (
        f"expected a run that nobody polls to end; it is {status['status']}"
    )


@proves("POLL-6")
async def a_wait_that_is_no_number_is_400(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)

    for wait in ("x", "-1", "1e3", "", "0x1", "1&wait=2"):
        response = await asked(target, run_id, f"?wait={wait}")
        assert response.status == 400, f"wait={wait}: expected 400; got {response.status}"


@proves("POLL-1")
async def a_poll_has_the_cursor_of_a_stream(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    seq = int(str((await until_finished(target, run_id))["seq"]))

    assert (await asked(target, new_run_id())).status == 404
    assert (await asked(target, run_id, "?after=another.1")).status == 404
    assert (await asked(target, run_id, f"?after={seq + 1}")).status == 400
    assert (await asked(target, run_id, "?after=x.y.z")).status == 400
    wins = (await asked(target, run_id, "?after=0", ("Last-Event-ID", "1"))).json()
    assert wins["events"][0].get("first_seq", wins["events"][0]["seq"]) == 2
    stream = await target.http("GET", target.run_url(run_id, "/events"), [("Accept", "*/*")])
    assert stream.media_type == "text/event-stream"


@proves("POLL-7", script=True)
async def a_tag_belongs_to_one_place_of_a_run(target: Target) -> None:
    prompt = scripts.script(scripts.token("a"), scripts.wait(700), scripts.token("b"), scripts.wait(700))
    run_id = str((await accepted(target, prompt))["run_id"])
    tags: dict[str, tuple[Any, Any]] = {}

    for _ in range(100):
        response = await target.http("GET", target.run_url(run_id))
        tag, body = response.header("etag"), response.json()
        assert tag, "the status of a run has no ETag"
        place = (body["seq"], body["status"])
        assert tags.setdefault(tag, place) == place, f"{place} and {tags[tag]} have one ETag"
        if body["status"] == "completed":
            return
        await asyncio.sleep(0.1)  # how often it is looked, and no bound
    raise Broken("expected the run to end")


@proves("POLL-8")
async def a_run_that_stands_where_it_stood_is_304(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)
    tag = (await target.http("GET", target.run_url(run_id))).header("etag") or ""

    for names in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        response = await target.http("GET", target.run_url(run_id), [("If-None-Match", names)])
        assert (response.status, response.body) == (304, b""), f"{names}: expected 304; got {response.status}"


@proves("POLL-8")
async def another_tag_is_answered_in_full(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)

    response = await target.http("GET", target.run_url(run_id), [("If-None-Match", '"e0.0", W/"x"')])

    assert (response.status, response.json()["run_id"]) == (200, run_id)
