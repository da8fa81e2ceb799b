"""Chapter 11: tickets."""

import asyncio
import secrets

from runwire_conformance.case import NotOffered, proves
from runwire_conformance.cases.c11_authentication import expect_challenge, with_cookie
from runwire_conformance.cases.c11_expiry import ends_with_its_credential, lasting
from runwire_conformance.client.expectations import (
    expect_directives,
    expect_refused,
    expect_status,
    expect_valid,
)
from runwire_conformance.client.target import ACCEPT_JSON, Target, new_run_id

FOREIGN = ("Origin", "https://attacker.example")


@proves("TICKET-1")
async def a_ticket_is_issued_to_a_known_caller(target: Target) -> None:
    response = await target.post(target.profile.endpoint("tickets"), {})

    body = response.json()
    expect_status(response, 200)
    target.redaction.add(str(body.get("ticket")))
    expect_valid("ticket", body)


@proves("TICKET-1")
async def no_two_tickets_are_the_same(target: Target) -> None:
    tickets = [await target.ticket() for _ in range(5)]

    assert len(set(tickets)) == 5


@proves("TICKET-1")
async def a_ticket_opens_a_connection(target: Target) -> None:
    ticket = await target.ticket()

    client = await target.as_caller(None).connect(query=f"ticket={ticket}")

    run = await client.start(target.brief)
    await run.terminal()


@proves("HTTP-13")
async def no_ticket_is_stored(target: Target) -> None:
    if "tickets" not in target.features:
        raise NotOffered("the server does not offer tickets")

    response = await target.post(target.profile.endpoint("tickets"), {})

    target.redaction.add(str(response.json().get("ticket")))
    expect_directives(response, "no-store")


@proves("TICKET-3", timing=True, deadline_s=60)
async def a_ticket_that_is_too_old_is_refused(target: Target) -> None:
    response = await target.post(target.profile.endpoint("tickets"), {})
    body = response.json()
    ticket = target.redaction.add(str(body["ticket"]))
    assert body["expires_in_s"] <= 30
    target.within_patience(body["expires_in_s"], "life of tickets")

    await asyncio.sleep(body["expires_in_s"] + target.clock.tolerance)

    expect_challenge(await target.as_caller(None).refused_handshake(query=f"ticket={ticket}"))


@proves("TICKET-4")
async def a_ticket_is_accepted_once(target: Target) -> None:
    ticket, anonymous = await target.ticket(), target.as_caller(None)
    await anonymous.connect(query=f"ticket={ticket}")

    again = await anonymous.refused_handshake(query=f"ticket={ticket}")

    expect_challenge(again)


@proves("TICKET-4", connections=4)
async def a_ticket_that_comes_several_times_at_once_is_accepted_once(target: Target) -> None:
    ticket, anonymous = await target.ticket(), target.as_caller(None)

    answers = await asyncio.gather(*(anonymous.handshake(query=f"ticket={ticket}") for _ in range(4)))

    for peer, _, _ in answers:
        peer.close()
    assert sorted(response.status for _, response, _ in answers) == [101, 401, 401, 401]


@proves("TICKET-4")
async def a_ticket_is_spent_by_a_handshake_that_is_refused(target: Target) -> None:
    anonymous = target.as_caller(None)

    for subprotocols, headers, status in (
        (["runwire.v9"], [], 400),
        ([], [FOREIGN], 403),
        ([], [("Origin", "null")], 403),
    ):
        ticket = await target.ticket()
        refused = await anonymous.refused_handshake(subprotocols, headers, query=f"ticket={ticket}")
        assert refused.status == status
        expect_challenge(await anonymous.refused_handshake(query=f"ticket={ticket}"))


@proves("AUTH-4")
async def a_good_cookie_does_not_make_up_for_a_bad_ticket(target: Target) -> None:
    if "tickets" not in target.features:
        raise NotOffered("the server does not offer tickets")
    caller = with_cookie(target)

    refused = await caller.refused_handshake(
        headers=[("Origin", target.origin)], query=f"ticket={secrets.token_urlsafe(24)}"
    )

    expect_challenge(refused)


