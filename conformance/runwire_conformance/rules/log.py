"""Rules for the event log within one conversation: one log per run, in order, ended once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from runwire_conformance.rules.answers import resumed_says_what_was_asked
from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.message import CONTROL_TYPES, EVENT_TYPES, FINISHED, Message
from runwire_conformance.trace.trace import Trace, remembered

RULES = Rules[ConversationRule]()
rule = RULES.rule

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
    #: The log's epoch, where its opening stands in the trace, and where the unfinished reading stood that it moved.
    epoch: object = None
    place: int = -1
    moved_from: int | None = None
    #: Whether it began behind the terminal, as `resumed` said, so that nothing comes.
    opened_at_its_end: bool = False
    #: Whether what a `resume` asked for came without its `resumed`.
    is_unannounced: bool = False

    @property
    def cursor(self) -> int:
        """The `seq` of the last event."""
        return int(self.events[-1][1]["seq"]) if self.events else self.after

    @property
    def is_ended(self) -> bool:
        """Whether its terminal came."""
        return any(message.is_terminal for _, message in self.events)


@remembered
def readings(trace: Trace) -> tuple[list[Reading], list[tuple[int, Message]]]:
    """Return the readings of a conversation, and the events that belong to none."""
    current: dict[str, Reading] = {}
    asked: dict[str, Message] = {}
    found: list[Reading] = []
    stray: list[tuple[int, Message]] = []
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        run_id = message.get("run_id")
        if record.side == "client" and message.type == "resume" and isinstance(run_id, str):
            asked[run_id] = message
        if record.side != "server":
            continue
        if message.type in {"started", "resumed"} and isinstance(run_id, str):
            next_seq = message.get("next_seq")
            after = next_seq - 1 if message.type == "resumed" and isinstance(next_seq, int) else 0
            before = current.get(run_id)
            moved_from = before.cursor if before is not None and not before.is_ended else None
            resumed, epoch, last_seq = (
                message.type == "resumed",
                message.get("epoch"),
                message.get("last_seq"),
            )
            at_its_end = resumed and last_seq == after and message.string("status") in FINISHED
            reading = Reading(run_id, after, resumed, [], epoch, place, moved_from, at_its_end)
            current[run_id] = reading
            found.append(reading)
            asked.pop(run_id, None)
        elif _in_log(message) and isinstance(run_id, str):
            if run_id in asked and _follows_at_once(asked[run_id], message, current.get(run_id)):
                after = _first(message) - 1
                current[run_id] = Reading(
                    run_id, after, True, [], message.get("epoch"), place, is_unannounced=True
                )
                found.append(current[run_id])
                del asked[run_id]
            if run_id in current:
                current[run_id].events.append((place, message))
            else:
                stray.append((place, message))
    return found, stray


def _follows_at_once(resume: Message, event: Message, before: Reading | None) -> bool:
    """Tell whether an event is the first that a `resume` asked for, and not the next one of the reading before."""
    is_first = resume.get("after") == _first(event) - 1
    return is_first and (before is None or before.is_ended or before.cursor != _first(event) - 1)


@rule("RESUME-9", seen_by="resumed")
def a_resume_is_answered_before_its_events(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """What a `resume` asked for comes behind its `resumed`."""
    for reading in readings(trace)[0]:
        if reading.is_unannounced:
            yield Finding("RESUME-9", f"the events of run {reading.run_id} without resumed", reading.place)


@rule("RUN-3", seen_by=EVENT_TYPES)
@rule("SSE-3", "SSE-4", seen_by="stream")
def nothing_precedes_the_opening(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """No event of a run comes before its `started` or `resumed`."""
    if trace.transport == "sse":
        yield from _stream_opens(trace)
        return
    for place, message in readings(trace)[1]:
        yield Finding(
            "RUN-3", f"{message.type} of run {message['run_id']} before its started or resumed", place
        )


def _stream_opens(trace: Trace) -> Iterator[Finding]:
    requirement, wanted = ("SSE-3", "started") if trace.title.startswith("POST") else ("SSE-4", "resumed")
    for place, record in enumerate(trace.records):
        if record.side == "server" and record.message is not None:
            # A `ready` breaks [SSE-11], and what has no type [MSG-2].
            if record.message.type not in {wanted, "ready", ""}:
                yield Finding(requirement, f"the first message is {record.message.type}, not {wanted}", place)
            return


@rule("RESUME-10", "RESUME-25", seen_by="resumed")
@rule("RESUME-16")
@rule("RUN-28", "RUN-29", seen_by=EVENT_TYPES)
def seq_has_no_hole(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """Events are numbered without hole or repetition."""
    if _has_unnumbered(trace) or _has_unreadable(trace):
        return  # [RUN-27] or [MSG-1] is broken, and the holes are what it broke
    if trace.transport == "sse" and any(_stream_opens(trace)):
        return  # [SSE-3] or [SSE-4] is broken, and nobody knows where the reader stands
    found, stray = readings(trace)
    early = {message["run_id"] for _, message in stray}
    misopened = {finding.record for finding in resumed_says_what_was_asked(trace, context)}
    for reading in found:
        if reading.run_id in early or reading.place in misopened:
            continue  # [RUN-3] or [RESUME-9] is broken, and the numbers are what it broke
        ranges = [(_first(message), message["seq"], place) for place, message in reading.events]
        cursor = reading.after
        for first, last, place in ranges:
            if first != cursor + 1:
                yield _misplaced(reading, ranges, cursor, first, last, place)
                break
            cursor = last


def _has_unnumbered(trace: Trace) -> bool:
    """Tell whether the server sent an event without its run or number; an `error` without one is a refusal."""
    return any(
        record.side == "server"
        and record.message is not None
        and record.message.type in UNMISTAKABLE
        and not {"run_id", "seq"} <= record.message.keys()
        for record in trace.records
    )


def _has_unreadable(trace: Trace) -> bool:
    """Tell whether the server sent what is no message and may have been an event."""
    return any(
        record.side == "server" and record.kind in {"text", "binary", "raw"} and record.message is None
        for record in trace.records
    )


def _misplaced(
    reading: Reading, ranges: list[tuple[int, int, int]], cursor: int, first: int, last: int, place: int
) -> Finding:
    in_order = sorted(ranges)
    joined = all(left[1] + 1 == right[0] for left, right in pairwise(in_order))
    if in_order != ranges and joined and in_order[0][0] == reading.after + 1:
        before, late = next((left, right) for left, right in pairwise(ranges) if left > right)
        return Finding("RUN-29", f"seq {late[1]} arrived after seq {before[1]}", late[2])
    if cursor == reading.after and reading.moved_from in {first - 1, first}:
        return Finding("RESUME-16", f"seq {last} from the old position, before seq {cursor + 1}", place)
    if first <= cursor < last:
        return Finding("RESUME-25", f"a merged event begins at {first}; the reader had {cursor}", place)
    what = f"expected seq {cursor + 1}, got {first}"
    return Finding("RESUME-10" if reading.resumed else "RUN-28", what, place)


@rule("RUN-4", "RUN-5", seen_by=("done", "error"))
def runs_end_once(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """One terminal, and nothing after it."""
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


@rule("EVENT-8", "EVENT-13", seen_by="tool_call")
@rule("EVENT-10", "EVENT-11", "EVENT-12", seen_by="observation")
def calls_pair(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Calls and observations pair, in readings from the first event."""
    if _has_unnumbered(trace):
        return  # [RUN-27] is broken, and the pairs are what it broke
    for reading in readings(trace)[0]:
        if reading.after or any(_is_nameless(message) for _, message in reading.events):
            continue  # a call may be out of sight; or [EVENT-7] is broken, and the pairs are what it broke
        called: set[str] = set()
        observed: set[str] = set()
        seen: set[tuple[int, str, str]] = set()
        for place, message in reading.events:
            call_id = str(message.get("call_id"))  # where it is no text, [MSG-3] is broken
            if (again := (message["seq"], message.type, call_id)) in seen:
                continue  # it came a second time, which is [RUN-28]
            seen.add(again)
            if message.type == "tool_call":
                if call_id in called:
                    yield Finding("EVENT-8", f"a second tool_call {call_id}", place)
                called.add(call_id)
            elif message.type == "observation":
                partial = message.get("partial") is True
                if call_id not in called:
                    yield Finding("EVENT-10", f"an observation of {call_id}, which was not called", place)
                elif call_id in observed:
                    requirement = "EVENT-12" if partial else "EVENT-11"
                    yield Finding(requirement, f"a further observation of {call_id}", place)
                if not partial:
                    observed.add(call_id)
            elif message.type == "done" and message.get("status") == "completed" and called - observed:
                missing = ", ".join(sorted(called - observed))
                yield Finding("EVENT-13", f"completed without the observation of {missing}", place)


