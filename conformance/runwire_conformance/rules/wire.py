"""Rules for a conversation as a connection: beginning, silences, end."""

import math
from collections import Counter
from collections.abc import Iterator

from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.log import readings
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.message import EVENT_TYPES, Message
from runwire_conformance.trace.trace import Trace
from runwire_spec import registries

RULES = Rules[ConversationRule]()
rule = RULES.rule

#: Features that are listed only with another ([CONF-3]).
NEEDS = {"sse": "resume", "poll": "sse", "forms": "input", "tickets": "auth"}
#: Messages and Pings a second that a server may send though nobody asked ([FLOW-8]).
MOST_UNASKED = 100

#: Types of messages that open a run's reading.
ASKED = frozenset({"started", "resumed"})


@rule("CONN-15", "CONN-16", "CONN-19", seen_by="socket")
@rule("SSE-11", seen_by="stream")
def ready_comes_first_and_once(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """`ready` opens a WebSocket and stands nowhere else."""
    served = [(place, r.message) for place, r in enumerate(trace.records) if r.side == "server" and r.message]
    for number, (place, message) in enumerate(served):
        if message.type != "ready":
            if number == 0 and trace.transport == "websocket":
                yield Finding(
                    "CONN-15", f"the first message is {message.type or 'without type'}, not ready", place
                )
        elif trace.transport == "sse":
            yield Finding("SSE-11", "ready in a stream", place)
        else:
            if number > 0 and any(earlier.type == "ready" for _, earlier in served[:number]):
                yield Finding("CONN-19", "a second ready", place)
            if (message.get("protocol"), message.get("version")) != ("runwire", 1):
                said = f"{message.get('protocol')!r} {message.get('version')!r}"
                yield Finding("CONN-16", f"ready names {said}", place)


@rule("BEAT-1", "BEAT-3", seen_by="socket", timing=True)
@rule("SSE-12", seen_by="stream", timing=True)
def conversations_are_never_silent(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """Something comes at least every `heartbeat_s`, give or take 2 s."""
    if trace.transport == "http" or trace.not_reading or not trace.records:
        return
    allowed = context.limits.silence + context.tolerance
    opened = next((record.at for record in trace.records if record.kind == "response"), trace.began)
    last = trace.began if trace.transport == "sse" else opened  # a stream is awaited from its request on
    followed = set[str]()
    for place, record in enumerate(trace.records):
        if record.at - last > allowed:
            requirement = "SSE-12" if trace.transport == "sse" else "BEAT-1" if followed else "BEAT-3"
            yield Finding(requirement, f"nothing arrived for {record.at - last:.1f} s", place)
            return
        if record.kind in {"close", "lost"}:
            return  # nothing is owed behind it
        if record.side != "server" or (record.message is None and record.kind != "text"):
            continue
        last = record.at  # a text that nobody can read breaks a sentence of its own
        if record.message is not None and record.message.type in ASKED:
            followed.add(record.message.string("run_id"))
        elif record.message is not None and record.message.is_terminal:
            followed.discard(record.message.string("run_id"))


@rule("CLOSE-2", seen_by="close")
def conversations_are_not_broken_off(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """A WebSocket that is too young to have been given up on ends with a Close frame."""
    yield from _broken_off(trace, 0.0, context.limits["pong_timeout_s"])


@rule("CLOSE-2", seen_by="close", timing=True)
def conversations_are_not_given_up(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """So does an older one, though a judge that was too slow to answer its Pings would be dropped."""
    yield from _broken_off(trace, context.limits["pong_timeout_s"], math.inf)


def _broken_off(trace: Trace, youngest: float, oldest: float) -> Iterator[Finding]:
    if trace.transport != "websocket" or trace.not_reading or trace.peer_killed:
        return
    spoken = False
    for place, record in enumerate(trace.records):
        if record.kind in {"close", "lost"} and (record.side == "client" or record.kind == "close"):
            return
        if record.kind == "lost" and spoken and youngest <= record.at - trace.began < oldest:
            yield Finding("CLOSE-2", "the connection ended without a Close frame", place)
        spoken = spoken or record.side == "server"


@rule("CLOSE-1", "LIMIT-6", seen_by="close")
def conversations_end_in_order(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A WebSocket that is closed is closed with a registered code, and not for idleness early."""
    if trace.transport != "websocket" or trace.not_reading:
        return
    known = {int(row["code"]) for row in registries()["close_codes"]}
    for place, record in enumerate(trace.records):
        if record.side == "client" and record.kind in {"close", "lost"}:
            return
        if record.side == "server" and record.kind == "close":
            if record.code not in known:
                yield Finding("CLOSE-1", f"closed with code {record.code}", place)
            open_runs = [
                reading.run_id
                for reading in readings(trace)[0]
                if not reading.opened_at_its_end and not _ended(trace, reading.run_id)
            ]
            if record.code == 1000 and open_runs:
                yield Finding(
                    "LIMIT-6", "closed with code 1000 before the terminal of a run that it follows", place
                )
            return


def _ended(trace: Trace, run_id: str) -> bool:
    return any(
        (record.message.is_terminal or record.message.type == "error")
        and record.message.get("run_id") == run_id
        for record in trace.records
        if record.side == "server" and record.message is not None
    )


@rule("FLOW-8", seen_by=("socket", "stream"), by_clock=True)
def conversations_are_not_flooded(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """At most 100 messages and Pings a second that nobody asked for, reckoned from the opening."""
    if trace.transport == "http":
        return
    allowed = float(MOST_UNASKED)
    counted: Counter[str] = Counter()
    for place, record in enumerate(trace.records):
        if record.side == "client":
            allowed += record.kind in {
                "text",
                "ping",
            }  # each has one answer, which need not be told from others
        elif record.kind == "ping" or (record.message is not None and is_unasked(record.message)):
            counted[record.message.type if record.message is not None else "Ping frames"] += 1
            seconds = record.at - trace.began + context.tolerance
            if counted.total() > allowed + MOST_UNASKED * seconds:
                kinds = ", ".join(f"{count} {kind or 'untyped'}" for kind, count in counted.most_common(4))
                said = f"{counted.total()} messages and Ping frames that nobody asked for"
                said += f" in {record.at - trace.began:.2f} s: {kinds}"
                yield Finding("FLOW-8", said, place)
                return


def is_unasked(message: Message) -> bool:
    """Whether a message is neither an event of a run nor certainly the answer to another."""
    return "seq" not in message and "re" not in message and message.type not in ASKED | EVENT_TYPES


@rule("SSE-2", "SSE-6", "SSE-7", "SSE-8", "SSE-13", "SSE-26", seen_by="stream")
def blocks_are_well_formed(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """The framing of a stream."""
    if trace.transport != "sse":
        return
    blocks = [
        (place, record)
        for place, record in enumerate(trace.records)
        if record.kind == "block" and record.payload  # one of comments alone says nothing
    ]
    epoch = ""
    for number, (place, record) in enumerate(blocks):
        fields = [line.partition(": ")[::2] for line in record.payload.split("\n") if line]
        names = [name for name, _ in fields]
        if number == 0:
            identifier = dict(fields).get("id", "")
            epoch = identifier.rpartition(".")[0]
            plain = sorted(names) == ["id", "retry"] and ("retry", "2000") in fields
            if not plain or not epoch or not identifier.rpartition(".")[2].isdigit():
                yield Finding("SSE-2", f"the first block is {record.payload!r}", place)
                epoch = ""
            continue
        if "event" in names:
            yield Finding("SSE-8", "an event line", place)
        if names and "data" in names and names.count("data") != 1:
            yield Finding("SSE-6", f"{names.count('data')} data lines in one event", place)
        message = record.message
        if message is None:
            if "data" in names:
                yield Finding("SSE-26", f"data that is not a message: {record.payload[:80]!r}", place)
            continue
        identifiers = [value for name, value in fields if name == "id"]
        if message.is_event and "seq" in message:
            # Without an epoch [SSE-2] is broken, and the ids are what it broke.
            if epoch and identifiers != [f"{epoch}.{message['seq']}"]:
                yield Finding("SSE-7", f"{message.type} {message['seq']} has id {identifiers}", place)
        elif identifiers and message.type in {"heartbeat", "started", "resumed", "notice"}:
            yield Finding("SSE-13", f"{message.type} has id {identifiers[0]}", place)


@rule("CONF-3", seen_by="ready")
def features_bring_what_they_need(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """`sse` is listed with `resume`, `poll` with `sse`, `forms` with `input`, `tickets` with `auth`."""
    for place, record in enumerate(trace.records):
        message = record.message
        if record.side != "server" or message is None or message.type != "ready":
            continue
        listed = message.get("features")
        features = listed if isinstance(listed, list) else []
        for name, needed in NEEDS.items():
            if name in features and needed not in features:
                yield Finding("CONF-3", f"{name} is listed without {needed}", place)


@rule("SSE-10", seen_by="stream", timing=True)
def a_stream_ends_with_its_run(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """Nothing comes in a stream when its terminal is long gone."""
    if trace.transport != "sse" or trace.not_reading:
        return
    ended: float | None = None
    for place, record in enumerate(trace.records):
        if record.side != "server" or record.message is None:
            continue
        if ended is not None and record.at - ended > context.tolerance and not record.message.is_event:
            late = f"{record.at - ended:.1f} s after the terminal"
            yield Finding("SSE-10", f"a {record.message.type} {late}", place)
        ended = record.at if record.message.is_terminal and ended is None else ended
