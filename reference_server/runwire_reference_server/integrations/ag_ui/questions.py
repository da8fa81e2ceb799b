"""AG-UI interrupts as input requests, and their answers as resume values."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runwire_reference_server.agents import Answer, input_request
from runwire_reference_server.run_log.events import Event

#: Reasons of an interrupt without a schema that ask for a yes or a no.
_DECISIONS = frozenset({"tool_call", "confirmation"})


@dataclass(frozen=True, slots=True)
class Question:
    """An interrupt, how it is asked here, and what its answer is over there.

    `request_id` is ours: a run may be interrupted twice by an interrupt of one id.
    """

    interrupt_id: str
    request_id: str
    event: Event
    payload: Callable[[Any], Any]

    def entry(self, answer: Answer) -> dict[str, Any]:
        """Return how the answer resumes the agent; a question that nobody answered is abandoned."""
        if answer.outcome != "answered":
            return {"interruptId": self.interrupt_id, "status": "cancelled"}
        return {
            "interruptId": self.interrupt_id,
            "status": "resolved",
            "payload": self.payload(answer.data),
        }


def question_of(interrupt: Mapping[str, Any], request_id: str, call_id: str | None) -> Question:
    """Return the question that an interrupt asks.

    Its schema decides: a boolean is an approval and a string a question, also as the only member of an object; other
    objects are forms. Without a schema a decision is an approval, answered with `approved`, and all else a question.
    """
    schema = interrupt.get("responseSchema")
    kind, payload = _kind(schema if isinstance(schema, Mapping) else {}, str(interrupt.get("reason")))
    message = interrupt.get("message")
    event = input_request(
        request_id,
        kind,
        message if isinstance(message, str) else None,
        schema=schema if kind == "form" else None,
        call_id=call_id,
        expires_in_s=_left_s(interrupt.get("expiresAt")),
    )
    return Question(str(interrupt.get("id", "")), request_id, event, payload)


def _kind(schema: Mapping[str, Any], reason: str) -> tuple[str, Callable[[Any], Any]]:
    if not schema:
        if reason in _DECISIONS:
            return "approval", lambda answer: {"approved": answer}
        return "question", _itself
    if kind := _PLAIN.get(str(schema.get("type"))):
        return kind, _itself
    members = schema.get("properties")
    if isinstance(members, Mapping) and len(members) == 1:
        ((name, member),) = members.items()
        if (
            isinstance(member, Mapping)
            and (kind := _PLAIN.get(str(member.get("type"))))
            and "enum" not in member
        ):
            return kind, lambda answer: {name: answer}
    return "form", _itself


_PLAIN = {"boolean": "approval", "string": "question"}


def _itself(answer: Any) -> Any:
    return answer


def _left_s(expires_at: Any) -> float | None:
    """Return for how many seconds an interrupt can be answered; None when it does not say, or not in a way we read."""
    try:
        moment = datetime.datetime.fromisoformat(expires_at)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.001, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())
