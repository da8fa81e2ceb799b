"""What a recording of several connections shows of its server: each rule at its edges."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import Finding, IndexedFinding, recorded_findings
from runwire_conformance.rules.server_connections import RULES
from runwire_conformance.trace.trace import Record
from tests.support.conversations import CONTEXT
from tests.support.talks import message, sign, talk

#: What is said of a connection in a few words, in the order in which it is said.
Lines = list[Record]


def shown(*connections: Lines) -> list[IndexedFinding]:
    """Return what the rules for several connections find in these."""
    traces = [talk(*lines) for lines in connections]
    return [placed for rule in RULES for placed in rule.judge(traces)]


def ready(at: float = 0.0, **members: Any) -> Record:
    return message({"type": "ready", "features": ["resume"], **members}, at)


def closed(at: float) -> Record:
    return sign("close", at=at, code=1000)


def names(text: str, number: int = 1, place: int = 0) -> IndexedFinding:
    return number, Finding("CONN-18", f"the connection_id {text} of another connection", place)


def told(name: str, number: int = 1, place: int = 0) -> IndexedFinding:
    return number, Finding("CONN-17", f"other {name} than on a connection that was open then", place)


LESS, MORE = {"idle_s": 1}, {"idle_s": 2}

READIES: dict[str, tuple[list[Lines], list[IndexedFinding]]] = {
    "a name again": ([[ready(connection_id="c")], [ready(connection_id="c")]], [names("c")]),
    "a name again, later": (
        [[ready(connection_id="c")], [ready(connection_id="d")], [sign("ping"), ready(connection_id="c")]],
        [names("c", 2, 1)],
    ),
    "no names at all": ([[ready()], [ready()]], []),
    "a ready of the client's": (
        [[ready(connection_id="c")], [message({"type": "ready", "connection_id": "c"}, side="client")]], [],
    ),
    "other limits": ([[ready(limits=LESS)], [ready(limits=MORE)]], [told("limits")]),
    "other features": ([[ready(features=["a"])], [ready(features=["a", "b"])]], [told("features")]),
    "features in another order": ([[ready(features=["a", "b"])], [ready(features=["b", "a"])]], []),
    "features of two kinds": ([[ready(features=["b", 1])], [ready(features=[1, "b"])]], []),
    "features that are none": ([[ready(features=5)], [ready(features=6)]], [told("features")]),
    "both, to two of three": (
        [[ready(limits=LESS)], [sign("ping"), ready(limits=MORE, features=[])], [ready(limits=LESS)]],
        [told("limits", 1, 1), told("features", 1, 1), told("limits", 2), told("features", 2)],
    ),
    "behind one that had closed": (
        [[ready(limits=MORE), closed(1.0)], [ready(limits=LESS)], [ready(2.0, limits=MORE)]],
        [told("limits"), told("limits", 2)],
    ),
    "limits on one alone": ([[ready(limits=LESS)], [ready()]], []),
    "limits on the later alone": ([[ready()], [ready(limits=LESS)]], []),
    "a second ready is another matter": (
        [[ready(limits=LESS), ready(limits=MORE)], [ready(limits=LESS), ready(limits=MORE)]], [],
    ),
    "while the first closes": ([[ready(limits=LESS), closed(5.0)], [ready(5.0, limits=MORE)]], [told("limits")]),
    "when the first had closed": ([[ready(limits=LESS), closed(5.0)], [ready(5.1, limits=MORE)]], []),
    "when the first was lost": ([[ready(limits=LESS), sign("lost", at=5.0)], [ready(5.1, limits=MORE)]], []),
    "when the first said no more": (
        [[ready(limits=LESS), sign("ping", at=5.0)], [ready(5.1, limits=MORE)]], [told("limits")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READIES)
def test_connections_are_told_apart_and_the_same(name: str) -> None:
    connections, expected = READIES[name]

    assert shown(*connections) == expected


RUN = "a" * 22


def start(
    at: float = 0.0, *, epoch: str = "e1", run_id: str = RUN, answer: str = "started", **asked: Any
) -> Lines:
    """Return an accepted `start` and its answer."""
    question = {"type": "start", "id": f"{at}", "prompt": "x", "run_id": run_id, **asked}
    reply = {"type": answer, "re": f"{at}", "run_id": run_id, "epoch": epoch}
    return [message(question, at, "client"), message(reply, at)]


def other_body(number: int = 1, place: int = 2, run_id: str = RUN) -> IndexedFinding:
    return number, Finding("RUN-20", f"another body was accepted under the run_id {run_id}", place)


def other_epoch(place: int = 4) -> IndexedFinding:
    return 0, Finding("RUN-19", "the same start again has epoch e2, not e1", place)


WIDE = {"limits": {"resume_window_s": 100}}

STARTS: dict[str, tuple[list[Lines], list[IndexedFinding]]] = {
    "the same again": ([[ready(), *start()], [ready(), *start(1.0)]], []),
    "another prompt": ([[ready(), *start()], [ready(), *start(1.0, prompt="y")]], [other_body()]),
    "another session": ([[ready(), *start()], [ready(), *start(1.0, session_id="s")]], [other_body()]),
    "other inputs": ([[ready(), *start()], [ready(), *start(1.0, inputs={"a": 1})]], [other_body()]),
    "another policy": ([[ready(), *start()], [ready(), *start(1.0, on_disconnect="cancel")]], [other_body()]),
    "defaults that are said": (
        [[ready(), *start()], [ready(), *start(1.0, inputs={}, on_disconnect="grace")]], [],
    ),
    "another trace": ([[ready(), *start()], [ready(), *start(1.0, traceparent="t")]], []),
    "another run": ([[ready(), *start()], [ready(), *start(1.0, run_id="b" * 22, prompt="y")]], []),
    "nobody named the run": (
        [[ready(), message({"type": "start", "id": "1", "prompt": p}, 1.0, "client"),
          message({"type": "started", "re": "1", "run_id": RUN, "epoch": "e1"}, 1.0)] for p in "xy"], [],
    ),
    "refused": ([[ready(), *start()], [ready(), *start(1.0, prompt="y", answer="error")]], []),
    "a resume": ([[ready(), *start()], [ready(), *start(1.0, type="resume", answer="resumed", prompt="y")]], []),
    "another log": ([[ready(), *start()], [ready(), *start(1.0, prompt="y", epoch="e2")]], []),
    "both differ from the first": (
        [[ready(), *start()], [ready(), *start(1.0, prompt="y")], [ready(), *start(2.0)]], [other_body()],
    ),
    "the connection that was answered later": (
        [[ready(), *start(2.0)], [ready(), *start(1.0, prompt="y")]], [other_body(0)],
    ),
    "as long as every log is kept": ([[ready(), *start()], [ready(), *start(60.0, prompt="y")]], [other_body()]),
    "when the name may be free": ([[ready(), *start()], [ready(), *start(60.1, prompt="y")]], []),
    "long after the recording began": (
        [[ready(), *start(40.0)], [ready(), *start(61.0, prompt="y")]], [other_body()],
    ),
    "another run, when the name may be free": (
        [[ready(), *start()], [ready(), *start(60.1, prompt="y")], [ready(), *start(60.2, run_id="b" * 22)],
         [ready(), *start(60.3, run_id="b" * 22, prompt="y")]], [other_body(3, run_id="b" * 22)],
    ),
    "as long as this one is kept": (
        [[ready(**WIDE), *start()], [ready(), *start(100.0, prompt="y")]], [other_body()],
    ),
    "longer than this one is kept": ([[ready(**WIDE), *start()], [ready(**WIDE), *start(100.1, prompt="y")]], []),
    "limits that say nothing of it": (
        [[ready(limits={"idle_s": 500}), *start()], [ready(**WIDE), *start(60.1, prompt="y")]], [],
    ),
    "limits that are none": ([[ready(limits=7), *start()], [ready(), *start(60.1, prompt="y")]], []),
    "the same start, another log": ([[ready(), *start(), *start(1.0, epoch="e2")]], [other_epoch()]),
    "that the other connection's server may have": ([[ready(), *start()], [ready(), *start(1.0, epoch="e2")]], []),
    "a server that cannot resume": ([[ready(features=["sse"]), *start(), *start(1.0, epoch="e2")]], []),
    "features that are a word": ([[ready(features="resume"), *start(), *start(1.0, epoch="e2")]], []),
    "a server without ready": ([[sign("ping"), *start(), *start(1.0, epoch="e2")]], []),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_a_run_id_names_one_start(name: str) -> None:
    connections, expected = STARTS[name]

    # Connections that are told different limits are judged by themselves.
    assert [
        (number, found) for number, found in shown(*connections) if found.requirement != "CONN-17"
    ] == expected


def reader(*events: dict[str, Any], epoch: str = "e1", run_id: str = RUN) -> Lines:
    """Return a connection that reads a run from its first event."""
    opening = {"type": "started", "run_id": run_id, "epoch": epoch}
    return [message(opening), *(message({"run_id": run_id, **event}) for event in events)]


def token(seq: int, data: Any = "x", **members: Any) -> dict[str, Any]:
    return {"type": "token", "seq": seq, "data": data, **members}


def done(seq: int) -> dict[str, Any]:
    return {"type": "done", "seq": seq, "data": "x", "status": "completed"}


def resume(after: Any, epoch: str = "e1", run_id: str = RUN, answer: str = "resumed") -> Lines:
    """Return a `resume` and its answer."""
    question = {"type": "resume", "id": "r", "run_id": run_id, "after": after}
    return [
        message(question, 9.0, "client"),
        message({"type": answer, "re": "r", "run_id": run_id, "epoch": epoch}, 9.0),
    ]


ENDED = reader(token(1), token(2), done(3))

CURSORS: dict[str, tuple[list[Lines], list[IndexedFinding]]] = {
    "at the end": ([ENDED, resume(3)], []),
    "behind the end": (
        [ENDED, resume(4)], [(1, Finding("RESUME-13", "a cursor of 4 in a log that ends at 3", 1))],
    ),
    "on a connection before": (
        [resume(4), ENDED], [(0, Finding("RESUME-13", "a cursor of 4 in a log that ends at 3", 1))],
    ),
    "behind the first of two ends": (
        [reader(done(3), {"type": "done", "seq": 5}), resume(4)],
        [(1, Finding("RESUME-13", "a cursor of 4 in a log that ends at 3", 1))],
    ),
    "in another log": ([ENDED, resume(4, epoch="e2")], []),
    "of another run": ([ENDED, resume(4, run_id="b" * 22)], []),
    "in a log without an end": ([reader(token(1)), resume(4)], []),
    "refused": ([ENDED, resume(4, answer="error")], []),
    "that is no number": ([ENDED, resume("4")], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CURSORS)
def test_no_cursor_is_beyond_the_end(name: str) -> None:
    connections, expected = CURSORS[name]

    assert shown(*connections) == expected


def another(seq: int, number: int = 1, place: int = 1) -> IndexedFinding:
    text = f"seq {seq} of run {RUN} is another event than another reader saw"
    return number, Finding("RUN-30", text, place)


def other_parts(first: int, last: int, place: int = 1) -> IndexedFinding:
    return 1, Finding("RUN-30", f"seq {first} to {last} is not what another reader saw", place)


def delta(seq: int, data: str, **members: Any) -> dict[str, Any]:
    return {"type": "tool_delta", "seq": seq, "data": data, **members}


AB = reader(token(1, "a"), token(2, "b"))

LOGS: dict[str, tuple[list[Lines], list[IndexedFinding]]] = {
    "the same": ([AB, AB], []),
    "another text": ([AB, reader(token(1, "x"), token(2, "b"))], [another(1)]),
    "another text later": ([AB, reader(token(1, "a"), token(2, "x"))], [another(2, place=2)]),
    "another type": ([AB, reader({"type": "thinking", "seq": 1, "data": "a"})], [another(1)]),
    "a third reader": ([AB, AB, reader(token(2, "x"))], [another(2, 2)]),
    "another time": ([reader(token(1, ts="a")), reader(token(1, ts="b"))], []),
    "another log": ([AB, reader(token(1, "x"), epoch="e2")], []),
    "another run": ([AB, reader(token(1, "x"), run_id="b" * 22)], []),
    "twice to one reader": ([reader(token(1, "a"), token(1, "x"), token(2, "b")), AB], []),
    "twice to one reader, and another text": (
        [AB, reader(token(1, "a"), token(1, "a"), token(2, "x"))], [another(2, place=3)],
    ),
    "merged, as the parts": ([AB, reader(token(2, "ab", first_seq=1))], []),
    "merged of one": ([AB, reader(token(1, "a", first_seq=1))], []),
    "merged of one, and another": ([AB, reader(token(1, "x", first_seq=1))], [another(1)]),
    "merged, and not the parts": ([AB, reader(token(2, "ax", first_seq=1))], [other_parts(1, 2)]),
    "merged before the parts": ([reader(token(2, "ab", first_seq=1)), AB], []),
    "merged from the second": (
        [reader(token(1, "a"), token(2, "b"), token(3, "c")), reader(token(1, "a"), token(3, "bx", first_seq=2))],
        [other_parts(2, 3, 2)],
    ),
    "merged of what nobody saw": ([reader(token(1, "a")), reader(token(2, "xx", first_seq=1))], []),
    "merged of parts of which one was not seen": (
        [reader(token(1, "a"), token(4, "d")), reader(token(2, "xx", first_seq=1))], [],
    ),
    "merged of far too many": ([AB, reader(token(2**40, "ax", first_seq=1))], []),
    "merged backwards": ([AB, reader(token(1, "ax", first_seq=2))], []),
    "merged from no number": ([AB, reader(token(2, "ax", first_seq="1"))], []),
    "parts without text": ([reader(token(1, 5), token(2, "b")), reader(token(2, "ax", first_seq=1))], []),
    "parts of two types": (
        [reader(token(1, "a"), delta(2, "b")), reader(token(2, "ab", first_seq=1))], [other_parts(1, 2)],
    ),
    "parts of another type": (
        [reader(delta(1, "a"), delta(2, "b")), reader(token(2, "ab", first_seq=1))], [other_parts(1, 2)],
    ),
    "parts of another call": (
        [reader(delta(1, "a", call_id="c"), delta(2, "b", call_id="c")),
         reader(delta(2, "ab", call_id="d", first_seq=1))], [other_parts(1, 2)],
    ),
    "parts of which the second is a sub-agent's": (
        [reader({"type": "thinking", "seq": 1, "content": "a"},
                {"type": "thinking", "seq": 2, "content": "b", "agent": "x"}),
         reader({"type": "thinking", "seq": 2, "content": "ab", "first_seq": 1})], [other_parts(1, 2)],
    ),
    "thoughts": (
        [reader({"type": "thinking", "seq": 1, "content": "a"}, {"type": "thinking", "seq": 2, "content": "b"}),
         reader({"type": "thinking", "seq": 2, "content": "ax", "first_seq": 1})], [other_parts(1, 2)],
    ),
    "observations": (
        [reader({"type": "observation", "seq": 1, "content": "a"}, {"type": "observation", "seq": 2, "content": "b"}),
         reader({"type": "observation", "seq": 2, "content": "ax", "first_seq": 1})], [other_parts(1, 2)],
    ),
    "deltas": (
        [reader(delta(1, "a"), delta(2, "b")), reader(delta(2, "ax", first_seq=1))], [other_parts(1, 2)],
    ),
    "what has no text to merge": (
        [reader({"type": "tool_call", "seq": 1}, {"type": "tool_call", "seq": 2}),
         reader({"type": "tool_call", "seq": 2, "first_seq": 1})], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_readers_see_one_log(name: str) -> None:
    connections, expected = LOGS[name]

    assert shown(*connections) == expected


def test_a_connection_without_a_word_breaks_nothing() -> None:
    assert shown([], AB, []) == []


def test_a_recording_is_told_each_broken_sentence_once_a_connection() -> None:
    twice = [sign("binary", "1 byte"), sign("binary", "2 bytes")]
    one, other = (
        [*reader(token(1), done(3)), *twice],
        [sign("binary", "3 bytes"), *reader(token(1, "y"), done(3))],
    )

    found = recorded_findings([talk(*one), talk(*other)], CONTEXT)

    assert [(number, finding.text) for number, finding in found if finding.requirement == "MSG-1"] == [
        (0, "a binary message of 1 byte"),
        (1, "a binary message of 3 bytes"),
    ]
    assert [
        (number, finding.requirement) for number, finding in found if finding.requirement == "RUN-30"
    ] == [(1, "RUN-30")]
    assert len({(number, finding.requirement) for number, finding in found}) == len(found)
