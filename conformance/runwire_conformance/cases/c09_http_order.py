"""Chapters 9, 11 and 15: precedence of HTTP checks, and headers that every response needs."""

import asyncio
from urllib.parse import urlsplit

from runwire_conformance.case import NotExercised, NotOffered, proves
from runwire_conformance.cases.c09_http import accepted, until_finished
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.run import behind, contents
from runwire_conformance.client.expectations import expect_same_log
from runwire_conformance.client.target import ACCEPT_JSON, EVENT_STREAM, JSON, Target, new_run_id
from runwire_conformance.trace.limits import Limits

FOREIGN = ("Origin", "https://attacker.example")
TEXT = ("Content-Type", "text/plain")
IMAGE = ("Accept", "image/png")
MALFORMED = ("Last-Event-ID", "x.y.z")
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
OTHER_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@proves("HTTP-19", watches=("HTTP-13", "HTTP-21"))
async def the_first_check_that_fails_gives_the_answer(target: Target, limits: Limits) -> None:
    run = target.run_url(new_run_id())
    too_large = b"x" * (limits.whole("max_message_bytes") + 1)
    asked: tuple[tuple[str, str, list[tuple[str, str]], bytes | None, int], ...] = (
        ("DELETE", run + "/nowhere", [], None, 404),
        ("POST", run + "/nowhere", [TEXT], b"{", 404),
        ("POST", target.runs_url + "/", [JSON], b"{}", 404),
        ("DELETE", run + "/", [], None, 404),
        ("DELETE", run, [], None, 405),
        ("DELETE", run + "/events", [IMAGE], None, 405),
        ("GET", run + "/cancel", [], None, 405),
        ("GET", run + "/events", [IMAGE, MALFORMED], None, 406),
        ("GET", run + "/events", [IMAGE], None, 406),
        ("POST", run + "/cancel", [TEXT], b"{", 415),
        ("POST", target.runs_url, [JSON], too_large, 413),
        ("POST", run + "/cancel", [JSON], b"{", 400),
        ("GET", run + "/events", [EVENT_STREAM, MALFORMED], None, 400),
    )
    for method, url, headers, body, status in asked:
        response = await target.http(method, url, headers, body)
        shown = f"{method} {urlsplit(url).path} {dict(headers)}"
        assert response.status == status, f"{shown}: expected {status}; got {response.status}"


