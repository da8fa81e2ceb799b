"""Which message answers which: each rule on answers at its edges."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import Finding
from runwire_conformance.rules.answers import RULES, answered, round_trip
from runwire_conformance.trace.trace import Record, Trace
from tests.support.conversations import CONTEXT, TRACE
from tests.support.talks import message, sign, talk

A, B = "a" * 22, "b" * 22

Lines = list[Record]


def shown(*lines: Record, **more: Any) -> list[Finding]:
    """Return what the rules on answers find in a conversation."""
    return [finding for rule in RULES for finding in rule.judge(talk(*lines, **more), CONTEXT)]


def pairs(*lines: Record, **more: Any) -> list[tuple[int, int]]:
    """Return the places of the questions and answers that certainly belong together."""
    return [(one.question_place, one.place) for one in answered(talk(*lines, **more))]


def asks(kind: str, at: float = 0.0, **members: Any) -> Record:
    return message({"type": kind, **members}, at, "client")


def says(kind: str, at: float = 0.0, **members: Any) -> Record:
    return message({"type": kind, **members}, at)


START, STARTED = asks("start", id="s"), says("started", re="s", run_id=A)
BEAT = says("heartbeat", re="h")

FITTING: dict[str, tuple[Lines, list[Finding]]] = {
    "an answer": ([START, STARTED], []),
    "asked by nobody": ([BEAT], [Finding("MSG-29", 'heartbeat with re "h", which nobody asked', 0)]),
    "asked afterwards": (
        [BEAT, asks("heartbeat", id="h")], [Finding("MSG-29", 'heartbeat with re "h", which nobody asked', 0)],
    ),
    "an event that answers": (
        [START, says("token", re="s", run_id=A, seq=1)],
        [Finding("MSG-29", 'token with re "s", which nobody asked', 1)],
    ),
    "no text as re": (
        [asks("heartbeat", id="7"), says("heartbeat", re=7)],
        [Finding("MSG-29", "heartbeat with re 7, which nobody asked", 1)],
    ),
    "an id that is no text": ([asks("heartbeat", id=7), says("heartbeat", re=7)], []),
    "an answer of another kind": (
        [asks("heartbeat", id="h"), says("started", re="h")],
        [Finding("MSG-28", 'a started with re "h", the id of a heartbeat', 1)],
    ),
    "an answer of another kind to a prompt": (
        [message({"prompt": "x", "id": "p"}, side="client"), says("heartbeat", re="p")],
        [Finding("MSG-28", 'a heartbeat with re "p", the id of a start', 1)],
    ),
    "one id for two": (
        [asks("start", id="s"), asks("resume", id="s"), says("heartbeat", re="s")],
        [Finding("MSG-28", 'a heartbeat with re "s", the id of a resume or start', 2)],
    ),
    "one id for two, and one fits": ([asks("cancel", id="s"), asks("start", id="s"), STARTED], []),
    "a start that leads to a resumed": ([START, says("resumed", re="s", run_id=A)], []),
    "a resume that leads to a started": (
        [asks("resume", id="s"), STARTED], [Finding("MSG-28", 'a started with re "s", the id of a resume', 1)],
    ),
    "an error to anything": ([asks("heartbeat", id="h"), says("error", re="h")], []),
    "twice": ([START, STARTED, says("notice", re="s")], [Finding("MSG-30", 'a second answer with re "s"', 2)]),
    "twice, and wrong": (
        [START, STARTED, says("heartbeat", re="s")],
        [Finding("MSG-28", 'a heartbeat with re "s", the id of a start', 2)],
    ),
    "after one that was wrong": (
        [START, says("heartbeat", re="s"), STARTED],
        [Finding("MSG-28", 'a heartbeat with re "s", the id of a start', 1),
         Finding("MSG-30", 'a second answer with re "s"', 2)],
    ),
    "with a Ping in between": ([START, sign("ping"), STARTED], []),
}  # fmt: skip

NAMED: dict[str, tuple[Lines, list[Finding]]] = {
    "without re": (
        [START, says("started")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 1)],
    ),
    "without re, first of two": (
        [START, says("started"), asks("cancel", id="c"), says("notice", code="not_active")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 1)],
    ),
    "a resumed without re": (
        [asks("resume", id="r"), says("resumed")],
        [Finding("MSG-28", "a resumed without the id of the message that it answers as re", 1)],
    ),
    "a notice of a cancel without re": (
        [asks("cancel", id="c"), says("notice", code="not_active")],
        [Finding("MSG-28", "a notice without the id of the message that it answers as re", 1)],
    ),
    "a notice of an unknown type without re": (
        [asks("acme:x", id="c"), says("notice", code="unknown_type")],
        [Finding("MSG-28", "a notice without the id of the message that it answers as re", 1)],
    ),
    "a notice of something else": ([asks("cancel", id="c"), says("notice", code="draining")], []),
    "an unknown type is no cancel": ([asks("acme:x", id="c"), says("notice", code="not_active")], []),
    "a heartbeat without re": ([asks("heartbeat", id="h"), says("heartbeat")], []),
    "one of the two had no id": ([asks("start"), START, says("started"), STARTED], []),
    "two of the three had no id": ([asks("start"), asks("start"), START, says("started"), says("started")], []),
    "two resumed after two started": (
        [asks("start", id="1"), asks("start", id="2"), asks("resume", id="r"), says("started", re="1"),
         says("started", re="2"), says("resumed"), says("resumed")], [],
    ),
    "an id that cannot be repeated": ([asks("start", id="x" * 65), START, says("started"), STARTED], []),
    "the longest id": (
        [asks("start", id="x" * 64), says("started")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 1)],
    ),
    "an empty id": ([asks("start", id=""), says("started")], []),
    "both without re": (
        [asks("start"), START, says("started"), says("started")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 3)],
    ),
    "when the other was answered": ([START, STARTED, says("started")], []),
    "refused": ([START, says("error", re="s"), says("started")], []),
    "a resumed after a started": ([START, asks("resume", id="r"), STARTED, says("resumed")], []),
    "a second resumed after a started": (
        [START, asks("resume", id="r"), STARTED, says("resumed"), says("resumed")],
        [Finding("MSG-28", "a resumed without the id of the message that it answers as re", 4)],
    ),
    "after something unreadable": ([START, sign("text", "{", side="client"), says("started")], []),
    "after a Ping of the client's": (
        [START, sign("ping", side="client"), says("started")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 2)],
    ),
    "after something unreadable of the server's": (
        [START, sign("text", "{"), says("started")],
        [Finding("MSG-28", "a started without the id of the message that it answers as re", 2)],
    ),
    "a started of the client's": ([START, asks("started")], []),
}  # fmt: skip

ORDERED: dict[str, tuple[Lines, list[Finding]]] = {
    "in order": ([asks("start", id="1"), asks("resume", id="2"), says("started", re="1"), says("resumed", re="2")], []),
    "out of order": (
        [asks("start", id="1"), asks("start", id="2"), says("started", re="2"), says("started", re="1")],
        [Finding("MSG-31", "the answer to '2' before that to '1', which was sent first", 2)],
    ),
    "the last at first": (
        [*(asks("start", id=f"{n}") for n in range(3)), *(says("started", re=f"{n}") for n in (2, 0, 1))],
        [Finding("MSG-31", f"the answer to '2' before that to '{n}', which was sent first", 3) for n in (0, 1)],
    ),
    "a cancel may be answered at once": (
        [asks("start", id="1"), asks("cancel", id="2"), says("notice", re="2"), says("started", re="1")], [],
    ),
    "refused out of order": (
        [asks("start", id="1"), asks("resume", id="2"), says("error", re="2"), says("started", re="1")],
        [Finding("MSG-31", "the answer to '2' before that to '1', which was sent first", 2)],
    ),
}  # fmt: skip

PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TRACED = asks("start", id="s", traceparent=PARENT)
ELSEWHERE = says("started", re="s", run_id=A, trace_id="1" * 32)
OTHER_TRACE = Finding("OBS-2", f"trace_id {'1' * 32} for a start of trace {TRACE}", 1)

STARTING: dict[str, tuple[Lines, list[Finding]]] = {
    "as named": ([asks("start", id="s", run_id=A, session_id=B),
                  says("started", re="s", run_id=A, session_id=B)], []),
    "another run": (
        [asks("start", id="s", run_id=A), says("started", re="s", run_id=B)],
        [Finding("RUN-36", f"asked for run_id {A}, got {B}", 1)],
    ),
    "another run, behind something else": (
        [asks("heartbeat", id="h"), BEAT, asks("start", id="s", run_id=A), says("started", re="s", run_id=B)],
        [Finding("RUN-36", f"asked for run_id {A}, got {B}", 3)],
    ),
    "another session": (
        [asks("start", id="s", session_id=A), says("started", re="s", session_id=B)],
        [Finding("RUN-10", f"asked for session_id {A}, got {B}", 1)],
    ),
    "both others, of a prompt": (
        [message({"prompt": "x", "id": "s", "run_id": A, "session_id": A}, side="client"),
         says("started", re="s", run_id=B, session_id=B)],
        [Finding("RUN-36", f"asked for run_id {A}, got {B}", 1),
         Finding("RUN-10", f"asked for session_id {A}, got {B}", 1)],
    ),
    "nothing said of them": ([asks("start", id="s", run_id=A, session_id=B), says("started", re="s")], []),
    "asked for no name": ([asks("start", id="s", run_id=7), says("started", re="s", run_id=B)], []),
    "refused": ([asks("start", id="s", run_id=A), says("error", re="s", run_id=B)], []),
    "its trace": (
        [TRACED, says("started", re="s", run_id=A, trace_id=TRACE), says("token", run_id=A, seq=1)], [],
    ),
    "another trace": ([TRACED, ELSEWHERE, says("token", run_id=A, seq=1)], [OTHER_TRACE]),
    "another trace, and later an event": (
        [TRACED, ELSEWHERE, says("heartbeat"), asks("cancel", run_id=A), sign("ping"), says("token", run_id=A, seq=1)],
        [OTHER_TRACE],
    ),
    "another trace, of a run that existed": (
        [TRACED, ELSEWHERE, says("resumed", run_id=A), says("token", run_id=A, seq=1)], [],
    ),
    "another trace, and another run goes on": ([TRACED, ELSEWHERE, says("token", run_id=B, seq=1)], []),
    "another trace, of which nothing comes": ([TRACED, ELSEWHERE], []),
    "a trace that is none": (
        [asks("start", id="s", traceparent=PARENT + "-"), ELSEWHERE, says("token", run_id=A, seq=1)], [],
    ),
    "a trace of zeros": (
        [asks("start", id="s", traceparent=f"00-{'0' * 32}-b7ad6b7169203331-01"), ELSEWHERE,
         says("token", run_id=A, seq=1)], [],
    ),
    "a parent of zeros": (
        [asks("start", id="s", traceparent=f"00-{TRACE}-{'0' * 16}-01"), ELSEWHERE, says("token", run_id=A, seq=1)], [],
    ),
    "no trace in the answer": ([TRACED, says("started", re="s", run_id=A), says("token", run_id=A, seq=1)], []),
}  # fmt: skip

ABLE = says("ready", features=["resume"])


def resume(**members: Any) -> Record:
    return asks("resume", **{"id": "r", "run_id": A, "after": 4, "epoch": "e", **members})


def resumed(**members: Any) -> Record:
    return says("resumed", **{"re": "r", "run_id": A, "epoch": "e", "next_seq": 5, **members})


RESUMING: dict[str, tuple[Lines, list[Finding]]] = {
    "as asked": ([ABLE, resume(), resumed()], []),
    "by a server that cannot": (
        [says("ready", features=[]), resume(), resumed(next_seq=9)],
        [Finding("RESUME-17", "resumed by a server that does not list resume", 2)],
    ),
    "twice by a server that cannot": (
        [says("ready", features=[]), resume(), resumed(), resume(id="q"), resumed(re="q")],
        [Finding("RESUME-17", "resumed by a server that does not list resume", place) for place in (2, 4)],
    ),
    "by a server without ready": ([resume(), resumed()], []),
    "by a server with features that are none": ([says("ready", features="x"), resume(), resumed()], []),
    "the first ready counts": ([ABLE, says("ready", features=[]), resume(), resumed()], []),
    "another run": (
        [ABLE, resume(), resumed(run_id=B, epoch="f")], [Finding("RESUME-9", f"asked for run {A}, got {B}", 2)],
    ),
    "another epoch": (
        [ABLE, resume(), resumed(epoch="f", next_seq=1)],
        [Finding("RESUME-12", "expected a refusal of a cursor of epoch e; got resumed with epoch f", 2)],
    ),
    "an epoch nobody named": ([ABLE, resume(epoch=None), resumed(epoch="f")], []),
    "another place": ([ABLE, resume(), resumed(next_seq=4)], [Finding("RESUME-9", "next_seq 4 for after 4", 2)]),
    "a place nobody named": ([ABLE, resume(after=None), resumed(next_seq=4)], []),
    "refused": ([ABLE, resume(), says("error", re="r", next_seq=1)], []),
    "a start that leads to it": ([ABLE, START, says("resumed", re="s", run_id=B, next_seq=1)], []),
    "nothing said of it": ([ABLE, resume(), says("resumed", re="r")], []),
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"),
    [pytest.param(*row, id=f"{table}: {name}")
     for table, rows in (("fits", FITTING), ("named", NAMED), ("ordered", ORDERED), ("starts", STARTING),
                         ("resumes", RESUMING))
     for name, row in rows.items()],
)  # fmt: skip
def test_the_edge_of_a_rule_on_answers(lines: Lines, expected: list[Finding]) -> None:
    found = shown(*lines)

    assert sorted(found, key=str) == sorted(expected, key=str)


def test_a_stream_has_one_request_and_no_names() -> None:
    asked, opened = asks("start", id="s"), says("started", run_id=A)

    assert shown(asked, opened, says("notice", code="not_active"), transport="sse") == []
    assert pairs(asked, opened, transport="sse") == [(0, 1)]
    assert pairs(asks("cancel"), asks("start"), says("error"), transport="sse") == [(1, 2)]


UNNAMED: dict[str, tuple[Lines, list[tuple[int, int]]]] = {
    "in order": ([asks("start"), asks("start"), says("started"), says("started")], [(0, 2), (1, 3)]),
    "nothing asked": ([says("started")], []),
    "refused": ([asks("start"), asks("start"), says("error"), says("started")], [(0, 2), (1, 3)]),
    "failed": ([asks("start"), says("error", seq=1), says("started")], [(0, 2)]),
    "refused, it may have been another": ([asks("start"), asks("cancel"), says("error"), says("started")], []),
    "a resumed for a start": ([asks("start"), says("resumed"), says("started")], [(0, 2)]),
    "a started for a resume": ([asks("resume", run_id=A), says("started"), says("resumed", run_id=A)], []),
    "a resumed": ([asks("resume", run_id=A), says("resumed", run_id=A)], [(0, 1)]),
    "a resumed of a run nobody knows": ([asks("resume", run_id=A), says("resumed", run_id=B)], [(0, 1)]),
    "a resumed of a run that was started": (
        [START, STARTED, asks("resume", run_id=B), says("resumed", run_id=A), says("resumed", run_id=B)],
        [(0, 1), (2, 4)],
    ),
    "a resumed of the run that was started": (
        [START, STARTED, asks("resume", run_id=A), says("resumed", run_id=A)], [(0, 1), (2, 3)],
    ),
    "behind something unreadable": ([asks("start"), sign("text", "{", side="client"), says("started")], []),
    "behind bytes": ([asks("start"), sign("binary", side="client"), says("started")], []),
    "behind garbage": ([asks("start"), sign("raw", side="client"), says("started")], []),
    "behind the client's loss": ([asks("start"), sign("lost", side="client"), says("started")], []),
    "behind a goodbye": ([asks("start"), sign("close", side="client"), says("started")], []),
    "behind a Ping": ([asks("start"), sign("ping", side="client"), says("started")], [(0, 2)]),
    "behind bytes of the server's": ([asks("start"), sign("binary"), says("started")], [(0, 2)]),
    "one name for two": ([asks("start", id="s"), asks("start", id="s"), STARTED], []),
    "an event": ([START, says("token", re="s", run_id=A, seq=1)], []),
    "named": ([asks("heartbeat", id="h"), START, BEAT, STARTED], [(0, 2), (1, 3)]),
    "twice": ([START, STARTED, STARTED], [(0, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNNAMED)
def test_an_answer_is_known_when_it_is_certain(name: str) -> None:
    lines, expected = UNNAMED[name]

    assert pairs(*lines) == expected


def test_the_shortest_answer_is_the_round_trip() -> None:
    quick = talk(asks("start", 1.0, id="s"), says("started", 1.5, re="s"), asks("heartbeat", 2.0, id="h"),
                 says("heartbeat", 2.2, re="h"))  # fmt: skip
    not_reading = talk(asks("start", 1.0, id="s"), says("started", 1.1, re="s"), not_reading=True)

    assert round_trip([quick, not_reading, Trace("websocket", "nothing", 0.0)]) == pytest.approx(0.2)
    assert round_trip([not_reading]) == 0
