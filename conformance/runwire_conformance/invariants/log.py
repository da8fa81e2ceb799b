"""What the messages of one conversation must be together: one log a run, read in order, ended once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from runwire_conformance.invariants import Facts, Finding, Invariant
from runwire_conformance.trace import CONTROL_TYPES, Message, Trace

#: Types of messages that are events of a run whatever they hold.
UNMISTAKABLE = frozenset(
    {"token", "replace", "thinking", "tool_delta", "tool_call", "observation", "input_request", "done"}
)


@dataclass(slots=True)
class Reading:
    """One reader of one run: from `started` or `resumed` to the terminal or the next `resumed`."""

    run_id: str
    after: int
    resumed: bool
    events: list[tuple[int, Message]] = field(default_factory=list)


def readings(trace: Trace) -> tuple[list[Reading], list[tuple[int, Message]]]:
    """Return the readings of a conversation, and the events that belong to none."""
    current: dict[str, Reading] = {}
    found: list[Reading] = []
    stray: list[tuple[int, Message]] = []
    for place, record in enumerate(trace.records):
        message = record.message
        if record.side != "server" or message is None:
            continue
        run_id = message.get("run_id")
        if message.type in {"started", "resumed"} and isinstance(run_id, str):
            next_seq = message.get("next_seq")
            after = next_seq - 1 if message.type == "resumed" and isinstance(next_seq, int) else 0
            current[run_id] = Reading(run_id, after, message.type == "resumed")
            found.append(current[run_id])
        elif _in_log(message) and isinstance(run_id, str):
            if run_id in current:
                current[run_id].events.append((place, message))
            else:
                stray.append((place, message))
    return found, stray


def nothing_precedes_the_opening(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[RUN-3], [SSE-3], [SSE-4]: no event of a run comes before its `started` or `resumed`."""
    requirement = "RUN-3"
    if trace.transport == "sse":
        requirement = "SSE-3" if trace.title.startswith("POST") else "SSE-4"
    for place, message in readings(trace)[1]:
        yield Finding(
            requirement, f"{message.type} of run {message['run_id']} before its started or resumed", place
        )


