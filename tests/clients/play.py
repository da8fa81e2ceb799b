"""Plays scenarios with the Python client: the client's part comes in as a line, what its user saw goes out."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runwire_client import Run

#: The longest time that a scenario without `ms` of its own takes, in seconds.
MOST_S = 60.0


async def play(part: dict[str, Any]) -> dict[str, Any]:
    """Play one scenario, as `clients/javascript/tests/play.js` does."""
    left = part.get("tokens")
    options = part.get("options", {})
    token = options.get("token") if left is None else lambda _refused: left.pop(0) if left else ""
    run = Run(
        part.get("prompt", "x"),
        discovery=part["url"],
        token=token,
        tickets=options.get("tickets", False),
        transport=options.get("transport", "auto"),
        run_id=options.get("runId"),
    )
    seen: dict[str, Any] = {"events": [], "states": [], "notices": [], "anew": 0}
    todo = dict(part.get("acts", {}))
    told = asyncio.Event()

    def act(kind: str) -> None:
        method, *arguments = todo.pop(kind, [None])
        if method:
            getattr(run, method)(*arguments)

    def event(message: dict[str, Any]) -> None:
        seen["events"].append(message["type"])
        act(message["type"])

    def state(detail: dict[str, Any]) -> None:
        seen["states"].append(detail["state"])
        if len(seen["states"]) == part.get("after", 3):
            told.set()
        act(detail["state"])

    def anew(_: None) -> None:
        seen["anew"] += 1

    run.on("event", event)
    run.on("state", state)
    run.on("notice", lambda detail: seen["notices"].append(detail["code"]))
    run.on("anew", anew)
    act("begin")

    async def long_enough() -> None:
        if "ms" in part:
            await told.wait()
        await asyncio.sleep(part["ms"] / 1000 if "ms" in part else MOST_S)

    waiting = asyncio.create_task(long_enough())
    await asyncio.wait({run.finished, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await asyncio.sleep(part.get("linger", 0) / 1000)
    run.leave()
    await run.finished
    failure = run.failure and {"code": run.failure.code, "message": str(run.failure)}
    shown = {"id": run.id, "text": run.text, "cursor": run.cursor, "ended": run.ended}
    return {**seen, **shown, "transport": run.transport, "failure": failure}


async def main() -> None:
    """Play every scenario that comes in, side by side."""
    loop = asyncio.get_running_loop()

    async def one(line: str) -> None:
        part = json.loads(line)
        try:
            outcome = await play(part)
        except Exception as problem:
            outcome = {"raised": repr(problem)}
        print(json.dumps({"number": part["number"], "outcome": outcome}), flush=True)

    async with asyncio.TaskGroup() as playing:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            playing.create_task(one(line))


if __name__ == "__main__":
    asyncio.run(main())
