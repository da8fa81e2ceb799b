"""Tickets: what they are good for, and everything they must not be good for."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwire_reference_server.access.credentials import Credential
from runwire_reference_server.access.tickets import MAX_OPEN, Issued, MemoryTickets
from runwire_reference_server.run_log.runs import Principal
from runwire_reference_server.service.service import Refusal
from runwire_schemas import violations
from tests.support.auth_stand import (
    ALICE,
    BOB,
    Answer,
    Header,
    Stand,
    bearer,
    close_code,
    is_problem,
    message_of,
    minted,
    offer,
    served,
    token_options,
)

PAGE, OTHER_PAGE = ("Origin", "http://localhost:3000"), ("Origin", "http://localhost:4000")
RUN = "/v1/runs/" + "r" * 22


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("tickets")
    with served(folder, *token_options(folder), "--ticket-s=20") as running:
        yield running


def ticket(stand: Stand, token: str = ALICE, *headers: Header) -> str:
    """Return a query with a fresh ticket."""
    answer = stand.ask("POST", "/v1/tickets", bearer(token), *headers, body="{}")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert violations("ticket", answer.json) == []
    return "?ticket=" + answer.json["ticket"]


def test_a_ticket_opens_one_connection(stand: Stand) -> None:
    query = ticket(stand)

    answers = [stand.shake(query=query) for _ in range(3)]

    assert answers[0].status == 101
    assert all(is_problem(answer, 401, "unauthorized") for answer in answers[1:])


def test_tickets_differ(stand: Stand) -> None:
    assert len({ticket(stand) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("issued", "used", "status"),
    [
        ([PAGE], [PAGE], 101),
        ([], [], 101),
        ([PAGE], [OTHER_PAGE], 401),
        ([PAGE], [], 401),
        ([], [PAGE], 401),
        ([PAGE], [("Origin", "https://attacker.example")], 403),
        ([PAGE], [("Origin", "null")], 403),
    ],
)
def test_a_ticket_is_bound_to_its_origin(
    stand: Stand, issued: list[Header], used: list[Header], status: int
) -> None:
    query = ticket(stand, ALICE, *issued)

    assert stand.shake(*used, query=query).status == status
    assert stand.shake(*issued, query=query).status == 401, "it is spent, whatever became of the handshake"


@pytest.mark.parametrize(
    "headers",
    [[offer("chat")], [("Host", "attacker.example")], [("traceparent", "nonsense")]],
)
def test_a_ticket_is_spent_whatever_becomes_of_the_handshake(stand: Stand, headers: list[Header]) -> None:
    query = ticket(stand)

    stand.shake(*headers, query=query)

    assert is_problem(stand.shake(query=query), 401, "unauthorized")


def test_a_ticket_behind_another_credential_is_not_looked_at(stand: Stand) -> None:
    query = ticket(stand)

    assert stand.shake(bearer("bad-token-0123456789"), query=query).status == 401
    assert stand.shake(bearer(ALICE), query=query).status == 101
    assert stand.shake(query=query).status == 101


def test_a_ticket_is_good_for_handshakes_only(stand: Stand) -> None:
    query = ticket(stand)
    value = query.partition("=")[2]

    for method, path, body in (
        ("GET", RUN, None),
        ("GET", f"{RUN}/events", None),
        ("POST", "/v1/runs", '{"prompt":"x"}'),
        ("POST", "/v1/tickets", "{}"),
    ):
        assert is_problem(stand.ask(method, path + query, body=body), 401, "unauthorized")
        assert is_problem(stand.ask(method, path, bearer(value), body=body), 401, "unauthorized")
    assert is_problem(stand.shake(bearer(value)), 401, "unauthorized")
    assert stand.shake(query=query).status == 101


def test_discovery_tells_whether_a_ticket_is_good_and_does_not_consume_it(stand: Stand) -> None:
    def asked(query: str, *headers: Header) -> Answer:
        return stand.ask("GET", "/.well-known/runwire" + query, *headers)

    own = f"http://127.0.0.1:{stand.port}"
    query, of_own_page = ticket(stand), ticket(stand, ALICE, ("Origin", own))

    assert [asked(query).status, asked(query).status] == [200, 200]
    assert asked(of_own_page, ("Sec-Fetch-Site", "same-origin")).status == 200
    assert is_problem(asked(query, PAGE), 401, "unauthorized")
    assert stand.shake(query=query).status == 101
    assert is_problem(asked(query), 401, "unauthorized")


@pytest.mark.parametrize("query", ["?ticket=", "?ticket=x", "?ticket=" + "A" * 32, "?ticket=%00%0d%0aX:y"])
def test_what_is_no_ticket_is_refused(stand: Stand, query: str) -> None:
    assert is_problem(stand.shake(query=query), 401, "unauthorized")


def test_two_tickets_are_none(stand: Stand) -> None:
    first, second = ticket(stand), ticket(stand)

    assert is_problem(stand.shake(query=f"{first}&{second[1:]}"), 401, "unauthorized")


@pytest.mark.parametrize("headers", [[], [bearer("bad-token-0123456789")], [("Cookie", f"session={ALICE}")]])
def test_tickets_are_for_callers_with_a_good_credential(stand: Stand, headers: list[Header]) -> None:
    assert stand.ask("POST", "/v1/tickets", *headers, body="{}").status in {401, 403}


def test_a_page_with_a_cookie_gets_a_ticket(stand: Stand) -> None:
    answer = stand.ask("POST", "/v1/tickets", ("Cookie", f"session={ALICE}"), PAGE, body="{}")

    assert stand.shake(PAGE, query="?ticket=" + answer.json["ticket"]).status == 101


def test_the_endpoint_is_as_strict_as_the_others(stand: Stand) -> None:
    form = ("Content-Type", "application/x-www-form-urlencoded")

    assert is_problem(stand.ask("POST", "/v1/tickets", bearer(ALICE), form, body="a=b"), 415, "unsupported")
    assert is_problem(stand.ask("POST", "/v1/tickets", bearer(ALICE), body="[]"), 400, "bad_request")
    assert stand.ask("GET", "/v1/tickets", bearer(ALICE)).status == 405


def test_a_connection_with_a_ticket_acts_for_whom_it_was_issued(stand: Stand) -> None:
    run_id = "t" * 22
    with stand.connection(query=ticket(stand, BOB)) as socket:
        socket.send(json.dumps({"type": "start", "prompt": "x", "run_id": run_id}))
        message_of(socket, "done")

    assert stand.ask("GET", f"/v1/runs/{run_id}", bearer(BOB)).status == 200
    assert is_problem(stand.ask("GET", f"/v1/runs/{run_id}", bearer(ALICE)), 404, "not_found")


def test_a_connection_with_a_ticket_ends_when_the_credential_behind_it_expires(stand: Stand) -> None:
    expires_at = int(time.time()) + 3
    query = ticket(stand, minted(exp=expires_at))
    with stand.connection(query=query) as socket:
        assert close_code(socket) == 4101

    assert time.time() >= expires_at


def test_a_ticket_lives_no_longer_than_the_credential_behind_it(stand: Stand) -> None:
    token = minted(exp=int(time.time()) + 5)

    answer = stand.ask("POST", "/v1/tickets", bearer(token), body="{}")

    assert 0 < answer.json["expires_in_s"] <= 5


def test_without_tickets_there_are_none(tmp_path: Path) -> None:
    with served(tmp_path, *token_options(tmp_path), "--without=tickets") as stand:
        document = stand.ask("GET", "/.well-known/runwire").json
        answer = stand.ask("POST", "/v1/tickets", bearer(ALICE), body="{}")

    assert ("tickets" in document["features"], "auth" in document["features"]) == (False, True)
    assert document["auth"] == ["bearer", "cookie"]
    assert is_problem(answer, 404, "not_found")


def issued(name: str) -> Issued:
    """Return what a ticket of that principal is issued for."""
    return Issued(Credential(Principal("tests", name)), None)


def test_a_ticket_that_is_too_old_is_unknown_and_costs_nothing() -> None:
    async def play() -> None:
        tickets = MemoryTickets()
        first = await tickets.issue(issued("alice"), 0.05)
        second = await tickets.issue(issued("alice"), 30)
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(0.06, later.set)
        await later.wait()

        assert await tickets.take(first) is None
        assert await tickets.look(second) == issued("alice")
        assert await tickets.take(second) == issued("alice")
        assert await tickets.take(second) is None
        assert (tickets._open, tickets._counts) == ({}, {})

    asyncio.run(play())


def test_a_principal_that_hoards_tickets_is_held_up_and_no_other() -> None:
    async def play() -> None:
        tickets = MemoryTickets()
        hoard = [await tickets.issue(issued("alice"), 30) for _ in range(MAX_OPEN)]

        with pytest.raises(Refusal) as refused:
            await tickets.issue(issued("alice"), 30)
        assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 30)
        assert await tickets.issue(issued("bob"), 30)
        await tickets.take(hoard[0])
        assert await tickets.issue(issued("alice"), 30)

    asyncio.run(play())
