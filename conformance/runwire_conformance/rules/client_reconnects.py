"""Rules for the reconnects of a client, over several recorded connections."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runwire_conformance.rules.answers import kind_of
from runwire_conformance.rules.client import BY_ITSELF_S, body_of, refusals, said
from runwire_conformance.rules.finding import Finding, IndexedFinding
from runwire_conformance.rules.registry import ConnectionsRule, Rules
from runwire_conformance.trace.message import FINISHED, Message
from runwire_conformance.trace.trace import CROSSING_S, Trace, remembered

RULES = Rules[ConnectionsRule]()
rule = RULES.rule

#: Closes whose message is not to be sent again ([CLOSE-8]).
NOT_AGAIN = frozenset({1002, 1003, 1007, 1008, 1009})

#: Closes that say something else than to come back with growing back-off and full jitter ([CLOSE-7]).
NO_BACK_OFF = frozenset(range(4000, 5000)) | NOT_AGAIN | {1000, 1005}

#: Reconnections in a row, each within this many seconds, that no growing back-off gives by chance.
QUICK_RETURNS = 5
QUICK_S = 0.1

#: Seconds after which whoever was to resume at once has not done it.
LATE_S = 5.0


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended: when, where in its trace, with which code, by whom, and the runs it still followed."""

    at: float
    place: int
    code: int
    by_server: bool
    followed: tuple[str, ...] = ()


@remembered
def end_of(trace: Trace) -> End | None:
    """Return how a connection ended, None when the recording does not show it."""
    cursors: dict[str, int] = {}
    whole: set[str] = set()
    for place, record in enumerate(trace.records):
        message = record.message
        if record.kind in {"close", "lost"}:
            followed = tuple(run_id for run_id in cursors if run_id not in whole)
            return End(record.at, place, record.code or 1006, record.side == "server", followed)
        if record.side == "server" and message is not None:
            _read(cursors, message)
            # Whoever resumes a finished run may have had all of it: it is followed from its next event on.
            if message.type == "resumed" and message.string("status") in FINISHED:
                whole.add(message.string("run_id"))
            elif "seq" in message:
                whole.discard(message.string("run_id"))
    return None


def _read(cursors: dict[str, int], message: Message) -> None:
    run_id, seq = message.get("run_id"), message.get("seq")
    if not isinstance(run_id, str):
        return
    if message.type == "started":
        cursors[run_id] = 0
    elif message.type == "resumed" and isinstance(after := message.get("next_seq"), int):
        cursors[run_id] = after - 1
    elif message.is_terminal:
        cursors.pop(run_id, None)
    elif isinstance(seq, int) and run_id in cursors:
        cursors[run_id] = seq


