"""Agent interface.

An agent is anything with a method `run` that is an asynchronous generator of events:

    class Echo:
        async def run(self, task: Task) -> AsyncIterator[Event]:
            for word in task.prompt.split():
                yield token(word + " ")

Pass it with `runwire-server --agent mymodule:Echo`. When the generator returns, the run is `completed`; `done(…)`
ends it otherwise, AgentError fails it. When the run is cancelled the generator is, as any asyncio task would be,
at the point where it waits.

An agent asks its user with `input_request(…)` and then waits for the answer where it likes:

    yield input_request("q1", "approval", "Send the mail?")
    answer = await task.input_requests.answer("q1")
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Exchange


class AgentError(Exception):
    """Ends the run with an `error` of `code`; `usage` tells what it cost until then."""

    def __init__(
        self,
        code: str,
        data: str,
        retryable: bool | None = None,
        usage: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(data)
        self.code = code
        self.data = data
        self.retryable = retryable
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Answer:
    """How an input request was closed: `answered`, `expired` or `withdrawn`; `data` only when answered."""

    outcome: str
    data: Any = None


class OpenedRequests(Protocol):
    """The input requests of a run, as its agent sees them."""

    async def answer(self, request_id: str) -> Answer:
        """Wait until the request is closed; raises KeyError for one that was never opened."""

    async def none_open(self) -> None:
        """Wait until no request is open."""

    async def withdraw(self, request_id: str) -> None:
        """Close a request that is no longer needed."""


@dataclass(slots=True)
class Task:
    """What an agent is to work on.

    `history` holds the turns of the session before this one, oldest first. `trace_id` is for the log, which holds
    nothing else of a run. `input_requests` is None where the feature `input` is off. `cancelled_at` is set, on the
    event loop's clock, when the run is stopped.
    """

    key: RunKey
    prompt: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    session_id: str = ""
    history: tuple[Exchange, ...] = ()
    trace_id: str = ""
    input_requests: OpenedRequests | None = None
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


def tool_delta(call_id: str, name: str, data: str) -> Event:
    """A piece of a call's arguments as they are made; void unless the `tool_call` follows."""
    return {"type": "tool_delta", "call_id": call_id, "name": name, "data": data}


def observation(call_id: str, content: Any, *, is_error: bool = False, partial: bool = False) -> Event:
    """What the tool gave, any JSON value; while it works, `partial` pieces of text to append."""
    event: Event = {"type": "observation", "call_id": call_id, "content": content}
    flags = {"is_error": is_error, "partial": partial}
    return event | {name: True for name, is_set in flags.items() if is_set}


def input_request(
    request_id: str,
    kind: str,
    data: str | None = None,
    *,
    schema: Any = None,
    call_id: str | None = None,
    expires_in_s: float | None = None,
) -> Event:
    """A question to the user: an `approval`, a `question`, or a `form` with its JSON Schema ([INPUT-2]).

    It is open for `expires_in_s`, at most the limit `input_s`.
    """
    given = {"data": data, "schema": schema, "call_id": call_id, "expires_in_s": expires_in_s}
    event: Event = {"type": "input_request", "request_id": request_id, "kind": kind}
    return event | {name: value for name, value in given.items() if value is not None}


def done(
    data: str,
    status: str = "completed",
    reason: str | None = None,
    usage: Mapping[str, int] | None = None,
) -> Event:
    """The end of the run; `reason` is needed unless `status` is completed ([EVENT-23]).

    `usage` may hold `input_tokens` and `output_tokens`, and as parts of them `cached_input_tokens`,
    `cache_write_input_tokens` and `reasoning_tokens`; a count that nobody told is left out ([EVENT-29]).
    """
    event: Event = {"type": "done", "data": data, "status": status}
    if reason is not None:
        event["reason"] = reason
    return event | {"usage": dict(usage)} if usage else event


def error(code: str, data: str, retryable: bool, usage: Mapping[str, int] | None = None) -> Event:
    """The failure of the run, with what it cost until then."""
    event: Event = {"type": "error", "data": data, "code": code, "retryable": retryable}
    return event | {"usage": dict(usage)} if usage else event
