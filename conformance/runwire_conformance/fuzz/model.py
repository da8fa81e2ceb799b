"""Model of the specification: the log of a script, and the requirement that a conversation broke. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runwire_conformance.fuzz.plan import Script
from runwire_conformance.rules import RuleContext, findings, late_findings
from runwire_conformance.rules.log import Reading, readings
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace

#: Steps that become an event of the same type, with the member that holds a text.
_TEXTS = {"token": "data", "replace": "data", "thinking": "content"}
_OBJECTS = frozenset({"tool_delta", "tool_call", "observation"})

#: Types whose adjacent events can be merged ([RESUME-23]), with the member that is joined.
MERGED = {"token": "data", "thinking": "content", "tool_delta": "data", "observation": "content"}

#: The answer that the model's client gives to every input request, and what the script echoes of it.
ANSWER, ECHO = True, "true"

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """A sentence that was broken, what shows it, and where; `late` when the clock alone shows it."""

    requirement: str
    text: str
    trace: Trace | None = None
    late: bool = False


@dataclass(slots=True)
class RunHistory:
    """What happened to one run from outside, as the client knows it. Times are of the monotonic clock."""

    script: Script
    run_id: str
    on_disconnect: str = "grace"
    cancelled_at: float | None = None
    #: The longest time without a reader, and whether there was any.
    unread_s: float = 0.0
    was_unread: bool = False
    #: Whether it may have been running for `run_s` ([RUN-15]).
    may_have_timed_out: bool = False
    #: Conversations that were left before the run's end, by identity of their trace, and the slow ones.
    left: set[int] = field(default_factory=set)

    @property
    def log(self) -> list[Event]:
        """What the log says unless the run is ended from outside."""
        return expected_log(self.script)

    def may_end_as(self, event: Event, grace_s: float) -> bool:
        """Whether the run may be cut by this terminal."""
        if (event.get("type"), event.get("code")) == ("error", "timeout"):
            return self.may_have_timed_out
        if (event.get("type"), event.get("status")) != ("done", "cancelled"):
            return False
        if event.get("reason") == "user":
            return self.cancelled_at is not None
        if event.get("reason") != "disconnected" or not self.was_unread:
            return False
        return self.on_disconnect == "cancel" or (self.on_disconnect == "grace" and self.unread_s >= grace_s)

    @property
    def may_be_cut(self) -> bool:
        """Whether something happened that can end the run before its script."""
        return self.cancelled_at is not None or self.was_unread or self.may_have_timed_out


def steps(script: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of a script with every `repeat` unrolled."""
    for step in script:
        if "repeat" in step:
            for _ in range(step["repeat"]):
                yield from steps(step["steps"])
        else:
            yield step


