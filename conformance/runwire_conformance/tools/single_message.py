"""Checks of a single message without context: its schema, and the rules for single messages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runwire_conformance.rules import RuleContext
from runwire_conformance.rules.client import client_messages_have_one_meaning
from runwire_conformance.rules.messages import RULES
from runwire_conformance.tools.formats.recording import RecordingLine
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Side, Trace
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, client_message_violations
from runwire_spec import catalogue, registries

#: What a message lacks that a server beyond `basic` puts there; one without `run_id` may be a basic server's.
NOT_OF_BASIC = frozenset({"RUN-27", "EVENT-7", "EVENT-21", "EVENT-22", "EVENT-23", "OBS-1"})

#: A limit that no server states, as the registry bounds it by nothing.
UNBOUNDED = 2**53


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and where; `requirement` is empty for what breaks a schema and no sentence of its own."""

    place: str
    text: str
    requirement: str = ""

    @property
    def is_advice(self) -> bool:
        """Whether only a SHOULD is broken."""
        return bool(self.requirement) and "SHOULD" in catalogue()[self.requirement].keyword

    def __str__(self) -> str:
        if not self.requirement:
            return f"{self.place}: {self.text}"
        role = catalogue()[self.requirement].role
        told = "advice to the client: " if role == "client" else "advice: "
        said = told if self.is_advice else ("the client: " if role == "client" else "")
        return f"{self.place}: [{self.requirement}] {said}{self.text}"


def widest_limits() -> Limits:
    """Return the limits beyond which no server can be, for where nobody stated any."""
    return Limits({row["limit"]: float(row["max"] or UNBOUNDED) for row in registries()["limits"]})


def problems_of_lines(lines: Sequence[RecordingLine]) -> list[Problem]:
    """Return what messages break of which each stands alone, in their order."""
    # The rules of single messages look at one record at a time, and take all of them in one go.
    trace, found = Trace("websocket", "", 0.0), list[tuple[int, Problem]]()
    for number, line in enumerate(lines):
        message = Message(line.value)
        side: Side | None = None
        if "type" not in message and "prompt" not in message:
            found.append(
                (number, Problem(line.place, "neither a type nor a prompt, so no message of Runwire"))
            )
        elif not isinstance(message.get("type", ""), str):
            found.append((number, Problem(line.place, "/type: must be of type string")))
        else:
            side = "client" if is_of_the_client(message) else "server"
        told = message if side is not None else None
        trace.records.append(Record(0.0, side or "client", "text", line.text, told))
        if side == "client":
            found += [(number, problem) for problem in client_problems(line.place, message)]
    context = RuleContext(widest_limits())
    told_of = dict.fromkeys(client_messages_have_one_meaning(trace))
    for rule in RULES:
        told_of |= dict.fromkeys(rule.judge(trace, context))
    for finding in told_of:
        members = (trace.records[finding.record].message or {}).keys()
        if finding.requirement not in NOT_OF_BASIC or members & {"run_id", "seq"}:
            problem = Problem(lines[finding.record].place, finding.text, finding.requirement)
            found.append((finding.record, problem))
    return [problem for _, problem in sorted(found, key=lambda one: one[0])]


def is_of_the_client(message: Message) -> bool:
    """Whether a message that stands alone is a client's; a heartbeat is when it asks for an answer."""
    if message.type in CLIENT_TYPES and message.type in SERVER_TYPES:
        return "id" in message and "re" not in message
    return not message.type or message.type in CLIENT_TYPES


def client_problems(place: str, message: Message) -> Iterator[Problem]:
    """Yield where a message of the client's breaks its schema."""
    for violation in client_message_violations(dict(message)):
        yield Problem(place, f"{message.type or 'start'}{violation.pointer}: {violation.message}")
