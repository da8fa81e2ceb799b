"""The reference server asks its user: chapter 10, and what a session remembers."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from runwire_reference_server.agents import Task, token
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.runs import ANYONE, RunKey, RunRequest, new_identifier
from runwire_reference_server.service.service import Refusal, Service
from runwire_reference_server.service.settings import Settings, checked_limits
from tests.support.patience import patience, tries

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ClientConnection]:
    """A connection past its `ready`."""
    async with connect(url.replace("http", "ws") + "/ws/generate", compression=None) as socket:
        assert json.loads(await socket.recv())["type"] == "ready"
        yield socket


async def ask(socket: ClientConnection, *steps: Message, **members: Any) -> str:
    """Start a script; return the run's id."""
    prompt = json.dumps({"runwire_script": list(steps)})
    await socket.send(json.dumps({"type": "start", "prompt": prompt, **members}))
    return str((await until(socket, lambda message: message["type"] == "started"))["run_id"])


async def until(socket: ClientConnection, wanted: Callable[[Message], bool]) -> Message:
    """Receive until a message is wanted."""
    async with asyncio.timeout(patience(10)):
        while not wanted(message := json.loads(await socket.recv())):
            pass
    return dict(message)


async def of_type(socket: ClientConnection, kind: str) -> Message:
    return await until(socket, lambda message: message["type"] == kind)


def request(kind: str = "question", **members: Any) -> Message:
    return {"input_request": {"request_id": "q1", "kind": kind, **members}}


def answer(run_id: str, data: Any, request_id: str = "q1", **members: Any) -> str:
    return json.dumps({"type": "input", "run_id": run_id, "request_id": request_id, "data": data, **members})


async def test_an_answer_reaches_the_agent_and_not_the_log(server_url: str) -> None:
    async with connected(server_url) as socket:
        run_id = await ask(socket, request(), {"echo_input": "q1"})
        asked = await of_type(socket, "input_request")
        await socket.send(answer(run_id, "a secret", id="1"))
        closed = await of_type(socket, "input_closed")
        echo = await of_type(socket, "token")
        end = await of_type(socket, "done")

    assert asked["expires_at"].endswith("Z")
    assert {key: closed[key] for key in ("request_id", "outcome")} == {
        "request_id": "q1",
        "outcome": "answered",
    }
    assert "a secret" not in json.dumps(closed)
    assert json.loads(echo["data"]) == "a secret"
    assert end["status"] == "completed"


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        ("approval", "yes", False),
        ("question", 7, ""),
        ("form", {"age": "old"}, {"age": 7}),
        ("form", 7, {"age": 7}),
    ],
)
async def test_a_wrong_answer_leaves_the_request_open(
    server_url: str, kind: str, wrong: Any, right: Any
) -> None:
    schema = {"properties": {"age": {"type": "integer"}}}
    asked = request(kind, **({"schema": schema} if kind == "form" else {}))
    async with connected(server_url) as socket:
        run_id = await ask(socket, asked, {"echo_input": "q1"})
        await socket.send(answer(run_id, wrong, id="1"))
        refused = await of_type(socket, "error")
        await socket.send(answer(run_id, right))
        echo = await of_type(socket, "token")

    assert (refused["code"], refused["re"]) == ("bad_request", "1")
    assert json.loads(echo["data"]) == right


async def test_the_first_answer_counts(server_url: str) -> None:
    async with connected(server_url) as socket, connected(server_url) as other:
        run_id = await ask(socket, request(), {"wait_ms": 60_000})
        await other.send(answer(run_id, "first"))
        await of_type(socket, "input_closed")
        await socket.send(answer(run_id, "second", id="2"))
        conflict = await of_type(socket, "error")
        await socket.send(answer(run_id, "first", id="3"))
        await socket.send(json.dumps({"type": "heartbeat", "id": "4"}))
        following = await until(socket, lambda message: message.get("re") in {"3", "4"})
        await socket.send(json.dumps({"type": "cancel", "run_id": run_id}))
        await of_type(socket, "done")
        await socket.send(answer(run_id, "second", id="5"))
        after_end = await of_type(socket, "error")
        await socket.send(answer(run_id, "first", id="6"))
        await socket.send(json.dumps({"type": "heartbeat", "id": "7"}))
        last = await until(socket, lambda message: message.get("re") in {"6", "7"})

    assert (conflict["code"], conflict["re"]) == ("conflict", "2")
    assert following["type"] == "heartbeat"
    assert (after_end["code"], after_end["re"]) == ("input_expired", "5")
    assert last["type"] == "heartbeat"


async def test_an_expired_request_leaves_the_run_to_its_agent(server_url: str) -> None:
    async with connected(server_url) as socket:
        run_id = await ask(socket, request(expires_in_ms=50), {"echo_input": "q1"}, {"token": "!"})
        closed = await of_type(socket, "input_closed")
        echo = await of_type(socket, "token")
        end = await of_type(socket, "done")
        await socket.send(answer(run_id, "late", id="1"))
        refused = await of_type(socket, "error")

    assert closed["outcome"] == "expired"
    assert echo["data"].startswith("null")
    assert end["status"] == "completed"
    assert refused["code"] == "input_expired"


