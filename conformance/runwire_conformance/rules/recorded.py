"""Rules that need a finished recording of one connection.

What the server knew when it answered does not stand in a recording: messages cross, and events can be under way. So
these rules wait for what cannot be under way any more. A server that rests has no backlog; what comes after a rest of
`REST_S` was appended after the rest began.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from runwire_conformance.rules.answers import AnsweredMessage, answered, kind_of
from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import FINISHED, Message
from runwire_conformance.trace.trace import Record, Trace, remembered

RULES = Rules[ConversationRule]()
rule = RULES.rule

#: Seconds of a server's silence after which nothing that it had to send before is still under way.
REST_S = 0.5

#: Seconds within which a close follows from what was said last.
FOLLOWS_S = 1.0

#: The least `idle_s` that a server can have.
SHORTEST_IDLE_S = 1.0

#: Close codes that speak of the client's message or of nothing; the others have causes that no recording shows.
ABOUT_THE_MESSAGE = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 4400})

#: Codes of refusals that say no more than that this one message was not served.
OF_ONE_MESSAGE = frozenset(
    {"bad_request", "not_found", "conflict", "input_expired", "payload_too_large", "unsupported", "busy"}
)


#: Reasons with which no run ends that is read and was cancelled: nobody left it, and they cut no run as cancelled.
OF_NO_USER = frozenset({"disconnected", "length", "content_filter"})


@dataclass(slots=True)
class FollowedRuns:
    """The unfinished runs that a connection follows, and which of them were cancelled on it, when."""

    runs: set[str] = field(default_factory=set)
    cancelled: dict[str, float] = field(default_factory=dict)
    #: The moment at which the connection last followed something.
    until: float = 0.0

    def read(self, record: Record) -> None:
        """Take the next record."""
        message = record.message
        if message is None:
            return
        run_id = message.get("run_id")
        if record.side == "client" and message.type == "cancel":
            for one in self.runs & ({str(run_id)} if "run_id" in message else self.runs):
                self.cancelled.setdefault(one, record.at)
        elif record.side == "server" and isinstance(run_id, str):
            if message.type in {"started", "resumed"} and message.string("status") not in FINISHED:
                self.runs.add(run_id)
            elif message.is_terminal or message.type in {"started", "resumed"}:
                self.runs.discard(run_id)
                self.cancelled.pop(run_id, None)
                self.until = record.at


@remembered
def last_refusals(trace: Trace) -> dict[str, int]:
    """Return where the last refusal of a message stands, by the `re` that it has as JSON."""
    return {
        json.dumps(record.message.get("re")): place
        for place, record in enumerate(trace.records)
        if record.side == "server" and record.message is not None
        if record.message.type == "error" and "seq" not in record.message
    }


def own_limits(trace: Trace) -> Limits | None:
    """Return the limits that the connection's `ready` states, None when none came."""
    for message in trace.messages("server"):
        if message.type == "ready" and isinstance(limits := message.get("limits"), dict):
            return Limits(limits)
    return None


