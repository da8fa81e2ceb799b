"""What one message shows by itself, whatever was said before it: its schema, and the invariants of single messages."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from runwire_conformance.bounds import Limits
from runwire_conformance.invariants import Facts
from runwire_conformance.invariants.client import it_sends_one_meaning
from runwire_conformance.invariants.messages import INVARIANTS
from runwire_conformance.recording import Line
from runwire_conformance.trace import Message, Record, Trace
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


def problems_of_line(line: Line) -> Iterator[Problem]:
    """Yield what a message that stands alone breaks."""
    value, message = line.value, Message(line.value)
    if "type" not in value and "prompt" not in value:
        yield Problem(line.place, "neither a type nor a prompt, so no message of Runwire")
    elif not isinstance(value.get("type", ""), str):
        yield Problem(line.place, "/type: must be of type string")
    elif is_of_the_client(message):
        yield from client_problems(line.place, message)
        for finding in it_sends_one_meaning(_alone(line, message, "client")):
            yield Problem(line.place, finding.text, finding.requirement)
    else:
        yield from _server_problems(line, message)


def is_of_the_client(message: Message) -> bool:
    """Whether a message that stands alone is a client's; a heartbeat is when it asks for an answer."""
    if message.type in CLIENT_TYPES and message.type in SERVER_TYPES:
        return "id" in message and "re" not in message
    return not message.type or message.type in CLIENT_TYPES


def client_problems(place: str, message: Message) -> Iterator[Problem]:
    """Yield where a message of the client's breaks its schema."""
    for violation in client_message_violations(dict(message)):
        yield Problem(place, f"{message.type or 'start'}{violation.pointer}: {violation.message}")


def _server_problems(line: Line, message: Message) -> Iterator[Problem]:
    trace, told = _alone(line, message, "server"), set[tuple[str, str]]()
    is_basic = not message.keys() & {"run_id", "seq"}
    for invariant in INVARIANTS:
        for finding in invariant(trace, _facts()):
            known = (finding.requirement, finding.text)
            if known not in told and not (is_basic and finding.requirement in NOT_OF_BASIC):
                told.add(known)
                yield Problem(line.place, finding.text, finding.requirement)


def _alone(line: Line, message: Message, side: Any) -> Trace:
    return Trace("websocket", "", 0.0, [Record(0.0, side, "text", line.text, message)])


@cache
def _facts() -> Facts:
    return Facts(widest_limits())