@proves("TICKET-5")
async def a_ticket_is_good_for_a_handshake_only(target: Target) -> None:
    ticket, anonymous = await target.ticket(), target.as_caller(None)
    answers = [await anonymous.post(f"{target.profile.endpoint('tickets')}?ticket={ticket}", {})]
    if "sse" in target.features:
        answers += [
            await anonymous.http("GET", f"{target.run_url(new_run_id())}?ticket={ticket}"),
            await anonymous.post(f"{target.runs_url}?ticket={ticket}", {"prompt": target.brief}, ACCEPT_JSON),
        ]

    for answer in answers:
        expect_challenge(answer)


@proves("TICKET-5")
async def a_ticket_is_no_bearer_token(target: Target) -> None:
    ticket = await target.ticket()

    expect_challenge(await target.as_caller(ticket).refused_handshake())


@proves("TICKET-6")
async def a_ticket_is_good_at_the_origin_it_was_issued_to(target: Target) -> None:
    origin = ("Origin", target.origin)
    ticket = await target.ticket(origin)

    client = await target.as_caller(None).connect(headers=[origin], query=f"ticket={ticket}")

    await client.barrier()


@proves("TICKET-6")
async def a_ticket_is_refused_at_every_other_origin(target: Target) -> None:
    anonymous, origin = target.as_caller(None), ("Origin", target.origin)

    for issued_to, used_at in (([origin], []), ([], [origin])):
        ticket = await target.ticket(*issued_to)
        refused = await anonymous.refused_handshake(headers=used_at, query=f"ticket={ticket}")
        expect_challenge(refused)


@proves("TICKET-7")
async def a_ticket_has_the_principal_it_was_issued_for(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    own = await target.connect()
    run = await own.start(target.brief)
    await run.terminal()

    client = await target.as_caller(None).connect(query=f"ticket={await target.ticket()}")

    again = await client.resume(run.id)
    await again.terminal()


@proves("TICKET-7", connections=2, hooks=("other_token",))
async def a_ticket_of_another_principal_opens_none_of_the_runs(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    own = await target.connect()
    run = await own.start(target.brief)
    await run.terminal()

    ticket = await target.as_other().ticket()
    client = await target.as_caller(None).connect(query=f"ticket={ticket}")

    expect_refused(await client.ask({"type": "resume", "run_id": run.id, "after": 0}), "not_found")


@proves("TICKET-7", timing=True, deadline_s=60, hooks=("short_lived_token",))
async def a_connection_of_a_ticket_ends_with_the_credential_behind_it(target: Target) -> None:
    caller = target.as_caller(await target.short_lived_token())
    ticket = await caller.ticket()
    client = await target.as_caller(None).connect(query=f"ticket={ticket}")
    await (await client.start(lasting(target))).next_event()

    await ends_with_its_credential(caller, client)

    assert client.close_code == 4101


@proves("CONN-4")
async def a_look_at_discovery_spends_no_ticket(target: Target) -> None:
    ticket, anonymous = await target.ticket(), target.as_caller(None)
    url = target.profile.discovery_url
    assert url is not None

    looks = [await anonymous.http("GET", f"{url}?ticket={ticket}") for _ in range(2)]

    assert [look.status for look in looks] == [200, 200]
    await anonymous.connect(query=f"ticket={ticket}")


@proves("CONN-4")
async def discovery_refuses_a_ticket_that_was_used(target: Target) -> None:
    ticket, anonymous = await target.ticket(), target.as_caller(None)
    url = target.profile.discovery_url
    assert url is not None
    await anonymous.connect(query=f"ticket={ticket}")

    expect_challenge(await anonymous.http("GET", f"{url}?ticket={ticket}"))
