"""Mapping of AG-UI events to run events, without I/O."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from runwire_reference_server.agents import (
    AgentError,
    Task,
    done,
    observation,
    thinking,
    token,
    tool_call,
    tool_delta,
)
from runwire_reference_server.integrations.mapped import Calls
from runwire_reference_server.integrations.upstream import ended_early
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.registry import may_end_a_run

#: What is passed on as a vendor's event, `ag-ui:` before its type in lower case.
CARRIED = frozenset(
    {
        "STATE_SNAPSHOT", "STATE_DELTA", "ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA", "STEP_STARTED", "STEP_FINISHED",
        "CUSTOM", "RAW", "SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_ERROR",
    }
)  # fmt: skip

#: What stands aside from a call that comes in chunks; everything else ends it.
_ASIDE = frozenset(
    {
        "TOOL_CALL_CHUNK",
        "RAW",
        "ACTIVITY_SNAPSHOT",
        "ACTIVITY_DELTA",
        "REASONING_ENCRYPTED_VALUE",
        "SUBAGENT_STARTED",
    }
)

#: Members that are not passed on: the framework's own events, which are many times as large, and ours.
_LEFT_OUT = frozenset({"type", "rawEvent", "timestamp"})

#: Bytes of RAW events that are passed on of one run; frameworks send one for each piece of text.
MAX_RAW_BYTES = 1024 * 1024

#: A state or an activity that has more is not passed on, as it would end the run ([EVENT-27]).
MAX_CARRIED_BYTES = 200_000

#: The counts of AG-UI's usage, by our names.
_USAGE: Mapping[str, str] = MappingProxyType(
    {
        "input_tokens": "inputTokens",
        "output_tokens": "outputTokens",
        "cached_input_tokens": "cachedInputTokens",
        "cache_write_input_tokens": "cacheWriteInputTokens",
        "reasoning_tokens": "reasoningTokens",
    }
)

#: How LangGraph tells of an interrupt to clients that know no outcomes.
_LEGACY_INTERRUPT = "on_interrupt"


@dataclass(slots=True)
class _Call:
    """A call as it is streamed; `repeated` when the upstream tells of it once more."""

    call_id: str
    name: str
    arguments: str = ""
    repeated: bool = False


@dataclass(slots=True)
class AgUiEvents:
    """Reads the streams of one run, of which an interrupted one is continued by the next.

    `snapshot_answer` returns the answer of a turn as the last snapshot of the messages had it. `interrupts` holds what
    the last of them ended to ask; `legacy` is set when only a custom event of LangGraph told.
    """

    task: Task
    snapshot_answer: Callable[[], str] = str
    interrupts: list[Mapping[str, Any]] = field(default_factory=list)
    legacy: bool = False
    ended: bool = False  # the stream's own end counts: an error can still follow
    _outcome: Event | None = None
    _result: Event | None = None
    _usage: Counter[str] = field(default_factory=Counter)
    _calls: Calls = field(default_factory=Calls)
    _streamed: dict[str, _Call] = field(default_factory=dict)
    _speakers: dict[str, str | None] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _chunked: dict[str, str] = field(default_factory=dict)
    _raw_bytes: int = 0
    _said: bool = False

    def read(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events that one of AG-UI's amounts to; raises AgentError for one that fails the run."""
        kind = _text(message.get("type"))
        if kind not in _ASIDE:
            yield from self._end_chunked_call()
        if reader := _READERS.get(kind):
            yield from reader(self, message)
        elif kind in CARRIED:
            yield from self._carry(kind, message)
        # Others say nothing that a watcher sees, or belong to a later version.

    def close(self) -> Iterator[Event]:
        """Yield what ends the run, unless it was interrupted; raises AgentError when the last stream broke off."""
        if self._outcome is None:
            raise ended_early(self.task)
        if self.interrupts:
            return
        if not self._said and (answer := self.snapshot_answer()):
            yield token(answer)
        if self._result is not None:
            yield self._result
        yield self._outcome | ({"usage": self._total()} if self._usage else {})

    def go_on(self) -> None:
        """Forget what was asked: the next stream continues."""
        self.interrupts = []
        self.legacy = False
        self._outcome = None

    def call_of(self, tool_call_id: object) -> str | None:
        """Return what an open call is called here."""
        return self._calls.named(_text(tool_call_id))

    def _begin_run(self, _message: Mapping[str, Any]) -> Iterator[Event]:
        self.go_on()
        yield from ()

    def _finish_run(self, message: Mapping[str, Any]) -> Iterator[Event]:
        self._count(message)
        outcome = _object(message.get("outcome"))
        if message.get("result") is not None:
            self._result = {"type": "ag-ui:result", "result": message["result"]}
        if outcome.get("type") == "interrupt":
            self.interrupts = [_object(one) for one in outcome.get("interrupts") or ()]
            self.legacy = False
        if outcome.get("type") == "cancelled":
            # [CANCEL-12] whom nobody asked to stop was cut by a limit of its own.
            self._outcome = done("the agent stopped before its end", "incomplete", "ag-ui:cancelled")
        elif self._calls.open:
            # [EVENT-13] a call that is left to the page has no result here, so that this run is not complete.
            self._outcome = done("calls were left unanswered", "incomplete", "ag-ui:pending_tool_calls")
        else:
            self._outcome = done("generation completed")
        yield from ()

    def _fail(self, message: Mapping[str, Any]) -> Iterator[Event]:
        self._count(message)
        code = _text(message.get("code"))
        text = _text(message.get("message")) or "the agent failed"
        if not may_end_a_run(code):
            code = f"ag-ui:{code}"[:128] if code else "agent_error"
        yield from ()
        raise AgentError(code, text, usage=self._total())

    def _total(self) -> dict[str, int]:
        return {name: self._usage[name] for name in _USAGE if name in self._usage}

    def _count(self, message: Mapping[str, Any]) -> None:
        """Add what a run used; an absent count is not a zero."""
        for entry in message.get("usage") or ():
            for name, theirs in _USAGE.items():
                count = _object(entry).get(theirs)
                if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
                    self._usage[name] += count

    def _speaker(self, message: Mapping[str, Any]) -> str | None:
        """Return the name of the sub-agent that speaks; None for the run's own agent."""
        subagent = _text(message.get("subagentRunId"))
        return (self._names.get(subagent, subagent)[:256] or None) if subagent else None

    def _begin_text(self, message: Mapping[str, Any]) -> Iterator[Event]:
        role = _text(message.get("role")) or "assistant"
        speaker = self._speaker(message) or (None if role == "assistant" else role)
        self._speakers.setdefault(_text(message.get("messageId")), speaker)
        yield from ()

    def _say(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Yield answer text; that of sub-agents and in other roles is no answer ([EVENT-1])."""
        text = _text(message.get("delta"))
        speaker = self._speakers.get(_text(message.get("messageId")), self._speaker(message))
        if text:
            self._said = self._said or speaker is None
            yield token(text) if speaker is None else thinking(text) | {"agent": speaker}

    def _say_chunk(self, message: Mapping[str, Any]) -> Iterator[Event]:
        identifier = self._continued("text", message, "messageId")
        yield from self._begin_text({**message, "messageId": identifier})
        yield from self._say({**message, "messageId": identifier})

    def _think(self, message: Mapping[str, Any]) -> Iterator[Event]:
        text, speaker = _text(message.get("delta")), self._speaker(message)
        if text:
            yield thinking(text) | ({"agent": speaker} if speaker else {})

    def _begin_call(self, message: Mapping[str, Any]) -> Iterator[Event]:
        theirs, name = _text(message.get("toolCallId")), _text(message.get("toolCallName")) or "tool"
        known = self._calls.named(theirs)
        # A run that continues tells of the interrupted call again, as some frameworks do.
        self._streamed[theirs] = _Call(known or self._calls.begin(theirs), name, repeated=known is not None)
        yield from ()

    def _preview(self, message: Mapping[str, Any]) -> Iterator[Event]:
        call, piece = self._streamed.get(_text(message.get("toolCallId"))), _text(message.get("delta"))
        if call is not None and piece and not call.repeated:
            call.arguments += piece
            yield tool_delta(call.call_id, call.name, piece)

    def _end_call(self, message: Mapping[str, Any]) -> Iterator[Event]:
        call = self._streamed.pop(_text(message.get("toolCallId")), None)
        if call is not None and not call.repeated:
            yield tool_call(call.call_id, call.name, parsed(call.arguments) if call.arguments else {})

    def _call_chunk(self, message: Mapping[str, Any]) -> Iterator[Event]:
        before = self._chunked.get("call")
        identifier = self._continued("call", message, "toolCallId")
        told = {**message, "toolCallId": identifier}
        if identifier != before:
            if before is not None:
                yield from self._end_call({"toolCallId": before})
            yield from self._begin_call(told)
        yield from self._preview(told)

    def _end_chunked_call(self) -> Iterator[Event]:
        if (before := self._chunked.pop("call", None)) is not None:
            yield from self._end_call({"toolCallId": before})

    def _continued(self, kind: str, message: Mapping[str, Any], member: str) -> str:
        """Return the id of a chunk, or of the one it continues."""
        self._chunked[kind] = _text(message.get(member)) or self._chunked.get(kind, "")
        return self._chunked[kind]

    def _observe(self, message: Mapping[str, Any]) -> Iterator[Event]:
        theirs = _text(message.get("toolCallId"))
        if theirs in self._streamed:
            yield from self._end_call(message)
        call_id = self._calls.named(theirs)
        if call_id is None:
            call_id = self._calls.begin(theirs)  # a call that nobody told of
            yield tool_call(call_id, "tool", {})
        self._calls.end(call_id)
        yield observation(call_id, message.get("content", ""))

    def _carry(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        """Yield a vendor's event of what has no name here, unless it would be too large for a log."""
        if kind == "SUBAGENT_STARTED":
            self._names[_text(message.get("subagentRunId"))] = _text(message.get("name"))
        if kind == "CUSTOM" and message.get("name") == _LEGACY_INTERRUPT:
            self.interrupts.append(_legacy(message.get("value")))
            self.legacy = True
            return
        event = {name: value for name, value in message.items() if name not in _LEFT_OUT}
        size = len(json.dumps(event, ensure_ascii=False).encode(errors="replace"))
        if kind == "RAW":
            self._raw_bytes += size
        if size <= MAX_CARRIED_BYTES and (kind != "RAW" or self._raw_bytes <= MAX_RAW_BYTES):
            yield {"type": f"ag-ui:{kind.lower()}", **event}


#: What has a name here, by the types of AG-UI; those before its 1.0 among them.
_READERS: Mapping[str, Callable[[AgUiEvents, Mapping[str, Any]], Iterator[Event]]] = MappingProxyType(
    {
        "RUN_STARTED": AgUiEvents._begin_run,
        "RUN_FINISHED": AgUiEvents._finish_run,
        "RUN_ERROR": AgUiEvents._fail,
        "TEXT_MESSAGE_START": AgUiEvents._begin_text,
        "TEXT_MESSAGE_CONTENT": AgUiEvents._say,
        "TEXT_MESSAGE_CHUNK": AgUiEvents._say_chunk,
        "TOOL_CALL_START": AgUiEvents._begin_call,
        "TOOL_CALL_ARGS": AgUiEvents._preview,
        "TOOL_CALL_END": AgUiEvents._end_call,
        "TOOL_CALL_CHUNK": AgUiEvents._call_chunk,
        "TOOL_CALL_RESULT": AgUiEvents._observe,
        "REASONING_MESSAGE_CONTENT": AgUiEvents._think,
        "REASONING_MESSAGE_CHUNK": AgUiEvents._think,
        "THINKING_TEXT_MESSAGE_CONTENT": AgUiEvents._think,
    }
)


def _legacy(value: Any) -> Mapping[str, Any]:
    """Return what LangGraph's custom event asks, as an interrupt; its value may be JSON text."""
    asked = parsed(value) if isinstance(value, str) else value
    given = _object(asked)
    text = given.get("message") or given.get("question") or given.get("data")
    message = asked if isinstance(asked, str) else text if isinstance(text, str) else json.dumps(asked)
    return {"id": "", "reason": "langgraph:interrupt", **given, "message": message}


def parsed(value: Any) -> Any:
    """Return the value of a JSON text, or what is none as it is."""
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
