"""What becomes of runs and readers when the store of the nodes stands still, dies, comes back or is emptied."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.cluster_stand import Cluster, Node, connected, within
from tests.support.patience import patience

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

ENDLESS = {"repeat": 600, "steps": [{"token": "x"}, {"wait_ms": 50}]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes on a Redis that keeps its data."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), 2, durable=True, worker_lost_s=4)
    yield cluster
    cluster.end()


def get(url: str) -> tuple[int, Any]:
    """Return status and body of what is answered."""
    try:
        with urllib.request.urlopen(url, timeout=patience(20)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


async def read_stream(node: Node, run_id: str) -> list[dict[str, Any]]:
    """Return what a stream says until it ends."""

    def read() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{node.url}/v1/runs/{run_id}/events", timeout=patience(30)) as response:
            lines = response.read().decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    return await asyncio.to_thread(read)


async def test_a_store_that_stands_still_for_a_moment_harms_nothing(cluster: Cluster) -> None:
    a, b = cluster.nodes
    async with connected(a) as starter, connected(b) as reader:
        started = await starter.start({"repeat": 60, "steps": [{"token": "x"}, {"wait_ms": 30}]})
        await reader.send(type="resume", run_id=started["run_id"], after=0)
        await reader.of_type("token")
        cluster.redis.pause()
        await asyncio.sleep(1)
        cluster.redis.go_on()
        log, seen = await asyncio.gather(starter.log(), reader.log())

    assert log[-1]["status"] == "completed"
    assert seen[-1] == log[-1]
    assert log[-1]["seq"] == 61


async def test_a_store_that_takes_no_connection_for_a_moment_harms_nothing(cluster: Cluster) -> None:
    a, b = cluster.nodes
    aside = cluster.redis.socket.with_name("aside.sock")
    async with connected(a) as starter, connected(b) as reader:
        started = await starter.start({"repeat": 12, "steps": [{"token": "x"}, {"wait_ms": 300}]})
        await reader.send(type="resume", run_id=started["run_id"], after=0)
        await reader.of_type("token")
        cluster.redis.socket.rename(aside)
        cluster.redis.command_at(aside, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        cluster.redis.command_at(aside, "CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(1)
        aside.rename(cluster.redis.socket)
        log, seen = await asyncio.gather(starter.log(), reader.log())

    assert log[-1]["status"] == "completed"
    assert seen[-1] == log[-1]
    assert log[-1]["seq"] == 13


async def test_a_store_that_forgets_its_scripts_harms_nothing(cluster: Cluster) -> None:
    a, b = cluster.nodes
    async with connected(a) as starter, connected(b) as reader:
        started = await starter.start({"repeat": 20, "steps": [{"token": "x"}, {"wait_ms": 50}]})
        await reader.send(type="resume", run_id=started["run_id"], after=0)
        await reader.of_type("token")
        for _ in range(3):
            cluster.redis.command("SCRIPT", "FLUSH")
            await asyncio.sleep(0.2)
        log, seen = await asyncio.gather(starter.log(), reader.log())

    assert log[-1]["status"] == "completed"
    assert seen[-1] == log[-1]
    assert log[-1]["seq"] == 21


async def test_a_store_that_dies_and_comes_back_ends_its_runs_once(cluster: Cluster) -> None:
    a, b = cluster.nodes
    async with connected(a) as starter, connected(b) as reader, connected(a) as asking:
        started = await starter.start(ENDLESS, on_disconnect="continue")
        await reader.send(type="resume", run_id=started["run_id"], after=0)
        stream = asyncio.create_task(read_stream(b, started["run_id"]))
        await reader.until(lambda message: message.get("seq", 0) >= 3)
        cluster.redis.kill()
        codes = [await client.closed() for client in (starter, reader, asking)]
        streamed = await stream
    refused = [await asyncio.to_thread(get, f"{node.url}/v1/runs/{started['run_id']}") for node in (a, b)]
    with pytest.raises(InvalidStatus) as handshake:
        async with connected(a):
            pass
    assert not a.ready()
    cluster.redis.start()
    for node in (a, b):
        await within(20, node.ready)
    async with connected(b) as late:
        await late.send(type="resume", run_id=started["run_id"], after=0, epoch=started["epoch"])
        log = await late.log()
        again = await late.start({"token": "again"})
        await late.until(lambda message: message["type"] == "done" and message["run_id"] == again["run_id"])

    assert codes == [1013, 1013, 1013]
    assert [(status, body["code"]) for status, body in refused] == [(503, "unavailable")] * 2
    assert handshake.value.response.status_code == 503
    assert not [event for event in streamed if event["type"] in {"done", "error"}]
    assert [event["type"] for event in log if event["type"] != "token"] == ["error"]
    assert log[-1]["code"] == "worker_lost"
    seqs = [(event.get("first_seq", event["seq"]), event["seq"]) for event in log]
    assert [first for first, _ in seqs] == [1, *(last + 1 for _, last in seqs[:-1])]


async def test_an_emptied_store_makes_clients_begin_anew(cluster: Cluster) -> None:
    a, b = cluster.nodes
    async with connected(a) as starter:
        started = await starter.start(ENDLESS, on_disconnect="continue")
        await starter.of_type("token")
        cluster.redis.command("FLUSHALL")
        code = await starter.closed()
    for node in (a, b):
        await within(20, node.ready)
    async with connected(a) as again:
        await again.send(type="resume", id="1", run_id=started["run_id"], after=1, epoch=started["epoch"])
        refused = await again.of_type("error", "resumed")
        anew = await again.start({"token": "y"}, run_id=started["run_id"])
        log = await again.log()

    assert code == 1013
    assert refused["code"] == "not_found"
    assert anew["epoch"] != started["epoch"]
    assert [event["seq"] for event in log] == [1, 2]


async def test_a_node_that_is_told_to_stop_while_the_store_is_gone_stops(cluster: Cluster) -> None:
    a, _ = cluster.nodes
    cluster.redis.kill()
    await within(20, lambda: not a.ready())
    a.signal(signal.SIGTERM)
    assert await asyncio.to_thread(a.process.wait, 20) in {0, -signal.SIGTERM}
    cluster.redis.start()
