"""Mapping of Dify stream messages to run events, without I/O."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runwire_reference_server.agents import (
    AgentError,
    Task,
    done,
    observation,
    replace,
    thinking,
    token,
    tool_call,
)
from runwire_reference_server.integrations.mapped import Calls
from runwire_reference_server.integrations.upstream import ended_early, refused
from runwire_reference_server.run_log.events import Event

#: Nodes that a watcher would not call a step: they only begin, end or carry text.
_SILENT_NODES = frozenset({"start", "end", "answer"})

#: Nodes that do something beside thinking; they are shown as tool calls.
_TOOL_NODES = frozenset({"tool", "agent", "code", "http-request", "knowledge-retrieval", "datasource"})

_WAITS = "the workflow waits for a person whom only Dify itself can ask"


@dataclass(slots=True)
class _Thought:
    """How far one `agent_thought` was shown; Dify sends it again whenever it has grown."""

    text: str = ""
    calls: dict[str, str] = field(default_factory=dict)


class DifyEvents:
    """Reads the messages of a workflow or chat.

    `paused` is set when the stream ends because the workflow waits for `forms`, the tokens of what it asks; the rest
    is then told by a stream of its own, that of `workflow_run_id`. `over` is set when Dify has come to its own end.
    """

    def __init__(self, task: Task, *, workflow: bool) -> None:
        self.over = False
        self.paused = False
        self.forms: list[str] = []
        self.workflow_run_id = ""
        self._task = task
        self._workflow = workflow
        self._finished = False
        self._outcome: Event | None = None
        self._said = ""
        self._calls = Calls()
        self._thoughts: dict[str, _Thought] = {}

    @property
    def ended(self) -> bool:
        """Whether nothing that follows in this stream matters."""
        return self._finished or self.paused

    def read(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events for a message; raises AgentError for one that fails the run."""
        data = message.get("data")
        data = data if isinstance(data, Mapping) else {}
        self.workflow_run_id = _text(message.get("workflow_run_id")) or self.workflow_run_id
        match message.get("event"):
            case "message" | "agent_message":
                yield from self._say(message.get("answer"))
            case "text_chunk":
                yield from self._say(data.get("text"))
            case "message_replace":
                yield replace(_text(message.get("answer")))
            case "text_replace":
                yield replace(_text(data.get("text")))
            case "reasoning_chunk":
                if reasoning := _text(data.get("reasoning")):
                    yield thinking(reasoning)
            case "agent_thought":
                yield from self._think(message)
            case "message_file":
                yield token(f"\n[{_text(message.get('type')) or 'file'}]({_text(message.get('url'))})\n")
            case "node_started":
                yield from self._begin_node(data)
            case "node_finished":
                yield from self._finish_node(data)
            case "workflow_finished":
                yield from self._finish_workflow(data)
            case "message_end":
                metadata = message.get("metadata")
                usage = metadata.get("usage") if isinstance(metadata, Mapping) else None
                self._outcome = done("generation completed", usage=_usage(usage))
                self._finished = True
            case "human_input_required":
                # Without a token Dify asks somebody by e-mail.
                if not (form := _text(data.get("form_token"))):
                    raise AgentError("agent_error", _WAITS)
                self.forms.append(form)
            case "workflow_paused":
                self._pause()
            case "error":
                self.over = True
                raise refused(self._task, _status(message), _text(message.get("code")))

    def close(self) -> Iterator[Event]:
        """Yield what ends the run, unless it is paused; raises AgentError when the stream broke off."""
        if self.paused:
            return
        if self._outcome is None:
            raise ended_early(self._task)
        self.over = True
        yield from self._calls.settle()
        yield self._outcome

    def go_on(self) -> None:
        """Forget what the workflow waited for."""
        self.paused = False
        self.forms = []

    def _pause(self) -> None:
        if not self.forms or not self.workflow_run_id:
            raise AgentError("agent_error", _WAITS)
        self.paused = True

    def _say(self, text: Any) -> Iterator[Event]:
        if text := _text(text):
            self._said += text
            yield token(text)

    def _think(self, message: Mapping[str, Any]) -> Iterator[Event]:
        thought = self._thoughts.setdefault(_text(message.get("id")), _Thought())
        text = _text(message.get("thought"))
        # An agent's answer comes as `agent_message`, and once more as the thought it had.
        if len(text) > len(thought.text) and text.strip() not in self._said:
            yield thinking(text[len(thought.text) :] if text.startswith(thought.text) else text)
        thought.text = text
        names = [name for name in _text(message.get("tool")).split(";") if name]
        given = parsed(message.get("tool_input"))
        for name in names:
            if name not in thought.calls:
                thought.calls[name] = self._calls.begin()
                yield tool_call(thought.calls[name], name, _of_tool(given, name))
        observed = _text(message.get("observation"))
        if observed:
            found = parsed(observed)
            for name, call_id in thought.calls.items():
                if self._calls.end(call_id):
                    yield observation(call_id, _of_tool(found, name))

    def _begin_node(self, node: Mapping[str, Any]) -> Iterator[Event]:
        kind, title = _text(node.get("node_type")), _text(node.get("title")) or "node"
        if kind in _TOOL_NODES:
            call_id = self._calls.begin(_text(node.get("id")))
            yield tool_call(call_id, title, node.get("inputs") or {})
        elif kind not in _SILENT_NODES:
            yield thinking(title + "\n")

    def _finish_node(self, node: Mapping[str, Any]) -> Iterator[Event]:
        call_id = self._calls.named(_text(node.get("id")))
        if call_id is not None and self._calls.end(call_id):
            failed = node.get("status") not in {"succeeded", "partial-succeeded"}
            result = _text(node.get("error")) or "it failed" if failed else node.get("outputs") or {}
            yield observation(call_id, result, is_error=failed)

    def _finish_workflow(self, data: Mapping[str, Any]) -> Iterator[Event]:
        status = data.get("status")
        if status == "paused":
            self._pause()
            return
        if status == "failed":
            raise AgentError("agent_error", "the workflow failed")
        if self._workflow and not self._said:
            yield from self._say(_answer(data.get("outputs")))
        self._outcome = done("generation completed")
        if status == "stopped":
            self._outcome = done("the workflow was stopped", "incomplete", "dify:stopped")
        # A chatflow goes on to say with `message_end` what it used.
        self._finished = self._workflow or status == "stopped"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parsed(value: Any) -> Any:
    """Return the value of a JSON text, or what is none as it is."""
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return value


def _of_tool(value: Any, name: str) -> Any:
    """Return what concerns one tool: Dify gathers inputs and results of a thought in an object by tool."""
    return value[name] if isinstance(value, dict) and name in value else value


def _status(message: Mapping[str, Any]) -> int:
    status = message.get("status")
    return status if isinstance(status, int) else 500


def _usage(usage: Any) -> Mapping[str, int]:
    given = usage if isinstance(usage, Mapping) else {}
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    counts = {name: given.get(theirs) for name, theirs in names.items()}
    return {name: count for name, count in counts.items() if isinstance(count, int) and count >= 0}


def _answer(outputs: Any) -> str:
    """Return the outputs of a workflow that streamed no text: a single text as it is, others as JSON."""
    if not isinstance(outputs, Mapping) or not outputs:
        return ""
    values = list(outputs.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return json.dumps(outputs, ensure_ascii=False)