@rule("RUN-7", "RUN-24", by_clock=True)
def nothing_runs_beside_what_is_unfinished(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Nothing was accepted that may not be beside runs which went on after it."""
    limits, openings = own_limits(trace), {one.place: one for one in answered(trace)}
    followed = FollowedRuns()
    for place, record in enumerate(trace.records):
        if (one := openings.get(place)) and _opens_a_further_run(one, followed):
            others = [other for other in sorted(followed.runs) if _goes_on(trace, other, place)]
            if others and _is_plain(one):
                yield Finding("RUN-7", f"a start without run_id beside the unfinished run {others[0]}", place)
            elif limits is not None and len(others) >= limits.whole("runs_per_connection"):
                yield Finding("RUN-24", f"a run beside {len(others)} unfinished ones", place)
        followed.read(record)


def _opens_a_further_run(one: AnsweredMessage, followed: FollowedRuns) -> bool:
    unfinished = one.answer.type in {"started", "resumed"} and one.answer.string("status") not in FINISHED
    return unfinished and one.answer.string("run_id") not in followed.runs


def _is_plain(one: AnsweredMessage) -> bool:
    return kind_of(one.question) == "start" and "run_id" not in one.question


def _goes_on(trace: Trace, run_id: str, place: int) -> bool:
    """Whether an event was appended to a run after the answer at `place`: one that came after a rest."""
    heard, rested = trace.records[place].at, False
    for record in trace.records[place + 1 :]:
        if record.side == "server":
            rested = rested or record.at - heard >= REST_S
            heard = record.at
            message = record.message
            if message is not None and message.get("run_id") == run_id:
                if not message.is_event:
                    return False  # the reader was moved, and what follows was there before
                if rested:
                    return True
    return False


@rule("CANCEL-1", seen_by="cancel")
@rule("CANCEL-2", seen_by="cancel", by_clock=True)
def a_cancel_is_obeyed(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """A run that was cancelled while it was read ends as that, and in time."""
    allowed = context.limits.seconds("cancel_deadline_ms") + context.tolerance
    followed, rested, heard = FollowedRuns(), -math.inf, trace.began
    for place, record in enumerate(trace.records):
        message = record.message
        if record.side == "server":
            rested = record.at if record.at - heard >= REST_S else rested
            heard = record.at
        if record.side == "server" and message is not None:
            for run_id, at in followed.cancelled.items():
                if record.at - at > allowed and rested > at and run_id in followed.runs:
                    text = f"{record.at - at:.1f} s after the cancel"
                    yield Finding("CANCEL-2", f"the terminal of run {run_id} had not come {text}", place)
            ended = message.is_terminal and message.get("status") == "cancelled"
            if (
                ended
                and message.string("run_id") in followed.cancelled
                and message.string("reason") in OF_NO_USER
            ):
                yield Finding("CANCEL-1", f"cancelled with reason {message['reason']}", place)
        if not (message is not None and message.type == "cancel" and _is_refused(trace, place, message)):
            followed.read(record)


def _is_refused(trace: Trace, place: int, message: Message) -> bool:
    """Whether a message of the client's was possibly refused: then it had no effect."""
    return place < last_refusals(trace).get(json.dumps(message.get("id")), -1)


@rule("CANCEL-13", "ERR-3", by_clock=True)
def server_goes_on_serving(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Neither a `cancel` nor a refused message was the last thing of a connection."""
    if trace.transport != "websocket":
        return
    limits = own_limits(trace)
    idle_s = limits["idle_s"] if limits is not None else SHORTEST_IDLE_S
    followed = FollowedRuns(until=trace.began)
    said: Message | None = None
    answer: Record | None = None
    for place, record in enumerate(trace.records):
        followed.read(record)
        if record.side == "client" and record.kind not in {"pong", "ping"}:
            said, answer = record.message, None
            if said is None:
                return  # its goodbye, or something that nobody can judge
        elif record.message is not None and _settles(record.message, said):
            answer = record
        elif record.kind == "close" and record.code in ABOUT_THE_MESSAGE and answer is not None:
            # A connection that was idle may be closed so, and one that follows a run breaks [LIMIT-6].
            other_cause = record.code == 1000 and (followed.runs or record.at - followed.until >= idle_s)
            if not other_cause and record.at - answer.at <= FOLLOWS_S:
                requirement = "CANCEL-13" if said is not None and said.type == "cancel" else "ERR-3"
                what = "a cancel" if requirement == "CANCEL-13" else "a refused message"
                yield Finding(requirement, f"closed with code {record.code} after {what}", place)
            return


def _settles(message: Message, said: Message | None) -> bool:
    """Whether a message of the server's settles the last one of the client's: as cancelled, or as refused."""
    if said is None:
        return False
    if said.type == "cancel" and message.is_terminal:
        return message.get("status") == "cancelled"
    refuses = message.type == "error" and "seq" not in message and message.string("code") in OF_ONE_MESSAGE
    return refuses and message.get("re") == said.get("id")
