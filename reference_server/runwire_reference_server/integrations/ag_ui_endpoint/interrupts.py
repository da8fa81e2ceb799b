"""Input requests as AG-UI interrupts, whose ids route an answer back to its run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runwire_reference_server.run_log.events import Event

#: How an approval is answered, as AG-UI has it for tool calls.
_APPROVAL = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}},
    "required": ["approved"],
}


class InterruptId(NamedTuple):
    """What an interrupt's id holds: the run that waits, the place of the question in its log, and its name there."""

    run_id: str
    seq: int
    request_id: str


def interrupt_of(event: Event) -> dict[str, Any]:
    """Return the interrupt that an `input_request` of a log is."""
    call_id = event.get("call_id")
    reason = "input_required"
    if event["kind"] == "approval":
        reason = "confirmation" if call_id is None else "tool_call"
    schema = {"approval": _APPROVAL, "question": {"type": "string"}, "form": event.get("schema")}[
        event["kind"]
    ]
    given = {
        "message": event.get("data"),
        "toolCallId": None if call_id is None else tool_call_id(event["run_id"], call_id),
        "responseSchema": schema,
        "expiresAt": event["expires_at"],
    }
    asked = f"{event['run_id']}.{event['seq']}.{event['request_id']}"
    return {
        "id": asked,
        "reason": reason,
        **{name: value for name, value in given.items() if value is not None},
    }


def asked_by(interrupt_id: str) -> InterruptId | None:
    """Return what the id of an interrupt holds; None for one that is none of ours."""
    run_id, _, rest = interrupt_id.partition(".")
    seq, _, request_id = rest.partition(".")
    if not (run_id and request_id and seq.isascii() and seq.isdigit() and len(seq) <= 16):
        return None
    return InterruptId(run_id, int(seq), request_id)


def answer_of(request: Event, payload: Any) -> Any:
    """Return what a payload answers: an approval and a text may stand alone, or as the only member of an object."""
    plain = {"approval": bool, "question": str}.get(request["kind"])
    if plain is not None and isinstance(payload, Mapping):
        if isinstance(payload.get("approved"), bool) and plain is bool:
            return payload["approved"]
        if len(payload) == 1:
            return next(iter(payload.values()))
    return payload


def tool_call_id(run_id: str, call_id: str) -> str:
    """Return the name of a call in its thread; ours are those of its run alone."""
    return f"{run_id}.{call_id}"
