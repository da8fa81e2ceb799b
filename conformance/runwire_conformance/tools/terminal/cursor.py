"""Where a client stands in the log of its run, without any I/O."""

import secrets
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from runwire_conformance.trace.trace import EVENT_TYPES

Message = dict[str, Any]

#: The types of a log's events, `error` apart, which is one only with a `seq` ([EVENT-25]).
EVENTS = EVENT_TYPES - {"error"}


class Step(Enum):
    """What to do with a message."""

    SHOW = "show"
    CONTROL = "control"
    DROP = "drop"
    HOLE = "hole"


def new_run_id() -> str:
    """Return an identifier from a strong random source ([RUN-11])."""
    return secrets.token_urlsafe(18)


@dataclass(slots=True)
class Cursor:
    """One run as its client knows it."""

    prompt: str
    run_id: str = field(default_factory=new_run_id)
    epoch: str | None = None
    seq: int = 0
    basic: bool = False
    ended: Message | None = None

    def step(self, message: Message) -> Step:
        """Take a message in and return what to do with it."""
        kind = message.get("type")
        if kind in {"started", "resumed"} and message.get("run_id", self.run_id) == self.run_id:
            self.epoch = message.get("epoch", self.epoch)
            return Step.CONTROL
        is_event = kind in EVENTS or (kind == "error" and ("seq" in message or self.basic))
        if not is_event and not isinstance(message.get("seq"), int):
            return Step.CONTROL
        if message.get("run_id", self.run_id) != self.run_id:
            return Step.DROP
        if (placed := self._placed(message)) is not Step.SHOW:
            return placed
        if kind in {"done", "error"}:
            self.ended = message
        # [MSG-26]: an event of a type that is not known counts as seen.
        return Step.SHOW if is_event else Step.DROP

    def _placed(self, message: Message) -> Step:
        last = message.get("seq")
        if not isinstance(last, int):
            return Step.SHOW  # a basic server numbers nothing
        first = message.get("first_seq", last)
        if last <= self.seq:
            return Step.DROP  # [RESUME-20]
        if first != self.seq + 1:
            return Step.HOLE  # [RESUME-19], [RESUME-21]
        self.seq = last
        return Step.SHOW

    @property
    def opening(self) -> Message:
        """The message that opens the run on a new connection: a `resume`, or the same `start` again."""
        if self.epoch is None:
            return {"type": "start", "prompt": self.prompt, "run_id": self.run_id}
        return {"type": "resume", "run_id": self.run_id, "after": self.seq, "epoch": self.epoch}

    def begin_anew(self) -> None:
        """Forget the log, which is gone ([RESUME-22])."""
        self.run_id, self.epoch, self.seq = new_run_id(), None, 0