def seq_has_no_hole(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[RUN-28], [RUN-29], [RESUME-10], [RESUME-25]: events are numbered without hole and without repetition."""
    if _has_unnumbered(trace):
        return  # [RUN-27] is broken, and the holes are what it broke
    found, stray = readings(trace)
    early = {message["run_id"] for _, message in stray}
    for reading in found:
        if reading.run_id in early:
            continue  # [RUN-3] is broken, and the numbers are what it broke
        ranges = [(_first(message), message["seq"], place) for place, message in reading.events]
        cursor = reading.after
        for first, last, place in ranges:
            if first != cursor + 1:
                yield _misplaced(reading, ranges, cursor, first, last, place)
                break
            cursor = last


def _has_unnumbered(trace: Trace) -> bool:
    """Tell whether the server sent an event of a run without its number; an `error` without one is a refusal."""
    return any(
        record.side == "server"
        and record.message is not None
        and record.message.type in UNMISTAKABLE
        and "seq" not in record.message
        for record in trace.records
    )


def _misplaced(
    reading: Reading, ranges: list[tuple[int, int, int]], cursor: int, first: int, last: int, place: int
) -> Finding:
    in_order = sorted(ranges)
    joined = all(left[1] + 1 == right[0] for left, right in pairwise(in_order))
    if in_order != ranges and joined and in_order[0][0] == reading.after + 1:
        return Finding("RUN-29", f"seq {last} came after seq {cursor}", place)
    if first <= cursor < last:
        return Finding("RESUME-25", f"a merged event begins at {first}; the reader had {cursor}", place)
    what = f"expected seq {cursor + 1}, came {first}"
    return Finding("RESUME-10" if reading.resumed else "RUN-28", what, place)


def it_ends_once(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[RUN-4], [RUN-5]: one terminal, and nothing after it."""
    for reading in readings(trace)[0]:
        terminal = None
        for place, message in reading.events:
            if terminal is not None:
                requirement = "RUN-4" if message.is_terminal else "RUN-5"
                ended = f"the {terminal.type} with seq {terminal['seq']} had ended it"
                yield Finding(
                    requirement, f"{message.type} with seq {message['seq']} in a run, after {ended}", place
                )
            elif message.is_terminal:
                terminal = message


def calls_pair(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[EVENT-8], [EVENT-10] to [EVENT-13]: calls and observations pair, in readings from the first event."""
    for reading in readings(trace)[0]:
        if reading.after:
            continue
        called: set[object] = set()
        observed: set[object] = set()
        for place, message in reading.events:
            call_id = message.get("call_id")
            if message.type == "tool_call":
                if call_id in called:
                    yield Finding("EVENT-8", f"a second tool_call {call_id}", place)
                called.add(call_id)
            elif message.type == "observation":
                partial = message.get("partial") is True
                if call_id is None:
                    continue  # [EVENT-7] is broken
                if call_id not in called:
                    yield Finding("EVENT-10", f"an observation of {call_id}, which was not called", place)
                elif call_id in observed:
                    requirement = "EVENT-12" if partial else "EVENT-11"
                    yield Finding(requirement, f"a further observation of {call_id}", place)
                if not partial:
                    observed.add(call_id)
            elif message.type == "done" and message.get("status") == "completed" and called - observed:
                missing = ", ".join(sorted(map(str, called - observed)))
                yield Finding("EVENT-13", f"completed without the observation of {missing}", place)


def trace_ids_agree(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[OBS-5]: started, resumed and terminal of a run name one trace."""
    known: dict[str, object] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if record.side != "server" or message is None or "trace_id" not in message:
            continue
        run_id = message.get("run_id")
        if isinstance(run_id, str) and known.setdefault(run_id, message["trace_id"]) != message["trace_id"]:
            yield Finding("OBS-5", f"{message.type} names another trace_id than the message before", place)


def answers_fit_questions(trace: Trace, _facts: Facts) -> Iterator[Finding]:
    """[MSG-29], [MSG-30]: each `re` answers one message that had that `id`, once."""
    asked: set[object] = set()
    answered: set[object] = set()
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "client":
            asked.add(message.get("id"))
        elif "re" in message:
            if message["re"] not in asked or message.is_event:
                yield Finding(
                    "MSG-29", f"{message.type} with re {message['re']!r}, which nobody asked", place
                )
            elif message["re"] in answered:
                yield Finding("MSG-30", f"a second answer with re {message['re']!r}", place)
            answered.add(message["re"])


def text_stops_after_cancel(trace: Trace, facts: Facts) -> Iterator[Finding]:
    """[CANCEL-3]: no token and no thinking of a cancelled run later than `cancel_quiet_ms`."""
    if trace.deaf:
        return
    quiet = facts.limits.seconds("cancel_quiet_ms") + facts.tolerance
    open_runs: set[str] = set()
    cancelled: dict[str, float] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        run_id = message.get("run_id")
        if record.side == "client" and message.type == "cancel":
            for target in [run_id] if isinstance(run_id, str) else open_runs:
                cancelled.setdefault(str(target), record.at)
        elif record.side == "server" and isinstance(run_id, str):
            if message.type in {"started", "resumed"}:
                open_runs.add(run_id)
                cancelled.pop(run_id, None)  # a replay repeats what was appended before
            elif message.is_terminal:
                open_runs.discard(run_id)
            elif (
                message.type in {"token", "thinking"} and record.at > cancelled.get(run_id, record.at) + quiet
            ):
                late = record.at - cancelled[run_id]
                yield Finding("CANCEL-3", f"a {message.type} {late:.2f} s after the cancel", place)


INVARIANTS: tuple[Invariant, ...] = (
    nothing_precedes_the_opening,
    seq_has_no_hole,
    it_ends_once,
    calls_pair,
    trace_ids_agree,
    answers_fit_questions,
    text_stops_after_cancel,
)


def _in_log(message: Message) -> bool:
    """Whether a message takes a place in a log; one of a type that is not known does too ([MSG-26])."""
    return isinstance(message.get("seq"), int) and message.type not in CONTROL_TYPES


def _first(message: Message) -> int:
    first = message.get("first_seq", message["seq"])
    return first if isinstance(first, int) else int(message["seq"])
