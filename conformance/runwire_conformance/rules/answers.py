"""Rules for responses: their correlation with requests, and their contents."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace, remembered
from runwire_schemas import CLIENT_TYPES

RULES = Rules[ConversationRule]()
rule = RULES.rule

#: Answers of a type that only one type of message gets; a `start` of a run that exists leads to `resumed`, too.
ANSWER_TO = {
    "started": frozenset({"start"}),
    "resumed": frozenset({"resume", "start"}),
    "heartbeat": frozenset({"heartbeat"}),
}

#: A `traceparent` of W3C Trace Context, version 00, whose trace id is its first group.
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

LONGEST_ID = 64


class AnsweredMessage(NamedTuple):
    """A message of the client and its direct answer, each with its place in the trace."""

    question_place: int
    question: Message
    place: int
    answer: Message


def kind_of(message: Message) -> str:
    """Return the type of a client's message, `start` for one that has only a prompt."""
    return message.type or "start"


def id_of(message: Message) -> str | None:
    """Return the `id` that an answer can repeat, None for a message that has none."""
    identifier = message.get("id")
    return identifier if isinstance(identifier, str) and 0 < len(identifier) <= LONGEST_ID else None


@dataclass(slots=True)
class _UnnamedRequests:
    """The `start` and `resume` messages without `id` that wait for their answers, which come in order ([MSG-31])."""

    waiting: list[tuple[int, Message]] = field(default_factory=list)
    others: bool = False
    #: Whether something was sent or refused that could have been any of them.
    lost: bool = False

    def sent(self, place: int, message: Message, stream: bool) -> None:
        if kind_of(message) in {"start", "resume"}:
            self.waiting.append((place, message))
        elif not stream:
            self.others = True

    def answered(self, answer: Message, known: set[str]) -> tuple[int, Message] | None:
        """Return the message that an answer without `re` answers, if that is certain."""
        if self.lost or not self.waiting:
            return None
        kind = kind_of(self.waiting[0][1])
        if answer.type == "error" and "seq" not in answer:
            self.lost = self.others
            return None if self.lost else self.waiting.pop(0)
        if answer.type == "started" and kind == "start":
            return self.waiting.pop(0)
        if answer.type == "resumed" and kind == "resume":
            named = answer.get("run_id") == self.waiting[0][1].get("run_id")
            return self.waiting.pop(0) if named or answer.string("run_id") not in known else None
        self.lost = self.lost or answer.type == "started"
        return None


@remembered
def answered(trace: Trace) -> tuple[AnsweredMessage, ...]:
    """Return the messages whose answer is known for certain, in the order of the answers."""
    return tuple(_answered(trace))


def _answered(trace: Trace) -> Iterator[AnsweredMessage]:
    stream = trace.transport == "sse"
    counted = Counter(id_of(message) for message in trace.messages("client"))
    named: dict[str, tuple[int, Message]] = {}
    unnamed, started = _UnnamedRequests(), set[str]()
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            unnamed.lost = unnamed.lost or _is_blind(record.side, record.kind)
        elif record.side == "client":
            identifier = None if stream else id_of(message)
            if identifier is None:
                unnamed.sent(place, message, stream)
            elif counted[identifier] == 1:
                named[identifier] = (place, message)
        else:
            asked = named.pop(message.string("re"), None)
            if "re" not in message:
                asked = unnamed.answered(message, started)
            if asked is not None and not message.is_event:
                yield AnsweredMessage(*asked, place, message)
            if message.type == "started":
                started.add(message.string("run_id"))


def _is_blind(side: str, kind: str) -> bool:
    """Whether the client may have said something here that no record holds: a frame of its own, or a last word."""
    return side == "client" and kind in {"text", "binary", "raw", "close", "lost"}


def round_trip(traces: Sequence[Trace]) -> float:
    """Return the shortest time in seconds in which a message was answered, 0 when none was."""
    times = (
        trace.records[one.place].at - trace.records[one.question_place].at
        for trace in traces
        if not trace.not_reading and trace.timed
        for one in answered(trace)
    )
    return min(times, default=0.0)


