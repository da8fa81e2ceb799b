"""Rules for a server across several recorded connections: one service, and one log per run for all readers.

The order of what happened on two connections is known to nobody, so no rule here depends on it. A recording is that of
one client: what is said of a run on one connection holds on the others, too.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from runwire_conformance.rules.answers import AnsweredMessage, answered, kind_of
from runwire_conformance.rules.finding import Finding, IndexedFinding
from runwire_conformance.rules.log import Reading, readings
from runwire_conformance.rules.recorded import own_limits
from runwire_conformance.rules.registry import ConnectionsRule, Rules
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace

RULES = Rules[ConnectionsRule]()
rule = RULES.rule

#: Seconds for which every server keeps a log after its run's end, if it states no other time.
SHORTEST_WINDOW_S = 60.0

#: Members in which two readers may see the same event differently.
OF_THE_READER = frozenset({"ts", "first_seq", "seq"})

#: The member that holds the text of events that can be merged.
TEXTS = {"token": "data", "thinking": "content", "tool_delta": "data", "observation": "content"}

#: A log: the run and the epoch.
Log = tuple[str, object]


@rule("CONN-18")
def connections_have_names_of_their_own(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """No two connections have the same `connection_id`."""
    known: set[str] = set()
    for number, _, place, ready in _readies(traces):
        name = ready.string("connection_id")
        if name and name in known:
            yield number, Finding("CONN-18", f"the connection_id {name} of another connection", place)
        known.add(name)


@rule("CONN-17", by_clock=True)
def connections_are_told_the_same(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """Connections that were open at the same time were told the same limits and features."""
    earlier: list[tuple[Trace, Message]] = []
    for number, trace, place, ready in _readies(traces):
        for other, told in earlier:
            if _until(other) < trace.records[place].at:
                continue
            for name in ("limits", "features"):
                if name in ready and name in told and _plain(ready[name]) != _plain(told[name]):
                    text = f"other {name} than on a connection that was open then"
                    yield number, Finding("CONN-17", text, place)
        earlier.append((trace, ready))


def _readies(traces: Sequence[Trace]) -> Iterator[tuple[int, Trace, int, Message]]:
    for number, trace in enumerate(traces):
        for place, record in enumerate(trace.records):
            if record.side == "server" and record.message is not None and record.message.type == "ready":
                yield number, trace, place, record.message
                break


def _until(trace: Trace) -> float:
    """Return when a connection ended, for one whose end is not shown when all ends."""
    last = trace.records[-1]
    return last.at if last.kind in {"close", "lost"} else math.inf


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list) else value


@rule("RUN-19", "RUN-20")
def a_run_id_names_one_start(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """A second `start` of a run is that run again, or is refused."""
    first: dict[str, tuple[int, AnsweredMessage, float]] = {}
    for number, one, at in _accepted(traces):
        run_id = str(one.question["run_id"])
        if run_id not in first:
            first[run_id] = (number, one, at)
            continue
        earlier_number, earlier, began = first[run_id]
        if at - began > window(traces[earlier_number]):
            continue  # nobody keeps a log for ever, and then the name is free
        same_log = one.answer.get("epoch") == earlier.answer.get("epoch")
        if body(one.question) != body(earlier.question):
            if same_log:
                text = f"another body was accepted under the run_id {run_id}"
                yield number, Finding("RUN-20", text, one.place)
        elif not same_log and number == earlier_number and _has_resume(traces[number]):
            text = (
                f"the same start again has epoch {one.answer.get('epoch')}, not {earlier.answer.get('epoch')}"
            )
            yield number, Finding("RUN-19", text, one.place)


def _accepted(traces: Sequence[Trace]) -> Iterator[tuple[int, AnsweredMessage, float]]:
    """Yield the accepted `start` messages that name their run, in the order of their answers."""
    found = [
        (number, one, trace.records[one.place].at)
        for number, trace in enumerate(traces)
        for one in answered(trace)
        if one.answer.type == "started" and kind_of(one.question) == "start" and "run_id" in one.question
    ]
    yield from sorted(found, key=lambda entry: entry[2])


def body(start: Message) -> dict[str, Any]:
    """Return what is compared of a `start`, with its defaults."""
    defaults = {"inputs": {}, "on_disconnect": "grace"}
    return {
        name: start.get(name, defaults.get(name))
        for name in ("prompt", "session_id", "inputs", "on_disconnect")
    }


def window(trace: Trace) -> float:
    """Return for how many seconds a log is kept at least."""
    limits = own_limits(trace)
    advertised = isinstance(limits, Limits) and "resume_window_s" in limits.advertised
    return limits["resume_window_s"] if limits is not None and advertised else SHORTEST_WINDOW_S


def _has_resume(trace: Trace) -> bool:
    ready = next((message for message in trace.messages("server") if message.type == "ready"), Message())
    listed = ready.get("features")
    return isinstance(listed, list) and "resume" in listed


@rule("RESUME-13")
def no_cursor_is_beyond_the_end(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """What is resumed is not beyond the terminal of its log."""
    ends: dict[Log, int] = {}
    for _, reading in _readings(traces):
        for _, message in reading.events:
            if message.is_terminal:
                ends.setdefault(_log(reading), message["seq"])
    for number, trace in enumerate(traces):
        for one in answered(trace):
            after = one.question.get("after")
            last = ends.get((str(one.answer.get("run_id")), str(one.answer.get("epoch"))))
            if one.answer.type == "resumed" and last is not None and isinstance(after, int) and after > last:
                text = f"a cursor of {after} in a log that ends at {last}"
                yield number, Finding("RESUME-13", text, one.place)


@rule("RUN-30")
def readers_see_one_log(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """An event is the same for every reader of the run, and a merged one says what its parts say."""
    logs: dict[Log, dict[int, Message]] = {}
    merged: list[tuple[int, int, Log, Message]] = []
    for number, reading in _readings(traces):
        log, own = logs.setdefault(_log(reading), {}), set[int]()
        for place, message in reading.events:
            if message["seq"] in own:
                continue  # [RUN-28] is broken, and that is for one reader alone
            own.add(message["seq"])
            if message.get("first_seq", message["seq"]) != message["seq"]:
                merged.append((number, place, _log(reading), message))
            elif _told(log.setdefault(message["seq"], message)) != _told(message):
                text = (
                    f"seq {message['seq']} of run {reading.run_id} is another event than another reader saw"
                )
                yield number, Finding("RUN-30", text, place)
    for number, place, name, message in merged:
        if not _says_its_parts(message, logs[name]):
            text = f"seq {message['first_seq']} to {message['seq']} is not what another reader saw"
            yield number, Finding("RUN-30", text, place)


def _says_its_parts(merged: Message, log: dict[int, Message]) -> bool:
    """Whether a merged event is its parts, as far as all of these were seen one by one."""
    first, last, member = merged["first_seq"], merged["seq"], TEXTS.get(merged.type)
    if member is None or not isinstance(first, int) or last - first >= len(log):
        return True  # of so many parts some were not seen
    parts = [log[seq] for seq in range(first, last + 1) if seq in log]
    if len(parts) <= last - first or not all(isinstance(part.get(member), str) for part in parts):
        return True
    text = "".join(part[member] for part in parts)
    return all(_told(Message({**part, member: text})) == _told(merged) for part in parts)


def _told(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in OF_THE_READER}


def _log(reading: Reading) -> Log:
    return reading.run_id, str(reading.epoch)


def _readings(traces: Sequence[Trace]) -> Iterator[tuple[int, Reading]]:
    for number, trace in enumerate(traces):
        for reading in readings(trace)[0]:
            yield number, reading
