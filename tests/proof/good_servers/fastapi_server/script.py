"""The agents: the script agent, which does what a test tells it, and an echo for every other prompt."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .events import encoded
from .limits import TERMINAL
from .messages import NoMessage, Refusal, parse
from .runs import AgentError, Run
from .service import Service

MOST_STEPS = 1_000_000


def script_of(prompt: str) -> list[Any] | None:
    """Return the steps of a prompt that is a script, else nothing [SCRIPT-11]."""
    try:
        value, _ = parse(prompt)
    except (NoMessage, Refusal):
        return None
    if isinstance(value, dict) and value.keys() == {"runwire_script"}:
        steps = value["runwire_script"]
        return steps if isinstance(steps, list) else None
    return None


def is_number(value: Any) -> bool:
    """Say whether a value is a JSON number of at least 0 that is finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def is_call(value: Any) -> bool:
    """Say whether a value names a call."""
    return isinstance(value, str) and 1 <= len(value) <= 256


def has(value: Any, required: dict[str, Any], optional: dict[str, Any]) -> bool:
    """Say whether a value is an object with these members and no other, each of its kind."""
    known = required | optional
    return (
        isinstance(value, dict)
        and required.keys() <= value.keys() <= known.keys()
        and all(known[name](inner) for name, inner in value.items())
    )


def is_a(*kinds: type) -> Any:
    """Return a test for these types."""
    return lambda value: isinstance(value, kinds)


def is_observation(value: Any) -> bool:
    """Say whether a value is what an `observation` step takes; a partial one has text."""
    flags = {"is_error": is_a(bool), "partial": is_a(bool)}
    fits = has(value, {"call_id": is_call, "content": is_a(object)}, flags)
    return fits and not (value.get("partial") and not isinstance(value["content"], str))


def is_failure(value: Any) -> bool:
    """Say whether a value is what a `fail` step takes: a code that may stand in a log, or a vendor's with a colon."""
    fits = has(value, {"code": is_a(str), "data": is_a(str)}, {"retryable": is_a(bool)})
    return fits and (value["code"] in TERMINAL or all(value["code"].partition(":")))


STEPS: dict[str, Any] = {
    "token": is_a(str),
    "replace": is_a(str),
    "thinking": is_a(str),
    "tool_delta": lambda value: has(value, {"call_id": is_call, "name": is_a(str), "data": is_a(str)}, {}),
    "tool_call": lambda value: has(
        value, {"call_id": is_call, "name": is_a(str), "input": is_a(object)}, {}
    ),
    "observation": is_observation,
    "wait_ms": is_number,
    "block_ms": is_number,
    "report": is_a(str),
    "fail": is_failure,
}  # fmt: skip

#: Where each step that emits an event puts its value; objects are spread.
MEMBER = {"token": "data", "replace": "data", "thinking": "content"}


def expanded(steps: Any) -> int:
    """Return how many steps a list stands for; raise `AgentError` for one that is unknown or malformed."""
    if not isinstance(steps, list):
        raise AgentError("steps are a list")
    count = 0
    for step in steps:
        if not isinstance(step, dict):
            raise AgentError("a step is an object")
        names = step.keys() - {"agent", "parent_call_id"}
        if names == {"repeat", "steps"}:
            times = step["repeat"]
            if not is_number(times) or times < 1 or times != int(times) or not step["steps"]:
                raise AgentError("repeat takes an integer of at least 1, and steps")
            count += int(times) * expanded(step["steps"])
            continue
        name = next(iter(names)) if len(names) == 1 else ""
        if name not in STEPS or not STEPS[name](step[name]):
            raise AgentError("a step is unknown or malformed")
        aside = step.keys() & {"agent", "parent_call_id"}
        if not all(is_call(step[member]) for member in aside) or (aside and name in ("token", "replace")):
            raise AgentError("agent and parent_call_id name somebody, and stand beside no answer text")
        count += 1
    return count


class ScriptAgent:
    """Plays one script into one run."""

    def __init__(self, run: Run, service: Service) -> None:
        self.run = run
        self.service = service
        self.steps_since_pause = 0

    async def play(self, steps: list[Any]) -> None:
        """Play the steps in order [SCRIPT-1]."""
        for step in steps:
            if "repeat" in step:
                for _ in range(int(step["repeat"])):
                    await self.play(step["steps"])
            else:
                await self.step(step)

    async def step(self, step: dict[str, Any]) -> None:
        """Play one step."""
        if self.run.cancelled_at is not None:
            self.run.steps_after_cancel += 1
        self.steps_since_pause += 1
        if self.steps_since_pause % 200 == 0:
            await asyncio.sleep(0)
        (name,) = step.keys() - {"agent", "parent_call_id"}
        value = step[name]
        if name == "wait_ms":
            await asyncio.sleep(min(value, 1e9) / 1000)
        elif name == "block_ms":
            await self.block(min(value, 1e9) / 1000)
        elif name == "report":
            self.run.append({"type": "token", "data": await self.report(value)})
        elif name == "fail":
            raise AgentError(value["data"], value["code"], value.get("retryable"))
        elif name != "token" or value:
            aside = {member: step[member] for member in ("agent", "parent_call_id") if member in step}
            body = {MEMBER[name]: value} if name in MEMBER else value
            self.run.append({"type": name, **body, **aside})

    async def block(self, seconds: float) -> None:
        """Wait the full time like a tool that cannot be interrupted, then notice a cancellation [SCRIPT-6]."""
        until = time.monotonic() + seconds
        cancelled = False
        while (left := until - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def report(self, run_id: str) -> str:
        """Wait until the agent of an earlier run has stopped; tell how long that took [SCRIPT-9]."""
        other = self.service.runs.get(run_id)
        if other is None or other is self.run or other.task is None:
            raise AgentError("a report of a run that is not known")
        await other.stopped.wait()
        took = None
        if other.cancelled_at is not None and other.stopped_at is not None:
            took = round(max(0.0, other.stopped_at - other.cancelled_at) * 1000, 3)
        return encoded({"stopped_after_ms": took, "steps_after_cancel": other.steps_after_cancel})


async def agent(run: Run, service: Service) -> None:
    """Play a script, or repeat a prompt word by word."""
    steps = script_of(run.start.prompt)
    if steps is None:
        for word in f"You said: {run.start.prompt}".split(" "):
            run.append({"type": "token", "data": word + " "})
            await asyncio.sleep(0.02)
        return
    if expanded(steps) > MOST_STEPS:
        raise AgentError("a script of more than a million steps")
    await ScriptAgent(run, service).play(steps)
