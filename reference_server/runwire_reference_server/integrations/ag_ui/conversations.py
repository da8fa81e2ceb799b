"""Session history as AG-UI messages."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ag_ui.core import Message as AgUiMessage
from pydantic import TypeAdapter, ValidationError

from runwire_reference_server.agents import Task
from runwire_reference_server.run_log.runs import Principal

#: Bytes of messages that are remembered of all sessions; one beyond goes on from its prompts and answers.
MAX_BYTES = 64 * 1024 * 1024

Message = dict[str, Any]


class Transcript:
    """The messages of a session, as its agent names them, and those that a stream adds."""

    def __init__(self, task: Task, known: list[Message] | None) -> None:
        """Without what is `known`, the turns that this server remembers have to do."""
        if known is None:
            known = []
            for place, exchange in enumerate(task.history):
                turn = f"{task.session_id}-{place}"
                known.append({"id": f"{turn}-user", "role": "user", "content": exchange.prompt})
                known.append({"id": f"{turn}-assistant", "role": "assistant", "content": exchange.answer})
        # An agent that keeps the thread itself knows messages by their ids.
        self.messages = [*known, {"id": task.key.run_id, "role": "user", "content": task.prompt}]
        self._places: dict[Any, Message] = {message.get("id"): message for message in self.messages}
        self._calls: dict[Any, Message] = {}
        self._chunk: Any = ""

    def read(self, event: Mapping[str, Any]) -> None:
        """Add what an event of the stream says; the text of sub-agents is theirs alone."""
        kind = event.get("type")
        if kind == "MESSAGES_SNAPSHOT" and isinstance(event.get("messages"), list):
            self.messages = [
                message
                for message in event["messages"]
                if isinstance(message, dict) and message.get("role") not in {"activity", "reasoning"}
            ]
            self._places = {message.get("id"): message for message in self.messages}
        elif event.get("subagentRunId"):
            return
        elif kind in {"TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK"}:
            self._chunk = event.get("messageId") or self._chunk
            message = self._message(self._chunk, str(event.get("role") or "assistant"))
            message["content"] = message.get("content", "") + (event.get("delta") or "")
        elif kind in {"TOOL_CALL_START", "TOOL_CALL_CHUNK"} and event.get("toolCallName"):
            call = {"id": event.get("toolCallId"), "type": "function"}
            call["function"] = {"name": event["toolCallName"], "arguments": ""}
            if call["id"] not in self._calls:
                owner = self._message(event.get("parentMessageId") or call["id"], "assistant")
                owner.setdefault("toolCalls", []).append(call)
                self._calls[call["id"]] = call
            self._add_arguments(event)
        elif kind in {"TOOL_CALL_ARGS", "TOOL_CALL_CHUNK"}:
            self._add_arguments(event)
        elif kind == "TOOL_CALL_RESULT":
            message = self._message(event.get("messageId"), "tool")
            message |= {"toolCallId": event.get("toolCallId"), "content": event.get("content", "")}

    def told(self) -> list[Message]:
        """Return the messages for the agent, without any that a stream left unfinished."""
        return [message for message in self.messages if _is_valid(message)]

    def answer(self) -> str:
        """Return what was answered since the last prompt."""
        answers: list[str] = []
        for message in self.messages:
            if message.get("role") == "user":
                answers = []
            elif message.get("role") == "assistant" and isinstance(message.get("content"), str):
                answers.append(message["content"])
        return "\n\n".join(filter(None, answers))

    def _add_arguments(self, event: Mapping[str, Any]) -> None:
        call = self._calls.get(event.get("toolCallId") or next(reversed(self._calls), ""))
        if call is not None:
            call["function"]["arguments"] += event.get("delta") or ""

    def _message(self, identifier: Any, role: str) -> Message:
        if identifier not in self._places:
            self._places[identifier] = message = {"id": identifier, "role": role}
            self.messages.append(message)
        return self._places[identifier]


_MESSAGE: TypeAdapter[Any] = TypeAdapter(AgUiMessage)


def _is_valid(message: Message) -> bool:
    try:
        _MESSAGE.validate_python(message)
    except ValidationError:
        return False
    return True


class Conversations:
    """The messages of many sessions, the latest used among them as far as they fit."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._most = max_bytes
        self._size = 0
        self._kept: OrderedDict[tuple[Principal, str], tuple[list[Message], int]] = OrderedDict()

    def begin(self, task: Task) -> Transcript:
        """Return the transcript of a session, with the prompt of the task at its end."""
        kept = self._kept.get((task.key.principal, task.session_id))
        return Transcript(task, kept[0] if kept and task.history else None)

    def keep(self, task: Task, transcript: Transcript) -> None:
        """Remember a session until others need the room."""
        key = (task.key.principal, task.session_id)
        self._size -= self._kept.pop(key, ([], 0))[1]
        size = len(json.dumps(transcript.messages))
        self._kept[key] = (transcript.messages, size)
        self._size += size
        while self._size > self._most:
            self._size -= self._kept.popitem(last=False)[1][1]
