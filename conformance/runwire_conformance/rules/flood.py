"""Detection of a server that floods its client with unrequested data."""

from collections.abc import Sequence
from dataclasses import dataclass

from runwire_conformance.rules.wire import is_unasked
from runwire_conformance.trace.memory_budget import FLOOD_RECORDS
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Flood:
    """More came than the judge is willing to hold: the requirement that this breaks, and what it was."""

    requirement: str
    text: str


def flood_of(traces: Sequence[Trace]) -> Flood | None:
    """Return what flooded the judge in some conversations, if anything did.

    That events have no end is proved by more bytes of them than any log may hold.
    """
    trace = next((trace for trace in traces if trace.flooded_at >= FLOOD_RECORDS), None)
    if trace is None:
        return None
    if trace.excess is not None:
        return Flood(*trace.excess)
    messages = list(trace.messages("server"))
    pings = sum(record.kind == "ping" for record in trace.records)
    if sum(map(is_unasked, messages)) + pings > sum(map(_is_event, messages)):
        kinds = sorted({message.type or "without type" for message in messages if is_unasked(message)})
        return Flood("FLOW-8", f"unsolicited messages arrived without end: {', '.join(kinds) or 'Pings'}")
    if not trace.is_endless:
        return None
    text = "a run sent events without end and no terminal"
    return Flood("RUN-4", f"{text}: {trace.received_bytes} bytes, which is more than two logs may hold")


def _is_event(message: Message) -> bool:
    return "seq" in message
