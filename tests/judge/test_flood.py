"""What of a conversation that was read no further is a flood, and of what."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules.flood import Flood, flood_of
from runwire_conformance.trace.memory_budget import FLOOD_RECORDS
from runwire_conformance.trace.trace import Record, Trace
from tests.support.talks import BEAT, message, sign, talk

EVENT = message({"type": "token", "run_id": "r", "seq": 1, "data": "x"})
NAMELESS = message({"data": "x"})
NOTICE = message({"type": "notice"})


def flooded(*records: Record, **more: Any) -> Trace:
    """Return a conversation that was read no further, of which these records were kept."""
    return talk(*records, **{"flooded_at": FLOOD_RECORDS, **more})


def unasked(kinds: str) -> Flood:
    return Flood("FLOW-8", f"unsolicited messages arrived without end: {kinds}")


@pytest.mark.parametrize(
    ("records", "kinds"),
    [
        ([message(BEAT), NOTICE, NAMELESS, EVENT, EVENT], "heartbeat, notice, without type"),
        ([sign("ping"), sign("ping"), EVENT], "Pings"),
        ([sign("ping"), NOTICE, EVENT], "notice"),
    ],
)
def test_what_nobody_asked_for_is_a_flood_where_it_is_more_than_events(
    records: list[Record], kinds: str
) -> None:
    assert flood_of([talk(), flooded(*records)]) == unasked(kinds)


@pytest.mark.parametrize("records", [[sign("ping"), EVENT], [NOTICE, EVENT], [EVENT]])
def test_no_more_of_it_than_events_is_no_flood(records: list[Record]) -> None:
    assert flood_of([flooded(*records)]) is None


def test_what_the_client_said_is_no_flood_of_the_server() -> None:
    asked = message({"type": "notice"}, side="client")

    assert flood_of([flooded(asked, asked, EVENT)]) is None


def test_events_without_end_are_a_flood_by_their_bytes() -> None:
    assert flood_of([flooded(EVENT, endless_bytes=100, received_bytes=101)]) == Flood(
        "RUN-4",
        "a run sent events without end and no terminal: 101 bytes, which is more than two logs may hold",
    )


def test_what_was_too_much_by_itself_is_told_as_what_it_was() -> None:
    excess = ("LIMIT-1", "one message of 31 MB")

    assert flood_of([flooded(sign("ping"), excess=excess)]) == Flood(*excess)


@pytest.mark.parametrize("read", [0, FLOOD_RECORDS - 1])
def test_whoever_was_crowded_out_by_others_floods_nobody(read: int) -> None:
    assert flood_of([flooded(sign("ping"), flooded_at=read)]) is None