def expected_log(script: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Return the events of a script that nobody ends from outside, without `run_id` and `seq` ([SCRIPT-1])."""
    log: list[Event] = []
    for step in steps(script):
        beside = {name: step[name] for name in ("agent", "parent_call_id") if name in step}
        kind = next(iter(step))
        value = step[kind]
        if kind in _TEXTS:
            log.append({"type": kind, _TEXTS[kind]: value, **beside})
        elif kind in _OBJECTS:
            log.append({"type": kind, **value, **beside})
        elif kind == "input_request":
            log.append({"type": kind, **value, **beside})
            closed = {"type": "input_closed", "request_id": value["request_id"], "outcome": "answered"}
            log.append(closed)
        elif kind == "echo_input":
            log.append({"type": "token", "data": ECHO})
        elif kind == "fail":
            return [*log, {"type": "error", **value}]
    return [*log, {"type": "done", "status": "completed"}]


def duration_ms(script: Sequence[Mapping[str, Any]], *kinds: str) -> float:
    """Return how long the steps of these kinds take, by default all that wait."""
    wanted = kinds or ("wait_ms", "block_ms")
    return sum(float(step[kind]) for step in steps(script) for kind in wanted if kind in step)


def asks(script: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a script waits for its user."""
    return any("input_request" in step for step in steps(script))


def place_of_request(script: Sequence[Mapping[str, Any]]) -> int:
    """Return the `seq` of a script's input request."""
    return next(
        number for number, event in enumerate(expected_log(script), 1) if event["type"] == "input_request"
    )


def reachable(script: Sequence[Mapping[str, Any]], answered: bool, patience_ms: float = 1000) -> int:
    """Return how many events come within `patience_ms` of waiting, and without the answer if it is not given."""
    if asks(script) and not answered:
        return place_of_request(script)
    count, waited = 0, 0.0
    for step in steps(script):
        waited += float(step.get("wait_ms", 0)) + float(step.get("block_ms", 0))
        if waited >= patience_ms:
            return count
        count += len(expected_log((step,))) - ("fail" not in step)
    return len(expected_log(script))


def judged(runs: Sequence[RunHistory], traces: Sequence[Trace], context: RuleContext) -> ModelVerdict | None:
    """Return the first sentence that the conversations broke: a rule, or the model's own."""
    for trace in traces:
        for finding in findings(trace, context):
            return ModelVerdict(
                finding.requirement, finding.text, trace, finding in late_findings(trace, context)
            )
    for history in runs:
        if verdict := _log_judged(history, traces, context):
            return verdict
    return None


@dataclass(frozen=True, slots=True)
class _Seen:
    """One reading of a run: where, how it began, its events, and whether it must show the terminal."""

    trace: Trace
    reading: Reading
    whole: bool

    @property
    def covers(self) -> range:
        """The numbers that the reading shows."""
        last = self.reading.events[-1][1]["seq"] if self.reading.events else self.reading.after
        return range(self.reading.after + 1, last + 1)


def _log_judged(history: RunHistory, traces: Sequence[Trace], context: RuleContext) -> ModelVerdict | None:
    seen = list(_seen(history, traces))
    grace_s = context.limits["detach_grace_s"]
    wrong = {id(one): found for one in seen if (found := _deviation(history, one, grace_s))}
    ends = {place: one for one in seen if (place := _end(one))}
    for one in seen:
        if id(one) not in wrong and one.whole and _end(one) is None and one.reading.after not in ends:
            return ModelVerdict(
                _blamed_for_missing_end(one, bool(ends), history), "the reading has no terminal", one.trace
            )
    if wrong:
        return _blamed(history, seen, wrong)
    if len(ends) > 1:
        places = " and ".join(map(str, sorted(ends)))
        return ModelVerdict(
            _reader(ends[max(ends)]), f"the run ends at seq {places}, reader by reader", ends[max(ends)].trace
        )
    return None


def _seen(history: RunHistory, traces: Sequence[Trace]) -> Iterator[_Seen]:
    for trace in traces:
        own = [reading for reading in readings(trace)[0] if reading.run_id == history.run_id]
        for reading in own:
            yield _Seen(trace, reading, reading is own[-1] and id(trace) not in history.left)


def _end(one: _Seen) -> int | None:
    events = one.reading.events
    return int(events[-1][1]["seq"]) if events and events[-1][1].is_terminal else None


def _deviation(history: RunHistory, one: _Seen, grace_s: float) -> tuple[int, Message, Event | None] | None:
    """Return the first event that the script does not say: its `seq`, the event, and what was expected."""
    log = history.log
    for _, event in one.reading.events:
        last = int(event["seq"])
        first = int(event.get("first_seq", last))
        wanted = merged(log[first - 1 : last])
        if wanted is not None and _says(event, wanted):
            continue
        withdrawn = event.type == "input_closed" and event.get("outcome") != "answered"
        if history.may_be_cut and (withdrawn or (last <= len(log) and history.may_end_as(event, grace_s))):
            continue
        return last, event, wanted
    return None


def merged(events: Sequence[Event]) -> Event | None:
    """Return events as one ([RESUME-23]); None when they cannot be merged."""
    if not events:
        return None
    first, *others = events
    if not others:
        return first
    member = MERGED.get(first["type"])
    if member is None or any(_without(member, other) != _without(member, first) for other in others):
        return None
    if first["type"] == "observation" and not first.get("partial"):
        return None
    return {**first, member: "".join(event[member] for event in events)}


def _without(member: str, event: Event) -> Event:
    return {name: value for name, value in event.items() if name != member}


def _says(event: Message, wanted: Event) -> bool:
    return all(event.get(name) == value for name, value in wanted.items())


def _blamed(
    history: RunHistory, seen: Sequence[_Seen], wrong: Mapping[int, tuple[int, Message, Event | None]]
) -> ModelVerdict:
    """Blame what one reader alone saw on how it reads, and what all saw on the agent or on the end of the run."""
    one = next(one for one in seen if id(one) in wrong)
    seq, event, wanted = wrong[id(one)]
    what = f"expected {_shown(wanted)} at seq {seq}; got {_shown(event)}"
    if any(seq in other.covers and id(other) not in wrong for other in seen):
        return ModelVerdict(_reader(one), f"{what}, which another reader saw as it should be", one.trace)
    return ModelVerdict(_blamed_for_event(history, event, wanted), what, one.trace)


def _reader(one: _Seen) -> str:
    """The sentence that gives this reader what others see."""
    if one.trace.transport == "sse":
        return "SSE-21" if one.reading.resumed else "SSE-5"
    return "RESUME-10" if one.reading.resumed else "RUN-30"


def _blamed_for_missing_end(one: _Seen, others_end: bool, history: RunHistory) -> str:
    if others_end:
        return _reader(one)
    return "CANCEL-2" if history.cancelled_at is not None else "RUN-4"


def _blamed_for_event(history: RunHistory, event: Message, wanted: Event | None) -> str:
    """The sentence about the run itself that an event breaks which every reader saw."""
    rules: Sequence[tuple[Callable[[], bool], str]] = (
        (lambda: event.get("status") == "cancelled" and history.cancelled_at is not None, "CANCEL-1"),
        (lambda: event.get("reason") == "disconnected" and history.on_disconnect == "continue", "RESUME-5"),
        (lambda: event.get("reason") == "disconnected" and not history.was_unread, "RESUME-6"),
        (lambda: event.get("reason") == "disconnected", "RESUME-1"),
        (lambda: event.is_terminal and history.cancelled_at is not None, "CANCEL-1"),
        (lambda: wanted is not None and wanted["type"] == "error", "SCRIPT-3"),
        (lambda: event.is_terminal, "SCRIPT-2"),
        (lambda: event.type == "input_closed", "INPUT-4"),
        (lambda: event.type in _OBJECTS and wanted is not None and wanted["type"] == event.type, "SCRIPT-12"),
    )
    return next((identifier for applies, identifier in rules if applies()), "SCRIPT-1")


def _shown(event: Event | None) -> str:
    if event is None:
        return "nothing further"
    kept = {name: value for name, value in event.items() if name not in {"run_id", "seq", "trace_id", "ts"}}
    text = str(kept)
    return text if len(text) <= 160 else f"{text[:160]}…"
