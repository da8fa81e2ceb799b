"""Server-wide faults, and their signs in the conversations of failed cases. Pure.

One cause, one accusation: a case is not held against what it proves when its conversations show the
signs of something that the preflight or the reset check found broken by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from runwire_conformance.rules import RuleContext
from runwire_conformance.trace.trace import RESPONSE_ENDED, Trace

#: How the path of a request that cancels a run ends.
_CANCELS = re.compile(r"POST \S*/([A-Za-z0-9_-]+)/cancel\b")


def broken_off(traces: Sequence[Trace], _context: RuleContext | None = None, _until: float = 0.0) -> bool:
    """Whether the server broke off a conversation: without a Close frame, an answer, or the end of a body."""
    return any(map(_breaks_off, traces))


def _breaks_off(trace: Trace) -> bool:
    for record in trace.records:
        if record.kind == "close" and record.side == "server":
            return False
        if record.kind == "lost":
            return record.side == "server" and record.payload != RESPONSE_ENDED
    return False


def ages_at_the_end(traces: Sequence[Trace]) -> list[float]:
    """Return how old the WebSocket connections were that the server broke off, in seconds."""
    return [
        record.at - trace.began
        for trace in traces
        if trace.transport == "websocket" and _breaks_off(trace)
        for record in trace.records
        if record.kind == "lost"
    ]


def shows_no_heed(traces: Sequence[Trace], context: RuleContext, until: float) -> bool:
    """Whether cancels are not heeded: one of these, or the server is `busy` with runs that it did not end."""
    return any(map(_is_busy, traces)) or cancel_unheeded(traces, context, until)


def cancel_unheeded(traces: Sequence[Trace], context: RuleContext, until: float) -> bool:
    """Whether a run was cancelled and showed no terminal in time, though there was time to wait for it."""
    bound = context.limits.seconds("cancel_deadline_ms") + context.tolerance
    ends: dict[object, float] = {}
    for trace in traces:
        for message in trace.messages("server"):
            if message.is_terminal:
                ends.setdefault(message.string("run_id"), message.at)
    return any(
        at + bound < min(until, ends.get(run_id, until)) for trace in traces for run_id, at in _cancels(trace)
    )


def _is_busy(trace: Trace) -> bool:
    return any(
        record.side == "server"
        and (record.code == 429 or (record.message is not None and record.message.get("code") == "busy"))
        for record in trace.records
    )


def _cancels(trace: Trace) -> Iterator[tuple[object, float]]:
    """Yield each run that the judge cancelled in a conversation, and when."""
    followed: list[object] = []
    asked = regretted = 0.0
    for record in trace.records:
        message = record.message
        if record.side == "client" and record.kind == "request" and (found := _CANCELS.match(record.payload)):
            yield found[1], record.at
        elif message is None:
            continue
        elif record.side == "client" and message.type == "cancel" and "run_id" in message:
            yield message.string("run_id"), record.at
        elif record.side == "client" and message.type in {"", "start"}:
            asked = record.at
        elif record.side == "client" and message.type == "cancel":
            regretted = record.at
            yield from ((run_id, record.at) for run_id in followed)
        elif record.side == "server" and message.type in {"started", "resumed"}:
            followed.append(message.string("run_id"))
            if 0 < asked <= regretted:  # it acts on the start before it too ([CANCEL-6])
                yield message.string("run_id"), regretted


CauseCheck = Callable[[Sequence[Trace], RuleContext, float], bool]

#: How it shows in conversations that a requirement is broken by the server as a whole.
CAUSES: Mapping[str, CauseCheck] = {"CLOSE-2": broken_off, "CANCEL-2": shows_no_heed}


def possible_causes(traces: Sequence[Trace], context: RuleContext, until: float) -> frozenset[str]:
    """Return the requirements that, broken as a whole, explain conversations which ended at `until`."""
    return frozenset(name for name, shows in CAUSES.items() if shows(traces, context, until))
