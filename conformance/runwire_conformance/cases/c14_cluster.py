"""Chapter 14: several nodes that behave as one server."""

import asyncio
import time

from runwire_conformance.case import Broken, NotOffered, accuses, proves
from runwire_conformance.cases.c12_limits import reachable
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import behind, contents
from runwire_conformance.client.expectations import (
    expect_ended,
    expect_ended_by_user,
    expect_problem,
    expect_refused,
    expect_same_log,
    expect_status,
    expect_text,
)
from runwire_conformance.client.options.hooks import executed
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: A run of about a second that says something all the time.
SECOND = scripts.script(scripts.repeat(50, scripts.token("x"), scripts.wait(20)))


@proves("NODE-1", script=True, connections=2)
async def a_run_of_one_node_is_followed_on_another(target: Target) -> None:
    run = await (await target.node(0).connect()).start(SECOND)
    await run.next_event()

    again = await (await target.node(1).connect()).resume(run.id)

    expect_same_log(contents(await again.whole()), contents(await run.whole()))
    assert again.epoch == run.epoch


@proves("NODE-1", connections=2)
async def a_finished_run_is_read_on_another_node(target: Target) -> None:
    elsewhere = target.node(1)
    run = await (await target.connect()).start(target.brief)
    log = await run.whole()

    again = await (await elsewhere.connect()).resume(run.id)

    expect_same_log(contents(await again.whole()), contents(log))


@proves("NODE-1", script=True)
async def a_run_of_one_node_is_streamed_by_another(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    elsewhere = target.node(1)
    posted = await (await target.start_stream(SECOND)).run()
    await posted.next_event()

    streamed = await (await elsewhere.events(posted.id, f"{posted.epoch}.1")).run()

    log = await posted.whole()
    expect_same_log(contents(await streamed.whole()), contents(behind(log, 1)))


@proves("NODE-1")
async def a_run_of_one_node_is_known_to_another(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    elsewhere = target.node(2)
    run = await (await target.connect()).start(target.brief)
    await run.terminal()

    response = await elsewhere.http("GET", elsewhere.run_url(run.id))

    body = response.json()
    expect_status(response, 200)
    assert (body["seq"], body["text"], body["epoch"]) == (run.last_seq, run.text, run.epoch)


@proves("NODE-2", script=True, connections=2, timing=True)
async def a_run_of_one_node_is_cancelled_from_another(target: Target, limits: Limits) -> None:
    other = await target.node(2).connect()
    run = await (await target.node(1).connect()).start(scripts.ENDLESS)
    await run.next_event()

    handed = time.monotonic()
    await other.send({"type": "cancel", "run_id": run.id})

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    expect_ended_by_user(terminal)


@proves("NODE-2", script=True, timing=True)
async def a_run_of_one_node_is_cancelled_from_another_by_post(target: Target, limits: Limits) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    elsewhere = target.node(1)
    run = await (await target.connect()).start(scripts.BLOCKED)
    await run.next_event()

    handed = time.monotonic()
    response = await elsewhere.post(elsewhere.run_url(run.id, "/cancel"), {})

    terminal = await run.terminal_within(limits.seconds("cancel_deadline_ms"), handed)
    assert (response.status, terminal.get("status")) == (200, "cancelled")


@proves("NODE-2", script=True, connections=2)
async def an_input_is_accepted_on_another_node(target: Target) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    other = await target.node(1).connect()
    run = await (await target.connect()).start(scripts.script(scripts.asking("q1"), scripts.echo("q1")))
    await run.event("input_request")

    await other.send({"type": "input", "run_id": run.id, "request_id": "q1", "data": True})

    await run.terminal()
    expect_text(run, "true")


@proves("NODE-3", alone=True, deadline_s=60)
async def connections_are_counted_over_all_nodes(target: Target, limits: Limits) -> None:
    most = reachable(limits["connections_per_principal"], "connections_per_principal")
    nodes = [target.counting().node(number) for number in range(2)]
    clients = [await nodes[number % 2].connect() for number in range(most)]

    for node in nodes:
        expect_problem(await node.refused_handshake(), 429, "busy")

    await clients[0].leave()
    await asyncio.sleep(target.clock.tolerance)
    await nodes[1].connect()


@proves("NODE-3", script=True, alone=True, deadline_s=60)
async def runs_are_counted_over_all_nodes(target: Target, limits: Limits) -> None:
    most = reachable(limits["runs_per_principal"], "runs_per_principal")
    each = limits.whole("runs_per_connection")
    clients: list[Client] = []
    for number in range(most):
        if number % each == 0:
            clients.append(await target.counting().node(len(clients) % 2).connect())
        await clients[-1].start(scripts.SILENT, run_id=new_run_id(), on_disconnect="cancel")

    for number in range(2):
        last = await target.counting().node(number).connect()
        answer = await last.ask({"type": "start", "prompt": scripts.THREE_TOKENS, "run_id": new_run_id()})
        expect_refused(answer, "busy")

    for client in clients:
        await client.cancel()


@proves("NODE-7", script=True, connections=2)
async def a_run_that_is_started_on_two_nodes_at_once_is_one(target: Target) -> None:
    one, other = await target.node(0).connect(), await target.node(1).connect()
    run_id = new_run_id()

    first, second = await asyncio.gather(*(client.start(SECOND, run_id=run_id) for client in (one, other)))

    await first.terminal()
    await second.terminal()
    assert first.epoch == second.epoch
    assert (first.text, second.text) == ("x" * 50, "x" * 50)


@proves(
    "NODE-4",
    "NODE-6",
    script=True,
    last=True,
    connections=3,
    timing=True,
    waits=lambda limits: limits["worker_lost_s"] + limits["detach_grace_s"],
    hooks=("kill",),
)
async def a_node_that_is_killed_takes_neither_runs_nor_readers_with_it(
    target: Target, limits: Limits
) -> None:
    command = target.hook("kill")
    after = limits["worker_lost_s"] + limits["detach_grace_s"]
    target.needs("run_s", after + 2, "to outlast worker_lost_s and detach_grace_s")
    killed = target.node(len(target.options.urls))
    there, here = await killed.connect(), await target.connect()
    lost = await there.start(scripts.ENDLESS, on_disconnect="continue")
    await lost.next_event()
    # Works here and is read there alone, so that the node that dies takes its only reader.
    left = await here.start(scripts.ENDLESS, run_id=new_run_id())
    await left.next_event()
    there_again = await killed.connect()
    reader = await there_again.resume(left.id)
    await reader.next_event()
    here_again = await target.connect()
    await here.leave()
    followed = await here_again.resume(lost.id)
    await followed.next_event()

    for client in (there, there_again):
        client.outlive_the_server()
    await executed("kill", command)
    dead = time.monotonic()

    with accuses("NODE-4"):
        terminal = await followed.terminal_within(limits["worker_lost_s"], dead)
        expect_ended(terminal, type="error", code="worker_lost")
    await asyncio.sleep(max(0.0, dead + after + target.clock.tolerance - time.monotonic()))
    with accuses("NODE-6"):
        again = await (await target.connect()).resume(left.id)
        end = (await again.whole())[-1]
        if (end.get("status"), end.get("reason")) != ("cancelled", "disconnected"):
            raise Broken(
                f"expected the run without a living reader to have ended as disconnected; it ended with {end}"
            )
