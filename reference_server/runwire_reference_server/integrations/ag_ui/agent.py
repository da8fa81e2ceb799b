"""AG-UI agent: LangGraph, CrewAI, Pydantic AI, Mastra and other frameworks."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from ag_ui.core import RunAgentInput

from runwire_reference_server.agents import AgentError, Task
from runwire_reference_server.integrations.ag_ui.conversations import Conversations, Transcript
from runwire_reference_server.integrations.ag_ui.events import AgUiEvents
from runwire_reference_server.integrations.ag_ui.questions import Question, question_of
from runwire_reference_server.integrations.mapped import http_client, mapped, posted
from runwire_reference_server.integrations.upstream import Upstream, UpstreamBlock, ended_early, unreachable
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.runs import new_identifier

PROTOCOL_VERSION = "1.0"

#: Seconds that a stream may stay open after RUN_FINISHED, in which a late RUN_ERROR can come.
LATE_S = 1.0

#: Returns without a new event to a stream that can be returned to, and seconds between two of them.
MAX_RETURNS = 8
RETURN_S = 0.25

#: Seconds for an upstream that goes on without its reader to be told to stop.
STOP_S = 10.0

#: Bytes of one event; snapshots hold a whole conversation, some frameworks' several times.
MAX_EVENT_BYTES = 8 * 1024 * 1024

#: Members of a run's `inputs` that are those of AG-UI's input.
_INPUTS = {"state", "context", "forwardedProps"}


class AgUiAgent:
    """Answers with the agent at the URL of an `Upstream`, whose key, if it has one, goes with each request."""

    def __init__(self, upstream: Upstream) -> None:
        if not upstream.url:
            raise ValueError("an agent of AG-UI needs the URL of its endpoint")
        self._url = upstream.url
        key = {"Authorization": f"Bearer {upstream.key}"} if upstream.key else {}
        self._client = http_client(key, MAX_EVENT_BYTES)
        self._conversations = Conversations()
        self._stopping: set[asyncio.Task[None]] = set()

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Stream what the agent says and does, over as many of its runs as its questions make of one of ours."""
        transcript = self._conversations.begin(task)
        told = AgUiEvents(task, transcript.answer)
        resume: Mapping[str, Any] = {}
        asked = 0
        while True:
            body = self._body(task, transcript, resume)
            async with aclosing(mapped(task, self._messages(task, body, transcript), told)) as events:
                async for event in events:
                    if event["type"] == "done":
                        self._conversations.keep(task, transcript)
                    yield event
            if not told.interrupts:
                return
            questions = [
                question_of(one, f"q{asked + place}", told.call_of(one.get("toolCallId")))
                for place, one in enumerate(told.interrupts, 1)
            ]
            asked += len(questions)
            for question in questions:
                yield question.event
            resume = await self._resume(task, questions, legacy=told.legacy)
            told.go_on()

    async def aclose(self) -> None:
        """Stop what is still to be stopped, and close the connections to the endpoint."""
        await asyncio.gather(*self._stopping)
        await self._client.aclose()

    def _body(self, task: Task, transcript: Transcript, resume: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input of a run; what `inputs` of the start has beside AG-UI's own members is forwarded."""
        own = {name: value for name, value in task.inputs.items() if name in _INPUTS}
        others = {name: value for name, value in task.inputs.items() if name not in _INPUTS}
        forwarded = own.pop("forwardedProps", None) or {}
        if isinstance(forwarded, Mapping):
            forwarded = {**others, **forwarded, **resume.get("forwardedProps", {})}
        given: dict[str, Any] = {
            "threadId": task.session_id,
            "runId": task.key.run_id if not resume else new_identifier(),
            "protocolVersion": PROTOCOL_VERSION,
            "state": {},
            "tools": [],
            "context": [],
            **own,
            "messages": transcript.told(),
            "forwardedProps": forwarded,
        }
        if "resume" in resume:
            given["resume"] = resume["resume"]
        try:
            return RunAgentInput.model_validate(given).model_dump(by_alias=True, mode="json")
        except ValueError:
            raise AgentError(
                "agent_error", "the inputs of the start are not those of an AG-UI agent"
            ) from None

    async def _resume(self, task: Task, questions: list[Question], *, legacy: bool) -> dict[str, Any]:
        """Wait for the answers, and return what tells the agent of them."""
        assert task.input_requests is not None  # or the worker had refused the requests
        entries = [
            question.entry(await task.input_requests.answer(question.request_id)) for question in questions
        ]
        if not legacy:
            return {"resume": entries}
        payloads = [entry.get("payload") for entry in entries]
        return {"forwardedProps": {"command": {"resume": payloads[0] if len(payloads) == 1 else payloads}}}

    async def _messages(
        self, task: Task, body: Mapping[str, Any], transcript: Transcript
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of one run. A stream whose blocks have ids is returned to when it breaks."""
        last_id, location, returns, finished = "", "", 0, False
        try:
            while not finished:
                try:
                    headers = {"Last-Event-ID": last_id} if last_id else {}
                    async with posted(self._client, task, self._url, body, headers) as stream:
                        location = stream.headers.get("location", "")
                        async with aclosing(_until_late(stream.blocks)) as blocks:
                            async for block in blocks:
                                last_id, returns = block.id, 0
                                finished = block.message.get("type") in {"RUN_FINISHED", "RUN_ERROR"}
                                transcript.read(block.message)
                                yield block.message
                    broken = ended_early(task) if not finished else None
                except ValueError:
                    broken = ended_early(task)
                except httpx2.RequestError:
                    broken = unreachable(task)
                except AgentError as failure:
                    broken = failure
                if broken is not None and not finished:
                    if not last_id or returns >= MAX_RETURNS or broken.code != "upstream_error":
                        raise broken
                    returns += 1
                    await asyncio.sleep(RETURN_S * returns)
        finally:
            if location and not finished:
                self._stop(location)

    def _stop(self, location: str) -> None:
        """Tell an upstream that goes on without its reader to stop, beside the run whose end does not wait for it."""
        events = urljoin(self._url, location)
        if urlsplit(events)[:2] != urlsplit(self._url)[:2]:
            return  # the credential is for the endpoint alone
        stop = asyncio.get_running_loop().create_task(
            self._post_stop(re.sub(r"/events(\?.*)?$", "/cancel", events))
        )
        self._stopping.add(stop)
        stop.add_done_callback(self._stopping.discard)

    async def _post_stop(self, url: str) -> None:
        with suppress(httpx2.RequestError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._client.post(url, json={})


async def _until_late(blocks: AsyncIterator[UpstreamBlock]) -> AsyncGenerator[UpstreamBlock]:
    """Yield the blocks; after the end of a run only those that come soon."""
    finished = False
    while True:
        try:
            async with asyncio.timeout(LATE_S if finished else None):
                block = await anext(blocks)
        except (StopAsyncIteration, TimeoutError):
            return
        finished = block.message.get("type") == "RUN_FINISHED"
        yield block
