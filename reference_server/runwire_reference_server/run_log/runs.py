"""Run states, transitions and ids (chapter 4)."""

import hashlib
import json
import math
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class Status(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether the log holds its terminal."""
        return not TRANSITIONS[self]


_ENDS = {
    "done completed": Status.COMPLETED,
    "done incomplete": Status.INCOMPLETE,
    "done cancelled": Status.CANCELLED,
    "error": Status.FAILED,
}

#: Which event leads from which state to which; a state without a way out is final.
TRANSITIONS: Mapping[Status, Mapping[str, Status]] = MappingProxyType(
    {
        Status.QUEUED: {
            "run": Status.RUNNING,
            "done cancelled": Status.CANCELLED,
            "error": Status.FAILED,
        },
        Status.RUNNING: {"input_request": Status.WAITING, **_ENDS},
        Status.WAITING: {"last input_closed": Status.RUNNING, **_ENDS},
        **{final: {} for final in _ENDS.values()},
    }
)


def after_event(status: Status, event: Mapping[str, Any], still_open: int = 0) -> Status:
    """Return the state that `event` leads to; raises ValueError when it cannot happen in `status`.

    `still_open` counts the input requests that are open once the event has happened ([INPUT-1]).
    """
    step = event["type"]
    if step == "done":
        step = f"done {event['status']}"
    elif step == "input_closed" and not still_open:
        step = "last input_closed"
    after = TRANSITIONS[status].get(step)
    if after is None and (
        event["type"] in {"done", "error"} or status not in {Status.RUNNING, Status.WAITING}
    ):
        raise ValueError(f"{step} cannot happen while {status}")
    return after or status


class Principal(NamedTuple):
    """Whom a request acts for: issuer and subject of its credential."""

    issuer: str = ""
    subject: str = ""


#: Without authentication all callers are one principal.
ANYONE = Principal()


class RunKey(NamedTuple):
    """A run is identified by its principal and its `run_id`, never by the bare id ([AUTH-11])."""

    principal: Principal
    run_id: str


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a `start` asks for; `session_id` is None when it named none."""

    prompt: str
    run_id: str | None = None
    session_id: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    on_disconnect: str = "grace"
    trace_id: str | None = None

    @property
    def size(self) -> int:
        """Bytes of what was asked, as they count for whom it is kept."""
        return len(json.dumps([self.prompt, self.inputs]))

    def body(self) -> str:
        """Return a digest that two requests share which ask for the same ([RUN-19])."""
        asked = [self.prompt, self.session_id, self.on_disconnect, self.inputs]
        return hashlib.sha256(_text(asked).encode()).hexdigest()

    def forgotten(self) -> "RunRequest":
        """Return what is kept of a request whose run has ended."""
        return replace(self, prompt="", inputs={})


def _canonical(value: Any) -> Any:
    """Return `value` so that what is equal as JSON is written alike: `1` is `1.0`, and no other number."""
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) + 0.0  # there is one zero
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def equal_as_json(left: Any, right: Any) -> bool:
    """Compare JSON values: `1` equals `1.0`, `true` does not equal `1`, the order of members is nothing."""
    return _text(left) == _text(right)  # chapter 3, Numbers


def _text(value: Any) -> str:
    return json.dumps(_canonical(value), sort_keys=True)


def new_identifier() -> str:
    """Return an identifier of 128 random bits that fits `^[A-Za-z0-9_-]{21,64}$` ([RUN-8], [RUN-9])."""
    return secrets.token_urlsafe(16)


def new_trace_id() -> str:
    """Return a trace id of W3C Trace Context: 32 hexadecimal digits, not all zero."""
    return uuid.uuid4().hex
