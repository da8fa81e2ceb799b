"""A run on either transport, for cases that apply to WebSocket and event stream alike."""

import json
from typing import Any

from runwire_conformance.case import Blocked, Wrong
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.expectations import expect_status
from runwire_conformance.client.target import ACCEPT_JSON, Target
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.message import Message

#: The transports that such a case plays on.
BOTH_TRANSPORTS = ("websocket", "sse")


async def start_run(target: Target, transport: str, prompt: str, **members: Any) -> Run:
    """Start a run on a connection or a stream of its own; raises Broken when it is refused."""
    if transport == "sse":
        return await (await target.start_stream(prompt, **members)).run()
    return await (await target.connect()).start(prompt, **members)


async def stop(target: Target, run: Run, *, by_name: bool = False) -> float:
    """Cancel a run by the transport that it is read on, and return when that was handed over; raises Broken.

    A stream carries nothing to the server, so that its run is cancelled by a request ([HTTP-8]); on a WebSocket the
    `cancel` names the run if it is to be `by_name`, or else means all that the connection follows.
    """
    if isinstance(run.conversation, Client):
        return await run.conversation.cancel(run if by_name else None)
    if "CANCEL-2" in target.profile.broken:
        raise Blocked("CANCEL-2")
    handed = now()
    response = await target.post(target.run_url(run.id, "/cancel"), {})
    expect_status(response, 200, owners=("HTTP-6", "HTTP-8"))
    run.stopped_by = ("HTTP-8",)
    return handed


async def quiet(run: Run) -> list[Message]:
    """Return the run's events once nothing more can follow; raises Broken."""
    if isinstance(run.conversation, Client):
        return await run.conversation.quiet(run)
    await run.terminal()
    if isinstance(run.conversation, Stream):
        await run.conversation.finished()
    return run.events


def client_of(run: Run) -> Client | None:
    """Return the connection that a run is read on, None when it is a stream."""
    return run.conversation if isinstance(run.conversation, Client) else None


async def start_answered(target: Target, client: Client | None, **body: Any) -> Message:
    """Return what a `start` is answered with: by a client `started` or the refusal, else the body that answers a POST.

    A refusal has a `code`. Raises Broken when nothing answers, or when the status of a response belies its body.
    """
    if client is not None:
        return await client.ask({"type": "start", **body})
    response = await target.post(target.runs_url, body, ACCEPT_JSON)
    said = response.json()
    if (response.status == 202) is ("code" in said):
        raise Wrong(f"expected 202, or a refusal with a code; got {response.status} {json.dumps(said)[:200]}")
    return said
