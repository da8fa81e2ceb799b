"""What the tests of agents share: a task, and what an agent makes of it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol, cast

from runwire_reference_server.agents import Agent, AgentError, Task, error
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.registry import ERRORS
from runwire_reference_server.run_log.runs import Principal, RunKey
from runwire_reference_server.run_log.store import Exchange
from tests.support.patience import patience, tries

ALICE = Principal("tests", "alice")


def task_of(
    prompt: str,
    *history: tuple[str, str],
    inputs: Mapping[str, Any] | None = None,
    session: str = "s" * 22,
    who: Principal = ALICE,
) -> Task:
    """Return a task with earlier turns."""
    turns = tuple(Exchange(*turn) for turn in history)
    return Task(RunKey(who, "r" * 22), prompt, inputs or {}, session, turns, trace_id="0" * 31 + "1")


class Closable(Agent, Protocol):
    """An agent that holds connections."""

    async def aclose(self) -> None:
        """Close them."""


async def events_of(agent: Closable, task: Task, events: list[Event] | None = None) -> list[Event]:
    """Return what an agent yields for its last task."""
    async with aclosing(agent):
        return await events_so_far(agent, task, events)


async def events_so_far(agent: Agent, task: Task, events: list[Event] | None = None) -> list[Event]:
    """Return what an agent yields, an AgentError as the event that the worker makes of it; `events` has it at once."""
    events = [] if events is None else events
    async with asyncio.timeout(patience(20)), aclosing(cast(Any, agent.run(task))) as made:
        try:
            async for event in made:
                events.append(event)
        except AgentError as failure:
            default = failure.code in ERRORS and ERRORS[failure.code].retryable
            retryable = default if failure.retryable is None else failure.retryable
            events.append(error(failure.code, failure.data, retryable))
    return events


async def cancelled_when(
    agent: Closable, task: Task, ready: Callable[[], bool], events: list[Event] | None = None
) -> None:
    """Have an agent work until something is so, and cancel it then; `events` has what it yields at once."""
    working = asyncio.create_task(events_of(agent, task, events))
    await until(ready)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert working.cancelled()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, for ten seconds at most."""
    for _ in tries(10, 0.01):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that within ten seconds")


def texts(events: list[Event], kind: str = "token") -> str:
    """Return the concatenated text of all events of a type."""
    return "".join(event.get("data", event.get("content")) for event in events if event["type"] == kind)


def but(events: list[Event], *kinds: str) -> list[Event]:
    """Return the events that are of no such type."""
    return [event for event in events if event["type"] not in kinds]
