"""Mapping of a run's log to AG-UI events, without I/O."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from runwire_reference_server.integrations.ag_ui_endpoint.interrupts import interrupt_of, tool_call_id
from runwire_reference_server.run_log.events import Entry, Event

AgUiEvent = dict[str, Any]

PROTOCOL_VERSION = "1.0"

#: What stands in a log for events of AG-UI that have no name there.
PREFIX = "ag-ui:"

#: The parts of a usage, by our names.
_USAGE: Mapping[str, str] = MappingProxyType(
    {
        "input_tokens": "inputTokens",
        "output_tokens": "outputTokens",
        "cached_input_tokens": "cachedInputTokens",
        "cache_write_input_tokens": "cacheWriteInputTokens",
        "reasoning_tokens": "reasoningTokens",
    }
)

#: Members that every event of a log has, or may have.
_PLACE = frozenset({"type", "run_id", "seq", "first_seq", "ts", "trace_id"})

#: What opens and closes something by a name, in events that an agent of AG-UI sent.
_OPENS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "STEP_STARTED": ("STEP_FINISHED", "stepName"),
        "SUBAGENT_STARTED": ("SUBAGENT_FINISHED", "subagentRunId"),
    }
)
_CLOSES = {"STEP_FINISHED": "STEP_FINISHED", "SUBAGENT_FINISHED": "SUBAGENT_FINISHED"} | {
    "SUBAGENT_ERROR": "SUBAGENT_FINISHED"
}


class Translation:
    """Turns the events of one run, read from the first, into those of AG-UI.

    `over` is set by the event that ends the stream: a terminal, or a question that is not in `settled`. What an event
    amounts to depends on those before it and on nothing else, so that a reader who comes back finds the same.
    """

    def __init__(self, thread_id: str, run_id: str, settled: Collection[str] = ()) -> None:
        """`run_id` is what the caller calls the run, which for one that continues is not our name of it."""
        self.over = False
        self.settled = set(settled)
        self._ends = {"threadId": thread_id, "runId": run_id}
        self._message: str | None = None
        self._answer: list[str] = []
        self._reasoning: AgUiEvent | None = None
        self._open: dict[tuple[str, str], AgUiEvent] = {}
        self._pending: dict[str, None] = {}
        self._result: Any = None

    def started(self) -> AgUiEvent:
        """Return the first event of a stream."""
        return {"type": "RUN_STARTED", **self._ends, "protocolVersion": PROTOCOL_VERSION}

    def read(self, event: Event) -> list[AgUiEvent]:
        """Return what an event of the log amounts to, which may be nothing."""
        kind: str = event["type"]
        if kind.startswith(PREFIX):
            return list(self._restored(kind.removeprefix(PREFIX).upper(), event))
        if reader := _READERS.get(kind):
            return list(reader(self, event))
        return [{"type": "CUSTOM", "name": kind, "value": _without_place(event)}] if ":" in kind else []

    def pass_over(self, entry: Entry) -> None:
        """Take note of an event that was sent before; of most tokens no more is to be known than that they came."""
        if entry.kind != "token" or self._message is None or self._reasoning is not None:
            self.read(entry.event)
            self.over = False

    def _token(self, event: Event) -> Iterator[AgUiEvent]:
        yield from self._end_reasoning()
        if self._message is None:
            yield self._begin_message(_name(event))
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message, "delta": event["data"]}

    def _replace(self, event: Event) -> Iterator[AgUiEvent]:
        """Tell a text that takes the place of those before it; AG-UI can withdraw none."""
        yield from self._end_texts()
        withdrawn, self._answer = self._answer, []
        yield {"type": "CUSTOM", "name": "runwire:replace", "value": {"messageIds": withdrawn}}
        if event["data"]:
            yield from self._token(event)

    def _thinking(self, event: Event) -> Iterator[AgUiEvent]:
        yield from self._end_message()
        owner = _owner(event)
        if self._reasoning is not None and self._reasoning.get("subagentRunId") != event.get("agent"):
            yield from self._end_reasoning()
        if self._reasoning is None:
            self._reasoning = {"messageId": _name(event), **owner}
            yield {"type": "REASONING_START", **self._reasoning}
            yield {"type": "REASONING_MESSAGE_START", **self._reasoning, "role": "reasoning"}
        yield {"type": "REASONING_MESSAGE_CONTENT", **self._reasoning, "delta": event["content"]}

    def _tool_call(self, event: Event) -> Iterator[AgUiEvent]:
        yield from self._end_texts()
        call = {"toolCallId": tool_call_id(event["run_id"], event["call_id"]), **_owner(event)}
        self._pending[call["toolCallId"]] = None
        yield {"type": "TOOL_CALL_START", **call, "toolCallName": event["name"]}
        yield {"type": "TOOL_CALL_ARGS", **call, "delta": _as_text(event["input"], quoted=True)}
        yield {"type": "TOOL_CALL_END", **call}

    def _observation(self, event: Event) -> Iterator[AgUiEvent]:
        call = tool_call_id(event["run_id"], event["call_id"])
        if event.get("partial"):
            value = {"toolCallId": call, "content": event["content"], "partial": True}
            yield {"type": "CUSTOM", "name": "runwire:observation", "value": value}
            return
        self._pending.pop(call, None)
        flags = {name: True for name in ("is_error", "truncated") if event.get(name)}
        yield {
            "type": "TOOL_CALL_RESULT",
            "messageId": _name(event),
            "toolCallId": call,
            "role": "tool",
            "content": _as_text(event["content"]),
            **_owner(event),
            **({"metadata": {"runwire": flags}} if flags else {}),
        }

    def _input_request(self, event: Event) -> Iterator[AgUiEvent]:
        # Whether or not it is still open, what stands before it is closed: a reader that comes back relies on it.
        yield from self._end_everything()
        if event["request_id"] not in self.settled:
            self.over = True
            outcome = {"type": "interrupt", "interrupts": [interrupt_of(event)]}
            yield {"type": "RUN_FINISHED", **self._ends, "outcome": outcome}

    def _done(self, event: Event) -> Iterator[AgUiEvent]:
        yield from self._end_everything()
        self.over = True
        outcome: AgUiEvent = {"type": "success"}
        if event["status"] != "completed":
            value = {name: event[name] for name in ("data", "status", "reason") if name in event}
            yield {"type": "CUSTOM", "name": "runwire:done", "value": value}
            outcome = {"type": "cancelled"}
        if event.get("reason") == "ag-ui:pending_tool_calls":
            outcome = {"type": "success", "pendingToolCallIds": list(self._pending)}
        result = {} if self._result is None else {"result": self._result}
        yield {"type": "RUN_FINISHED", **self._ends, "outcome": outcome, **result, **_usage(event)}

    def _error(self, event: Event) -> Iterator[AgUiEvent]:
        self.over = True
        yield {
            "type": "RUN_ERROR",
            "message": event["data"],
            "code": event["code"].removeprefix(PREFIX),
            "metadata": {"runwire": {"retryable": event["retryable"]}},
            **_usage(event),
        }

    def _restored(self, kind: str, event: Event) -> Iterator[AgUiEvent]:
        """Tell an event of an agent of AG-UI as it came; what it closes has to be open."""
        members = _without_place(event)
        if kind == "RESULT":
            self._result = members.get("result")
            return
        if kind in _OPENS:
            end, name = _OPENS[kind]
            closing = {key: members[key] for key in (name, "subagentRunId") if key in members}
            key = (end, json.dumps(closing, sort_keys=True))
            if key in self._open:
                return
            self._open[key] = {"type": end, **closing}
        elif kind in _CLOSES:
            named = ("stepName", "subagentRunId") if kind == "STEP_FINISHED" else ("subagentRunId",)
            closing = {key: members[key] for key in named if key in members}
            if self._open.pop((_CLOSES[kind], json.dumps(closing, sort_keys=True)), None) is None:
                return
        yield {"type": kind, **members}

    def _begin_message(self, name: str) -> AgUiEvent:
        self._message = name
        self._answer.append(name)
        return {"type": "TEXT_MESSAGE_START", "messageId": name, "role": "assistant"}

    def _end_message(self) -> Iterator[AgUiEvent]:
        if self._message is not None:
            yield {"type": "TEXT_MESSAGE_END", "messageId": self._message}
            self._message = None

    def _end_reasoning(self) -> Iterator[AgUiEvent]:
        if self._reasoning is not None:
            yield {"type": "REASONING_MESSAGE_END", **self._reasoning}
            yield {"type": "REASONING_END", **self._reasoning}
            self._reasoning = None

    def _end_texts(self) -> Iterator[AgUiEvent]:
        yield from self._end_message()
        yield from self._end_reasoning()

    def _end_everything(self) -> Iterator[AgUiEvent]:
        yield from self._end_texts()
        yield from reversed(self._open.values())
        self._open.clear()


_READERS: Mapping[str, Callable[[Translation, Event], Iterator[AgUiEvent]]] = MappingProxyType(
    {
        "token": Translation._token,
        "replace": Translation._replace,
        "thinking": Translation._thinking,
        "tool_call": Translation._tool_call,
        "observation": Translation._observation,
        "input_request": Translation._input_request,
        "done": Translation._done,
        "error": Translation._error,
    }
)


def _name(event: Event) -> str:
    """Return the id of a message that begins with an event: the same in every stream, another in every run."""
    return f"{event['run_id']}.{event.get('first_seq', event['seq'])}"


def _owner(event: Event) -> dict[str, str]:
    return {"subagentRunId": event["agent"]} if "agent" in event else {}


def _as_text(value: Any, *, quoted: bool = False) -> str:
    return value if isinstance(value, str) and not quoted else json.dumps(value, ensure_ascii=False)


def _without_place(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in _PLACE}


def _usage(event: Event) -> dict[str, Any]:
    given = event.get("usage") or {}
    usage = {theirs: given[name] for name, theirs in _USAGE.items() if name in given}
    if {"inputTokens", "outputTokens"} <= usage.keys():
        usage["totalTokens"] = usage["inputTokens"] + usage["outputTokens"]
    return {"usage": [usage]} if usage else {}
