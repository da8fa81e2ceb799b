"""Common life cycle of upstream streams: open, map to run events, close.

An adapter is a `EventMapper` of its framework's messages, and a `run` that yields what `mapped` makes of them.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx2

from runwire_reference_server.agents import Task, observation
from runwire_reference_server.agents.bounded import HEADERS, MAX_EVENT_BYTES, bound
from runwire_reference_server.integrations.upstream import (
    CONNECT_S,
    UpstreamBlock,
    blocks,
    ended_early,
    refused,
    unreachable,
)
from runwire_reference_server.run_log.events import Event

Message = TypeVar("Message")
Read = TypeVar("Read", contravariant=True)


class EventMapper(Protocol[Read]):
    """What the messages of one stream mean, decided without any I/O."""

    @property
    def ended(self) -> bool:
        """Whether nothing that follows matters."""

    def read(self, message: Read) -> Iterable[Event]:
        """Yield the events that a message amounts to; raises AgentError for one that fails the run."""

    def close(self) -> Iterable[Event]:
        """Yield what ends the run, if this stream does; raises AgentError when it broke off."""


class Calls:
    """The tool calls of a run: `c1`, `c2` and so on here, whatever the upstream calls them, as many repeat an id."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, str] = {}

    def begin(self, place: str = "") -> str:
        """Return the id of a new call; `place` is what the upstream knows it by."""
        self._count += 1
        call_id = f"c{self._count}"
        self._open[call_id] = place or call_id
        return call_id

    def named(self, place: str) -> str | None:
        """Return the id of the latest open call that the upstream knows as `place`."""
        return next((call_id for call_id in reversed(self._open) if self._open[call_id] == place), None)

    def end(self, call_id: str) -> bool:
        """Note the result of a call; False when it had one, or is unknown."""
        return self._open.pop(call_id, None) is not None

    @property
    def open(self) -> list[str]:
        """The ids of the calls without a result."""
        return list(self._open)

    def settle(self) -> Iterator[Event]:
        """Yield a result for each call that has none, as a run that is completed needs it ([EVENT-13])."""
        for call_id in self._open:
            yield observation(call_id, "no result was reported", is_error=True)
        self._open.clear()


async def mapped(
    task: Task, messages: AsyncIterator[Message], reading: EventMapper[Message]
) -> AsyncGenerator[Event]:
    """Yield what the messages of a stream mean, up to its end, and what ends the run; raises AgentError.

    Leaving it early closes `messages`, if that is a generator.
    """
    async with aclosing(heard(task, messages)) as whole:
        async for message in whole:
            for event in reading.read(message):
                yield event
            if reading.ended:
                break
    for event in reading.close():
        yield event


async def heard(task: Task, messages: AsyncIterator[Message]) -> AsyncGenerator[Message]:
    """Yield the messages; raises AgentError when the connection fails, or what comes is no message."""
    try:
        async for message in messages:
            yield message
    except httpx2.RequestError:
        raise unreachable(task) from None
    except ValueError:
        raise ended_early(task) from None
    finally:
        if isinstance(messages, AsyncGenerator):
            await messages.aclose()


def http_client(headers: Mapping[str, str], max_event_bytes: int = MAX_EVENT_BYTES) -> httpx2.AsyncClient:
    """Return a client whose answers are bounded before anybody gathers them; only connecting to it has a time limit."""
    return httpx2.AsyncClient(
        headers={**headers, **HEADERS},
        event_hooks={"response": [partial(bound, max_event_bytes=max_event_bytes)]},
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
    )


async def sent(client: httpx2.AsyncClient, task: Task, request: httpx2.Request) -> httpx2.Response:
    """Send a request and return its answer, whose body was not read yet; raises AgentError."""
    try:
        return await client.send(request, stream=True)
    except httpx2.RequestError:
        raise unreachable(task) from None


@asynccontextmanager
async def posted(
    client: httpx2.AsyncClient, task: Task, url: str, body: Any, headers: Mapping[str, str] | None = None
) -> AsyncIterator["UpstreamStream"]:
    """POST a body and give the event stream that answers it; raises AgentError.

    Leaving the context closes the connection, which for most upstreams means to stop.
    """
    given = {"Accept": "text/event-stream", **(headers or {})}
    response = await sent(client, task, client.build_request("POST", url, json=body, headers=given))
    try:
        if response.status_code != 200:
            raise refused(task, response.status_code)
        yield UpstreamStream(response)
    finally:
        await response.aclose()


class UpstreamStream:
    """An event stream that an upstream answers with."""

    def __init__(self, response: httpx2.Response) -> None:
        self.headers: Mapping[str, str] = response.headers
        self.blocks: AsyncGenerator[UpstreamBlock] = blocks(response.aiter_bytes())

    async def messages(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield its data, a JSON object a block; raises ValueError and httpx2.RequestError."""
        async for block in self.blocks:
            yield block.message
