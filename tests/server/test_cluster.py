"""Chapter 14 with real processes: any node serves any run, and what dies is noticed."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.cluster_stand import Client, Cluster, connected, within
from tests.support.patience import patience

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

TOKENS = [{"token": letter} for letter in "abcdefgh"]
ENDLESS = {"repeat": 600, "steps": [{"token": "x"}, {"wait_ms": 100}]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that no test harms."""
    cluster = Cluster(
        tmp_path_factory.mktemp("cluster"), 3, connections_per_principal=12, runs_per_principal=6
    )
    yield cluster
    cluster.end()


def left_over(cluster: Cluster) -> list[str]:
    """Return the keys of what counts as unfinished or connected."""
    return [key for key in cluster.redis.everything() if "unfinished" in key or "place" in key]


def post(url: str, body: Any, **headers: str) -> Any:
    """Return what a POST is answered."""
    headers = {"Content-Type": "application/json"} | headers
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=patience(20)) as response:
        return json.load(response)


def stream(url: str, cursor: str) -> list[dict[str, Any]]:
    """Return the data of a stream of server-sent events, which begins after `cursor`."""
    request = urllib.request.Request(url, headers={"Last-Event-ID": cursor, "Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=patience(20)) as response:
        lines = response.read().decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_a_run_of_one_node_is_read_on_another_and_cancelled_from_a_third(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    async with connected(a) as starter, connected(b) as reader, connected(c) as other:
        started = await starter.start(*TOKENS, ENDLESS)
        await reader.send(type="resume", run_id=started["run_id"], after=0, epoch=started["epoch"])
        assert (await reader.of_type("resumed", "error"))["status"] == "running"
        await reader.until(lambda message: message.get("seq", 0) >= 9)
        await other.send(type="cancel", run_id=started["run_id"])
        log, seen = await asyncio.gather(starter.log(), reader.log())

    assert (log[-1]["status"], log[-1]["reason"]) == ("cancelled", "user")
    assert seen[-1] == log[-1]
    assert log[-1]["trace_id"] == started["trace_id"]


async def test_a_cursor_of_a_websocket_goes_on_as_a_stream_of_another_node(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    async with connected(a) as starter:
        started = await starter.start(*TOKENS, {"wait_ms": 500}, *TOKENS)
        await starter.until(lambda message: message.get("seq") == 5)
        address = f"{b.url}/v1/runs/{started['run_id']}/events"
        events = await asyncio.to_thread(stream, address, f"{started['epoch']}.5")

    told = [event for event in events if event["type"] == "token"]
    assert "".join(event["data"] for event in told) == "fghabcdefgh"
    assert (told[0].get("first_seq", told[0]["seq"]), told[-1]["seq"]) == (6, 16)
    assert [event["type"] for event in events if event["type"] in {"done", "error"}] == ["done"]


async def test_an_answer_given_at_another_node_reaches_the_agent(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    async with connected(a) as starter:
        ask = {"input_request": {"request_id": "q1", "kind": "question"}}
        started = await starter.start(ask, {"echo_input": "q1"})
        await starter.of_type("input_request")
        run = f"{b.url}/v1/runs/{started['run_id']}"
        outcome = await asyncio.to_thread(post, f"{run}/input", {"request_id": "q1", "data": "from afar"})
        echo = await starter.of_type("token")
        with pytest.raises(urllib.error.HTTPError) as second:
            await asyncio.to_thread(post, f"{run}/input", {"request_id": "q1", "data": "otherwise"})

    second.value.close()
    assert outcome["run_id"] == started["run_id"]
    assert json.loads(echo["data"]) == "from afar"
    assert second.value.code in {409, 410}


async def test_one_start_at_every_node_at_once_is_one_run(cluster: Cluster) -> None:
    async def at(client: Client) -> tuple[str, str]:
        started = await client.start(*TOKENS, run_id="i" * 22)
        return started["epoch"], "".join(event.get("data", "") for event in await client.log())

    async with (
        connected(cluster.nodes[0]) as a,
        connected(cluster.nodes[1]) as b,
        connected(cluster.nodes[2]) as c,
    ):
        seen = await asyncio.gather(at(a), at(b), at(c))

    assert len(set(seen)) == 1
    assert seen[0][1].startswith("abcdefgh")


async def test_a_session_goes_on_at_another_node_after_its_turn_has_ended(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    async with connected(a) as first, connected(b) as second:
        await first.start({"token": "one"}, {"wait_ms": 700}, session_id="n" * 22, on_disconnect="continue")
        queued = await second.start({"token": "two"}, session_id="n" * 22)
        log, later = await asyncio.gather(first.log(), second.log())

    assert queued["status"] == "queued"
    assert log[-1]["ts"] <= later[0]["ts"]


async def test_connections_and_runs_are_counted_over_all_nodes(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    async with connected(a) as one, connected(b) as two:
        for client, letter in ((one, "r"), (two, "s")):
            for number in range(3):
                run_id = letter * 21 + str(number)
                started = await client.start(ENDLESS, run_id=run_id, on_disconnect="cancel")
                assert started["type"] == "started"
        async with connected(c) as three:
            assert (await three.start(ENDLESS))["code"] == "busy"
        more = [connected(node) for node in (a, b, c) for _ in range(3)]
        for connection in more:
            await connection.__aenter__()
        await within(5, lambda: cluster.redis.command("GET", "runwire:place:address 127.0.0.1") == "11")
        async with connected(a):
            with pytest.raises(InvalidStatus) as refused:
                async with connected(c):
                    pass
        for connection in more:
            await connection.__aexit__(None, None, None)

    assert refused.value.response.status_code == 429
    await within(10, lambda: left_over(cluster) == [])


async def test_a_killed_node_leaves_its_readers_a_terminal_and_no_counts(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    async with connected(b) as reader:
        async with connected(a) as starter:
            started = await starter.start(ENDLESS, on_disconnect="continue")
            await starter.of_type("token")
            await reader.send(type="resume", run_id=started["run_id"], after=0, epoch=started["epoch"])
            await reader.of_type("token")
            a.signal(signal.SIGKILL)
            log = await reader.log()
        async with connected(c) as late:
            await late.send(type="resume", run_id=started["run_id"], after=0)
            again = await late.log()
    a.end()
    a.start()

    assert (log[-1]["type"], log[-1]["code"]) == ("error", "worker_lost")
    assert again[-1] == log[-1]
    assert [event["type"] for event in again].count("error") == 1
    await within(10, lambda: left_over(cluster) == [])


async def test_a_paused_worker_writes_nothing_once_its_lease_is_taken(cluster: Cluster) -> None:
    a, b, _ = cluster.nodes
    async with connected(b) as reader, connected(a) as starter:
        started = await starter.start(ENDLESS)
        await starter.of_type("token")
        await reader.send(type="resume", run_id=started["run_id"], after=0, epoch=started["epoch"])
        await reader.of_type("token")
        a.signal(signal.SIGSTOP)
        log = await reader.log()
        a.signal(signal.SIGCONT)
        code = await starter.closed()
        await within(10, a.ready)
        async with connected(a) as again:
            await again.send(type="resume", run_id=started["run_id"], after=0)
            whole = await again.log()

    assert log[-1]["code"] == "worker_lost"
    assert whole[-1] == log[-1]
    assert code == 1013


@pytest.mark.parametrize(("policy", "status"), [("grace", "cancelled"), ("continue", "completed")])
async def test_the_last_reader_dies_with_its_node_and_the_run_keeps_its_policy(
    cluster: Cluster, policy: str, status: str
) -> None:
    a, b, c = cluster.nodes
    script = [{"token": "x"}, {"wait_ms": 4500}, {"token": "y"}]
    async with connected(a) as starter, connected(b) as reader:
        started = await starter.start(*script, on_disconnect=policy)
        await reader.send(type="resume", run_id=started["run_id"], after=0)
        await reader.of_type("token")
        await starter.socket.close()
        b.signal(signal.SIGKILL)
    b.end()
    b.start()
    run = f"{c.url}/v1/runs/{started['run_id']}"

    def ended() -> bool:
        with urllib.request.urlopen(run, timeout=patience(10)) as response:
            found = json.load(response)
        return bool(found["status"] == status)

    await within(15, ended)


async def test_a_node_drains_while_others_go_on(cluster: Cluster) -> None:
    a, b, c = cluster.nodes
    async with connected(a) as own, connected(a) as guest, connected(b) as host:
        started = await own.start({"token": "x"}, {"wait_ms": 300}, {"token": "y"})
        other = await host.start({"token": "x"}, {"wait_ms": 3000}, {"token": "y"})
        await guest.send(type="resume", run_id=other["run_id"], after=0)
        await guest.of_type("token")
        a.signal(signal.SIGTERM)
        log = await own.log()
        codes = await own.closed(), await guest.closed()
        async with connected(c) as moved:
            await moved.send(type="resume", run_id=other["run_id"], after=1, epoch=other["epoch"])
            rest = await moved.log()
    await asyncio.to_thread(a.process.wait, 10)
    a.end()
    a.start()

    assert log[-1]["status"] == "completed"
    assert log[-1]["run_id"] == started["run_id"]
    assert codes == (4000, 4000)
    assert [event["seq"] for event in rest] == [2, 3]
