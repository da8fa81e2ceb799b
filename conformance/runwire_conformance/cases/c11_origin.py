"""Chapter 11: Host and Origin checks, and refused handshakes."""

from urllib.parse import urlsplit

from runwire_conformance.case import Broken, NotExercised, proves
from runwire_conformance.client.expectations import expect_media_type, expect_member, expect_status
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.dialects import Dialect, DialectPeer
from runwire_conformance.client.wire.http import Unanswered, address_of, target_of

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


def expect_bound(target: Target) -> str:
    """Return the server's name; raises NotExercised for one that may be called by any."""
    name = urlsplit(target.profile.websocket_url).hostname or ""
    open_to_all = target.profile.said.get("auth") in (None, ["none"])
    if not open_to_all and name not in {"localhost", "127.0.0.1", "::1"}:
        raise NotExercised("only for a server on loopback or without authentication")
    return name


@proves("ORIGIN-4")
async def a_foreign_host_is_refused(target: Target) -> None:
    name = expect_bound(target)

    for host in ("attacker.example", f"{name}.attacker.example", f"{name}.attacker.example:8080"):
        response = await target.refused_handshake(headers=[("Host", host)])
        expect_status(response, 403)


@proves("AUTH-3")
async def a_refused_handshake_is_an_http_answer_with_a_problem(target: Target) -> None:
    response = await target.refused_handshake(headers=[FOREIGN])

    body = response.json()
    expect_media_type(response, "application/problem+json")
    expect_member(body, "code", "forbidden")


@proves("ORIGIN-8")
async def a_request_without_host_is_refused(target: Target) -> None:
    url = target.profile.discovery_url
    assert url is not None
    expect_bound(target)

    for version in ("1.1", "1.0"):
        nameless = Dialect(f"HTTP/{version} without Host", (), version=version, host=False)
        exchange = DialectPeer(nameless, address_of(url), target.options.tls, None)
        exchange.says("GET", target_of(url), (), None)
        trace = target.noted("http", "GET without Host")
        trace.add("client", "request", f"GET {target_of(url)} as {nameless.name}")
        try:
            response = await exchange.request("GET", target_of(url), (), None)
        except Unanswered as problem:
            raise Broken(f"{nameless.name}: expected 400 or 403: {problem}") from None
        finally:
            exchange.close()
        trace.add("server", "response", str(response.status), code=response.status)
        assert response.status in {400, 403}, f"{nameless.name}: expected 400 or 403; got {response.status}"
