"""Dify agent: chat, agent and chatflow by `chat-messages`, workflow by `workflows/run`."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from runwire_reference_server.agents import AgentError, Task
from runwire_reference_server.integrations.dify_events import DifyEvents, parsed
from runwire_reference_server.integrations.dify_forms import DifyForms, user_of
from runwire_reference_server.integrations.mapped import heard, http_client, mapped, sent
from runwire_reference_server.integrations.upstream import Upstream, UpstreamBlock, blocks, refused
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.runs import Principal

CLOUD = "https://api.dify.ai/v1"

#: The paths of the two kinds of application, to begin and to stop.
PATHS = {
    "chat": ("/chat-messages", "/chat-messages/{task_id}/stop"),
    "workflow": ("/workflows/run", "/workflows/tasks/{task_id}/stop"),
}

#: Conversations whose Dify id is remembered; the others go on from the turns this server remembers.
MAX_CONVERSATIONS = 10_000

#: Seconds for Dify to say what the task that is to be stopped is called, and to stop it.
STOP_S = 30.0

#: Bytes of an answer that explains a refusal.
MAX_REFUSAL_BYTES = 65536


@dataclass(slots=True)
class _Stream:
    """An open response and its first event, which names the task."""

    response: httpx2.Response
    blocks: AsyncIterator[UpstreamBlock]
    first: UpstreamBlock | None

    @property
    def task_id(self) -> object:
        """What Dify calls the task, None when it did not say."""
        return self.first.message.get("task_id") if self.first else None


class DifyAgent:
    """Answers with the Dify application that the key of an `Upstream` belongs to.

    `app` is `chat` or `workflow`; a workflow gets the prompt as its input variable `prompt_variable`.
    """

    def __init__(self, upstream: Upstream, app: str = "chat", prompt_variable: str = "query") -> None:
        if not upstream.key:
            raise ValueError("a Dify application needs its key")
        self._start_path, self._stop_path = PATHS[app]
        self._workflow = app == "workflow"
        self._prompt_variable = prompt_variable
        self._url = (upstream.url or CLOUD).rstrip("/")
        self._client = http_client({"Authorization": f"Bearer {upstream.key}"})
        self._forms = DifyForms(self._client, self._url)
        self._conversations: OrderedDict[tuple[Principal, str], str] = OrderedDict()
        self._stopping: set[asyncio.Task[None]] = set()

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Stream what the application says and does. Leaving early stops its task, which closing alone does not."""
        openings = [asyncio.ensure_future(self._open(task))]
        told = DifyEvents(task, workflow=self._workflow)
        try:
            while True:
                stream = await asyncio.shield(openings[-1])
                async with aclosing(mapped(task, self._messages(task, stream), told)) as events:
                    async for event in events:
                        yield event
                if not told.paused:
                    break
                async with aclosing(self._forms.ask(task, told.forms)) as questions:
                    async for question in questions:
                        yield question
                told.go_on()
                openings.append(asyncio.ensure_future(self._reopen(task, told.workflow_run_id)))
        finally:
            self._spawn(self._leave(openings, task, stop=not told.over))

    async def aclose(self) -> None:
        """Stop what is still to be stopped, and close the connections to Dify."""
        await asyncio.gather(*self._stopping)
        await self._client.aclose()

    async def _open(self, task: Task) -> _Stream:
        """Begin, and wait for the first event: whoever stops the task needs its id."""
        url = self._url + self._start_path
        return await self._stream(task, self._client.build_request("POST", url, json=self._body(task)))

    async def _reopen(self, task: Task, workflow_run_id: str) -> _Stream:
        """Listen again to a workflow that goes on after a pause."""
        url = f"{self._url}/workflow/{quote(workflow_run_id, safe='')}/events"
        user = {"user": user_of(task.key.principal)}
        return await self._stream(task, self._client.build_request("GET", url, params=user))

    async def _stream(self, task: Task, request: httpx2.Request) -> _Stream:
        response = await sent(self._client, task, request)
        if response.status_code != 200:
            raise await self._refusal(task, response)
        told = heard(task, blocks(response.aiter_bytes()))
        return _Stream(response, told, await anext(told, None))

    def _body(self, task: Task) -> dict[str, Any]:
        body: dict[str, Any] = {
            "inputs": dict(task.inputs),
            "response_mode": "streaming",
            "user": user_of(task.key.principal),
        }
        if self._workflow:
            body["inputs"] = {self._prompt_variable: task.prompt} | body["inputs"]
            return body
        conversation = self._conversations.get(_session(task))
        body["query"] = task.prompt if conversation else _with_history(task)
        return body | {"conversation_id": conversation or "", "auto_generate_name": False}

    async def _refusal(self, task: Task, response: httpx2.Response) -> Exception:
        content = b""
        try:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_REFUSAL_BYTES:
                    break
        finally:
            await response.aclose()
        if response.status_code == 404 and self._conversations.pop(_session(task), ""):
            return AgentError("upstream_error", "Dify no longer has this conversation; a new one can begin")
        problem = parsed(content)
        code = problem.get("code") if isinstance(problem, dict) else None
        return refused(task, response.status_code, str(code))

    async def _messages(self, task: Task, stream: _Stream) -> AsyncGenerator[dict[str, Any]]:
        if stream.first is not None:
            self._remember(task, stream.first.message)
            yield stream.first.message
            async for block in stream.blocks:
                self._remember(task, block.message)
                yield block.message

    def _remember(self, task: Task, message: dict[str, Any]) -> None:
        conversation = message.get("conversation_id")
        if isinstance(conversation, str) and conversation and not self._workflow:
            self._conversations[_session(task)] = conversation
            self._conversations.move_to_end(_session(task))
            while len(self._conversations) > MAX_CONVERSATIONS:
                self._conversations.popitem(last=False)

    async def _leave(self, openings: Sequence[asyncio.Future[_Stream]], task: Task, *, stop: bool) -> None:
        """Close the streams, and tell Dify to stop the task: it works on for a caller who has gone."""
        task_id = None
        with suppress(Exception):
            async with asyncio.timeout(STOP_S):
                for opening in openings:
                    with suppress(AgentError):
                        stream = await opening
                        task_id = stream.task_id or task_id
                        await stream.response.aclose()
                if stop and isinstance(task_id, str):
                    path = self._stop_path.format(task_id=task_id)
                    await self._client.post(self._url + path, json={"user": user_of(task.key.principal)})
        for opening in openings:
            opening.cancel()

    def _spawn(self, coroutine: Any) -> None:
        """Run `coroutine` beside the run, whose end does not wait for it ([CANCEL-4])."""
        leaving = asyncio.get_running_loop().create_task(coroutine)
        self._stopping.add(leaving)
        leaving.add_done_callback(self._stopping.discard)


def _session(task: Task) -> tuple[Principal, str]:
    return task.key.principal, task.session_id


def _with_history(task: Task) -> str:
    """Return the prompt, after the turns that Dify does not know, such as those served by another node."""
    if not task.history:
        return task.prompt
    turns = [f"User: {exchange.prompt}\nAssistant: {exchange.answer}" for exchange in task.history]
    return "\n".join(["The conversation so far:", *turns, "", task.prompt])
