"""What nodes share beside logs: places and tickets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from runwire_reference_server.access.credentials import Credential
from runwire_reference_server.access.tickets import MAX_OPEN, Issued
from runwire_reference_server.cluster.redis_node import LOST, RedisNode
from runwire_reference_server.cluster.redis_slots import RedisSlots
from runwire_reference_server.cluster.redis_tickets import RedisTickets
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import Principal
from runwire_reference_server.run_log.store import StoreGone
from tests.support.patience import patience
from tests.support.redis_stand import RedisStand

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

ISSUED = Issued(Credential(Principal("urn:a", 'al"ice'), 2e9), "https://app.example")


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisStand]:
    """A Redis for this file."""
    stand = RedisStand(tmp_path_factory.mktemp("redis"))
    yield stand
    stand.kill()


@pytest.fixture
async def nodes(stand: RedisStand) -> AsyncIterator[tuple[RedisNode, RedisNode]]:
    """Two nodes on an empty Redis."""
    stand.command("FLUSHALL")
    async with RedisNode(stand.url, 30) as a, RedisNode(stand.url, 30) as b:
        yield a, b


async def test_a_ticket_is_used_once_on_any_node(
    nodes: tuple[RedisNode, RedisNode], stand: RedisStand
) -> None:
    a, b = map(RedisTickets, nodes)
    ticket = await a.issue(ISSUED, 30)

    assert not [key for key in stand.everything() if ticket in key]
    assert await b.look(ticket) == ISSUED
    uses = await asyncio.gather(*(tickets.take(ticket) for tickets in (a, b, a, b)))
    assert [use for use in uses if use is not None] == [ISSUED]
    assert await a.look(ticket) is None
    assert await a.take("unknown") is None


async def test_open_tickets_are_counted_over_all_nodes_until_they_are_too_old(
    nodes: tuple[RedisNode, RedisNode],
) -> None:
    a, b = map(RedisTickets, nodes)
    for _ in range(MAX_OPEN // 2):
        await a.issue(ISSUED, 0.4)
        await b.issue(ISSUED, 30)
    with pytest.raises(Refusal) as refused:
        await a.issue(ISSUED, 30)
    assert refused.value.code == "rate_limited"
    await asyncio.sleep(0.5)
    await a.issue(ISSUED, 30)


async def test_places_are_counted_over_all_nodes_and_freed_with_a_dead_one(
    nodes: tuple[RedisNode, RedisNode], stand: RedisStand
) -> None:
    a, b = (RedisSlots(node, 3) for node in nodes)
    await a.take("alice")
    await a.take("alice")
    give_back = await b.take("alice")
    with pytest.raises(Refusal):
        await b.take("alice")
    with pytest.raises(Refusal):
        await b.check("alice")
    await give_back()
    give_back = await b.take("alice")
    assert nodes[0].id is not None
    await nodes[1]._alone("leave", nodes[0].id, LOST)
    with pytest.raises(StoreGone):
        await a.take("alice")
    await b.check("alice")
    await give_back()
    await give_back()

    assert [key for key in stand.everything() if "place" in key] == []


async def test_a_node_leaves_even_when_the_client_library_loses_its_cancellation(
    stand: RedisStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, writing, lost = AbstractConnection.send_packed_command, asyncio.Event(), []

    async def losing(self: AbstractConnection, *arguments: Any, **options: Any) -> None:
        await write(self, *arguments, **options)
        if not writing.is_set():
            writing.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append("a cancellation")

    async with asyncio.timeout(patience(10)), RedisNode(stand.url, 30) as node:
        monkeypatch.setattr(AbstractConnection, "send_packed_command", losing)
        asked = asyncio.create_task(RedisTickets(node).look("unknown"))
        await writing.wait()

    assert lost
    assert await asked is None
