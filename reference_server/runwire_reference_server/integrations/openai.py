"""Agent for OpenAI-compatible endpoints: text, reasoning, and rounds of tool calls."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall

from runwire_reference_server.agents import Task, done, observation, thinking, token, tool_call, tool_delta
from runwire_reference_server.agents.bounded import HEADERS, bound
from runwire_reference_server.integrations.mapped import Calls, mapped
from runwire_reference_server.integrations.tools import DEMO_TOOLS, Tool, ToolError
from runwire_reference_server.integrations.upstream import (
    CONNECT_S,
    Upstream,
    ended_early,
    refused,
    unreachable,
)
from runwire_reference_server.run_log.events import Event

#: How often a model may ask for tools before it has to answer.
MAX_ROUNDS = 8

#: Attempts after the first, as long as nothing was streamed.
MAX_RETRIES = 1

#: Members in which endpoints stream reasoning: DeepSeek, vLLM and many others; OpenRouter and Ollama.
_REASONING = ("reasoning_content", "reasoning")


@dataclass(slots=True)
class _Call:
    """A tool call as it is being streamed. `call_id` is ours: endpoints repeat theirs from round to round."""

    call_id: str
    upstream_id: str
    index: int | None
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Turn:
    """What one response of the model has said so far."""

    task: Task
    known: Calls
    text: str = ""
    reasoning: dict[str, str] = field(default_factory=dict)
    calls: list[_Call] = field(default_factory=list)
    usage: Mapping[str, int] = field(default_factory=dict)
    finish: str | None = None
    refused: bool = False
    ended: bool = False  # the usage comes last

    def read(self, chunk: ChatCompletionChunk) -> Iterator[Event]:
        """Add a chunk, and yield the events that show it."""
        self.usage = _counted(chunk) or self.usage
        for choice in chunk.choices[:1]:
            self.finish = choice.finish_reason or self.finish
            yield from _heard(choice.delta, self)

    def close(self) -> Iterator[Event]:
        """Yield nothing, as the run may go on; raises AgentError when the stream broke off."""
        if self.finish is None:
            raise ended_early(self.task)
        if self.finish == "error":
            raise refused(self.task, 500)
        yield from ()

    def message(self) -> dict[str, Any]:
        """Return the turn as the model wants to be reminded of it; reasoning goes back to whoever sent it."""
        calls = [
            {
                "id": call.upstream_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in self.calls
        ]
        return {"role": "assistant", "content": self.text or None, "tool_calls": calls, **self.reasoning}


class OpenAIAgent:
    """Answers with the model of an `Upstream`; the key may also stand in `OPENAI_API_KEY`."""

    def __init__(self, upstream: Upstream, tools: Sequence[Tool] = DEMO_TOOLS) -> None:
        if not upstream.model:
            raise ValueError("an OpenAI-compatible endpoint needs the name of a model")
        self._model = upstream.model
        self._tools = {tool.name: tool for tool in tools}
        self._client = openai.AsyncOpenAI(
            base_url=upstream.url,
            api_key=upstream.key,
            max_retries=MAX_RETRIES,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=httpx2.Timeout(None, connect=CONNECT_S),
                headers=HEADERS,
                event_hooks={"response": [bound]},
            ),
        )

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Stream the model's answer, and what it does on the way."""
        messages: list[dict[str, Any]] = []
        for exchange in task.history:
            messages.append({"role": "user", "content": exchange.prompt})
            messages.append({"role": "assistant", "content": exchange.answer})
        messages.append({"role": "user", "content": task.prompt})
        usage: Counter[str] = Counter()
        calls = Calls()
        for _ in range(MAX_ROUNDS):
            turn = _Turn(task, calls)
            async with aclosing(self._respond(task, messages, turn)) as events:
                async for event in events:
                    yield event
            usage.update(turn.usage)
            if turn.finish in _CUT or not turn.calls:
                yield _end("refusal" if turn.refused and turn.finish not in _CUT else turn.finish, usage)
                return
            messages.append(turn.message())
            for call in turn.calls:
                async for event in self._use(call, messages):
                    yield event
        yield done("the model kept calling tools", "incomplete", "runwire-server:tool_rounds", usage)

    async def aclose(self) -> None:
        """Close the connections to the endpoint."""
        await self._client.close()

    async def _respond(
        self, task: Task, messages: list[dict[str, Any]], turn: _Turn
    ) -> AsyncGenerator[Event]:
        """Stream one response into `turn`. Leaving it early closes the upstream's stream, and so stops the model."""
        try:
            async with await self._open(messages) as stream, aclosing(mapped(task, stream, turn)) as events:
                async for event in events:
                    yield event
        except openai.APIStatusError as problem:
            raise refused(task, problem.status_code, f"{problem.code} {problem.type}") from None
        except (openai.APIConnectionError, httpx2.RequestError):
            raise unreachable(task) from None
        except openai.APIError as problem:  # an `error` in the middle of the stream
            raise refused(task, 500, f"{problem.code} {problem.type}") from None

    async def _open(self, messages: list[dict[str, Any]]) -> openai.AsyncStream[ChatCompletionChunk]:
        request: dict[str, Any] = {"model": self._model, "messages": messages}
        if self._tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in self._tools.values()
            ]
        stream: openai.AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        return stream

    async def _use(self, call: _Call, messages: list[dict[str, Any]]) -> AsyncIterator[Event]:
        """Show a call, run its tool, show and remember what came of it."""
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            arguments = call.arguments
        yield tool_call(call.call_id, call.name, arguments)  # [EVENT-9]
        result, is_error = await self._result(call.name, arguments)
        yield observation(call.call_id, result, is_error=is_error)
        content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        messages.append({"role": "tool", "tool_call_id": call.upstream_id, "content": content})

    async def _result(self, name: str, arguments: Any) -> tuple[Any, bool]:
        """Return what a tool gave, and whether it failed; the model is told and may find another way."""
        if name not in self._tools:
            return f"unknown tool {name}; the tools are: {', '.join(self._tools)}", True
        if not isinstance(arguments, Mapping):
            return "the arguments must be a JSON object", True
        try:
            return await self._tools[name].call(arguments), False
        except ToolError as problem:
            return str(problem), True
        except Exception as problem:
            return f"the tool failed: {type(problem).__name__}", True


