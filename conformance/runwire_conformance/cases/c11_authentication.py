"""Chapter 11: credentials: accepted positions and refusals."""

import secrets

from runwire_conformance.case import Broken, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.expectations import (
    expect_header,
    expect_media_type,
    expect_member,
    expect_problem,
    expect_status,
)
from runwire_conformance.client.target import ACCEPT_JSON, JSON, Target, new_run_id
from runwire_conformance.client.wire.http import Response
from runwire_conformance.trace.redaction import base64url

FOREIGN = ("Origin", "https://attacker.example")


def bearer(token: str) -> tuple[str, str]:
    """Return the header that carries a token."""
    return "Authorization", f"Bearer {token}"


def offered(token: str) -> str:
    """Return the subprotocol that carries a token."""
    return f"bearer.{base64url(token)}"


def a_wrong_token() -> str:
    """Return a token that no server knows."""
    return f"wrong-{secrets.token_urlsafe(24)}"


def expect_challenge(response: Response) -> None:
    """Expect that a response asks for a credential ([AUTH-1])."""
    expect_problem(response, 401, "unauthorized")
    expect_media_type(response, "application/problem+json")
    expect_header(response, "WWW-Authenticate")


async def answers_to(caller: Target) -> list[Response]:
    """Return the answers to a request at every endpoint that the server offers."""
    run_id = new_run_id()
    answers = []
    if "sse" in caller.features:
        answers = [
            await caller.post(caller.runs_url, {"prompt": caller.brief}, ACCEPT_JSON),
            await caller.http("GET", caller.run_url(run_id)),
            await caller.http("GET", caller.run_url(run_id, "/events")),
            await caller.post(caller.run_url(run_id, "/cancel"), {}),
        ]
    if {"sse", "input"} <= caller.features:
        answers.append(
            await caller.post(caller.run_url(run_id, "/input"), {"request_id": "q1", "data": True})
        )
    if "tickets" in caller.features:
        answers.append(await caller.post(caller.profile.endpoint("tickets"), {}))
    return answers


@proves("CONN-3")
async def discovery_answers_as_the_handshake_would(target: Target) -> None:
    url = target.profile.discovery_url
    assert url is not None
    known, unknown = target.as_caller(target.token), target.as_caller(a_wrong_token())

    for caller, headers in (
        (known, []),
        (known, [FOREIGN]),
        (unknown, []),
        (target.as_caller(None), [bearer(target.token), bearer(target.token)]),
    ):
        peer, shaken, _ = await caller.handshake(headers=headers)
        peer.close()
        asked = await caller.http("GET", url, headers)
        assert asked.status == (200 if shaken.status == 101 else shaken.status)


@proves("AUTH-1")
async def a_handshake_without_credential_is_refused(target: Target) -> None:
    expect_challenge(await target.as_caller(None).refused_handshake())


@proves("AUTH-1")
async def every_endpoint_asks_for_a_credential(target: Target) -> None:
    answers = await answers_to(target.as_caller(None))
    if not answers:
        raise NotOffered("the server has no endpoint but its WebSocket")

    for answer in answers:
        expect_challenge(answer)


@proves("AUTH-1")
async def every_endpoint_refuses_a_wrong_token(target: Target) -> None:
    caller = target.as_caller(a_wrong_token())

    answers = [await caller.refused_handshake(), *await answers_to(caller)]

    for answer in answers:
        expect_challenge(answer)