@proves("HTTP-19")
async def the_epoch_of_a_cursor_is_looked_at_before_its_place(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    url = target.run_url(run_id, "/events")

    for cursor, status in (("another.1000000", 404), ("1000000", 400)):
        response = await target.http("GET", url, [EVENT_STREAM, ("Last-Event-ID", cursor)])
        assert response.status == status, f"the cursor {cursor}: expected {status}; got {response.status}"
    await until_finished(target, run_id)


@proves("HTTP-20", script=True)
async def the_head_of_an_answer_comes_without_a_reader(target: Target, limits: Limits) -> None:
    run = await accepted(target, scripts.SILENT, on_disconnect="cancel")
    url = target.run_url(str(run["run_id"]))

    for place in (target.profile.discovery_url or url, url, url + "/events"):
        response = await target.http("HEAD", place)
        assert response.status in {200, 405}, f"HEAD {urlsplit(place).path}: got {response.status}"
        assert response.body == b""
    await asyncio.sleep(limits.seconds("cancel_deadline_ms") + target.clock.tolerance)

    status = (await target.http("GET", url)).json()
    assert status["status"] != "cancelled", "HEAD was a reader of the run, which ended when it left"
    await target.post(url + "/cancel", {})


@proves("HTTP-20", script=True, alone=True)
async def the_head_of_a_stream_takes_no_place(target: Target, limits: Limits) -> None:
    run = await accepted(target, scripts.SILENT)
    most = limits.whole("connections_per_principal")
    if most > 60:
        raise NotOffered("the server admits too many connections for this to show")

    for _ in range(most + 1):
        response = await target.http("HEAD", target.run_url(str(run["run_id"]), "/events"))
        assert response.status in {200, 405}, f"got {response.status}: HEAD holds the place of a stream"

    stream = await target.events(str(run["run_id"]))
    await stream.run()
    await target.post(target.run_url(str(run["run_id"]), "/cancel"), {})


Asking = tuple[str, str, list[tuple[str, str]], bytes | None]


def of_every_status(target: Target) -> dict[int, Asking]:
    """Return for each status that a short request of any caller can bring about one that is refused with it."""
    run = target.run_url(new_run_id())
    return {
        404: ("GET", run, [], None),
        405: ("DELETE", target.runs_url, [], None),
        406: ("GET", run + "/events", [IMAGE], None),
        415: ("POST", run + "/cancel", [TEXT], b"{"),
        400: ("POST", target.runs_url, [JSON], b"{"),
    }


@proves("HTTP-21", watches=("HTTP-13",))
async def every_answer_varies_by_origin(target: Target) -> None:
    for headers in ([], [("Origin", target.origin)]):
        run = await target.http(
            "POST", target.runs_url, [JSON, ACCEPT_JSON, *headers], {"prompt": target.brief}
        )
        url, discovery = target.run_url(run.json()["run_id"]), target.profile.discovery_url or ""
        answers = {"POST of a run": run}
        for method, name, place in (
            ("GET", "discovery", discovery),
            ("HEAD", "discovery", discovery),
            ("OPTIONS", "discovery", discovery),
            ("GET", "a run", url),
            ("HEAD", "a run", url),
            ("PUT", "a run", url),
            ("DELETE", "a run", url),
            ("OPTIONS", "all runs", target.runs_url),
        ):
            answers[f"{method} of {name}"] = await target.http(method, place, headers)
        for status, (method, place, own, body) in of_every_status(target).items():
            answers[f"a {status}"] = await target.http(method, place, [*own, *headers], body)
        for name, answer in answers.items():
            named = {part.strip().lower() for part in (answer.header("vary") or "").split(",")}
            assert named & {"origin", "*"}, (
                f"{name} {'with' if headers else 'without'} Origin has no Vary: Origin; it arrived with {answer.status}"
            )


@proves("HTTP-17", watches=("HTTP-13", "HTTP-21"))
async def a_listed_origin_may_read_every_refusal(target: Target, limits: Limits) -> None:
    origin = ("Origin", target.origin)
    too_large = b"x" * (limits.whole("max_message_bytes") + 1)
    asked = {**of_every_status(target), 413: ("POST", target.runs_url, [JSON], too_large)}

    for status, (method, url, headers, body) in asked.items():
        response = await target.http(method, url, [*headers, origin], body)
        if response.status == 403:
            raise NotExercised(f"{target.origin} is not listed; configure [hooks] origin in runwire.toml")
        allowed = response.header("access-control-allow-origin")
        assert allowed == target.origin, (
            f"expected `Access-Control-Allow-Origin: {target.origin}` on a {status}; "
            f"got {response.status} with {'no such header' if allowed is None else allowed}"
        )


@proves("SSE-14")
async def an_empty_cursor_is_none(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)
    whole = await (await (await target.events(run_id)).run()).whole()
    first = int(whole[0]["seq"])  # the end of what the server may have merged
    rest = behind(whole, first)

    for asked, cursor, query, expected in (
        ("an empty Last-Event-ID", "", {}, whole),
        (f"an empty Last-Event-ID and after={first}", "", {"after": str(first)}, rest),
        ("an empty after", None, {"after": ""}, whole),
        (f"an empty after and another of {first}", None, {"after": f"&after={first}"}, rest),
    ):
        again = await (await target.events(run_id, cursor, **query)).run()
        said = contents(await again.whole())
        expect_same_log(said, contents(expected), of=f"what {asked} asks for")


@proves("SSE-16")
async def a_cursor_that_is_given_twice_is_400(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    await until_finished(target, run_id)
    url = target.run_url(run_id, "/events")

    for place, headers in (
        (url + "?after=0&after=1", [EVENT_STREAM]),
        (url, [EVENT_STREAM, ("Last-Event-ID", "0"), ("Last-Event-ID", "1")]),
    ):
        response = await target.http("GET", place, headers)
        assert response.status == 400, f"expected 400; got {response.status}"


@proves("ORIGIN-7")
async def who_is_not_let_in_learns_nothing_else(target: Target) -> None:
    handshake = await target.refused_handshake(["another.v7"], [FOREIGN])
    assert handshake.status == 403, f"a foreign Origin with an unknown subprotocol: got {handshake.status}"
    if "auth" in target.features:
        stranger = target.as_caller("not-a-token-of-anybody")
        assert (await stranger.refused_handshake((), [FOREIGN])).status == 403
        assert (await stranger.refused_handshake(["another.v7"])).status == 401
    if "sse" in target.features:
        url = target.run_url(new_run_id())
        for method, place, headers in (
            ("GET", url, []),
            ("DELETE", url, []),
            ("POST", url + "/cancel", [TEXT]),
        ):
            response = await target.http(method, place, [FOREIGN, *headers])
            assert response.status == 403, f"a foreign Origin with {method}: got {response.status}"
            if "auth" in target.features:
                response = await target.as_caller(None).http(method, place, headers)
                assert response.status == 401, f"no credential with {method}: got {response.status}"


@proves("OBS-11")
async def a_traceparent_of_a_post_is_taken_over(target: Target) -> None:
    header = ("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01")
    stream = await target.stream("POST", target.runs_url, {"prompt": target.brief}, [header])
    run = await stream.run()

    terminal = await run.terminal()

    assert run.opening is not None
    assert (run.opening["trace_id"], terminal.get("trace_id")) == (TRACE_ID, TRACE_ID)


@proves("OBS-11")
async def the_body_of_a_post_wins_over_its_header(target: Target) -> None:
    body = {"prompt": target.brief, "traceparent": f"00-{OTHER_ID}-00f067aa0ba902b7-01"}
    header = ("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01")

    run = await (await target.stream("POST", target.runs_url, body, [header])).run()

    assert run.opening is not None
    assert run.opening["trace_id"] == OTHER_ID
    await run.terminal()
