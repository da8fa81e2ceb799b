"""How a client comes back, on several connections of a recording: the last that is good, and the first that is not."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import IndexedFinding
from runwire_conformance.rules.client_reconnects import End, end_of
from runwire_conformance.trace.trace import Record, Trace
from tests.support.client_conversations import (
    BEAT,
    DONE,
    OTHER,
    PROMPT,
    READY,
    RUN,
    SAID,
    START,
    STARTED,
    Row,
    Step,
    found,
    refused,
    resume,
    shown,
    token,
    with_pings,
)
from tests.support.client_returns import BUSY, FAILED, FOLLOWED, resumed

#: What shows that the recording goes on for more than five seconds.
LATER: Step = (9, 9000, ">", {"prompt": "later"})


def closed(code: int, side: str = "<") -> list[Step]:
    """Return a run whose connection is closed, by the server unless told otherwise."""
    return [*FOLLOWED, (1, 125, side, code)]


def followed(*messages: Any) -> list[Step]:
    """Return a connection that the server closes behind these messages with an order to resume, and what is later."""
    return [*((1, 0, "<", message) for message in (READY, *messages)), (1, 125, "<", 4000), LATER]


def back(ms: float, message: dict[str, Any], connection: int | str = 2) -> list[Step]:
    """Return a run whose connection is closed with an order to resume, what another says, and what is later."""
    return [*closed(4000), (connection, ms, ">", message), LATER]


def lost(record: int = 4, run_id: str = RUN) -> list[IndexedFinding]:
    return shown("CLOSE-4", f"closed with 4000, and run {run_id} was not resumed", record)


def came(seq: int, after: int, record: int = 4) -> list[IndexedFinding]:
    return shown("RESUME-21", f"got {seq} after {after}, and run {RUN} was not resumed", record)


def hole(*steps: Step) -> list[Step]:
    """Return a run in which the second event is missing, and what comes then."""
    return [*FOLLOWED, (1, 125, "<", token(3)), *steps]


END: Step = (1, 9000, "<", BEAT)
SECOND = {"type": "started", "run_id": OTHER}
CUT = f"ended without a terminal, and run {RUN} was not resumed"
GONE = "insists on epoch e0, which is gone"
NAMELESS = "resumes without the epoch e1"
NOT_FOUND = refused("not_found", retryable=False)


def stream(*steps: tuple[float, str, Any]) -> list[Step]:
    """Return a run that is followed in a stream."""
    return [("sse 1", 0, ">", START), ("sse 1", 5, "<", STARTED), *(("sse 1", *step) for step in steps)]


COMING_BACK: list[Row] = [
    ("not at all", [*closed(4000), LATER], lost()),
    ("not at all, at the last code", [*closed(4099), LATER],
     shown("CLOSE-4", f"closed with 4099, and run {RUN} was not resumed", 4)),
    ("codes above", [*closed(4100), LATER], []),
    ("codes below", [*closed(3999), LATER], []),
    ("five seconds are not over", [*closed(4000), (2, 5125, ">", PROMPT)], []),
    ("five seconds are over", [*closed(4000), (2, 5126, ">", PROMPT), (3, 5126, ">", PROMPT)], lost()),
    ("the client left", [*closed(4000, ">"), LATER], []),
    ("the client left first", [*closed(1000, ">"), (1, 126, "<", 4000), LATER], []),
    ("the server left first", [*closed(4000), (1, 126, ">", 1000), LATER], lost()),
    ("the end is not shown", [*FOLLOWED, LATER], []),
    ("five seconds are over for the second to begin and the first to end",
     [(0, 0, "<", READY), *closed(4000), (0, 8000, "<", 4000), LATER],
     shown("CLOSE-4", f"closed with 4000, and run {RUN} was not resumed", 4, on=1)),
    ("the end is not shown of one, and of another it is",
     [(0, 0, "<", READY), ("http 1", 0, "<", 1000), *closed(4000), LATER],
     shown("CLOSE-4", f"closed with 4000, and run {RUN} was not resumed", 4, on=2)),
    ("a normal end", [*closed(1000), LATER], []),
    ("resumed at once", back(125, resume(epoch="e1")), []),
    ("resumed before", back(124, resume(epoch="e1")), lost()),
    ("resumed where it was closed", back(126, resume(epoch="e1"), 1), lost()),
    ("resumed on one that was there before",
     [(0, 0, "<", READY), *closed(4000), (0, 130, ">", resume(epoch="e1")), LATER], []),
    ("started again", back(130, START), []),
    ("started again without a type", back(130, {"prompt": "x", "run_id": RUN}), []),
    ("cancelled only", back(130, {"type": "cancel", "run_id": RUN}), lost()),
    ("resumed another", back(130, resume(run_id=OTHER, epoch="e1")), lost()),
    ("said by the server", [*closed(4000), (2, 130, "<", resume()), LATER], lost()),
    ("the run was over", [*FOLLOWED, (1, 40, "<", DONE), (1, 125, "<", 4000), LATER], []),
    ("the run had failed", [*FOLLOWED, (1, 40, "<", FAILED), (1, 125, "<", 4000), LATER], []),
    ("a run that was resumed", followed(resumed()), lost(2)),
    ("a run that waits", followed(resumed("waiting")), lost(2)),
    ("a run of which nobody knows where it stood", followed(resumed(next_seq="2")), []),
    ("a run that never began", followed(token(1)), []),
    ("a run without a name", followed({"type": "started", "run_id": 7}), []),
    *((f"a run that was {status} when it was resumed", followed(resumed(status)), [])
      for status in ("completed", "incomplete", "cancelled", "failed")),
    ("the rest of a run that was completed", followed(resumed("completed"), token(2)), lost(3)),
    ("a run that was completed, and a word about it", followed(resumed("completed"), {**SAID, "run_id": RUN}), []),
    ("a run that the client says it started", [(1, 0, ">", STARTED), (1, 125, "<", 4000), LATER], []),
    ("the second of two", [*followed(SECOND, STARTED)[:-1], (2, 130, ">", resume(run_id=OTHER)), LATER], lost(3)),
    ("both of two", followed(SECOND, STARTED), lost(3, OTHER)),
    # A stream that ends.
    ("a stream, and not at all", [*stream((125, "<", 1000)), LATER], shown("SSE-23", CUT, 2)),
    ("a stream that broke off", [*stream((125, "<", 1006)), LATER], shown("SSE-23", CUT, 2)),
    ("a stream that the client left", [*stream((125, ">", 1006)), LATER], []),
    ("a stream that was resumed", [*stream((125, "<", 1000)), (2, 2000, ">", resume(epoch="e1")), LATER], []),
    ("a stream whose run was over", [*stream((30, "<", DONE), (125, "<", 1000)), LATER], []),
    # Staying away.
    ("after the last second", [*closed(4400), (2, 1126, "<", READY)], []),
    ("within the last second", [*closed(4400), (2, 1125, "<", READY)],
     shown("CLOSE-6", "a new connection 1.00 s after a close with 4400", 0, on=1)),
    ("at once, at the last code", [*closed(4499), (2, 125, "<", READY)],
     shown("CLOSE-6", "a new connection 0.00 s after a close with 4499", 0, on=1)),
    ("at once, at a code above", [*closed(4500), (2, 125, "<", READY)], []),
    ("at once, at a code below", [*closed(4399), (2, 125, "<", READY)], []),
    ("there before", [*closed(4400)[:-1], (2, 124, "<", READY), (1, 125, "<", 4400)], []),
    ("there before, and then another",
     [(0, 0, "<", READY), *FOLLOWED, (2, 124, "<", READY), (1, 125, "<", 4400), ("sse 3", 375, "<", READY)],
     shown("CLOSE-6", "a new connection 0.25 s after a close with 4400", 0, on=3)),
    ("an end and nothing else", [(1, 0, "<", 4400)], []),
    ("a request only", [*closed(4400), ("http 2", 130, ">", BEAT)], []),
    ("of its own will", [*closed(4400, ">"), (2, 130, "<", READY)], []),
]  # fmt: skip

HOLES: list[Row] = [
    ("left as it is", hole(END), came(3, 1)),
    ("five seconds are not over", hole((1, 5125, "<", BEAT)), []),
    ("five seconds are over", hole((1, 5126, "<", BEAT)), came(3, 1)),
    ("resumed at once", hole((1, 125, ">", resume(epoch="e1")), END), []),
    ("resumed on another", hole((2, 130, ">", resume(epoch="e1")), END), []),
    ("resumed on one that was there before", [(0, 0, "<", READY), *hole((0, 130, ">", resume(epoch="e1")), END)], []),
    ("resumed before", [*FOLLOWED, (1, 124, ">", resume(epoch="e1")), (1, 125, "<", token(3)), END], came(3, 1, 5)),
    ("none", [*FOLLOWED, (1, 125, "<", token(2)), END], []),
    ("a repetition", [*FOLLOWED, (1, 125, "<", token(1)), END], []),
    ("merged without a hole", [*FOLLOWED, (1, 125, "<", token(5, first_seq=2)), END], []),
    ("merged with a hole", [*FOLLOWED, (1, 125, "<", token(5, first_seq=3)), END], came(3, 1)),
    ("at the begin", [*FOLLOWED[:3], (1, 125, "<", token(2)), END], came(2, 0, 3)),
    ("none at the begin", [*FOLLOWED[:3], (1, 125, "<", token(1)), END], []),
    ("behind a resumption", [(1, 0, "<", READY), (1, 5, "<", resumed(next_seq=5)), (1, 125, "<", token(6)), END],
     came(6, 4, 2)),
    ("none behind a resumption", [(1, 0, "<", READY), (1, 5, "<", resumed(next_seq=5)), (1, 125, "<", token(5)), END],
     []),
    ("behind a resumption that does not say where",
     [*FOLLOWED, (1, 40, "<", resumed(next_seq="x")), (1, 125, "<", token(3)), END], came(3, 1, 5)),
    ("of a run that never began", [(1, 0, "<", READY), (1, 5, "<", token(3)), (1, 6, "<", token(9)), END], []),
    ("of a run that is over", [*FOLLOWED, (1, 40, "<", DONE), (1, 125, "<", token(9)), END], []),
    ("of what is no number", [*FOLLOWED, (1, 125, "<", token("3")), (1, 126, "<", token(4)), END], came(4, 1, 5)),
    ("of what the client says", [*FOLLOWED, (1, 125, ">", token(9)), END], []),
    ("of another run only", [*FOLLOWED, (1, 40, "<", SECOND), (1, 125, "<", token(1, run_id=OTHER)), END], []),
    ("once", hole((1, 8000, "<", token(4)), END), came(3, 1)),
]  # fmt: skip


def resumes(refusal: dict[str, Any], *steps: Step, **members: Any) -> list[Step]:
    """Return a `resume` that is refused, and what comes then."""
    return [(1, 0, ">", resume(epoch="e0", **members)), (1, 125, "<", refusal), *steps]


EPOCHS: list[Row] = [
    ("left out", back(130, resume()), shown("RESUME-22", NAMELESS, on=1)),
    ("left out after a word of the server", [*closed(1000), (2, 126, "<", READY), (2, 130, ">", resume())],
     shown("RESUME-22", NAMELESS, 1, on=1)),
    ("left out at the same moment", back(125, resume()), shown("RESUME-22", NAMELESS, on=1)),
    ("left out before", [*FOLLOWED, (2, 124, ">", resume()), (1, 125, "<", 1000)], []),
    ("left out after the client's own end", [*closed(1000, ">"), (2, 130, ">", resume())],
     shown("RESUME-22", NAMELESS, on=1)),
    ("left out after what was resumed", [(1, 0, "<", resumed()), (1, 125, "<", 1000), (2, 130, ">", resume())],
     shown("RESUME-22", NAMELESS, on=1)),
    ("left out after a connection between", [*closed(1000), (2, 200, "<", 1000), (3, 300, ">", resume())],
     shown("RESUME-22", NAMELESS, on=2)),
    ("left out from the first event on", back(130, resume(after=0)), []),
    ("left out behind what is no number", back(130, resume(after="1")), []),
    ("left out, and nobody told it",
     [(1, 0, "<", {"type": "started", "run_id": RUN}), (1, 125, "<", 1000), (2, 130, ">", resume())], []),
    ("left out, and what was told is none",
     [(1, 0, "<", {**STARTED, "epoch": 7}), (1, 125, "<", 1000), (2, 130, ">", resume())], []),
    ("left out of another run's", [*closed(1000), (2, 130, ">", resume(run_id=OTHER))], []),
    ("left out by who was never there", [(1, 0, ">", resume())], []),
    ("left out of a run that was over", [*FOLLOWED, (1, 40, "<", DONE), (1, 125, "<", 1000), (2, 130, ">", resume())],
     []),
    ("left out where the server repeats it", [*closed(1000), (2, 130, "<", resume())], []),
    ("left out of a cancel", [*closed(1000), (2, 130, ">", {**resume(), "type": "cancel"})], []),
    ("named", back(130, resume(epoch="e1")), []),
    ("gone", resumes(NOT_FOUND, (2, 9000, ">", resume(epoch="e0"))), shown("RESUME-22", GONE, on=1)),
    ("gone at the same moment", resumes(NOT_FOUND, (2, 125, ">", resume(epoch="e0", after=0))), []),
    ("gone a moment ago", resumes(NOT_FOUND, (2, 126, ">", resume(epoch="e0", after=0))),
     shown("RESUME-22", GONE, on=1)),
    ("gone twice", resumes(NOT_FOUND, (2, 9000, ">", resume(epoch="e0")), (2, 9100, "<", NOT_FOUND)),
     shown("RESUME-22", GONE, on=1)),
    ("gone for another run", resumes(NOT_FOUND, (2, 9000, ">", resume(run_id=OTHER, epoch="e0"))), []),
    ("gone, and another", resumes(NOT_FOUND, (2, 9000, ">", resume(epoch="e1"))), []),
    ("gone, and begun anew", resumes(NOT_FOUND, (2, 9000, ">", resume(after=0))), []),
    ("gone, as the server repeats it", resumes(NOT_FOUND, (2, 9000, "<", resume(epoch="e0"))), []),
    ("of nothing that anybody asked for", [(1, 0, "<", NOT_FOUND), (2, 9000, ">", resume(epoch="e0"))], []),
    ("refused for now", resumes(BUSY, (2, 9000, ">", resume(epoch="e0"))), []),
    ("unknown without one",
     [(1, 0, ">", resume()), (1, 125, "<", NOT_FOUND), (2, 9000, ">", resume())], []),
    ("gone for the first of two",
     [(1, 0, ">", resume(epoch="e1", id="1")), *resumes({**NOT_FOUND, "re": "1"}, id="2"),
      (2, 9000, ">", resume(epoch="e0"))], []),
    ("an input that was refused", [(1, 0, ">", resume(epoch="e0")), (1, 5, "<", resumed()),
                                   (1, 9, ">", {"type": "input", "id": "1"}), (1, 125, "<", {**NOT_FOUND, "re": "1"}),
                                   (2, 9000, ">", resume(epoch="e0"))], []),
]  # fmt: skip


EVERY = {"back": COMING_BACK, "hole": HOLES, "epoch": EPOCHS}


def rows() -> list[Any]:
    return [
        pytest.param(*row[1:], id=f"{title}: {row[0]}") for title, table in EVERY.items() for row in table
    ]


@pytest.mark.parametrize(("steps", "expected"), rows())
def test_the_edge_of_how_a_client_comes_back(steps: list[Step], expected: list[IndexedFinding]) -> None:
    assert sorted(found(steps), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(("steps", "expected"), rows())
def test_a_ping_changes_nothing_in_how_a_client_comes_back(
    steps: list[Step], expected: list[IndexedFinding]
) -> None:
    behind = {(on, one.requirement, one.text) for on, one in expected}

    assert {(on, one.requirement, one.text) for on, one in found(with_pings(steps))} == behind


def returns(code: int, gap_ms: float, number: int = 6, side: str = "<", kind: str = "") -> list[Step]:
    """Return so many connections, each ended with a code and opened again after a gap."""
    steps: list[Step] = []
    for n in range(1, number + 1):
        name, at = f"{kind} {n}" if kind else n, (n - 1) * (125 + gap_ms)
        steps += [(name, at, "<", READY), (name, at + 125, side, code)]
    return steps


QUICK = shown("CLOSE-7", "5 connections in a row, each within 100 ms of the close before", 0, on=5)


@pytest.mark.parametrize(
    ("code", "backs_off"),
    [(1001, True), (1006, True), (1011, True), (1012, True), (1013, True), (1014, True), (3999, True), (5000, True),
     (1000, False), (1002, False), (1003, False), (1005, False), (1007, False), (1008, False), (1009, False),
     (4000, False), (4999, False)],
)  # fmt: skip
def test_the_codes_that_ask_for_back_off(code: int, backs_off: bool) -> None:
    assert [one for one in found(returns(code, 10)) if one[1].requirement == "CLOSE-7"] == QUICK * backs_off


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (returns(1012, 99), QUICK),
        (returns(1012, 101), []),
        (returns(1012, 0), QUICK),
        (returns(1012, -1), []),
        (returns(1012, 10, number=5), []),
        (returns(1012, 10, number=12), QUICK),
        (returns(1012, 10, side=">"), []),
        (returns(1006, 10, kind="sse"), []),
        ([*returns(1012, 10, number=4), (9, 9000, "<", READY), (9, 9001, "<", 1012), (10, 9002, "<", READY)], []),
        ([(0, -9000, "<", READY), *returns(1012, 10)],
         shown("CLOSE-7", "5 connections in a row, each within 100 ms of the close before", 0, on=6)),
    ],
    ids=["almost 100 ms", "above 100 ms", "at once", "before the end", "four only", "eleven", "of its own will",
         "streams", "a pause between", "after an end that is not shown"],
)  # fmt: skip
def test_the_edge_of_growing_back_off(steps: list[Step], expected: list[IndexedFinding]) -> None:
    assert found(steps) == expected


def test_the_last_moment_that_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_conformance.rules.client_reconnects.QUICK_S", 0.125)

    assert found(returns(1012, 125)) == shown(
        "CLOSE-7", "5 connections in a row, each within 125 ms of the close before", 0, on=5
    )
    assert found(returns(1012, 126)) == []


def test_the_end_of_a_connection_is_its_first() -> None:
    def ended(*records: Record) -> End | None:
        return end_of(Trace("websocket", "a talk", 0.0, list(records)))

    assert ended() is None
    assert ended(Record(1.0, "server", "ping")) is None
    assert ended(Record(1.0, "server", "ping"), Record(2.0, "client", "close", code=1000)) == End(
        2.0, 1, 1000, False
    )
    assert ended(Record(2.0, "server", "lost"), Record(3.0, "client", "close", code=1000)) == End(
        2.0, 0, 1006, True
    )
