"""Script agent (chapter 16), which executes the prompt."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from runwire_reference_server.agents import Agent, AgentError, Task, token
from runwire_reference_server.run_log.events import Event, encode
from runwire_reference_server.run_log.registry import may_end_a_run
from runwire_reference_server.run_log.runs import RunKey

MAX_STEPS = 1_000_000
MAX_REPORTS = 1000

#: A script that waits for nothing still lets others have their turn every so many steps.
YIELD_EVERY = 256

#: Steps that become an event of the same type: the members they may have, and those they must have.
_OBJECT_STEPS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "tool_delta": (frozenset({"call_id", "name", "data"}), frozenset({"call_id", "name", "data"})),
    "tool_call": (frozenset({"call_id", "name", "input"}), frozenset({"call_id", "name", "input"})),
    "observation": (
        frozenset({"call_id", "content", "is_error", "partial"}),
        frozenset({"call_id", "content"}),
    ),
    "input_request": (
        frozenset({"request_id", "kind", "data", "call_id", "schema", "expires_in_ms"}),
        frozenset({"request_id", "kind"}),
    ),
}
_TEXT_STEPS: Mapping[str, str] = {"token": "data", "replace": "data", "thinking": "content"}
_TEXT_MEMBERS = frozenset({"call_id", "name", "data", "request_id", "kind"})
_FLAGS = frozenset({"is_error", "partial", "retryable"})
_BESIDE = frozenset({"agent", "parent_call_id"})


@dataclass(slots=True)
class _Record:
    """A script run under way, and what `report` tells of it."""

    task: Task
    steps_after_cancel: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self) -> dict[str, Any]:
        """Return what is told of a run whose agent stops now."""
        if self.task.cancelled_at is None:
            return {"stopped_after_ms": None, "steps_after_cancel": 0}
        elapsed = (asyncio.get_running_loop().time() - self.task.cancelled_at) * 1000
        return {"stopped_after_ms": max(0, round(elapsed)), "steps_after_cancel": self.steps_after_cancel}


class ScriptAgent:
    """Plays scripts, and hands every other prompt to the agent behind it ([SCRIPT-11])."""

    def __init__(self, behind: Agent) -> None:
        self._behind = behind
        self._records: dict[RunKey, _Record] = {}
        #: What is told of runs whose agent has stopped: no more, as a prompt is large.
        self._reports: OrderedDict[RunKey, dict[str, Any]] = OrderedDict()

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Play the script in `task.prompt`."""
        steps = parse(task.prompt)
        if steps is None:
            async with aclosing(cast(Any, self._behind.run(task))) as events:
                async for event in events:
                    yield event
            return
        record = self._records[task.key] = _Record(task)
        try:
            async for event in self._play(steps, record):
                yield event
        finally:
            self._reports[task.key] = record.report()
            while len(self._reports) > MAX_REPORTS:
                self._reports.popitem(last=False)
            self._records.pop(task.key, None)
            record.stopped.set()

    async def _play(self, steps: list[Any], record: _Record) -> AsyncIterator[Event]:
        for count, step in enumerate(expanded(steps), start=1):
            if count > MAX_STEPS:
                raise AgentError("agent_error", f"the script has more than {MAX_STEPS} steps")
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if record.task.cancelled_at is not None:
                record.steps_after_cancel += 1
            name, value, beside = checked(step)
            requests = record.task.input_requests
            if requests is not None and name not in {"input_request", "echo_input"}:
                await requests.none_open()  # [SCRIPT-7]
            if name in _TEXT_STEPS:
                if value or name != "token":
                    yield {"type": name, _TEXT_STEPS[name]: value, **beside}
            elif name == "input_request":
                yield _asked(value, beside)
            elif name == "echo_input":
                yield token(encode(await _answered(record.task, value)))
            elif name in _OBJECT_STEPS:
                yield {"type": name, **value, **beside}
            elif name == "wait_ms":
                await asyncio.sleep(value / 1000)
            elif name == "block_ms":
                await _block(value / 1000)
            elif name == "report":
                yield token(encode(await self._report(RunKey(record.task.key.principal, value), record)))
            elif name == "fail":
                raise AgentError(value["code"], value["data"], value.get("retryable"))

        if record.task.input_requests is not None:
            await record.task.input_requests.none_open()

    async def _report(self, key: RunKey, own: _Record) -> dict[str, Any]:
        record = self._records.get(key)
        if record is not None and record is not own:
            await record.stopped.wait()
        if record is own or key not in self._reports:  # [SCRIPT-13]
            raise AgentError("agent_error", "report names no earlier script run")
        return self._reports[key]


