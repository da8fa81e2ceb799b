"""What an upstream may cost the agents on it: no body of an error and no event of a stream is gathered without end."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from runwire_reference_server.agents import Agent
from runwire_reference_server.agents.bounded import MAX_EVENT_BYTES
from runwire_reference_server.integrations.dify import DifyAgent
from runwire_reference_server.integrations.openai import OpenAIAgent
from runwire_reference_server.integrations.upstream import Upstream
from tests.support.agent_stand import events_of, task_of, texts
from tests.support.fake_upstream import Answer, fake_upstream, stream

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20
MUCH = 48

FLOODS = {
    "a body of an error": Answer((b"x" * MEGABYTE,) * MUCH, "hold", 400, "application/json"),
    "a line": Answer((b"data: ", *((b"x" * MEGABYTE,) * MUCH)), "hold"),
    "lines of one event": Answer((b"data: x\n" * 5000,) * (MUCH * 26), "hold"),
    "what is no event": Answer((b"\0" * MEGABYTE,) * MUCH, "hold"),
}


def agents(url: str) -> dict[str, Agent]:
    """Return an agent of each kind on an endpoint."""
    return {
        "openai": OpenAIAgent(Upstream(url, "m", "k"), ()),
        "dify": DifyAgent(Upstream(url, key="k")),
    }


@pytest.mark.parametrize("kind", ["openai", "dify"])
@pytest.mark.parametrize("flood", FLOODS, ids=lambda name: name.replace(" ", "-"))
async def test_a_flood_of_an_upstream_ends_the_run_before_it_is_held(flood: str, kind: str) -> None:
    with fake_upstream(lambda _: FLOODS[flood]) as upstream:
        agent = agents(upstream.url)[kind]
        tracemalloc.start()
        try:
            events = await events_of(agent, task_of("hello"))  # type: ignore[arg-type]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert [event["type"] for event in events] == ["error"]
    assert most < MUCH // 2 * MEGABYTE


@pytest.mark.parametrize("kind", ["openai", "dify"])
async def test_a_compressed_answer_that_nobody_asked_for_is_refused(kind: str) -> None:
    bomb = gzip.compress(b"data: x\n\n" * 1_000_000)
    with fake_upstream(lambda _: Answer((bomb,), encoding="gzip")) as upstream:
        events = await events_of(agents(upstream.url)[kind], task_of("hello"))  # type: ignore[arg-type]

    assert [event["type"] for event in events] == ["error"]


def chunk(content: str) -> dict[str, object]:
    """Return a piece of an answer of OpenAI's."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
async def test_many_events_are_no_flood_however_they_are_cut(end: str) -> None:
    last = chunk("") | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    body = "".join(f"data: {json.dumps(event)}{end}" for event in [*[chunk("x" * 1000)] * 1500, last])
    data = (body + f"data: [DONE]{end}").encode()
    assert len(data) > MAX_EVENT_BYTES
    pieces = tuple(data[at : at + 7919] for at in range(0, len(data), 7919))
    with fake_upstream(lambda _: Answer(pieces)) as upstream:
        events = await events_of(agents(upstream.url)["openai"], task_of("hello"))  # type: ignore[arg-type]

    assert texts(events) == "x" * 1_500_000
    assert events[-1]["type"] == "done"


async def test_the_code_of_an_error_is_still_read() -> None:
    error = {"error": {"code": "insufficient_quota", "message": "x"}}
    with fake_upstream(lambda _: Answer(stream(json.dumps(error)), status=429)) as upstream:
        events = await events_of(agents(upstream.url)["openai"], task_of("hello"))  # type: ignore[arg-type]

    assert events[-1]["data"] == "the upstream's quota is used up"