def _is_nameless(message: Message) -> bool:
    return message.type in {"tool_call", "observation"} and message.get("call_id") is None


@rule("OBS-5", seen_by=("resumed", "started"))
def trace_ids_agree(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Started, resumed and terminal of a run name one trace."""
    known: dict[str, object] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if record.side != "server" or message is None or "trace_id" not in message:
            continue
        run_id = message.get("run_id")
        if isinstance(run_id, str) and known.setdefault(run_id, message["trace_id"]) != message["trace_id"]:
            yield Finding("OBS-5", f"{message.type} names another trace_id than the message before", place)


def begins_something(message: Message) -> bool:
    """Whether a message is an event that does not bring to an end what had begun."""
    final = message.type == "observation" and not message.get("partial")
    return message.is_event and not final and message.type != "input_closed"


@rule("CANCEL-3", seen_by="cancel", timing=True)
def text_stops_after_cancel(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """Later than `cancel_quiet_ms` only what brings a cancelled run to its end."""
    if trace.not_reading:
        return
    quiet = context.limits.seconds("cancel_quiet_ms") + context.tolerance
    open_runs: set[str] = set()
    cancelled: dict[str, float] = {}
    asked: dict[str, set[str]] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        run_id = message.get("run_id")
        if record.side == "client" and message.type == "cancel":
            meant = {run_id} if isinstance(run_id, str) else set() if "run_id" in message else set(open_runs)
            asked[str(message.get("id"))] = meant - cancelled.keys()
            cancelled |= dict.fromkeys(meant - cancelled.keys(), record.at)
        elif record.side == "server" and message.type == "error" and "re" in message:
            for refused in asked.pop(str(message["re"]), ()):
                cancelled.pop(refused, None)
        elif record.side == "server" and isinstance(run_id, str):
            if message.type in {"started", "resumed"}:
                open_runs.add(run_id)
                cancelled.pop(run_id, None)  # a replay repeats what was appended before
            elif message.is_terminal:
                open_runs.discard(run_id)
            elif begins_something(message) and record.at > cancelled.get(run_id, record.at) + quiet:
                late = record.at - cancelled[run_id]
                yield Finding("CANCEL-3", f"a {message.type} {late:.2f} s after the cancel", place)


@rule("INPUT-12", seen_by="input_closed")
@rule("INPUT-19", seen_by="input_request")
def requests_are_new_and_answers_kept(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A `request_id` is that of one request, and closing it does not tell the answer."""
    asked: dict[tuple[str, object], int] = {}
    given: dict[tuple[str, object], list[object]] = {}
    for message in trace.messages("client"):
        if message.type == "input" and "data" in message:
            given.setdefault(_request(message), []).append(message["data"])
    for reading in readings(trace)[0]:
        for place, message in reading.events:
            if message.type == "input_request" and isinstance(message.get("request_id"), str):
                if asked.setdefault(_request(message), message["seq"]) != message["seq"]:
                    yield Finding("INPUT-19", f"a second input_request {message['request_id']}", place)
            elif message.type == "input_closed" and message.get("data", given) in given.get(
                _request(message), []
            ):
                yield Finding("INPUT-12", "input_closed holds the answer", place)


def _request(message: Message) -> tuple[str, object]:
    return str(message.get("run_id")), str(message.get("request_id"))


def _in_log(message: Message) -> bool:
    """Whether a message takes a place in a log; one of a type that is not known does too ([MSG-26])."""
    return isinstance(message.get("seq"), int) and message.type not in CONTROL_TYPES


def _first(message: Message) -> int:
    first = message.get("first_seq")
    return first if isinstance(first, int) else int(message["seq"])
