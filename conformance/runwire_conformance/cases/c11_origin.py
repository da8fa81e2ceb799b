"""Chapter 11: Host and Origin, and how a handshake is refused."""

from urllib.parse import urlsplit

from runwire_conformance.case import NotExercised, proves
from runwire_conformance.client.expectations import expect_media_type, expect_member, expect_status
from runwire_conformance.client.target import Target

FOREIGN = ("Origin", "https://attacker.example")


@proves("ORIGIN-1")
async def a_foreign_origin_is_refused_the_handshake(target: Target) -> None:
    response = await target.refused_handshake(headers=[FOREIGN])

    expect_status(response, 403)


@proves("ORIGIN-1")
async def a_foreign_origin_is_refused_over_http(target: Target) -> None:
    assert target.profile.discovery_url is not None

    response = await target.http("GET", target.profile.discovery_url, [FOREIGN])

    expect_status(response, 403)


@proves("ORIGIN-1")
async def an_origin_that_only_looks_listed_is_refused(target: Target) -> None:
    authority = urlsplit(target.profile.websocket_url).netloc

    for origin in (
        f"http://{authority}.attacker.example",
        f"http://{authority}@attacker.example",
        "http://localhost.attacker.example",
    ):
        response = await target.refused_handshake(headers=[("Origin", origin)])
        expect_status(response, 403)


@proves("ORIGIN-2")
async def the_origin_null_is_refused(target: Target) -> None:
    response = await target.refused_handshake(headers=[("Origin", "null")])

    expect_status(response, 403)


@proves("ORIGIN-3")
async def a_client_without_origin_is_admitted(target: Target) -> None:
    peer, response, _ = await target.handshake()
    peer.close()

    expect_status(response, 101)


@proves("ORIGIN-4")
async def a_foreign_host_is_refused(target: Target) -> None:
    name = urlsplit(target.profile.websocket_url).hostname or ""
    open_to_all = target.profile.said.get("auth") in (None, ["none"])
    if not open_to_all and name not in {"localhost", "127.0.0.1", "::1"}:
        raise NotExercised("only for a server on loopback or without authentication")

    for host in ("attacker.example", f"{name}.attacker.example", f"{name}.attacker.example:8080"):
        response = await target.refused_handshake(headers=[("Host", host)])
        expect_status(response, 403)


@proves("AUTH-3")
async def a_refused_handshake_is_an_http_answer_with_a_problem(target: Target) -> None:
    response = await target.refused_handshake(headers=[FOREIGN])

    body = response.json()
    expect_media_type(response, "application/problem+json")
    expect_member(body, "code", "forbidden")
