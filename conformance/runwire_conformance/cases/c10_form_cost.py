"""Chapter 10: form schemas that are expensive to check or that refer to other documents."""

import asyncio
from urllib.parse import urlsplit

from runwire_conformance.case import NotExercised, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import EVENT_S
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.situations.hostile_clients import while_others_are_served
from runwire_conformance.client.target import Target

#: A pattern that takes a backtracking engine twice as long for each letter more, and an answer that keeps it busy.
COSTLY = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^(a+)+$"}}}
ANSWER = {"n": "a" * 34 + "!"}

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def asked_or_over(client: Client, schema: object) -> tuple[Run, bool]:
    """Start a run that asks for a form; return it, and whether it asks: a server may end it for its schema."""
    steps = (scripts.asking("q1", "form", schema=schema), scripts.token("x"))
    run = await client.start(scripts.script(*steps))
    first = await client.message(
        lambda message: run.belongs(message) and (message.type == "input_request" or message.is_terminal),
        "input_request, or the end of a run whose form is refused",
        seconds=EVENT_S,
        owners=("INPUT-20", "SCRIPT-1"),
    )
    return run, first.type == "input_request"


@proves("LIMIT-17", script=True, connections=3, alone=True, timing=True, deadline_s=60)
async def a_form_that_is_costly_to_check_stops_nobody(client: Client, target: Target) -> None:
    if "forms" not in target.features:
        raise NotExercised("the server does not offer forms")
    run, asks = await asked_or_over(client, COSTLY)

    async def harm() -> None:
        if asks:
            answer = {"type": "input", "run_id": run.id, "request_id": "q1", "data": ANSWER, "id": "costly"}
            await client.send(answer)
            await asyncio.sleep(target.clock.tolerance)

    await while_others_are_served(target, harm())


@proves("INPUT-23", script=True, connections=2)
async def what_a_form_refers_to_is_not_fetched(client: Client, target: Target) -> None:
    if urlsplit(target.profile.websocket_url).hostname not in LOOPBACK:
        raise NotExercised("the judge listens on its own machine only: have it judge a server there")
    came: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(200))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        schema = {"type": "object", "properties": {"n": {"$ref": f"http://127.0.0.1:{port}/schema.json"}}}
        run, asks = await asked_or_over(client, schema)
        if asks:
            await client.send({"type": "input", "run_id": run.id, "request_id": "q1", "data": {"n": 1}})
            await client.barrier()
        await asyncio.sleep(target.clock.tolerance)  # a request that is under way has time to arrive

    assert not came, f"expected no request for what the schema refers to; got {came[0][:60]!r}"
