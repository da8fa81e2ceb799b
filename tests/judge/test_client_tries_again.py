"""What a client sends again, as a recording of several connections shows it: the last that is good, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import IndexedFinding
from tests.support.client_conversations import (
    ANOTHER,
    BEAT,
    DONE,
    OTHER,
    PROMPT,
    READY,
    RUN,
    SAID,
    START,
    Row,
    Step,
    found,
    refused,
    resume,
    shown,
    with_pings,
)
from tests.support.client_returns import BUSY, FAILED, FOLLOWED, resumed

SAME = f"run {RUN} failed and is tried under the same name"
RENAMED = "a refused start is tried again under another run_id"
ANEW = "a start without run_id is sent again"
ELSE = {**START, "run_id": OTHER}
SECOND = {**START, "run_id": "s" * 22}


def bad_again(*steps: Step) -> list[Step]:
    """Return a message for which a connection is closed, and what another says."""
    return [(1, 0, ">", START), (1, 125, "<", 1009), *steps]


def bad(on: int = 1, record: int = 0) -> list[IndexedFinding]:
    return shown("CLOSE-8", "resent a message for which a connection was closed with 1009", record, on)


NOT_AGAIN: list[Row] = [
    ("the same", bad_again((2, 5000, "<", READY), (2, 5001, ">", START)), bad(record=1)),
    ("the same, twice", bad_again((2, 5000, ">", START), (3, 5000, ">", START)), [*bad(), *bad(on=2)]),
    ("something else", bad_again((2, 5000, ">", ANOTHER)), []),
    ("what the server says", bad_again((2, 5000, "<", START)), []),
    ("the same at the same moment", bad_again((2, 125, ">", START)), []),
    ("the same a moment later", bad_again((2, 126, ">", START)), bad()),
    ("one of two", [(1, 0, ">", BEAT), *bad_again((2, 5000, ">", START))], []),
    ("one of one, said twice", [(1, 0, ">", START), *bad_again((2, 5000, ">", START))], bad()),
    ("the last of two with a second between", [(1, -2000, ">", ANOTHER), *bad_again((2, 5000, ">", START))], bad()),
    ("the first of two with a second between", [(1, -2000, ">", ANOTHER), *bad_again((2, 5000, ">", ANOTHER))], []),
    ("a second before the close", [(1, -875, ">", START), (1, 125, "<", 1009), (2, 5000, ">", START)], bad()),
    ("more than a second before the close",
     [(1, -876, ">", START), (1, 125, "<", 1009), (2, 5000, ">", START)], []),
    ("said into the close", bad_again((1, 126, ">", ANOTHER), (2, 5000, ">", ANOTHER)), []),
    ("said before what was said into the close", bad_again((1, 126, ">", ANOTHER), (2, 5000, ">", START)), bad()),
    ("the same, said into the close", bad_again((1, 126, ">", START)), []),
    ("said at the moment of the close", [(1, 125, ">", START), (1, 125, "<", 1009), (2, 5000, ">", START)], bad()),
    ("of its own will", [(1, 0, ">", START), (1, 125, ">", 1009), (2, 5000, ">", START)], []),
    ("after an end that is not shown", [(0, 0, "<", READY), *bad_again((2, 5000, ">", START))], bad(on=2)),
    ("after an end for nothing", [(0, 0, "<", 1009), *bad_again((2, 5000, ">", START))], bad(on=2)),
]  # fmt: skip


def fails(*steps: Step) -> list[Step]:
    """Return a run that fails, and what comes then."""
    return [*FOLLOWED, (1, 125, "<", FAILED), *steps]


def turned_away(start: dict[str, Any], *steps: Step, refusal: dict[str, Any] = BUSY) -> list[Step]:
    """Return a `start` that is refused, and what comes then."""
    return [(1, 0, ">", start), (1, 125, "<", refusal), *steps]


NAMES: list[Row] = [
    ("of a failed run", fails((1, 4000, ">", START)), shown("ERR-8", SAME, 5)),
    ("of a failed run, on another connection", fails((2, 126, ">", START)), shown("ERR-8", SAME, on=1)),
    ("of a failed run, without a type", fails((1, 4000, ">", {"prompt": "y", "run_id": RUN})),
     shown("ERR-8", SAME, 5)),
    ("of a run that failed at the same moment", fails((1, 125, ">", START)), []),
    ("another than the failed run's", fails((1, 130, ">", ELSE)), []),
    ("of a failed run that is read again", fails((1, 4000, ">", resume(after=0))), []),
    ("of a failed run, as the server repeats it", fails((1, 4000, "<", START)), []),
    ("of a run that ended well", [*FOLLOWED, (1, 40, "<", DONE), (1, 4000, ">", START)], []),
    ("of a run about which something was refused",
     [*FOLLOWED, (1, 40, "<", {**BUSY, "run_id": RUN}), (1, 4000, ">", START)], []),
    ("none, as the failed run's", [(1, 0, "<", READY), (1, 5, "<", {**FAILED, "run_id": 7}), (1, 4000, ">", PROMPT)],
     []),
    ("of a run whose failure is read once more later",
     [*fails(), (2, 1000, "<", READY), (3, 1500, ">", START), (2, 3000, "<", resumed()), (2, 3000, "<", FAILED)],
     shown("ERR-8", SAME, on=2)),
    ("another within the second", turned_away(START, (1, 1125, ">", ELSE)), shown("ERR-8", RENAMED, 2)),
    ("another after the second", turned_away(START, (1, 1126, ">", ELSE)), []),
    ("another at the same moment", turned_away(START, (1, 125, ">", ELSE)), shown("ERR-8", RENAMED, 2)),
    ("another on another connection", turned_away(START, (2, 130, ">", ELSE)), shown("ERR-8", RENAMED, on=1)),
    ("another there before", [(1, 0, ">", START), (2, 124, ">", ELSE), (1, 125, "<", BUSY)], []),
    ("the same again", turned_away(START, (1, 130, ">", START)), []),
    ("one at last", turned_away(PROMPT, (1, 130, ">", START)), []),
    ("another, as all the time before",
     [(1, 0, ">", {**SECOND, "id": "1"}), *turned_away({**START, "id": "2"}, (1, 130, ">", ELSE),
                                                       refusal={**BUSY, "re": "2"})], []),
    ("another, as of something else before",
     [(1, 0, ">", {**SECOND, "id": "1", "prompt": "y"}), *turned_away({**START, "id": "2"}, (1, 130, ">", ELSE),
                                                                      refusal={**BUSY, "re": "2"})],
     shown("ERR-8", RENAMED, 3)),
    ("another for something else", turned_away(START, (1, 130, ">", {**ELSE, "prompt": "y"})), []),
    ("another for what is not to be tried again",
     turned_away(START, (1, 130, ">", ELSE), refusal=refused("conflict", retryable=False)), []),
    ("another, of which nobody said whether to try again",
     turned_away(START, (1, 130, ">", ELSE), refusal={"type": "error", "data": "x"}), []),
    ("another, with other ids", turned_away({**START, "id": "1"}, (1, 130, ">", {**ELSE, "id": "2"}),
                                            refusal={**BUSY, "re": "1"}), shown("ERR-8", RENAMED, 2)),
    ("another than that of the one that was not refused",
     [(1, 0, ">", {**START, "id": "1"}), *turned_away({**ANOTHER, "id": "2"}, (1, 130, ">", {**ELSE, "prompt": "y"}),
                                                      refusal={**BUSY, "re": "1"})], []),
    ("none on another connection",
     [(1, 0, ">", PROMPT), (1, 125, "<", 1006), (2, 130, "<", READY), (2, 135, ">", PROMPT)],
     shown("RUN-12", ANEW, 1, on=1)),
    ("none after something else, both times",
     [(1, 0, ">", BEAT), (1, 1, ">", PROMPT), (1, 125, "<", 1006), (2, 130, ">", BEAT), (2, 135, ">", PROMPT)],
     shown("RUN-12", ANEW, 1, on=1)),
    ("none after the goodbye", [(1, 0, ">", PROMPT), (1, 125, ">", 1000), (2, 130, ">", {**PROMPT, "id": "1"})],
     shown("RUN-12", ANEW, on=1)),
    ("none on the third",
     [(1, 0, ">", PROMPT), (1, 125, "<", 1006), (2, 125, ">", {"prompt": "y"}), (2, 126, "<", 1006),
      (3, 1125, ">", {"type": "start", "prompt": "x"})], shown("RUN-12", ANEW, on=2)),
    ("none, as all the time before",
     [(1, 0, ">", PROMPT), (2, 50, ">", PROMPT), (1, 125, "<", 1006), (3, 130, ">", PROMPT)], []),
    ("none, after a second", [(1, 0, ">", PROMPT), (1, 125, "<", 1006), (2, 1126, ">", PROMPT)], []),
    ("none, at the same moment", [(1, 0, ">", PROMPT), (1, 125, "<", 1006), (2, 125, ">", PROMPT)],
     shown("RUN-12", ANEW, on=1)),
    ("none, before", [(1, 0, ">", PROMPT), (2, 124, ">", PROMPT), (1, 125, "<", 1006)], []),
    ("none, beside an end that is not shown", [(1, 0, ">", PROMPT), (2, 130, ">", PROMPT)], []),
    ("none, for something else", [(1, 0, ">", PROMPT), (1, 125, "<", 1006), (2, 130, ">", {"prompt": "y"})], []),
    ("one that may be started again", [(1, 0, ">", START), (1, 125, "<", 1006), (2, 130, ">", START)], []),
    ("none of what is no start",
     [(1, 0, ">", {"type": "cancel"}), (1, 125, "<", 1006), (2, 130, ">", {"type": "cancel"})], []),
    ("none of what the server says", [(1, 0, "<", PROMPT), (1, 125, "<", 1006), (2, 130, "<", PROMPT)], []),
    ("none, cut on a basic server",
     [(1, 0, ">", PROMPT), (1, 5, "<", SAID), (1, 125, "<", 1006), (2, 130, ">", PROMPT)],
     shown("RUN-12", ANEW, on=1)),
    *((f"none, after {answer['type']}",
       [(1, 0, ">", PROMPT), (1, 5, "<", answer), (1, 125, "<", 1006), (2, 130, ">", PROMPT)], [])
      for answer in ({"type": "started", "run_id": RUN}, DONE, {"type": "error", "data": "x"})),
]  # fmt: skip

EVERY = {"bad": NOT_AGAIN, "name": NAMES}
ROWS = [pytest.param(*row[1:], id=f"{title}: {row[0]}") for title, table in EVERY.items() for row in table]


@pytest.mark.parametrize(("steps", "expected"), ROWS)
def test_the_edge_of_what_a_client_may_send_again(steps: list[Step], expected: list[IndexedFinding]) -> None:
    assert sorted(found(steps), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(("steps", "expected"), ROWS)
def test_a_ping_changes_nothing_in_what_may_be_sent_again(
    steps: list[Step], expected: list[IndexedFinding]
) -> None:
    behind = {(on, one.requirement, one.text) for on, one in expected}

    assert {(on, one.requirement, one.text) for on, one in found(with_pings(steps))} == behind


@pytest.mark.parametrize(
    ("code", "again"), [(1002, True), (1003, True), (1007, True), (1008, True), (1009, True), (1000, False),
                        (1011, False), (4400, False)],
)  # fmt: skip
def test_the_codes_after_which_a_message_is_bad(code: int, again: bool) -> None:
    text = f"resent a message for which a connection was closed with {code}"

    assert (
        found([(1, 0, ">", START), (1, 125, "<", code), (2, 5000, ">", START)])
        == shown("CLOSE-8", text, on=1) * again
    )
