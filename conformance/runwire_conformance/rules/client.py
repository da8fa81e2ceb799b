"""Rules for the client of a recording: requirements of the role client that the wire shows.

Most sentences of this role speak of what a client shows its user, and nobody on the wire sees that. A rule here accuses
only what no person and no second program could have done: what follows within `BY_ITSELF_S` was the client's own doing.
"""

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from runwire_conformance.rules.answers import answered, kind_of
from runwire_conformance.rules.finding import Finding
from runwire_conformance.rules.messages import REPEATED, faults_of
from runwire_conformance.rules.registry import ClientRule, Rules
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import CROSSING_S, Record, Trace
from runwire_schemas import CLIENT_TYPES, schema

RULES = Rules[ClientRule]()
rule = RULES.rule

#: Seconds within which nobody but the program itself acts again.
BY_ITSELF_S = 1.0

#: Seconds within which a heartbeat that follows another is its answer, and how many in a row show the habit.
ANSWER_S = 0.25
ANSWERS = 3

#: Seconds the client of a recording is given beyond a bound.
SLACK_S = 2.0


@rule("MSG-21", seen_by="said")
def client_messages_have_one_meaning(trace: Trace) -> Iterator[Finding]:
    """No member name twice, no `null` for an optional member."""
    for place, record in said(trace, "client"):
        message = record.message
        if message is None:
            continue
        if record.kind == "text" and REPEATED in faults_of(record.payload):
            yield Finding("MSG-21", REPEATED, place)
        kind = kind_of(message)
        if kind not in CLIENT_TYPES:
            continue
        known = schema(CLIENT_TYPES[kind])
        for name in known["properties"]:
            if name not in known["required"] and name in message and message[name] is None:
                yield Finding("MSG-21", f"{name} of {kind} is null", place)


@rule("MSG-32", seen_by="said")
def an_id_is_used_once(trace: Trace) -> Iterator[Finding]:
    """An `id` names one message of a connection."""
    used: set[str] = set()
    for place, record in said(trace, "client"):
        identifier = record.message.get("id") if record.message is not None else None
        if isinstance(identifier, str):
            if identifier in used:
                yield Finding("MSG-32", f"the id {identifier!r} a second time", place)
            used.add(identifier)


@rule("CONN-13")
def client_leaves_another_protocol(trace: Trace) -> Iterator[Finding]:
    """After a `ready` of another protocol or version nothing is said but the goodbye.

    A first message may cross the `ready` ([CONN-20]).
    """
    strange: Message | None = None
    greeted = 0.0
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "server" and message.type == "ready":
            named = (message.get("protocol"), message.get("version"))
            strange, greeted = (message if named != ("runwire", 1) else None), record.at
        elif record.side == "client" and strange is not None and record.at - greeted > CROSSING_S:
            ready = f"{strange.get('protocol')} {strange.get('version')}"
            yield Finding("CONN-13", f"a {kind_of(message)} after a ready of {ready}", place)


@rule("CONN-14")
def client_takes_a_basic_server_for_one(trace: Trace) -> Iterator[Finding]:
    """Without `ready`, neither a `resume` nor a second run beside the first."""
    if trace.transport != "websocket":
        return
    basic = running = False
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "server":
            if message.type == "ready":
                return
            basic = True
            running = running and message.type not in {"done", "error"}
        elif message.type == "resume" and basic:
            yield Finding("CONN-14", "a resume on a server that sent no ready", place)
        elif message.type in {"", "start"}:
            if basic and running:
                yield Finding("CONN-14", "a further start beside a run on a server that sent no ready", place)
            running = True


@rule("BEAT-10", seen_by="heartbeat", by_clock=True)
def client_answers_no_heartbeat(trace: Trace) -> Iterator[Finding]:
    """Heartbeats of the server are not answered."""
    answers, since = 0, None
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "server":
            since = record.at if message.type == "heartbeat" and "re" not in message else None
        elif message.type == "heartbeat" and since is not None and record.at - since <= ANSWER_S:
            answers, since = answers + 1, None
            if answers == ANSWERS:
                yield Finding("BEAT-10", f"{ANSWERS} heartbeats of the server were answered", place)
        else:
            answers = 0


@rule("BEAT-11", by_clock=True)
def client_gives_up_a_silent_connection(trace: Trace) -> Iterator[Finding]:
    """A connection that was silent for three times `heartbeat_s` is not used any more."""
    ready = next((message for message in trace.messages("server") if message.type == "ready"), None)
    limits = ready.get("limits") if ready is not None else None
    if trace.transport != "websocket" or not isinstance(limits, dict):
        return
    allowed = 3 * Limits(limits)["heartbeat_s"] + SLACK_S
    heard = trace.began
    for place, record in enumerate(trace.records):
        if record.side == "server":
            heard = record.at
        elif record.message is not None and record.at - heard > allowed:
            silent = f"{record.at - heard:.0f} s"
            yield Finding("BEAT-11", f"a message on a connection that was silent for {silent}", place)


@rule("ERR-6", by_clock=True)
def client_respects_retryable(trace: Trace) -> Iterator[Finding]:
    """What was refused with `retryable` false is not sent again by itself."""
    refused = refusals(trace)
    final: deque[tuple[float, str]] = deque()
    spoken: Counter[str] = Counter()
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "client":
            body = body_of(message)
            while final and record.at - final[0][0] > BY_ITSELF_S:
                final.popleft()
            if any(body == earlier and record.at - at <= BY_ITSELF_S for at, earlier in final):
                yield Finding("ERR-6", "resent at once a message that was refused as not retryable", place)
            spoken[body] += 1
        elif place in refused and message.get("retryable") is False:
            body = body_of(refused[place])
            if spoken[body] == 1:  # who says the same all the time says it for another reason
                final.append((record.at, body))


def refusals(trace: Trace) -> dict[int, Message]:
    """Return what the server refused by the place of the refusal, where it is certain which message that was."""
    return {one.place: one.question for one in answered(trace) if one.answer.type == "error"}


def said(trace: Trace, side: str) -> Iterator[tuple[int, Record]]:
    """Yield what one side said, with its place in the trace."""
    return ((place, record) for place, record in enumerate(trace.records) if record.side == side)


def body_of(message: Mapping[str, Any]) -> str:
    """Return a message in a form that is equal for equal messages, whatever their `id`."""
    plain = {name: value for name, value in message.items() if name != "id"}
    if plain.get("type") == "start":
        del plain["type"]
    return json.dumps(plain, sort_keys=True)
