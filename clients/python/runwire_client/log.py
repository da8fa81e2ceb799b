"""The log of a run as far as it was read. It decides without I/O what a message means."""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from runwire_client.outbox import Outbox
from runwire_client.problem import RunwireError, json_object, refusal_of

Message = dict[str, Any]

#: Tells a user of something: its kind, and what there is to say.
Emit = Callable[[str, Any], None]

CONTROL = frozenset({"ready", "heartbeat"})
TERMINAL = frozenset({"done", "error"})


class RunLog:
    """One run as its client knows it; `body` is that of its `start`, None for a viewer."""

    def __init__(self, run_id: str, body: Message | None, emit: Emit, outbox: Outbox) -> None:
        self.id = run_id
        self.body = body
        self._emit = emit
        self._outbox = outbox
        #: The `seq` of the last event that was read, and the life of the log that it belongs to.
        self.cursor = 0
        self.epoch: str | None = None
        #: The terminal, once it was read.
        self.ended: Message | None = None
        #: Whether the server has the run; whether it said where the log begins; whether it numbers nothing ([CONN-14]).
        self.accepted = self.following = self.basic = False
        #: Whether the user stopped the run; whether the server said that it has ended, so that its whole log is there.
        self.cancelled = self.whole = False
        #: The `id` of the `start` or `resume` that is not answered yet.
        self.asked: str | None = None
        self._answer: list[str] = []
        self._polled: tuple[int, str] = (-1, "")

    @property
    def text(self) -> str:
        """The answer text as of now ([EVENT-6])."""
        seq, text = self._polled
        if seq > self.cursor:
            return text
        self._answer = ["".join(self._answer)]
        return self._answer[0]

    @property
    def is_there(self) -> bool:
        """Whether the log is to be read on, and not to be started."""
        return self.accepted or self.body is None

    def read(self, text: str | bytes) -> bool:
        """Take a text; returns True when the log has to be asked for again. Raises RunwireError for a refusal."""
        return self.receive(json_object(text) or {})

    def receive(self, message: Mapping[str, Any]) -> bool:
        """Take a message, as `read`."""
        kind, run_id, seq = message.get("type"), message.get("run_id"), message.get("seq")
        if not isinstance(kind, str) or kind in CONTROL:
            return False  # [BEAT-10], and what is no message says nothing
        if kind in {"started", "resumed"}:
            return self.accept(message) if run_id == self.id else False
        if kind == "notice":
            self._note(message)
            return False
        if self.basic:
            self._take(message)
            return False
        if kind == "error" and seq is None:
            return self._refused(message)  # [EVENT-25]
        if run_id != self.id or not _is_number(seq) or not self.following:
            return False
        if seq <= self.cursor:
            return False  # [RESUME-20]
        if message.get("first_seq", seq) != self.cursor + 1:
            return True  # [RESUME-19]
        self.cursor = seq  # [MSG-26]: of an unknown type, too
        self._take(message)
        return False

    def accept(self, said: Mapping[str, Any], state: str = "following") -> bool:
        """Note that the server has the run, in this life of its log."""
        epoch = said.get("epoch")
        if self.accepted and self.epoch is not None and epoch != self.epoch:
            return self.lost()
        self.accepted = self.following = True
        self.epoch = epoch
        self._emit("state", {"state": state, "detail": str(said.get("status") or "")})
        self._outbox.deliver()
        return False

    def polled(self, seq: int, text: str) -> None:
        """Note the text as of `seq`, where the events could not be read."""
        self._polled = (seq, text)

    def lost(self) -> bool:
        """Begin the same run anew, as its log is gone ([RESUME-22]); raises RunwireError when that is not wanted."""
        if self.body is None or self.cancelled:
            raise RunwireError("the run is gone", code="not_found")
        self.accepted = self.following = self.whole = False
        self.cursor, self.epoch, self._answer, self._polled = 0, None, [], (-1, "")
        self._emit("anew", None)
        return True

    def _refused(self, message: Mapping[str, Any]) -> bool:
        asked = message.get("re")
        if (asked is not None and asked == self.asked) or (asked is None and not self.following):
            if message.get("code") == "not_found" and self.accepted:
                return self.lost()
            raise refusal_of(message)
        self._outbox.refused(asked, refusal_of(message))
        return False

    def _note(self, message: Mapping[str, Any]) -> None:
        asked = message.get("re")
        self._outbox.answered(lambda one: one.id is not None and one.id == asked)
        self._emit("notice", {"code": str(message.get("code")), "data": str(message.get("data"))})

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind == "token":
            self._answer.append(str(event.get("data") or ""))
        elif kind == "replace":
            self._answer = [str(event.get("data") or "")]
        elif kind == "input_closed":
            request = event.get("request_id")
            self._outbox.answered(lambda one: one.kind == "input" and one.body["request_id"] == request)
        elif kind in TERMINAL:
            self.ended = dict(event)
        self._emit("event", event)
        if self.ended is not None:
            self._emit(
                "state", {"state": "ended", "detail": str(event.get("status") or event.get("code") or "")}
            )


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53