@rule("MSG-28")
@rule("MSG-29", "MSG-30", seen_by=("error", "heartbeat", "notice", "resumed", "started"))
def answers_fit_questions(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Each `re` answers one message that had that `id`, once, and as such a message is."""
    asked: dict[str, set[str]] = {}
    used: set[str] = set()
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            continue
        if record.side == "client":
            asked.setdefault(json.dumps(message.get("id")), set()).add(kind_of(message))
        elif "re" in message:
            name = json.dumps(message["re"])
            if name not in asked or (message.is_event and not message.is_numbered_refusal):
                yield Finding("MSG-29", f"{message.type} with re {name}, which nobody asked", place)
            elif not asked[name] & ANSWER_TO.get(message.type, asked[name]):
                other = " or ".join(sorted(asked[name]))
                yield Finding("MSG-28", f"a {message.type} with re {name}, the id of a {other}", place)
            elif name in used:
                yield Finding("MSG-30", f"a second answer with re {name}", place)
            used.add(name)


@rule("MSG-28")
def answers_are_named(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """No answer is without `re` while only messages with an `id` wait for one of its type."""
    free: Counter[str] = Counter()
    waiting: dict[str, set[str | None]] = {}
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None:
            if _is_blind(record.side, record.kind):
                return
        elif record.side == "client":
            kind = kind_of(message) if kind_of(message) in CLIENT_TYPES else "unknown_type"
            if id_of(message) is None:
                free[kind] += 1
            else:
                waiting.setdefault(kind, set()).add(id_of(message))
        elif "re" in message:
            for names in waiting.values():
                names.discard(message.string("re"))
        elif (kind := _asked_by(message)) and trace.transport == "websocket":
            free[kind] -= 1
            if free[kind] < 0 and waiting.get(kind):
                yield Finding(
                    "MSG-28", f"a {message.type} without the id of the message that it answers as re", place
                )
                return
        if record.side == "server" and message is not None and message.type == "started":
            free["resume"] += 1  # that of a run that exists is followed by a `resumed` that answers nothing


def _asked_by(answer: Message) -> str:
    """Return the type of message that an answer can only be to, or an empty string."""
    if answer.type == "notice":
        code = str(answer.get("code"))
        return {"not_active": "cancel", "unknown_type": "unknown_type"}.get(code, "")
    return {"started": "start", "resumed": "resume"}.get(answer.type, "")


@rule("MSG-31")
def answers_come_in_order(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """`start` and `resume` messages are answered in the order in which they were sent."""
    early: AnsweredMessage | None = None
    for one in answered(trace):
        if kind_of(one.question) in {"start", "resume"} and id_of(one.question) and "re" in one.answer:
            if early is not None and one.question_place < early.question_place:
                text = f"the answer to {early.answer['re']!r} before that to {one.answer['re']!r}, which was sent first"
                yield Finding("MSG-31", text, early.place)
            early = one if early is None or one.question_place > early.question_place else early


@rule("OBS-2", "RUN-10", "RUN-36")
def started_says_what_was_asked(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """`started` names the run, the session and the trace that the `start` named."""
    for one in answered(trace):
        if one.answer.type != "started" or kind_of(one.question) != "start":
            continue
        for name, requirement in (("run_id", "RUN-36"), ("session_id", "RUN-10")):
            asked = one.question.get(name)
            if isinstance(asked, str) and one.answer.get(name, asked) != asked:
                yield Finding(requirement, f"asked for {name} {asked}, got {one.answer[name]}", one.place)
        parent = TRACEPARENT.fullmatch(str(one.question.get("traceparent")))
        if parent and _is_new(trace, one) and one.answer.get("trace_id", parent[1]) != parent[1]:
            text = f"trace_id {one.answer['trace_id']} for a start of trace {parent[1]}"
            yield Finding("OBS-2", text, one.place)


def _is_new(trace: Trace, one: AnsweredMessage) -> bool:
    """Whether a `started` began a run: that of one that exists is followed by `resumed` ([RUN-19])."""
    run_id = one.answer.get("run_id")
    about = (
        record.message
        for record in trace.records[one.place + 1 :]
        if record.side == "server" and record.message is not None and record.message.get("run_id") == run_id
    )
    following = next(about, None)
    return following is not None and following.is_event


@rule("RESUME-9", seen_by="resumed")
@rule("RESUME-12", "RESUME-17")
def resumed_says_what_was_asked(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """`resumed` is of the run, epoch and cursor that were asked for."""
    ready = next((message for message in trace.messages("server") if message.type == "ready"), None)
    features = ready.get("features") if ready is not None else None
    for one in answered(trace):
        if one.answer.type != "resumed" or kind_of(one.question) != "resume":
            continue
        if isinstance(features, list) and "resume" not in features:
            yield Finding("RESUME-17", "resumed by a server that does not list resume", one.place)
            continue
        asked, told = one.question, one.answer
        after, epoch = asked.get("after"), asked.get("epoch")
        if told.get("run_id", asked.get("run_id")) != asked.get("run_id"):
            text = f"asked for run {asked.get('run_id')}, got {told['run_id']}"
            yield Finding("RESUME-9", text, one.place)
        elif isinstance(epoch, str) and told.get("epoch", epoch) != epoch:
            text = f"expected a refusal of a cursor of epoch {epoch}; got resumed with epoch {told['epoch']}"
            yield Finding("RESUME-12", text, one.place)
        elif isinstance(after, int) and told.get("next_seq", after + 1) != after + 1:
            yield Finding("RESUME-9", f"next_seq {told['next_seq']} for after {after}", one.place)
