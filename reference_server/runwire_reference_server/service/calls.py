"""What an agent owes for the calls it makes ([EVENT-13])."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from runwire_reference_server.agents import AgentError
from runwire_reference_server.run_log.events import Event


async def paired(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Yield an agent's events; raises AgentError where they would be complete while a call has no observation."""
    open_calls: set[object] = set()
    last: Event | None = None
    async with aclosing(cast(Any, events)) as source:
        async for event in source:
            kind = event["type"]
            if kind == "tool_call":
                open_calls.add(event["call_id"])
            elif kind == "observation" and not event.get("partial"):
                open_calls.discard(event["call_id"])
            elif kind in {"done", "error"}:
                last = event
                break
            yield event
    if open_calls and (last is None or last.get("status") == "completed"):
        raise AgentError("agent_error", "the agent came to its end while a call had no observation")
    if last is not None:
        yield last
