"""Plays scripts with the Python port: a JSON object a line in, what became of the run a line out."""

import asyncio
import importlib.util
import json
import sys
import time

spec = importlib.util.spec_from_file_location("script_agent", sys.argv[1])
agent = importlib.util.module_from_spec(spec)
spec.loader.exec_module(agent)


class Run(agent.Run):
    """A run whose input requests are answered after a moment, as the line says."""

    def __init__(self, asked):
        self.principal, self.run_id = "alice", asked["run_id"]
        self.answers, self.opened = asked.get("answers", {}), {}

    def open(self, request_id):
        self.opened[request_id] = asyncio.create_task(asyncio.sleep(0.02, self.answers.get(request_id)))

    async def none_open(self):
        await asyncio.gather(*self.opened.values())

    async def answer(self, request_id):
        return await self.opened[request_id]


async def played(asked):
    """Return the events of one run and how it ended."""
    events, steps = [], agent.parse(asked["prompt"])
    if steps is None:
        return {"events": [], "end": "no script"}
    run = Run(asked)

    async def read():
        async for event in agent.play(steps, run):
            if event["type"] == "input_request":
                run.open(event["request_id"])
            events.append(event)

    reading = asyncio.create_task(read())
    if "cancel_after_ms" in asked:
        await asyncio.sleep(asked["cancel_after_ms"] / 1000)
        run.cancelled_at = time.monotonic()
        reading.cancel()
    try:
        await reading
    except asyncio.CancelledError:
        return {"events": events, "end": "cancelled"}
    except agent.Failed as failure:
        end = {"code": failure.code, "data": failure.data, "retryable": failure.retryable}
        return {"events": events, "end": end}
    return {"events": events, "end": "completed"}


async def main():
    """Play every line."""
    for line in sys.stdin:
        print(json.dumps(await played(json.loads(line))), flush=True)


asyncio.run(main())
