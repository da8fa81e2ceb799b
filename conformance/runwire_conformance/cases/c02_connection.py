"""Chapter 2: discovery, the handshake, version negotiation, ready."""

import asyncio
import json

from websockets.frames import Opcode

from runwire_conformance.case import Blocked, Broken, proves
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.connection import IDLE
from runwire_conformance.client.conversations.conversation import ANSWER_S
from runwire_conformance.client.expectations import (
    expect_header,
    expect_media_type,
    expect_member,
    expect_no_header,
    expect_status,
    expect_valid,
)
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire import dialects
from runwire_conformance.client.wire.http import Response
from runwire_conformance.trace.limits import Limits
from runwire_spec import registries

#: How many handshakes are made in a row.
HANDSHAKES = 12


async def discover(target: Target) -> Response:
    """Fetch the discovery document without credentials."""
    assert target.profile.discovery_url is not None
    return await target.as_caller(None).http("GET", target.profile.discovery_url)


@proves("CONN-1")
async def discovery_describes_the_server(target: Target) -> None:
    response = await discover(target)

    expect_status(response, 200)
    expect_media_type(response, "application/json")
    expect_valid("discovery", response.json())


@proves("CONN-2")
async def discovery_states_every_limit_within_its_bounds(target: Target) -> None:
    if target.profile.discovery is None:
        raise Blocked("CONN-1")

    stated = target.profile.discovery.get("limits", {})

    assert [problem for row in registries()["limits"] if (problem := out_of_bounds(row, stated))] == []


def out_of_bounds(row: dict[str, str], stated: dict[str, object]) -> str:
    """Return what is wrong with one stated limit, or nothing."""
    value = stated.get(row["limit"])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{row['limit']} is {json.dumps(value)}"
    if row["min"] and value < float(row["min"]):
        return f"{row['limit']} is {value}, below {row['min']}"
    if row["max"] and value > float(row["max"]):
        return f"{row['limit']} is {value}, above {row['max']}"
    return ""


@proves("CONN-6")
async def a_client_that_offers_no_subprotocol_is_accepted(target: Target) -> None:
    peer, response, _ = await target.handshake()
    peer.close()

    expect_status(response, 101)


@proves("CONN-6")
async def one_handshake_after_another_is_accepted(target: Target) -> None:
    for _ in range(HANDSHAKES):
        await (await target.connect(ready=False)).leave()


@proves("CONN-6")
async def the_handshakes_of_browsers_and_libraries_are_accepted(target: Target) -> None:
    for client, headers in dialects.HANDSHAKES.items():
        peer, response, _ = await target.handshake(headers=headers)
        peer.close()
        assert response.status == 101, f"{client}: got {response.status} to its handshake"


@proves("CONN-7")
async def runwire_v1_is_selected_when_it_is_offered_first(target: Target) -> None:
    client = await target.connect(["runwire.v1", "example.other"])

    expect_header(client.response, "Sec-WebSocket-Protocol", "runwire.v1")


@proves("CONN-7")
async def runwire_v1_is_selected_when_it_is_offered_last(target: Target) -> None:
    client = await target.connect(["runwire.v9", "example.other", "runwire.v1"])

    expect_header(client.response, "Sec-WebSocket-Protocol", "runwire.v1")


@proves("CONN-8")
async def a_handshake_with_only_foreign_subprotocols_is_refused(target: Target) -> None:
    response = await target.refused_handshake(["runwire.v9", "example.other"])

    expect_status(response, 400)


@proves("CONN-9")
async def nothing_is_selected_when_nothing_was_offered(target: Target) -> None:
    client = await target.connect()

    expect_no_header(client.response, "Sec-WebSocket-Protocol")


@proves("CONN-9")
async def no_other_subprotocol_is_selected_beside_runwire_v1(target: Target) -> None:
    peer, response, _ = await target.handshake(["bearer.dG9rZW4", "runwire.v1"])
    peer.close()

    assert response.header("sec-websocket-protocol") in {None, "runwire.v1"}


@proves("CONN-10")
async def no_extension_is_accepted(target: Target) -> None:
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")

    peer, response, _ = await target.handshake(headers=[offer])
    peer.close()

    assert (response.status, response.header("sec-websocket-extensions")) == (101, None)


@proves("CONN-11")
async def a_plain_get_on_the_websocket_endpoint_is_told_to_upgrade(target: Target) -> None:
    url = target.profile.websocket_url.replace("ws", "http", 1)

    response = await target.as_caller(None).http("GET", url)

    expect_status(response, 426)
    assert "websocket" in (response.header("upgrade") or "").lower()


@proves("CONN-12")
async def a_ping_is_answered_with_its_own_data(client: Client) -> None:
    # One after the other: for Pings that come together one Pong is enough. RFC 6455 section 5.5.3 lets a server send
    # Pongs that nobody asked for, too.
    for data in (b"runwire", bytes(range(125))):
        before = len(client.pongs)
        client.ping(data)
        expected = f"a Pong with the {len(data)} bytes of its Ping"
        try:
            await client.wait_until(lambda data=data: data in client.pongs, ANSWER_S, expected)  # type: ignore[misc]
        except Broken as problem:
            if others := [len(pong) for pong in client.pongs[before:]]:
                problem.args = (f"{problem}; got Pongs with other data, of {others[:5]} bytes",)
            raise


@proves("CONN-12")
async def a_ping_between_two_fragments_is_answered(client: Client) -> None:
    # RFC 6455 section 5.4: it may stand between fragments of a message, and the rest of that can be long in coming.
    await client.send_data(Opcode.TEXT, b'{"type":', fin=False)
    client.ping(b"between")
    await client.wait_until(
        lambda: b"between" in client.pongs,
        ANSWER_S,
        "a Pong before the message that the Ping interrupts is whole",
    )

    await client.send_data(Opcode.CONT, b'"heartbeat"}')

    await client.barrier()


@proves("CONN-15", watches=("CONN-16", "CONN-19"))
async def ready_comes_first_without_being_asked(target: Target) -> None:
    client = await target.connect(ready=False)

    first = await client.next_message(-1, ANSWER_S)

    expect_member(first, "type", "ready")


@proves("CONN-17")
async def ready_and_discovery_say_the_same(client: Client, target: Target) -> None:
    if client.ready is None:
        raise Blocked("CONN-15")
    if target.profile.discovery is None:
        raise Blocked("CONN-1")

    assert client.ready.get("limits") == target.profile.discovery.get("limits")
    assert sorted(client.ready.get("features", [])) == sorted(target.profile.features)


@proves("CONN-18", connections=4)
async def every_connection_has_an_id_of_its_own(target: Target) -> None:
    readies = [(await target.connect()).ready for _ in range(4)]
    names = [ready["connection_id"] for ready in readies if ready is not None]
    if len(names) < len(readies):
        raise Blocked("CONN-15")

    assert sorted(names) == sorted(set(names))


@proves("CONN-21", timing=True)
async def a_first_message_may_take_its_time(client: Client, limits: Limits) -> None:
    wait = min(limits["idle_s"] * 0.8, 10)  # less than what the sentence grants, as far as the judge waits

    await asyncio.sleep(wait)

    if client.close_code == IDLE:
        raise Broken(f"expected a first message to be waited for; closed with {IDLE} within {wait:g} s")
    client.expect_open()


@proves("CONN-22")
async def a_close_is_answered_with_a_close(client: Client) -> None:
    code = await client.leave()

    assert code != 1006