@rule("CLOSE-4", seen_by="close 40")
@rule("SSE-23")
def client_comes_back_when_told(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """Runs that a close of 4000 to 4099, or the end of a stream, cut are resumed."""
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server:
            continue
        told = 4000 <= end.code <= 4099
        if not told and trace.transport != "sse":
            continue
        if not any(_last(one) - end.at > LATE_S for one in traces):
            continue
        asked = _asked_since(end.at, [one for one in traces if one is not trace])
        for run_id in end.followed:
            if run_id not in asked:
                requirement = "CLOSE-4" if told else "SSE-23"
                what = f"closed with {end.code}" if told else "ended without a terminal"
                yield number, Finding(requirement, f"{what}, and run {run_id} was not resumed", end.place)


@rule("CLOSE-6", seen_by="close 44")
def client_stays_away_when_told(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """After a close of 4400 to 4499 no connection is opened by the client itself."""
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server or not 4400 <= end.code <= 4499:
            continue
        for later in range(number + 1, len(traces)):
            waited = traces[later].began - end.at
            if traces[later].transport != "http" and 0 <= waited <= BY_ITSELF_S:
                text = f"a new connection {waited:.2f} s after a close with {end.code}"
                yield later, Finding("CLOSE-6", text, 0)


@rule("CLOSE-7")
def client_backs_off(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """Reconnections after 1001, 1011, 1012, 1013 or an unknown code are spread out."""
    quick = 0
    for number, (trace, following) in enumerate(pairwise(traces), start=1):
        # A stream that ends is to be resumed at once ([SSE-23]).
        end = end_of(trace) if trace.transport == "websocket" else None
        backs_off = end is not None and end.by_server and end.code not in NO_BACK_OFF
        soon = end is not None and 0 <= following.began - end.at <= QUICK_S
        quick = quick + 1 if backs_off and soon else 0
        if quick == QUICK_RETURNS:
            text = f"{QUICK_RETURNS} connections in a row, each within {QUICK_S * 1000:.0f} ms of the close before"
            yield number, Finding("CLOSE-7", text, 0)


@rule("CLOSE-8", seen_by="close 10")
def client_sends_nothing_bad_again(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """The message that a connection was closed for is not sent on another.

    It is known for certain only where a single one can have crossed the close.
    """
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server or end.code not in NOT_AGAIN:
            continue
        spoken = [record for _, record in said(trace, "client") if record.kind == "text"]
        suspects = {record.payload for record in spoken if 0 <= end.at - record.at <= CROSSING_S}
        if len(suspects) != 1:
            continue
        for later in range(number + 1, len(traces)):
            for place, record in said(traces[later], "client"):
                if record.kind == "text" and record.payload in suspects and record.at > end.at:
                    text = f"resent a message for which a connection was closed with {end.code}"
                    yield later, Finding("CLOSE-8", text, place)


@rule("RESUME-21")
def client_resumes_over_a_hole(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """An event above the cursor plus one is followed by a `resume` from the cursor."""
    for number, trace in enumerate(traces):
        cursors: dict[str, int] = {}
        for place, record in said(trace, "server"):
            message = record.message
            if message is None:
                continue
            run_id, first = message.string("run_id"), message.get("first_seq", message.get("seq"))
            cursor = cursors.get(run_id)
            _read(cursors, message)
            if cursor is None or not isinstance(first, int) or first <= cursor + 1:
                continue
            over = trace.records[-1].at - record.at > LATE_S
            if over and not any(_asked_of(one).get(run_id, -math.inf) >= record.at for one in traces):
                text = f"got {first} after {cursor}, and run {run_id} was not resumed"
                yield number, Finding("RESUME-21", text, place)


@rule("RESUME-22", seen_by="resume")
def client_names_the_epoch(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """Who comes back to a run names its epoch, and does not insist on one that is gone."""
    cut: dict[str, tuple[float, str]] = {}
    gone: dict[tuple[str, str], float] = {}
    for number, trace in enumerate(traces):
        refused = refusals(trace)
        for place, record in enumerate(trace.records):
            message = record.message
            if message is None:
                continue
            if place in refused and message.get("code") == "not_found":
                gone.setdefault(_log_of(refused[place]), record.at)
            if record.side != "client" or message.type != "resume":
                continue
            run_id, epoch = _log_of(message)
            ended = cut.get(run_id)
            if epoch and record.at > gone.get((run_id, epoch), record.at):
                yield number, Finding("RESUME-22", f"insists on epoch {epoch}, which is gone", place)
            elif ended and "epoch" not in message and record.at >= ended[0] and _has_some(message):
                yield number, Finding("RESUME-22", f"resumes without the epoch {ended[1]}", place)
        end = end_of(trace)
        if end is not None:
            epochs = dict(_log_of(message) for message in trace.messages("server") if "epoch" in message)
            cut |= {run_id: (end.at, told) for run_id in end.followed if (told := epochs.get(run_id))}


def _log_of(message: Message) -> tuple[str, str]:
    return message.string("run_id"), message.string("epoch")


def _has_some(resume: Message) -> bool:
    """Whether a `resume` is that of a reader who comes back, and not of one who begins."""
    return isinstance(after := resume.get("after"), int) and after > 0


@rule("ERR-8")
def client_tries_again_under_another_name(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """A failed run is tried again under a new `run_id`, a refused `start` under the same."""
    failed: dict[str, float] = {}
    again: dict[str, tuple[float, str]] = {}
    spoken = _starts(traces, _asked)
    for number, trace in enumerate(traces):
        refused = refusals(trace)
        for place, record in enumerate(trace.records):
            message = record.message
            if message is None:
                continue
            run_id = message.string("run_id")
            if record.side == "server":
                if message.type == "error" and "seq" in message:
                    failed.setdefault(run_id, record.at)
                elif place in refused and message.get("retryable") is True:
                    asked = _asked(refused[place])
                    if _once(spoken.get(asked, ()), record.at):
                        again[asked] = (record.at, refused[place].string("run_id"))
            elif run_id and kind_of(message) == "start":
                if record.at > failed.get(run_id, record.at):
                    text = f"run {run_id} failed and is tried under the same name"
                    yield number, Finding("ERR-8", text, place)
                before = again.get(_asked(message))
                if before and before[1] not in {"", run_id} and 0 <= record.at - before[0] <= BY_ITSELF_S:
                    text = "a refused start is tried again under another run_id"
                    yield number, Finding("ERR-8", text, place)


def _asked(message: Message) -> str:
    return body_of({name: value for name, value in message.items() if name != "run_id"})


@rule("RUN-12")
def client_can_start_again(traces: Sequence[Trace]) -> Iterator[IndexedFinding]:
    """A `start` that is sent again on another connection has a `run_id` of the client's."""
    lost: list[tuple[float, str]] = []
    spoken = _starts(traces, body_of)
    for number, trace in enumerate(traces):
        nameless: list[str] = []
        for place, record in said(trace, "client"):
            message = record.message
            if message is None or kind_of(message) != "start" or "run_id" in message:
                continue
            body = body_of(message)
            if any(body == earlier and 0 <= record.at - at <= BY_ITSELF_S for at, earlier in lost):
                yield number, Finding("RUN-12", "a start without run_id is sent again", place)
            nameless.append(body)
        end = end_of(trace)
        heard = any(message.type in {"started", "done", "error"} for message in trace.messages("server"))
        if end is not None and not heard:
            lost += [(end.at, body) for body in nameless if _once(spoken[body], end.at)]


def _starts(traces: Sequence[Trace], form: Callable[[Message], str]) -> dict[str, list[float]]:
    """Return when each `start` was sent, in order."""
    spoken: dict[str, list[float]] = {}
    records = [record for trace in traces for _, record in said(trace, "client")]
    for record in sorted(records, key=lambda record: record.at):
        if record.message is not None and kind_of(record.message) == "start":
            spoken.setdefault(form(record.message), []).append(record.at)
    return spoken


def _once(times: Sequence[float], moment: float) -> bool:
    """Whether only one of these, in order, is before: who says the same all the time has another reason to."""
    return sum(at < moment for at in times[:2]) == 1


def _asked_since(moment: float, traces: Sequence[Trace]) -> set[str]:
    """Return the runs that a client asked for from `moment` on."""
    return {run_id for trace in traces for run_id, at in _asked_of(trace).items() if at >= moment}


@remembered
def _asked_of(trace: Trace) -> dict[str, float]:
    """Return the runs that a client asked for, each with the last moment at which it did."""
    asked: dict[str, float] = {}
    for _, record in said(trace, "client"):
        if record.message is not None and kind_of(record.message) in {"resume", "start"}:
            run_id = record.message.string("run_id")
            asked[run_id] = max(record.at, asked.get(run_id, record.at))
    return asked


@remembered
def _last(trace: Trace) -> float:
    """Return the last moment that a trace shows."""
    return max((record.at for record in trace.records), default=-math.inf)
