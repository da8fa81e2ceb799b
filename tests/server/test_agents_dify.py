"""The agent that is a Dify application, against streams as Dify documents them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runwire_reference_server.integrations.dify import DifyAgent
from runwire_reference_server.integrations.upstream import Upstream, blocks
from runwire_reference_server.run_log.runs import Principal
from tests.support.agent_stand import (
    ALICE,
    but,
    cancelled_when,
    events_of,
    events_so_far,
    task_of,
    texts,
    until,
)
from tests.support.auth_stand import message_of, served
from tests.support.fake_dify import CONVERSATION, KEY, TASK, fake_dify
from tests.support.fake_upstream import Answer, Asked, FakeUpstream, fake_upstream, stream
from tests.support.patience import patience

pytestmark = pytest.mark.anyio


@pytest.fixture
def dify() -> Iterator[FakeUpstream]:
    """A Dify with all applications."""
    with fake_dify() as upstream:
        yield upstream


def chat(dify: FakeUpstream, key: str = KEY) -> DifyAgent:
    """Return an agent on a chat application."""
    return DifyAgent(Upstream(dify.url, key=key))


def workflow(dify: FakeUpstream) -> DifyAgent:
    """Return an agent on a workflow."""
    return DifyAgent(Upstream(dify.url, key=KEY), "workflow")


USED = {"input_tokens": 12, "output_tokens": 3}
DONE = {"type": "done", "data": "generation completed", "status": "completed"}


async def test_a_chat_is_its_text_and_a_ping_is_nothing(dify: FakeUpstream) -> None:
    events = await events_of(chat(dify), task_of("chat", inputs={"tone": "kind"}))

    assert events == [
        {"type": "token", "data": "He"},
        {"type": "token", "data": "llo\u2028!"},
        DONE | {"usage": USED},
    ]
    (asked,) = dify.asked
    assert asked.path == "/v1/chat-messages"
    assert asked.body == {
        "query": "chat",
        "inputs": {"tone": "kind"},
        "response_mode": "streaming",
        "user": asked.body["user"],
        "conversation_id": "",
        "auto_generate_name": False,
    }
    assert ALICE.subject not in asked.body["user"]


async def test_an_agent_thinks_and_calls_tools_once_however_often_its_thought_is_sent(
    dify: FakeUpstream,
) -> None:
    events = await events_of(chat(dify), task_of("agent"))

    assert texts(events) == "Let me look.\n[image](https://dify.example/f1.png)\nThree cats."
    assert texts(events, "thinking") == "Nobody heard this."
    assert but(events, "token", "thinking") == [
        {"type": "tool_call", "call_id": "c1", "name": "search", "input": {"q": "cats"}},
        {"type": "tool_call", "call_id": "c2", "name": "count", "input": {"n": 2}},
        {"type": "observation", "call_id": "c1", "content": "3 cats"},
        {"type": "observation", "call_id": "c2", "content": [2]},
        DONE | {"usage": USED},
    ]


async def test_a_replaced_message_replaces_the_answer(dify: FakeUpstream) -> None:
    events = await events_of(chat(dify), task_of("moderated"))

    assert but(events, "done") == [
        {"type": "token", "data": "Something bad"},
        {"type": "replace", "data": "No."},
    ]


async def test_the_nodes_of_a_chatflow_are_shown(dify: FakeUpstream) -> None:
    events = await events_of(chat(dify), task_of("chatflow"))

    assert events == [
        {"type": "tool_call", "call_id": "c1", "name": "Look it up", "input": {"query": "x"}},
        {"type": "observation", "call_id": "c1", "content": {"n": 1}},
        {"type": "tool_call", "call_id": "c2", "name": "Fetch", "input": {}},
        {"type": "observation", "call_id": "c2", "content": "no route", "is_error": True},
        {"type": "tool_call", "call_id": "c3", "name": "Compute", "input": {}},
        {"type": "thinking", "content": "Write\n"},
        {"type": "token", "data": "Found."},
        {"type": "observation", "call_id": "c3", "content": "no result was reported", "is_error": True},
        DONE | {"usage": USED},
    ]


async def test_a_chatflow_has_ended_when_its_workflow_has(dify: FakeUpstream) -> None:
    assert (await events_of(chat(dify), task_of("no message_end")))[-1] == DONE


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("workflow", [{"type": "token", "data": "Bon"}, {"type": "replace", "data": "Bonjour"}]),
        ("one output", [{"type": "token", "data": "only at the end"}]),
        ("outputs", [{"type": "token", "data": '{"a": 1, "b": "é"}'}]),
        ("no outputs", []),
    ],
)
async def test_a_workflow_answers_with_text_or_outputs(
    dify: FakeUpstream, prompt: str, said: list[object]
) -> None:
    events = await events_of(workflow(dify), task_of(prompt, inputs={"lang": "fr"}))

    assert events == [*said, DONE]
    (asked,) = dify.asked
    assert (asked.path, asked.body["inputs"]) == ("/v1/workflows/run", {"query": prompt, "lang": "fr"})


async def test_a_stopped_workflow_is_incomplete(dify: FakeUpstream) -> None:
    (last,) = await events_of(workflow(dify), task_of("stopped"))

    assert (last["status"], last["reason"]) == ("incomplete", "dify:stopped")


@pytest.mark.parametrize(
    ("prompt", "code", "retryable"),
    [
        ("failed", "agent_error", False),
        ("asks by e-mail", "agent_error", False),
        ("asks nothing", "agent_error", False),
        ("asks strangely", "agent_error", False),
        ("error 400", "agent_error", False),
        ("error 500", "upstream_error", True),
        ("quota", "upstream_error", False),
        ("nothing", "upstream_error", True),
        ("breaks off", "upstream_error", True),
        ("cut", "upstream_error", True),
        ("garbled", "upstream_error", True),
        ("refused 404", "agent_error", False),
        ("refused 429", "upstream_error", True),
        ("refused 503", "upstream_error", True),
    ],
)
async def test_a_failure_has_its_code(dify: FakeUpstream, prompt: str, code: str, retryable: bool) -> None:
    *_, last = await events_of(chat(dify), task_of(prompt))

    assert (last["type"], last["code"], last["retryable"]) == ("error", code, retryable)
    assert not {"quoted", "secret"} & set(last["data"].split())


async def test_a_wrong_key_and_a_missing_server_are_told_apart(dify: FakeUpstream) -> None:
    (refused,) = await events_of(chat(dify, key="wrong"), task_of("chat"))
    (missing,) = await events_of(DifyAgent(Upstream("http://127.0.0.1:9/v1", key=KEY)), task_of("chat"))

    assert (refused["code"], missing["code"]) == ("agent_error", "upstream_error")


async def test_a_session_goes_on_with_its_conversation_and_nobody_elses(dify: FakeUpstream) -> None:
    agent = chat(dify)
    await events_so_far(agent, task_of("chat"))
    await events_so_far(agent, task_of("more", ("chat", "Hello!")))
    await events_so_far(agent, task_of("more", who=Principal("tests", "bob")))
    await events_of(agent, task_of("more", ("chat", "Hello!"), session="t" * 22))

    asked = [(each.body["conversation_id"], each.body["query"]) for each in dify.asked]
    told = "The conversation so far:\nUser: chat\nAssistant: Hello!\n\nmore"
    assert asked == [("", "chat"), (CONVERSATION, "more"), ("", "more"), ("", told)]
    users = [each.body["user"] for each in dify.asked]
    assert users[0] == users[1] != users[2]


async def test_a_conversation_that_is_gone_is_begun_anew(dify: FakeUpstream) -> None:
    agent = chat(dify)
    await events_so_far(agent, task_of("chat"))
    (gone,) = await events_so_far(agent, task_of("refused 404"))
    await events_of(agent, task_of("chat"))

    assert (gone["code"], gone["retryable"]) == ("upstream_error", True)
    assert [each.body["conversation_id"] for each in dify.asked] == ["", CONVERSATION, ""]


def stops(dify: FakeUpstream) -> list[str]:
    """Return the tasks that Dify was told to stop."""
    return [asked.path for asked in dify.asked if asked.path.endswith("/stop")]


async def test_cancelling_stops_the_task_and_closes_the_stream(dify: FakeUpstream) -> None:
    agent = chat(dify)
    await cancelled_when(agent, task_of("hold"), dify.waits.is_set)

    assert dify.hung_up.wait(patience(5))
    assert stops(dify) == [f"/v1/chat-messages/{TASK}/stop"]
    started, stopped = dify.asked
    assert stopped.body == {"user": started.body["user"]}


async def test_cancelling_stops_a_workflow_by_its_own_path(dify: FakeUpstream) -> None:
    await cancelled_when(workflow(dify), task_of("hold"), dify.waits.is_set)

    assert stops(dify) == [f"/v1/workflows/tasks/{TASK}/stop"]


async def test_a_task_that_was_cancelled_before_it_had_a_name_is_stopped_all_the_same() -> None:
    begin = asyncio.Event()

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/stop"):
            return Answer()
        asyncio.run_coroutine_threadsafe(begin.wait(), loop).result(10)
        return Answer(stream({"event": "workflow_started", "task_id": "late", "data": {}}), "hold")

    loop = asyncio.get_running_loop()
    with fake_upstream(answer) as dify:
        agent = chat(dify)
        working = asyncio.create_task(events_so_far(agent, task_of("x")))
        await until(lambda: len(dify.asked) == 1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        begin.set()
        await agent.aclose()

        assert stops(dify) == ["/v1/chat-messages/late/stop"]
        assert dify.hung_up.wait(patience(5))


@pytest.mark.parametrize("prompt", ["chat", "error 500"])
async def test_what_has_ended_is_not_stopped(dify: FakeUpstream, prompt: str) -> None:
    await events_of(chat(dify), task_of(prompt))

    assert stops(dify) == []


async def test_a_stream_that_breaks_off_has_its_task_stopped(dify: FakeUpstream) -> None:
    await events_of(chat(dify), task_of("breaks off"))

    assert stops(dify) == [f"/v1/chat-messages/{TASK}/stop"]


async def test_lines_are_ended_by_line_feeds_alone_wherever_the_pieces_are_cut() -> None:
    text = 'event: ping\r\n\r\ndata: {"a":"\x85\u2028"}\r\n\r\ndata: []\n\ndata:{"b":1}\n'.encode()

    async def pieces() -> AsyncIterator[bytes]:
        for place in range(len(text)):
            yield text[place : place + 1]

    assert [block.message async for block in blocks(pieces())] == [{"a": "\x85\u2028"}, {"b": 1}]


async def test_a_line_without_an_end_is_given_up() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(ValueError, match="no end"):
        _ = [block async for block in blocks(pieces())]


def test_a_dify_agent_needs_its_key() -> None:
    with pytest.raises(ValueError, match="needs its key"):
        DifyAgent(Upstream("http://127.0.0.1:9"))
    assert "planted" not in repr(Upstream("http://127.0.0.1:9", key="planted"))


def test_the_command_serves_it_and_cancel_stops_it(dify: FakeUpstream, tmp_path: Path) -> None:
    env = {"DIFY_API_KEY": KEY, "DIFY_BASE_URL": dify.url}
    with served(tmp_path, "--agent=dify", env=env) as stand, stand.connection() as socket:
        socket.send(json.dumps({"prompt": "agent"}))
        completed = message_of(socket, "done", "error")
        socket.send(json.dumps({"prompt": "hold"}))
        message_of(socket, "token")
        socket.send('{"type":"cancel"}')
        cancelled = message_of(socket, "done", "error")
        assert dify.hung_up.wait(patience(5))
        asyncio.run(until(lambda: len(stops(dify)) == 1))
        log = stand.log

    assert (completed["status"], cancelled["status"]) == ("completed", "cancelled")
    assert KEY not in log
