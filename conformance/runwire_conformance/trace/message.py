"""Messages as they were read from the wire, and the types that they have."""

import json
from functools import cached_property
from typing import Any

from runwire_conformance.case import Broken
from runwire_conformance.trace.json_reading import read_json

#: Members of the server's messages that are integers and no free values, and that the judge counts with.
COUNTED = ("seq", "first_seq", "next_seq", "last_seq")


class WrittenAsFraction(int):
    """An integer that a server wrote as `1.0` or `1e0` ([MSG-37])."""


class Message(dict[str, Any]):
    """A message with the moment at which it was seen; an event carries `seq`.

    Looking up a member that the server left out raises Broken: that is the server's fault, and none of the judge.
    """

    at: float = 0.0
    index: int = -1

    def __missing__(self, name: str) -> Any:
        said = f"expected {name!r} in {self.type or 'the object'}; got {json.dumps(self)[:300]}"
        raise Broken(said, ("RUN-27", "MSG-3") if self.type else ())

    @cached_property
    def type(self) -> str:
        """The message's `type`, or an empty string; asked for so often that it is looked up once."""
        return self.string("type")

    def string(self, name: str) -> str:
        """Return a member that is a string, and an empty one for any other value."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    @property
    def is_terminal(self) -> bool:
        """Whether the message ends a run: `done`, or an `error` with a `seq`."""
        kind = self.type
        return kind == "done" or (kind == "error" and "seq" in self)

    @property
    def is_event(self) -> bool:
        """Whether the message is an event of a run, by its type and, for an error, its `seq`.

        One of a type that only its vendor knows is an event when it takes a place in a run's log ([MSG-26]).
        """
        kind = self.type
        if kind in EVENT_TYPES:
            return kind != "error" or "seq" in self
        return ":" in kind and isinstance(self.get("seq"), int) and "run_id" in self

    @property
    def is_numbered_refusal(self) -> bool:
        """Whether it is an `error` that refuses a message and has a `seq`, which breaks [EVENT-24] and nothing else."""
        return self.type == "error" and {"re", "seq"} <= self.keys() and "run_id" not in self

    @property
    def is_aside(self) -> bool:
        """Whether it may come at any time and answers nothing: a beat, a vendor's message, a notice of no message."""
        if "re" in self:
            return False
        answers = self.get("code") in {"not_active", "unknown_type"}
        vendors = ":" in self.type and not self.is_event
        return self.type == "heartbeat" or vendors or (self.type == "notice" and not answers)


def json_of(text: Any, what: str) -> Any:
    """Return the JSON value in a text that a server sent as `what`; raises Broken when there is none."""
    try:
        return read_json(text)
    except (TypeError, ValueError):
        raise Broken(f"expected {what} to be JSON text; got {str(text)[:200]!r}") from None


def object_of(text: str | bytes, what: str) -> Message:
    """Return the JSON object in a text that a server sent as `what`; raises Broken when there is none."""
    value = json_of(text, what)
    if not isinstance(value, dict):
        raise Broken(f"expected {what} to be a JSON object; got {text[:200]!r}")
    return _message(value)


def parsed(text: str | bytes) -> Message | None:
    """Return the object that a text holds, if it holds one."""
    try:
        value = read_json(text)
    except ValueError:
        return None
    return _message(value) if isinstance(value, dict) else None


def _message(value: dict[str, Any]) -> Message:
    """Return an object as a message; a place in a log that is written `1.0` is 1, and that is told once ([MSG-37])."""
    for name in COUNTED:
        number = value.get(name)
        if isinstance(number, float) and number.is_integer():
            value[name] = WrittenAsFraction(number)
    return Message(value)


#: Types of events; an `error` is one only with a `seq`.
EVENT_TYPES = frozenset(
    [
        "token",
        "replace",
        "thinking",
        "tool_delta",
        "tool_call",
        "observation",
        "input_request",
        "input_closed",
        "done",
        "error",
    ]
)
CONTROL_TYPES = frozenset(["ready", "started", "resumed", "notice", "heartbeat"])

#: States of a run that has ended; what comes of it is a replay.
FINISHED = frozenset({"completed", "incomplete", "cancelled", "failed"})