async def test_waiting_is_the_status_until_the_last_request_is_closed(server_url: str) -> None:
    second = {"input_request": {"request_id": "q2", "kind": "approval"}}
    async with connected(server_url) as socket:
        run_id = await ask(socket, request(), second, {"echo_input": "q1"}, {"wait_ms": 60_000})
        await until(socket, lambda message: message.get("request_id") == "q2")
        states = [await status(server_url, run_id)]
        await socket.send(answer(run_id, "one"))
        await of_type(socket, "input_closed")
        states.append(await status(server_url, run_id))
        await socket.send(answer(run_id, True, "q2"))
        await of_type(socket, "input_closed")
        states.append(await status(server_url, run_id))
        await socket.send(json.dumps({"type": "cancel"}))

    assert states == ["waiting", "waiting", "running"]


async def test_a_waiting_run_is_cancelled(server_url: str) -> None:
    async with connected(server_url) as socket:
        await ask(socket, request(), {"echo_input": "q1"})
        await of_type(socket, "input_request")
        await socket.send(json.dumps({"type": "cancel"}))
        end = await of_type(socket, "done")

    assert (end["status"], end["reason"]) == ("cancelled", "user")


async def test_http_answers_by_the_same_rules(server_url: str) -> None:
    async with connected(server_url) as socket:
        run_id = await ask(socket, request(), {"echo_input": "q1"}, {"wait_ms": 60_000})
        await of_type(socket, "input_request")
        wrong = await post(server_url, run_id, {"request_id": "q1", "data": 7})
        unknown = await post(server_url, run_id, {"request_id": "q9", "data": "x"})
        malformed = await post(server_url, run_id, {"data": "x"})
        stranger = await post(server_url, new_identifier(), {"request_id": "q1", "data": "x"})
        accepted = await post(server_url, run_id, {"request_id": "q1", "data": "x"})
        again = await post(server_url, run_id, {"request_id": "q1", "data": "x"})
        other = await post(server_url, run_id, {"request_id": "q1", "data": "y"})
        await socket.send(json.dumps({"type": "cancel"}))

    assert [wrong[0], unknown[0], malformed[0], stranger[0]] == [400, 404, 400, 404]
    assert accepted[0] == again[0] == 200
    assert (accepted[1]["run_id"], accepted[1]["status"]) == (run_id, "running")
    assert (other[0], other[1]["code"]) == (409, "conflict")


async def post(url: str, run_id: str, body: Message) -> tuple[int, Message]:
    """Post an answer; return status and body."""
    call = urllib.request.Request(
        f"{url}/v1/runs/{run_id}/input", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )

    def posted() -> tuple[int, Message]:
        try:
            with urllib.request.urlopen(call, timeout=patience(10)) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    return await asyncio.to_thread(posted)


async def status(url: str, run_id: str) -> str:
    """Return a run's status."""

    def got() -> str:
        with urllib.request.urlopen(f"{url}/v1/runs/{run_id}", timeout=patience(10)) as response:
            return str(json.load(response)["status"])

    return await asyncio.to_thread(got)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(patience(10)):
        for _ in tries(20, 0.002):
            if await holds():
                return
            await asyncio.sleep(0.002)


class Remembering:
    """Tells what it is told of the session."""

    async def run(self, task: Task) -> AsyncIterator[Message]:
        if task.prompt == "fail":
            raise RuntimeError
        yield token(repr([(turn.prompt, turn.answer) for turn in task.history]))


async def test_a_session_remembers_for_its_principal_until_it_expires() -> None:
    service = Service(MemoryStore(60, session_s=0.2), Remembering(), Settings(limits=checked_limits({})))
    session_id = new_identifier()

    async def told(prompt: str) -> str:
        accepted = await service.start(ANYONE, RunRequest(prompt, session_id=session_id))
        await eventually(lambda: finished(accepted.run.key))
        return await service.text(await service.store.get(accepted.run.key))

    async def finished(key: RunKey) -> bool:
        return (await service.store.get(key)).status.finished

    async def forgotten() -> bool:
        return not await service.store.history(ANYONE, session_id)

    assert await told("one") == "[]"
    await told("fail")
    assert await told("two") == "[('one', '[]')]"
    assert len(await service.store.history(ANYONE, session_id)) == 2
    await eventually(forgotten)
    assert await told("three") == "[]"


async def test_a_server_without_input_refuses_answers_and_agents_that_ask() -> None:
    settings = Settings(limits=checked_limits({}), features=("resume", "sse"))
    service = Service(MemoryStore(60), Remembering(), settings)

    with pytest.raises(Refusal) as refused:
        await service.input(RunKey(ANYONE, new_identifier()), "q1", True)

    assert refused.value.code == "unsupported"
