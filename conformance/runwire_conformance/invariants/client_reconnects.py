"""What a recording of several connections shows of its client: how it comes back, and how it does not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runwire_conformance.invariants import Finding, Placed
from runwire_conformance.invariants.client import BY_ITSELF_S, body_of, said
from runwire_conformance.trace import Message, Trace

#: Closes of which each says to come back with growing back-off and full jitter ([CLOSE-7]).
BACK_OFF = frozenset({1001, 1011, 1012, 1013})

#: Closes whose message is not to be sent again ([CLOSE-8]).
NOT_AGAIN = frozenset({1002, 1003, 1007, 1008, 1009})

#: Reconnections in a row, each within this many seconds, that no growing back-off gives by chance.
QUICK_RETURNS = 5
QUICK_S = 0.1

#: Seconds after which whoever was to resume at once has not done it.
LATE_S = 5.0


@dataclass(slots=True)
class End:
    """How a connection ended: when, by whom, with which code, and which runs it still followed from where."""

    at: float
    place: int
    code: int
    by_server: bool
    cursors: dict[str, int] = field(default_factory=dict)


def end_of(trace: Trace) -> End | None:
    """Return how a connection ended, None when the recording does not show it."""
    cursors: dict[str, int] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if record.kind in {"close", "lost"}:
            by_server = record.side == "server"
            return End(record.at, place, record.code or 1006, by_server, cursors)
        if record.side == "server" and message is not None:
            _read(cursors, message)
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


def it_comes_back_when_told(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[CLOSE-4], [SSE-23]: runs that a close of 4000 to 4099, or the end of a stream, cut are resumed."""
    until = max((trace.records[-1].at for trace in traces if trace.records), default=0.0)
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server or until - end.at <= LATE_S:
            continue
        told = 4000 <= end.code <= 4099
        if not told and trace.transport != "sse":
            continue
        asked = set(_asked_after(traces, number, end.at))
        for run_id in end.cursors.keys() - asked:
            requirement = "CLOSE-4" if told else "SSE-23"
            what = f"closed with {end.code}" if told else "ended without a terminal"
            yield number, Finding(requirement, f"{what}, and run {run_id} was not resumed", end.place)