#: Finish reasons after which nothing the model asked for is complete.
_CUT = {"length": "the answer was cut at the model's limit", "content_filter": "the answer was filtered"}

#: Ends that leave a run incomplete, by their reasons.
_INCOMPLETE = {**_CUT, "refusal": "the model declined to answer"}


def _end(finish: str | None, usage: Mapping[str, int]) -> Event:
    if finish in _INCOMPLETE:
        return done(_INCOMPLETE[finish], "incomplete", finish, usage)
    return done("generation completed", usage=usage)


def _counted(chunk: ChatCompletionChunk) -> dict[str, int] | None:
    """Return the usage a chunk tells of; some endpoints tell the sum so far with every one."""
    if chunk.usage is None:
        return None
    prompt, completion = chunk.usage.prompt_tokens_details, chunk.usage.completion_tokens_details
    counted = {
        "input_tokens": chunk.usage.prompt_tokens,
        "output_tokens": chunk.usage.completion_tokens,
        "cached_input_tokens": prompt.cached_tokens if prompt else None,
        "reasoning_tokens": completion.reasoning_tokens if completion else None,
    }
    return {name: count for name, count in counted.items() if isinstance(count, int) and count >= 0}


def _heard(delta: ChoiceDelta | None, turn: _Turn) -> list[Event]:
    """Add a piece of the response to `turn` and return the events that show it."""
    events: list[Event] = []
    if delta is None:
        return events
    for member in _REASONING:
        if isinstance(piece := getattr(delta, member, None), str) and piece:
            turn.reasoning[member] = turn.reasoning.get(member, "") + piece
            events.append(thinking(piece))
            break
    turn.refused = turn.refused or bool(delta.refusal)
    if text := (delta.content or "") + (delta.refusal or ""):
        turn.text += text
        events.append(token(text))
    for piece_of_call in delta.tool_calls or ():
        call = _call_of(piece_of_call, turn)
        function = piece_of_call.function
        if function is not None:
            call.name = call.name or function.name or ""
            if function.arguments:
                call.arguments += function.arguments
                events.append(tool_delta(call.call_id, call.name, function.arguments))
    return events


def _call_of(piece: ChoiceDeltaToolCall, turn: _Turn) -> _Call:
    """Return the call that a piece belongs to; an id that differs begins a new one, whatever its index says."""
    call = next((call for call in reversed(turn.calls) if piece.index in (None, call.index)), None)
    if call is None or (piece.id and piece.id != call.upstream_id):
        call_id = turn.known.begin()
        call = _Call(call_id, piece.id or call_id, piece.index)
        turn.calls.append(call)
    return call
