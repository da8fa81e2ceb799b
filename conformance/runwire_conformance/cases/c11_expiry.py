"""Chapter 11: credentials that expire during use."""

import asyncio
import time

from runwire_conformance.case import Broken, NotOffered, TooSlow, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.expectations import expect_member
from runwire_conformance.client.target import Target
from runwire_conformance.client.view import SHORT_LIFE_S
from runwire_conformance.trace.clock import LATE_S
from runwire_conformance.trace.limits import Limits

#: Seconds between two looks at whether a credential is still good.
LOOK_S = 0.1


def lasting(target: Target) -> str:
    """Return a prompt whose run outlives a credential of a few seconds."""
    return scripts.QUIET if target.profile.has_script_agent else target.long


async def refused_at(caller: Target) -> float:
    """Wait until the caller's credential is refused and return when; raises NotExercised beyond the user's patience."""
    url = caller.profile.discovery_url
    assert url is not None
    begun = time.monotonic()
    while (await caller.http("GET", url)).status != 401:
        caller.within_patience(time.monotonic() - begun, "life of the tokens of [hooks] short_lived_token")
        await asyncio.sleep(LOOK_S)
    return time.monotonic()


async def opened(caller: Target, transport: str) -> Client | Stream:
    """Open a reader of a run that lasts."""
    if transport == "sse":
        stream = await caller.start_stream(lasting(caller))
        await (await stream.run()).next_event()
        return stream
    client = await caller.connect()
    await (await client.start(lasting(caller))).next_event()
    return client


async def ends_with_its_credential(caller: Target, reader: Client | Stream) -> None:
    """Wait until the caller's credential has expired; raises Broken when the reader does not end at that moment."""
    expired = await refused_at(caller)
    within = caller.clock.tolerance

    await reader.wait_until(
        lambda: reader.ended, within + LATE_S, "the end of what the expired credential opened"
    )

    assert reader.ended_at is not None
    if not expired - within - LOOK_S <= reader.ended_at <= expired + within:
        raise Broken(
            f"expected the end when the credential expired; it arrived {reader.ended_at - expired:+.2f} s from then"
        )


@proves("AUTH-13", timing=True, deadline_s=60, hooks=("short_lived_token",))
async def a_connection_ends_with_the_credential_it_was_opened_with(target: Target) -> None:
    caller = target.as_caller(await target.short_lived_token())
    client = await opened(caller, "websocket")

    await ends_with_its_credential(caller, client)

    assert isinstance(client, Client)
    assert client.close_code == 4101


@proves("AUTH-13", timing=True, deadline_s=60, hooks=("short_lived_token",))
async def a_stream_ends_with_the_credential_it_was_opened_with(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    caller = target.as_caller(await target.short_lived_token())
    stream = await opened(caller, "sse")

    await ends_with_its_credential(caller, stream)

    assert isinstance(stream, Stream)
    assert stream.complete, "the response broke off"
    assert [message.type for message in stream.messages if message.is_terminal] == []


@proves("AUTH-14", script=True, timing=True, connections=2, deadline_s=60, hooks=("jwt", "short_lived_token"))
async def a_run_waits_for_a_reader_whose_credential_expired(target: Target, limits: Limits) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    # With [hooks] jwt the token to come back with is made in advance, and a slow command costs nothing of the grace.
    in_advance = await target.jwt() if "jwt" in target.options.hooks else None
    brief = await target.jwt(exp=int(time.time() + SHORT_LIFE_S)) if in_advance else None
    caller = target.as_caller(brief or await target.short_lived_token())
    client = await caller.connect()
    run = await client.start(scripts.ENDLESS, on_disconnect="cancel")
    await run.next_event()
    await client.closed("the end of what the expired credential opened", target.options.patience_s)
    assert client.ended_at is not None
    if run.events[-1].is_terminal:
        raise TooSlow("run_s is shorter than the life of the token; set a longer run_s on the server")
    renewed = await target.as_caller(in_advance or await target.short_lived_token()).connect()
    gone = time.monotonic() - client.ended_at
    if gone > limits["detach_grace_s"] * 0.9:
        raise TooSlow(f"a new token took {gone:.1f} s; set a longer detach_grace_s on the server")
    away = min(limits["detach_grace_s"] * 0.6, 3)  # less than what [AUTH-14] grants
    await asyncio.sleep(max(away - gone, 0))

    again = await renewed.resume(run.id)

    assert again.opening is not None
    expect_member(again.opening, "status", "running")
    await renewed.cancel(again)
