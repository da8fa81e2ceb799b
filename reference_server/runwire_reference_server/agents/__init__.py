"""What an agent is to this server.

An agent is anything with a method `run` that is an asynchronous generator of events:

    class Echo:
        async def run(self, task: Task) -> AsyncIterator[Event]:
            for word in task.prompt.split():
                yield token(word + " ")

Pass it with `runwire-server --agent mymodule:Echo`. When the generator returns, the run is `completed`; `done(…)`
ends it otherwise, AgentError fails it. When the run is cancelled the generator is, as any asyncio task would be,
at the point where it waits.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runwire_reference_server.events import Event
from runwire_reference_server.runs import RunKey


class AgentError(Exception):
    """Ends the run with an `error` of `code`."""

    def __init__(self, code: str, data: str, retryable: bool | None = None) -> None:
        super().__init__(data)
        self.code = code
        self.data = data
        self.retryable = retryable


@dataclass(slots=True)
class Task:
    """What an agent is to work on. `cancelled_at` is set, on the event loop's clock, when the run is stopped."""

    key: RunKey
    prompt: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    cancelled_at: float | None = None


class Agent(Protocol):
    """Works on a task and yields the events of its run, without `run_id` and `seq`."""

    def run(self, task: Task) -> AsyncIterator[Event]:
        """Yield events made by the functions of this module."""


def token(data: str) -> Event:
    """Text to append to the answer."""
    return {"type": "token", "data": data}


def replace(data: str) -> Event:
    """The answer so far is `data` instead."""
    return {"type": "replace", "data": data}


def thinking(content: str) -> Event:
    """Reasoning text to append."""
    return {"type": "thinking", "content": content}


def tool_call(call_id: str, name: str, arguments: Any) -> Event:
    """A tool is about to run with `arguments`, any JSON value."""
    return {"type": "tool_call", "call_id": call_id, "name": name, "input": arguments}


def observation(call_id: str, content: Any, *, is_error: bool = False) -> Event:
    """What the tool gave, any JSON value."""
    event: Event = {"type": "observation", "call_id": call_id, "content": content}
    return event | {"is_error": True} if is_error else event


def done(data: str, status: str = "completed", reason: str | None = None) -> Event:
    """The end of the run; `reason` is needed unless `status` is completed ([EVENT-23])."""
    event: Event = {"type": "done", "data": data, "status": status}
    return event if reason is None else event | {"reason": reason}


def error(code: str, data: str, retryable: bool) -> Event:
    """The failure of the run."""
    return {"type": "error", "data": data, "code": code, "retryable": retryable}