@proves("AUTH-1")
async def what_is_no_credential_is_refused(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    for value in (
        "Bearer",
        token,
        f"Basic {base64url('runwire:' + token)}",
        f"Bearer {token} {token}",
    ):
        expect_challenge(await anonymous.refused_handshake(headers=[("Authorization", value)]))


@proves("AUTH-1")
async def two_credentials_of_one_kind_are_none(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    twice = await anonymous.refused_handshake(headers=[bearer(token), bearer(token)])
    offered_twice = await anonymous.refused_handshake(["runwire.v1", offered(token), offered(token)])

    expect_challenge(twice)
    expect_challenge(offered_twice)


@proves("AUTH-1")
async def a_subprotocol_that_carries_no_good_token_is_refused(target: Target) -> None:
    anonymous = target.as_caller(None)

    for subprotocol in (offered(a_wrong_token()), "bearer.", "bearer.!!!", f"bearer.{a_wrong_token()}"):
        expect_challenge(await anonymous.refused_handshake(["runwire.v1", subprotocol]))


@proves("AUTH-2", hooks=("forbidden_token",))
async def a_principal_that_may_not_is_forbidden(target: Target) -> None:
    caller = target.as_caller(target.hook("forbidden_token"))

    answers = [await caller.refused_handshake(), *await answers_to(caller)]

    for answer in answers:
        expect_problem(answer, 403, "forbidden")


@proves("AUTH-3")
async def a_caller_without_credential_gets_an_http_answer_with_a_problem(target: Target) -> None:
    if "auth" not in target.features:
        raise NotOffered("the server does not offer auth")

    response = await target.as_caller(None).refused_handshake()

    expect_status(response, 401)
    expect_media_type(response, "application/problem+json")
    expect_member(response.json(), "code", "unauthorized")


@proves("AUTH-4")
async def a_bad_header_is_not_made_good_by_what_follows(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    refused = await anonymous.refused_handshake(["runwire.v1", offered(token)], [bearer(a_wrong_token())])

    expect_challenge(refused)


@proves("AUTH-4")
async def what_follows_a_good_header_is_not_looked_at(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    client = await anonymous.connect(["runwire.v1", offered(a_wrong_token())], [bearer(token)])

    await client.barrier()


@proves("AUTH-4")
async def a_good_ticket_does_not_make_up_for_a_bad_token(target: Target) -> None:
    if "tickets" not in target.features:
        raise NotOffered("the server does not offer tickets")
    ticket, anonymous = await target.ticket(), target.as_caller(None)

    refused = await anonymous.refused_handshake(
        ["runwire.v1", offered(a_wrong_token())], query=f"ticket={ticket}"
    )

    expect_challenge(refused)


@proves("AUTH-4")
async def a_good_cookie_does_not_make_up_for_a_bad_token(target: Target) -> None:
    caller = with_cookie(target)

    refused = await caller.refused_handshake(headers=[bearer(a_wrong_token()), ("Origin", target.origin)])

    expect_challenge(refused)


@proves("AUTH-5")
async def a_token_in_the_header_of_a_handshake_is_accepted(target: Target) -> None:
    client = await target.as_caller(target.token).connect()

    run = await client.start(target.brief)

    await run.terminal()


@proves("AUTH-5")
async def a_token_in_the_header_of_a_request_is_accepted(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    caller = target.as_caller(target.token)

    stream = await caller.start_stream(target.brief)

    run = await stream.run()
    await run.terminal()
    expect_status(await caller.http("GET", caller.run_url(run.id)), 200)


@proves("AUTH-6")
async def a_token_offered_as_a_subprotocol_is_accepted_wherever_it_stands(target: Target) -> None:
    anonymous, subprotocol = target.as_caller(None), offered(target.token)

    for offer in (
        [subprotocol, "runwire.v1"],
        ["runwire.v1", subprotocol],
        ["other", subprotocol, "runwire.v1"],
    ):
        client = await anonymous.connect(offer)
        expect_header(client.response, "Sec-WebSocket-Protocol", "runwire.v1")


@proves("AUTH-7")
async def an_accepted_credential_is_not_repeated(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    for subprotocols, headers in ((["runwire.v1", offered(token)], []), ([], [bearer(token)])):
        client = await anonymous.connect(subprotocols, headers)
        run = await client.start(target.brief)
        await run.terminal()
        said = [record.payload for record in client.trace.records if record.side == "server"]
        assert_unrepeated(token, repr(client.response.headers), *said)


@proves("AUTH-7")
async def a_refused_credential_is_not_repeated(target: Target) -> None:
    token, anonymous = a_wrong_token(), target.as_caller(None)
    url = target.profile.discovery_url
    assert url is not None

    answers = [
        await anonymous.refused_handshake(headers=[bearer(token)]),
        await anonymous.refused_handshake(["runwire.v1", offered(token)]),
        await anonymous.http("GET", url, [bearer(token)]),
        await anonymous.http("GET", f"{url}?access_token={token}"),
        *await answers_to(target.as_caller(token)),
    ]

    assert_unrepeated(token, *(repr((answer.headers, answer.body)) for answer in answers))


def assert_unrepeated(token: str, *said: str) -> None:
    """Raise Broken when a token, plain or encoded, stands in what a server said."""
    for text in said:
        if token in text or base64url(token) in text:
            raise Broken(f"expected no credential in what the server says; got {text[:300]}")


def with_cookie(target: Target) -> Target:
    """Return the server as a page with the session cookie sees it; raises NotOffered and NotExercised."""
    if "cookie" not in target.profile.ways and "cookie" not in target.options.hooks:
        raise NotOffered("the server's auth lists no cookie")
    return target.as_caller(None, ("Cookie", target.hook("cookie")))


@proves("AUTH-9")
async def a_cookie_is_good_from_a_listed_origin(target: Target) -> None:
    client = await with_cookie(target).connect(headers=[("Origin", target.origin)])

    await client.barrier()


@proves("AUTH-9")
async def a_cookie_without_origin_is_forbidden_the_handshake(target: Target) -> None:
    caller = with_cookie(target)

    for headers in ([], [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "none")]):
        expect_problem(await caller.refused_handshake(headers=headers), 403, "forbidden")


@proves("AUTH-9")
async def a_cookie_without_origin_is_forbidden_a_request(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    caller, run_id = with_cookie(target), new_run_id()
    same_origin = ("Sec-Fetch-Site", "same-origin")

    for headers in ([], [("Sec-Fetch-Site", "same-site")]):
        expect_problem(await caller.http("GET", caller.run_url(run_id), headers), 403, "forbidden")
    posted = await caller.post(caller.runs_url, {"prompt": caller.brief}, ACCEPT_JSON, same_origin)
    expect_problem(posted, 403, "forbidden")


@proves("AUTH-9")
async def a_page_reads_with_its_cookie_at_its_own_origin(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    caller = with_cookie(target)

    answer = await caller.http("GET", caller.run_url(new_run_id()), [("Sec-Fetch-Site", "same-origin")])

    expect_problem(answer, 404, "not_found")


@proves("AUTH-10")
async def a_token_in_the_url_is_no_credential(target: Target) -> None:
    anonymous, token = target.as_caller(None), target.token

    for name in ("token", "access_token", "authorization"):
        expect_challenge(await anonymous.refused_handshake(query=f"{name}={token}"))
        if "sse" in target.features:
            url = target.run_url(new_run_id())
            expect_challenge(await anonymous.http("GET", f"{url}?{name}={token}"))


@proves("HTTP-17")
async def a_page_of_a_listed_origin_may_read_why_it_was_refused(target: Target) -> None:
    if "auth" not in target.features:
        raise NotOffered("the server does not offer auth")

    response = await target.as_caller(None).http(
        "POST", target.runs_url, [JSON, ("Origin", target.origin)], {"prompt": scripts.THREE_TOKENS}
    )

    expect_status(response, 401)
    expect_header(response, "Access-Control-Allow-Origin", target.origin)
