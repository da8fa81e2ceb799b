"""The script agent as an object: what it holds of runs that are over."""

from __future__ import annotations

import asyncio
import gc

from runwire_reference_server.agents import Task
from runwire_reference_server.agents.demo import DemoAgent
from runwire_reference_server.agents.script import ScriptAgent
from runwire_reference_server.run_log.runs import RunKey


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
