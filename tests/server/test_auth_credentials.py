"""Getting in without the right to: every place a credential may stand in, and every way to get that wrong."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers, QueryParams

from runwire_reference_server.access.credentials import CredentialKind, presented
from tests.support.auth_stand import (
    ALICE,
    BOB,
    JSON,
    SECRET,
    Answer,
    Header,
    Stand,
    as_subprotocol,
    bearer,
    is_problem,
    minted,
    offer,
    served,
    token_options,
)

LISTED = ("Origin", "http://localhost:3000")
RUN = "/v1/runs/" + "r" * 22


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("credentials")
    with served(folder, *token_options(folder)) as running:
        yield running


def cookie(token: str) -> Header:
    """Return the header that carries a session cookie."""
    return "Cookie", f"theme=dark; session={token}; lang=en"


NOT_GOOD: dict[str, list[Header]] = {
    "nothing": [],
    "an unknown token": [bearer("nobody-knows-this-token")],
    "a prefix of a token": [bearer(ALICE[:-1])],
    "a token and more": [bearer(ALICE + "x")],
    "an empty token": [("Authorization", "Bearer")],
    "an empty token after a space": [("Authorization", "Bearer ")],
    "a token under another scheme": [("Authorization", f"Basic {ALICE}")],
    "a token without a scheme": [("Authorization", ALICE)],
    "a token in quotes": [bearer(f'"{ALICE}"')],
    "two tokens in one header": [bearer(f"{ALICE} {ALICE}")],
    "two headers": [bearer(ALICE), bearer(BOB)],
    "twice the same": [bearer(ALICE), bearer(ALICE)],
    "a token with other bytes": [bearer(ALICE + "\xe9")],
    "a name of a principal": [bearer("alice")],
    "a digest in place of a token": [bearer("0" * 64)],
    "a token that is far too long": [bearer("a" * 8100)],
    "many dots": [bearer("." * 2000)],
    "something like a JSON Web Token": [bearer("e30.e30.e30")],
    "a token in a cookie of another name": [("Cookie", f"sessions={ALICE}; xsession={ALICE}"), LISTED],
    "two session cookies": [("Cookie", f"session={ALICE}; session={BOB}"), LISTED],
    "a bad header before a good cookie": [bearer("bad-token-0123456789"), cookie(ALICE), LISTED],
    "an empty header before a good cookie": [bearer(""), cookie(ALICE), LISTED],
    "an unknown cookie": [cookie("nobody-knows-this-token"), LISTED],
    "a proxy's word": [("X-Forwarded-User", "alice"), ("X-Forwarded-For", "127.0.0.1"), ("X-User", "alice")],
}


@pytest.mark.parametrize("headers", NOT_GOOD.values(), ids=NOT_GOOD)
def test_who_has_no_good_credential_stays_outside(stand: Stand, headers: list[Header]) -> None:
    answers = [
        stand.shake(*headers),
        stand.ask("GET", RUN, *headers),
        stand.ask("POST", "/v1/runs", *headers, body='{"prompt":"x"}'),
        stand.ask("POST", "/v1/tickets", *headers, body="{}"),
    ]

    assert all(is_problem(answer, 401, "unauthorized") for answer in answers)


OFFERS: dict[str, tuple[str, ...]] = {
    "an unknown token": (as_subprotocol("nobody-knows-this-token"),),
    "with padding": ("bearer." + base64.urlsafe_b64encode(ALICE.encode()).decode(),),
    "not encoded": (f"bearer.{ALICE}",),
    "no token": ("bearer.",),
    "bytes that are no text": ("bearer._____w",),
    "two": (as_subprotocol(ALICE), as_subprotocol(BOB)),
}


@pytest.mark.parametrize("offered", OFFERS.values(), ids=OFFERS)
def test_a_bad_token_among_the_subprotocols_is_refused(stand: Stand, offered: tuple[str, ...]) -> None:
    refused = stand.shake(offer("runwire.v1", *offered))
    beside_a_good_cookie = stand.shake(offer(*offered, "runwire.v1"), cookie(ALICE), LISTED)

    # "=" cannot stand in the name of a subprotocol
    status, code = (400, "bad_request") if "=" in offered[0] else (401, "unauthorized")
    assert is_problem(refused, status, code)
    assert is_problem(beside_a_good_cookie, status, code)


@pytest.mark.parametrize("name", ["access_token", "token", "Token", "jwt", "bearer", "api_key"])
def test_a_token_in_the_url_is_refused(stand: Stand, name: str) -> None:
    query = f"?{name}={ALICE}"

    answers = [
        stand.shake(query=query),
        stand.shake(bearer(ALICE), query=query),
        stand.ask("GET", RUN + query),
        stand.ask("GET", "/.well-known/runwire" + query),
    ]

    assert all(is_problem(answer, 401, "unauthorized") for answer in answers)


def test_a_good_token_gets_in_wherever_it_may_stand(stand: Stand) -> None:
    accepted = [
        stand.shake(bearer(ALICE)),
        stand.shake(("authorization", f"bEARER   {ALICE}")),
        stand.shake(offer("runwire.v1", as_subprotocol(ALICE))),
        stand.shake(offer(as_subprotocol(ALICE), "runwire.v1")),
        stand.shake(offer("chat", as_subprotocol(BOB), "runwire.v1")),
        stand.shake(offer("runwire.v1"), ("Sec-WebSocket-Protocol", as_subprotocol(minted()))),
        stand.shake(cookie(ALICE), LISTED),
        stand.shake(("Authorization", "Basic eDp5"), cookie(ALICE), LISTED),
        stand.shake(bearer(ALICE), cookie("bad"), LISTED),
        stand.shake(bearer(minted())),
    ]

    assert [answer.status for answer in accepted] == [101] * len(accepted)
    selected = [answer.headers.get("sec-websocket-protocol") for answer in accepted]
    assert selected == [None, None, *["runwire.v1"] * 4, None, None, None, None]


def test_a_token_alone_is_no_protocol(stand: Stand) -> None:
    assert is_problem(stand.shake(offer(as_subprotocol(ALICE))), 400, "bad_request")


def test_a_subprotocol_is_a_credential_in_handshakes_only(stand: Stand) -> None:
    answer = stand.ask("GET", RUN, offer("runwire.v1", as_subprotocol(ALICE)))

    assert is_problem(answer, 401, "unauthorized")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"cookie", b"sec-websocket-protocol"]),
            st.binary(max_size=30)
            | st.builds(
                bytes.__add__,
                st.sampled_from([b"Bearer ", b"bearer.", b"session=", b"a, bearer."]),
                st.binary(),
            ),
        ),
        max_size=4,
    ),
    st.binary(max_size=30) | st.just(b"ticket=%ff&ticket"),
    st.booleans(),
)
def test_whatever_is_presented_is_read_or_not_there(
    headers: list[tuple[bytes, bytes]], query: bytes, handshake: bool
) -> None:
    found = presented(Headers(raw=headers), QueryParams(query), "session", handshake=handshake)

    assert found is None or isinstance(found.token, str)
    if found is not None and not handshake:
        assert found.kind in {CredentialKind.HEADER, CredentialKind.COOKIE}


COOKIE_REQUESTS: dict[str, tuple[str, list[Header], int]] = {
    "a listed page": ("GET", [LISTED], 404),
    "a listed page that posts": ("POST", [LISTED, JSON], 404),
    "no Origin": ("GET", [], 403),
    "no Origin, a post": ("POST", [JSON], 403),
    "no Origin, same-origin": ("GET", [("Sec-Fetch-Site", "same-origin")], 404),
    "no Origin, same-origin, a post": ("POST", [("Sec-Fetch-Site", "same-origin"), JSON], 403),
    "no Origin, same-site": ("GET", [("Sec-Fetch-Site", "same-site")], 403),
    "no Origin, cross-site": ("GET", [("Sec-Fetch-Site", "cross-site")], 403),
    "no Origin, typed by the user": ("GET", [("Sec-Fetch-Site", "none")], 403),
    "a foreign page": ("GET", [("Origin", "https://attacker.example")], 403),
    "no page": ("GET", [("Origin", "null")], 403),
}


@pytest.mark.parametrize(("method", "headers", "status"), COOKIE_REQUESTS.values(), ids=COOKIE_REQUESTS)
def test_a_cookie_counts_for_known_pages_only(
    stand: Stand, method: str, headers: list[Header], status: int
) -> None:
    path = RUN if method == "GET" else f"{RUN}/cancel"

    answer = stand.ask(method, path, cookie(ALICE), *headers, body=None if method == "GET" else "{}")

    assert is_problem(answer, status, {403: "forbidden", 404: "not_found"}[status])


def test_a_handshake_with_a_cookie_needs_an_origin(stand: Stand) -> None:
    assert is_problem(stand.shake(cookie(ALICE)), 403, "forbidden")


OUTSIDE: dict[str, list[Header]] = {
    "a foreign page": [("Origin", "https://attacker.example")],
    "a page that looks listed": [("Origin", "http://localhost.attacker.example")],
    "no page": [("Origin", "null")],
    "an empty page": [("Origin", "")],
    "a rebound name": [("Host", "attacker.example")],
    "a rebound name with a page of it": [("Host", "attacker.example"), ("Origin", "http://attacker.example")],
    "a rebound name and a forwarded one": [("Host", "attacker.example"), ("X-Forwarded-Host", "localhost")],
}


@pytest.mark.parametrize("headers", OUTSIDE.values(), ids=OUTSIDE)
def test_a_good_token_does_not_help_a_bad_host_or_origin(stand: Stand, headers: list[Header]) -> None:
    answers = [stand.shake(bearer(ALICE), *headers), stand.ask("GET", RUN, bearer(ALICE), *headers)]

    assert all(is_problem(answer, 403, "forbidden") for answer in answers)
    assert all("access-control-allow-origin" not in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "smuggled",
    [
        f"x\r\nAuthorization: Bearer {ALICE}",
        "x\nSet-Cookie: a=b",
        "x\rSet-Cookie: a=b",
        "x\0y",
        "http://localhost:3000\r\n\tx",
    ],
)
def test_line_ends_in_headers_break_nothing(stand: Stand, smuggled: str) -> None:
    for name in ("Origin", "Authorization", "traceparent", "Last-Event-ID"):
        answer = stand.ask("GET", RUN, (name, smuggled))
        assert answer.status in {400, 401, 403, 404}
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/../v1/runs/x",
        "/healthz/%2e%2e/v1/runs/x",
        "/.well-known/../v1/runs/x",
        "//v1/runs/x",
        "/V1/RUNS/x",
        "/v1/runs/x;/healthz",
        "/v1/runs/x?/healthz",
        "/v1/runs/x%00/healthz",
        "http://localhost/v1/runs/x",
    ],
)
def test_no_spelling_of_a_path_spares_the_credential(stand: Stand, path: str) -> None:
    elsewhere = [("X-Original-URL", "/healthz"), ("X-Rewrite-URL", "/healthz")]

    assert is_problem(stand.raw(f"GET {path} HTTP/1.1", elsewhere), 401, "unauthorized")


def test_an_encoded_slash_leads_nowhere(stand: Stand) -> None:
    assert is_problem(stand.raw("GET /healthz%2f..%2fv1/runs/x HTTP/1.1", []), 404, "not_found")


@pytest.mark.parametrize(
    ("lengths", "statuses"),
    [
        # The second request follows the body by every length, and has no credential of its own.
        (["Content-Length: 5"], [400, 401]),
        (["Transfer-Encoding: chunked"], [400, 401]),
        # Where the first one ends depends on which length is believed: nothing that follows is read.
        (["Content-Length: 5", "Transfer-Encoding: chunked"], [400]),
        (["Transfer-Encoding: chunked", "Content-Length: 60"], [400]),
        (["Content-Length: 5", "Content-Length: 60"], [400]),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], [400]),
        (["Transfer-Encoding: xchunked"], [400]),
        (["Content-Length: +5"], [400]),
        (["Content-Length : 5"], [400]),
    ],
)
def test_a_request_that_hides_in_another_has_no_credential(
    stand: Stand, lengths: list[str], statuses: list[int]
) -> None:
    host = f"Host: 127.0.0.1:{stand.port}"
    good = ": ".join(bearer(ALICE))
    head = "\r\n".join(["POST /v1/runs HTTP/1.1", host, good, "Content-Type: application/json", *lengths])
    hidden = f"GET {RUN} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n"

    with stand.dial() as peer:
        peer.sendall(f"{head}\r\n\r\n0\r\n\r\n{hidden}".encode())
        answers = b"".join(iter(lambda: peer.recv(65536), b""))

    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)] == statuses


def test_a_redirect_does_not_repeat_the_query(stand: Stand) -> None:
    for path in ("/v1/runs/", "/v1/tickets/", "/.well-known/runwire/"):
        answer = stand.ask("GET", f"{path}?ticket=secret-in-the-query", bearer(ALICE))

        assert is_problem(answer, 404, "not_found")
        assert "secret-in-the-query" not in f"{answer.headers}{answer.body!r}"


def test_two_origins_are_none(stand: Stand) -> None:
    pages = [LISTED, ("Origin", "https://attacker.example")]

    for headers in (pages, pages[::-1], [LISTED, LISTED]):
        assert is_problem(stand.ask("GET", RUN, bearer(ALICE), *headers), 403, "forbidden")
        assert stand.shake(bearer(ALICE), *headers).status in {400, 403}


def test_headers_beyond_all_measure_are_refused_in_a_handshake_too(stand: Stand) -> None:
    assert is_problem(stand.shake(bearer("a" * 20_000)), 413, "payload_too_large")
    with contextlib.suppress(ConnectionError):  # it need not read to the end to refuse
        assert stand.ask("GET", RUN, bearer("a" * 200_000)).status in {400, 413, 431}


@pytest.mark.parametrize("offered", [f"runwire.v1, {as_subprotocol(ALICE)} /x", "\0", "runwire.v1,,"])
def test_a_refusal_does_not_repeat_the_request(stand: Stand, offered: str) -> None:
    answer = stand.shake(("Sec-WebSocket-Protocol", offered))

    assert answer.status in {400, 401}
    assert as_subprotocol(ALICE) not in f"{answer.headers}{answer.body!r}"


def test_discovery_answers_as_the_handshake_would(stand: Stand) -> None:
    def asked(*headers: Header) -> Answer:
        return stand.ask("GET", "/.well-known/runwire", *headers)

    document = asked().json
    assert document["auth"] == ["bearer", "ticket", "cookie"]
    assert document["endpoints"]["tickets"] == "../v1/tickets"
    assert {"auth", "tickets"} <= set(document["features"])
    assert [asked(bearer(token)).status for token in (ALICE, minted())] == [200, 200]
    assert asked(offer("runwire.v1", as_subprotocol(ALICE))).status == 200
    assert asked(cookie(ALICE), LISTED).status == 200
    assert is_problem(asked(bearer("bad-token-0123456789")), 401, "unauthorized")
    assert is_problem(asked(offer("runwire.v1", as_subprotocol("bad"))), 401, "unauthorized")
    assert is_problem(asked(cookie("bad"), LISTED), 401, "unauthorized")
    assert is_problem(asked(bearer(minted(exp=1))), 401, "unauthorized")


def test_what_tells_nothing_about_anybody_needs_no_credential(stand: Stand) -> None:
    assert stand.ask("GET", "/ws/generate").status == 426
    assert [stand.ask("GET", path).status for path in ("/", "/runwire/log.js", "/.well-known/runwire")] == [
        200
    ] * 3
    assert [stand.ask("GET", path).status for path in ("/nowhere", "/v1/runs", "/v1/tickets")] == [401] * 3
    assert is_problem(stand.raw("GET /elsewhere HTTP/1.1", [bearer(ALICE)]), 404, "not_found")


def test_a_page_may_ask_before_and_may_read_why_it_was_refused(stand: Stand) -> None:
    asks = [
        LISTED,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization"),
    ]

    preflight = stand.ask("OPTIONS", "/v1/tickets", *asks)
    refused = stand.ask("POST", "/v1/tickets", LISTED, body="{}")
    foreign = stand.ask("OPTIONS", "/v1/tickets", ("Origin", "https://attacker.example"), *asks[1:])

    assert preflight.status == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert is_problem(refused, 401, "unauthorized")
    for answer in (preflight, refused):
        assert answer.headers["access-control-allow-origin"] == LISTED[1]
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
    assert is_problem(foreign, 403, "forbidden")


def test_a_challenge_names_what_was_wrong(stand: Stand) -> None:
    assert stand.shake().headers["www-authenticate"] == 'Bearer realm="runwire"'
    assert (
        stand.shake(bearer("bad")).headers["www-authenticate"]
        == 'Bearer realm="runwire", error="invalid_token"'
    )


def test_no_credential_is_ever_logged(stand: Stand) -> None:
    token = minted(sub="logged")
    ticket = stand.ask("POST", "/v1/tickets", bearer(token), body="{}").json["ticket"]
    secrets = [token, ticket, ALICE, BOB, SECRET, as_subprotocol(token), "wrong-token-0123456789"]
    stand.shake(bearer(token))
    stand.shake(offer("runwire.v1", as_subprotocol(token)))
    stand.shake(query=f"?ticket={ticket}")
    stand.shake(query=f"?ticket={ticket}")
    stand.shake(query=f"?access_token={token}")
    stand.shake(bearer("wrong-token-0123456789"))
    stand.shake(("Sec-WebSocket-Protocol", f"runwire.v1, {as_subprotocol(token)} /x"))
    stand.shake(cookie(token), LISTED)
    stand.ask("GET", RUN + f"?access_token={token}&ticket={ticket}", cookie(token))
    stand.ask("POST", "/v1/runs", bearer(token), body=json.dumps({"prompt": 7}))
    stand.raw(f"GET /{token} HTTP/1.1", [bearer(ALICE)])
    stand.raw(f"GET /{token} {token} HTTP/1.1", [bearer(ALICE)])

    log = stand.log

    assert "a caller was not admitted: unknown" in log, (
        "the log must have been written for the test to mean anything"
    )
    assert [secret for secret in secrets if secret in log or secret.rpartition(".")[2] in log] == []
