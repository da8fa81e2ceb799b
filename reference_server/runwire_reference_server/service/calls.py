"""What an agent may say of the calls it makes, and what it owes for them ([EVENT-8], [EVENT-10] to [EVENT-13])."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from runwire_reference_server.agents import AgentError
from runwire_reference_server.run_log.events import Event


async def paired(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Yield an agent's events; raises AgentError for a call made twice, or observed when it is not open, and where
    they would be complete while a call has no observation.
    """
    calls: dict[object, bool] = {}  # whether each is open
    last: Event | None = None
    async with aclosing(cast(Any, events)) as source:
        async for event in source:
            kind = event["type"]
            if kind == "tool_call":
                if event["call_id"] in calls:
                    raise AgentError("agent_error", "the agent made a call twice")
                calls[event["call_id"]] = True
            elif kind == "observation":
                if not calls.get(event["call_id"]):
                    raise AgentError("agent_error", "the agent observed a call that is not open")
                calls[event["call_id"]] = bool(event.get("partial"))
            elif kind in {"done", "error"}:
                last = event
                break
            yield event
    if any(calls.values()) and (last is None or last.get("status") == "completed"):
        raise AgentError("agent_error", "the agent came to its end while a call had no observation")
    if last is not None:
        yield last
