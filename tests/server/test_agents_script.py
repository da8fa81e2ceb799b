"""The script agent as an object: what it holds of runs that are over."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwire_reference_server.agents import AgentError, Task
from runwire_reference_server.agents.demo import DemoAgent
from runwire_reference_server.agents.script import ScriptAgent
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.service.worker import pair


def test_nothing_of_a_finished_run_is_held_but_its_report() -> None:
    agent = ScriptAgent(DemoAgent())

    async def play(number: int) -> None:
        task = Task(RunKey("p", f"r{number}"), '{"runwire_script":[{"token":"x"}]}' + " " * 10_000)
        assert [event["type"] async for event in agent.run(task)] == ["token"]

    async def told() -> str:
        task = Task(RunKey("p", "last"), '{"runwire_script":[{"report":"r7"}]}')
        return "".join([event["data"] async for event in agent.run(task)])

    async def plays() -> str:
        for number in range(20):
            await play(number)
        gc.collect()
        assert not [
            one for one in gc.get_objects() if isinstance(one, Task) and one.key.run_id.startswith("r")
        ]
        return await told()

    assert asyncio.run(plays()) == '{"stopped_after_ms":null,"steps_after_cancel":0}'


CALL = {"type": "tool_call", "call_id": "c1", "name": "search", "input": 1}
PART = {"type": "observation", "call_id": "c1", "content": "half", "partial": True}
SEEN = {"type": "observation", "call_id": "c1", "content": "done"}


@pytest.mark.parametrize(
    "events", [[SEEN], [PART], [CALL, CALL], [CALL, SEEN, CALL], [CALL, SEEN, SEEN], [CALL, SEEN, PART]]
)
def test_a_call_out_of_order_ends_the_run_of_any_agent(events: list[dict[str, Any]]) -> None:
    passed: list[dict[str, Any]] = []

    async def agent() -> AsyncIterator[dict[str, Any]]:
        for event in events:
            yield event

    async def reads() -> None:
        calls: dict[object, bool] = {}
        async for event in agent():
            pair(calls, event)
            passed.append(event)

    with pytest.raises(AgentError) as failure:
        asyncio.run(reads())

    assert (failure.value.code, passed) == ("agent_error", events[:-1])


@pytest.mark.parametrize(
    ("times", "played"), [(2, 2), (2.0, 2), (1.5, None), (0, None), (-1, None), (True, None), ("2", None)]
)
def test_a_repeat_takes_a_whole_number_however_written(times: object, played: int | None) -> None:
    prompt = json.dumps({"runwire_script": [{"repeat": times, "steps": [{"token": "x"}]}]})

    async def plays() -> int:
        agent = ScriptAgent(DemoAgent())
        return len([event async for event in agent.run(Task(RunKey("p", "r"), prompt))])

    if played is None:
        with pytest.raises(AgentError):
            asyncio.run(plays())
    else:
        assert asyncio.run(plays()) == played