def it_stays_away_when_told(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[CLOSE-6]: after a close of 4400 to 4499 no connection is opened by the client itself."""
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server or not 4400 <= end.code <= 4499:
            continue
        for later in range(number + 1, len(traces)):
            if 0 <= traces[later].began - end.at <= BY_ITSELF_S:
                text = f"a new connection {traces[later].began - end.at:.2f} s after a close with {end.code}"
                yield later, Finding("CLOSE-6", text, 0)


def it_backs_off(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[CLOSE-7]: reconnections after 1001, 1011, 1012, 1013 or an unknown code are spread out."""
    known = set(range(4000, 5000)) | NOT_AGAIN | {1000, 1005}
    quick = 0
    for number, trace in enumerate(traces[:-1]):
        end = end_of(trace)
        backs_off = end is not None and end.by_server and (end.code in BACK_OFF or end.code not in known)
        soon = end is not None and 0 <= traces[number + 1].began - end.at <= QUICK_S
        quick = quick + 1 if backs_off and soon else 0
        if quick == QUICK_RETURNS:
            text = f"{QUICK_RETURNS} connections in a row, each within {QUICK_S * 1000:.0f} ms of the close before"
            yield number + 1, Finding("CLOSE-7", text, 0)


def it_sends_nothing_bad_again(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[CLOSE-8]: the message that a connection was closed for is not sent on another."""
    for number, trace in enumerate(traces):
        end = end_of(trace)
        if end is None or not end.by_server or end.code not in NOT_AGAIN:
            continue
        before = [r for r in trace.records[: end.place] if r.side == "client" and r.kind == "text"]
        if not before:
            continue
        for later in range(number + 1, len(traces)):
            for place, record in said(traces[later], "client"):
                same = record.kind == "text" and record.payload == before[-1].payload
                if same and record.at > end.at:
                    text = f"sent again what a connection was closed for with {end.code}"
                    yield later, Finding("CLOSE-8", text, place)


def it_resumes_over_a_hole(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[RESUME-21]: an event above the cursor plus one is followed by a `resume` from the cursor."""
    for number, trace in enumerate(traces):
        cursors: dict[str, int] = {}
        for place, record in enumerate(trace.records):
            message = record.message
            if record.side != "server" or message is None:
                continue
            run_id, seq = message.get("run_id"), message.get("seq")
            first = message.get("first_seq", seq)
            if isinstance(run_id, str) and isinstance(first, int) and first > cursors.get(run_id, first) + 1:
                over = any(later.at - record.at > LATE_S for later in trace.records[place:])
                if over and run_id not in set(_asked_after(traces, number - 1, record.at)):
                    text = f"came {first} after {cursors[run_id]}, and run {run_id} was not resumed"
                    yield number, Finding("RESUME-21", text, place)
            _read(cursors, message)


def it_names_the_epoch(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[RESUME-22]: who comes back to a run names its epoch, and does not insist on one that is gone."""
    cut: dict[str, tuple[float, object]] = {}
    gone: set[tuple[str, str]] = set()
    for number, trace in enumerate(traces):
        asked: list[Message] = []
        for place, record in enumerate(trace.records):
            message = record.message
            if message is None:
                continue
            run_id, epoch = message.get("run_id"), message.get("epoch")
            if record.side == "client" and message.type == "resume" and isinstance(run_id, str):
                asked.append(message)
                ended_at, told = cut.get(run_id, (record.at, epoch))
                if (run_id, message.word("epoch")) in gone and epoch is not None:
                    yield number, Finding("RESUME-22", f"insists on epoch {epoch}, which is gone", place)
                elif epoch is None and isinstance(told, str) and record.at >= ended_at and _has_some(message):
                    yield number, Finding("RESUME-22", f"resumes without the epoch {told}", place)
            elif record.side == "server" and message.get("code") == "not_found" and "seq" not in message:
                gone |= {(one.word("run_id"), one.word("epoch")) for one in asked[-1:]}
        end = end_of(trace)
        if end is not None:
            epochs = {m.word("run_id"): m.get("epoch") for m in trace.messages("server") if "epoch" in m}
            cut |= {run_id: (end.at, epochs.get(run_id)) for run_id in end.cursors}


def _has_some(resume: Message) -> bool:
    """Whether a `resume` is that of a reader who comes back, and not of one who begins."""
    return isinstance(after := resume.get("after"), int) and after > 0


def it_tries_again_under_another_name(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[ERR-8]: a failed run is tried again under a new `run_id`, a refused `start` under the same."""
    failed: dict[str, float] = {}
    refused: dict[str, tuple[float, str]] = {}
    for number, trace in enumerate(traces):
        starts: list[Message] = []
        for place, record in enumerate(trace.records):
            message = record.message
            if message is None:
                continue
            run_id = message.get("run_id")
            if record.side == "server":
                if message.type == "error" and "seq" in message and isinstance(run_id, str):
                    failed.setdefault(run_id, record.at)
                elif message.type == "error" and message.get("retryable") is True and starts:
                    before = starts[-1]
                    refused[_asked(before)] = (record.at, str(before.get("run_id")))
                continue
            if message.type not in {"", "start"} or not isinstance(run_id, str):
                continue
            starts.append(message)
            if run_id in failed and record.at > failed[run_id]:
                yield number, Finding("ERR-8", f"run {run_id} failed and is tried under the same name", place)
            at, name = refused.get(_asked(message), (record.at, run_id))
            if name != run_id and 0 <= record.at - at <= BY_ITSELF_S:
                yield number, Finding("ERR-8", "a refused start is tried again under another run_id", place)


def _asked(message: Message) -> str:
    return body_of({name: value for name, value in message.items() if name != "run_id"})


def it_can_start_again(traces: Sequence[Trace]) -> Iterator[Placed]:
    """[RUN-12]: a `start` that is sent again on another connection has a `run_id` of the client's."""
    lost: list[tuple[float, str]] = []
    for number, trace in enumerate(traces):
        for place, record in said(trace, "client"):
            message = record.message
            if message is None or message.type not in {"", "start"} or "run_id" in message:
                continue
            body = body_of(message)
            if any(body == earlier and 0 <= record.at - at <= BY_ITSELF_S for at, earlier in lost):
                yield number, Finding("RUN-12", "a start without run_id is sent again", place)
        end = end_of(trace)
        answered = any(message.type in {"started", "error"} for message in trace.messages("server"))
        if end is not None and not answered:
            lost += [(end.at, body_of(m)) for m in trace.messages("client") if m.type in {"", "start"}]


def _asked_after(traces: Sequence[Trace], number: int, moment: float) -> Iterator[str]:
    """Yield the runs that a client asked for after `moment`, on connections behind `number`."""
    for trace in traces[max(number, 0) :]:
        for _, record in said(trace, "client"):
            message = record.message
            if message is None or record.at < moment or message.type not in {"resume", "start", ""}:
                continue
            if isinstance(run_id := message.get("run_id"), str):
                yield run_id


RECONNECTING: tuple[Callable[[Sequence[Trace]], Iterator[Placed]], ...] = (
    it_comes_back_when_told,
    it_stays_away_when_told,
    it_backs_off,
    it_sends_nothing_bad_again,
    it_resumes_over_a_hole,
    it_names_the_epoch,
    it_tries_again_under_another_name,
    it_can_start_again,
)