def parse(prompt: str) -> list[Any] | None:
    """Return the steps of a script, or None when the prompt is no script."""
    if "runwire_script" not in prompt:
        return None
    try:
        value = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.keys() != {"runwire_script"}:
        return None
    steps = value["runwire_script"]
    return steps if isinstance(steps, list) else None


def expanded(steps: list[Any]) -> Iterator[Any]:
    """Yield the steps with every `repeat` unrolled, without holding them all."""
    todo: list[Iterator[Any]] = [iter(steps)]
    while todo:
        for step in todo[-1]:
            if isinstance(step, dict) and "repeat" in step:
                todo.append(_repeated(step))
                break
            yield step
        else:
            todo.pop()


def _repeated(step: dict[str, Any]) -> Iterator[Any]:
    times, steps = step["repeat"], step.get("steps")
    number = isinstance(times, int | float) and not isinstance(times, bool)
    whole = number and 1 <= times < float("inf") and times == int(times)
    if not whole or not isinstance(steps, list) or not steps or step.keys() != {"repeat", "steps"}:
        raise AgentError("agent_error", "repeat needs a whole number of at least 1, and steps beside it")
    for _ in range(int(times)):
        yield from steps


def checked(step: Any) -> tuple[str, Any, dict[str, Any]]:
    """Return name, value and the members beside it of one step; raises AgentError ([SCRIPT-4])."""
    if not isinstance(step, dict):
        raise AgentError("agent_error", "a step must be an object")
    beside = {member: step[member] for member in _BESIDE & step.keys()}
    names = step.keys() - _BESIDE
    if len(names) != 1:
        raise AgentError("agent_error", "a step must have exactly one member that names it")
    (name,) = names
    value = step[name]
    if not _well_formed(name, value):
        raise AgentError("agent_error", f"the step {str(name)[:40]!r} is unknown or malformed")
    if name in {"token", "replace"}:
        beside = {}
    return name, value, beside


def _well_formed(name: str, value: Any) -> bool:
    if name in _TEXT_STEPS or name in {"report", "echo_input"}:
        return isinstance(value, str)
    if name in {"wait_ms", "block_ms"}:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if not isinstance(value, dict):
        return False
    if not all(isinstance(value[member], bool) for member in value.keys() & _FLAGS):
        return False
    if name == "fail":
        known = value.keys() <= {"code", "data", "retryable"}
        texts = isinstance(value.get("code"), str) and isinstance(value.get("data"), str)
        return known and texts and may_end_a_run(value["code"])
    members, needed = _OBJECT_STEPS.get(name, (frozenset(), frozenset({""})))
    texts = all(isinstance(value[member], str) for member in value.keys() & _TEXT_MEMBERS)
    if name == "input_request":
        expiry = value.get("expires_in_ms", 1)
        timed = isinstance(expiry, int | float) and not isinstance(expiry, bool) and expiry > 0
        texts = texts and timed and value["kind"] in {"approval", "question", "form"}
    partial_text = not value.get("partial") or isinstance(value.get("content"), str)
    return needed <= value.keys() <= members and texts and partial_text


def _asked(value: dict[str, Any], beside: dict[str, Any]) -> Event:
    members = {**value, **beside}
    if (expiry_ms := members.pop("expires_in_ms", None)) is not None:
        members["expires_in_s"] = expiry_ms / 1000
    return {"type": "input_request", **members}


async def _answered(task: Task, request_id: str) -> Any:
    """Return the answer to a request once it is closed, None when it expired ([SCRIPT-8])."""
    try:
        if task.input_requests is None:
            raise KeyError
        return (await task.input_requests.answer(request_id)).data
    except KeyError:
        raise AgentError("agent_error", "echo_input names a request that was not opened") from None


async def _block(seconds: float) -> None:
    """Wait like a tool that cannot be interrupted: a cancellation is noticed only afterwards ([SCRIPT-6])."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while (left := until - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
