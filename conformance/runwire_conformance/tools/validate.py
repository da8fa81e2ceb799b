"""Offline validation of messages and recorded conversations: schemas, and the rules of both roles."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runwire_conformance.rules import RuleContext, by_the_clock, client_findings, recorded_findings
from runwire_conformance.rules.answers import round_trip
from runwire_conformance.tools.ag_ui import streams as ag_ui
from runwire_conformance.tools.formats.recording import Recorded, Recording
from runwire_conformance.tools.reading import Messages, read
from runwire_conformance.tools.remarks import remarks_on
from runwire_conformance.tools.single_message import (
    Problem,
    client_problems,
    problems_of_lines,
    widest_limits,
)
from runwire_conformance.trace.clock import LEAST_TOLERANCE_S
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace
from runwire_spec import catalogue

__all__ = ["Problem", "ValidationResult", "judged", "problems_of", "read", "stated_limits", "validate_file"]


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What is wrong with what a file holds, and remarks: what is not judged of it, and what is worth a look."""

    problems: Sequence[Problem]
    remarks: Sequence[str] = ()


def validate_file(name: str) -> list[Problem]:
    """Return what is wrong with a file; raises Unreadable."""
    return list(judged(read(name)).problems)


def judged(content: Recording | Messages | ag_ui.Streams) -> ValidationResult:
    """Judge a conversation, or messages of which each is judged by itself."""
    if isinstance(content, ag_ui.Streams):
        return ValidationResult(list(ag_ui.problems(content)), content.remarks)
    if isinstance(content, Recording):
        said = [
            [(place, r.message) for place, r in zip(one.places, one.trace.records, strict=True) if r.message]
            for one in content.connections
        ]
        whole = all(one.trace.whole for one in content.connections)
        return ValidationResult(problems_of(content), [*content.remarks, *remarks_on(said, whole)])
    problems = problems_of_lines(content.lines)
    problems += [Problem(place, reason) for place, reason in content.broken]
    alone = [(line.place, Message(line.value)) for line in content.lines]
    talk = any(message.type == "started" for _, message in alone)
    return ValidationResult(problems, [*content.remarks, *remarks_on([alone], talk)])


def problems_of(recording: Recording) -> list[Problem]:
    """Return what a recording breaks: schemas of both sides, rules of the server's, then of the client's."""
    problems: list[Problem] = []
    for origin in dict.fromkeys(one.origin for one in recording.connections):
        problems += _problems_with([one for one in recording.connections if one.origin == origin])
    places = {
        place: number for number, place in enumerate(p for one in recording.connections for p in one.places)
    }
    ordered = sorted(problems, key=lambda problem: places[problem.place])
    return [problem for problem in ordered if not (recording.basic and _beyond_basic(problem))]


def _problems_with(connections: Sequence[Recorded]) -> Iterator[Problem]:
    """Yield what the connections to one server break."""
    traces = [one.trace for one in connections]
    for trace in traces:
        trace.not_reading = trace.not_reading or len(trace.records) < 2
    # T of chapter 17, from what the recording shows of the way to the server.
    context = RuleContext(stated_limits(connections), max(LEAST_TOLERANCE_S, 2 * round_trip(traces)))
    for recorded in connections:
        yield from _schema_problems(recorded)
    dated = all(one.dated for one in connections)
    for connection, finding in (*recorded_findings(traces, context), *client_findings(traces, dated)):
        if traces[connection].timed or finding.requirement not in by_the_clock():
            yield Problem(connections[connection].places[finding.record], finding.text, finding.requirement)


def stated_limits(connections: Sequence[Recorded]) -> Limits:
    """Return the limits that a `ready` of the connections states, or else those that no server can go beyond."""
    for recorded in connections:
        for message in recorded.trace.messages("server"):
            if message.type == "ready" and isinstance(limits := message.get("limits"), dict):
                return Limits(limits)
    return widest_limits()


def _schema_problems(recorded: Recorded) -> Iterator[Problem]:
    """Yield what is wrong with the client's messages; one that the server refused as it should is no problem."""
    refusals = _refusals(recorded.trace)
    for number, (place, record) in enumerate(zip(recorded.places, recorded.trace.records, strict=True)):
        sent = record.message if record.side == "client" else None
        if sent is not None and number > max(refusals.get("", -1), refusals.get(_name(sent.get("id")), -1)):
            yield from client_problems(place, sent)


def _refusals(trace: Trace) -> dict[str, int]:
    """Return where the last refusal stands of a message that cannot be understood, by its `id`; "" for any message."""
    last: dict[str, int] = {}
    for number, record in enumerate(trace.records):
        answer = record.message if record.side == "server" else None
        if answer is None or answer.type != "error" or "seq" in answer:
            continue
        if answer.get("code", "bad_request") == "bad_request":
            last[_name(answer["re"]) if "re" in answer else ""] = number
    return last


def _name(identifier: object) -> str:
    return json.dumps(identifier)


def _beyond_basic(problem: Problem) -> bool:
    requirement = catalogue()[problem.requirement] if problem.requirement else None
    return requirement is not None and requirement.conformance_class != "basic"
