"""What ails a server as a whole: how it shows in conversations, what is held of them, and whom it excuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runwire_conformance.case import Claim
from runwire_conformance.rules import RuleContext
from runwire_conformance.rules.flood import Flood, flood_of
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.memory_budget import (
    FEW_RECORDS,
    FLOOD_RECORDS,
    MOST_BYTES,
    MOST_RECORDS,
    MemoryBudget,
    reckoned,
)
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace
from runwire_conformance.trace.transcript import transcript
from runwire_conformance.verdict.causes import broken_off, possible_causes, shows_no_heed
from runwire_conformance.verdict.judge import starved_by_floods, watched
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.verdict import judge

RUN = "r" * 21
CONTEXT = RuleContext(Limits({"cancel_deadline_ms": 1000}), 0.25)
LOST = Record(1.0, "server", "lost", "the connection ended without a Close frame")


async def body() -> None:
    """Stand for a case that is never played here."""


def said(side: str, at: float, **members: object) -> Record:
    """Return a message in a conversation."""
    message = Message(members)
    message.at = at
    return Record(at, "client" if side == "client" else "server", "text", str(members), message)


def talk(
    *records: Record,
    transport: str = "websocket",
    flooded_at: int = 0,
    endless_bytes: int = 0,
    received_bytes: int = 0,
) -> Trace:
    """Return a conversation of these records."""
    trace = Trace("sse" if transport == "sse" else "websocket", "a talk", 0.0, list(records))
    trace.flooded_at, trace.endless_bytes, trace.received_bytes = flooded_at, endless_bytes, received_bytes
    return trace


STARTED = said("server", 0.1, type="started", run_id=RUN)
CANCEL = said("client", 1.0, type="cancel")


@pytest.mark.parametrize(
    ("expected", "records"),
    [
        (True, (LOST,)),
        (False, (Record(1.0, "server", "close", code=1011), LOST)),
        (False, (Record(0.5, "client", "lost", "cut by the client"), LOST)),
        (True, (Record(0.5, "client", "close", code=1000), LOST)),
        (False, (Record(1.0, "server", "lost", RESPONSE_ENDED),)),
        (True, (Record(1.0, "server", "lost", "the body broke off"), Record(1.0, "server", "lost", RESPONSE_ENDED))),
    ],
)  # fmt: skip
def test_a_conversation_is_broken_off_by_the_server_alone(
    expected: bool, records: tuple[Record, ...]
) -> None:
    assert broken_off([talk(*records)]) is expected


@pytest.mark.parametrize(
    ("expected", "until", "records"),
    [
        (True, 3.0, (STARTED, CANCEL)),
        (False, 2.2, (STARTED, CANCEL)),
        (False, 3.0, (STARTED, CANCEL, said("server", 2.2, type="done", run_id=RUN))),
        (True, 3.0, (STARTED, CANCEL, said("server", 2.3, type="done", run_id=RUN))),
        (True, 3.0, (STARTED, said("client", 1.0, type="cancel", run_id=RUN))),
        (False, 3.0, (CANCEL,)),
        (False, 3.0, (STARTED,)),
        (True, 3.0, (said("client", 0.9, type="start"), CANCEL, said("server", 1.1, type="started", run_id=RUN))),
        (False, 3.0, (CANCEL, said("client", 1.1, type="start"), said("server", 1.2, type="started", run_id=RUN))),
        (True, 3.0, (Record(1.0, "client", "request", f"POST /v1/runs/{RUN}/cancel  {{}}"),)),
        (True, 3.0, (said("server", 0.5, type="error", code="busy"),)),
        (True, 3.0, (Record(0.5, "server", "response", "429", code=429),)),
    ],
)  # fmt: skip
def test_a_cancel_is_unheeded_when_no_terminal_came_in_time(
    expected: bool, until: float, records: tuple[Record, ...]
) -> None:
    assert shows_no_heed([talk(*records)], CONTEXT, until) is expected


def test_conversations_show_the_signs_of_what_a_server_breaks_as_a_whole() -> None:
    assert possible_causes([talk(LOST)], CONTEXT, 3.0) == {"CLOSE-2"}
    assert possible_causes([talk(STARTED, CANCEL)], CONTEXT, 3.0) == {"CANCEL-2"}
    assert possible_causes([talk()], CONTEXT, 3.0) == frozenset()


def test_a_flood_is_told_by_what_came() -> None:
    events = [said("server", 0.2, type="token", run_id=RUN, seq=seq, data="x") for seq in range(1, 4)]
    notices = [said("server", 0.2, type="notice", code="vendor:tip", data="x")] * 3

    told = {
        name: flood.requirement
        if (
            flood := flood_of(
                [
                    talk(
                        *records,
                        flooded_at=at,
                        endless_bytes=9,
                        received_bytes=10 if name == "endless" else 9,
                    )
                ]
            )
        )
        else None
        for name, records, at in (
            ("endless", events, FLOOD_RECORDS),
            ("as long as a log may be", events, FLOOD_RECORDS),
            ("notices", notices, FLOOD_RECORDS),
            ("pings", [Record(0.1, "server", "ping")] * 3, FLOOD_RECORDS),
            ("crowded out", events, FLOOD_RECORDS - 1),
            ("none", events, 0),
        )
    }

    assert told == {
        "endless": "RUN-4",
        "as long as a log may be": None,
        "notices": "FLOW-8",
        "pings": "FLOW-8",
        "crowded out": None,
        "none": None,
    }


def test_a_conversation_has_room_until_it_or_all_are_too_large() -> None:
    assert MemoryBudget().has_room(MOST_RECORDS - 1)
    assert not MemoryBudget().has_room(MOST_RECORDS)
    assert MemoryBudget(MOST_BYTES).has_room(FEW_RECORDS - 1)
    assert not MemoryBudget(MOST_BYTES).has_room(FEW_RECORDS)


def test_what_is_forgotten_is_held_no_longer() -> None:
    trace = Trace("websocket", "a talk", budget=MemoryBudget())
    for number in range(3):
        trace.add("server", "text", "x" * number, Message(type="token"))

    trace.keep(1)

    assert [record.payload for record in trace.records] == [""]
    assert trace.budget.bytes == reckoned("", True)


def failed(*traces: Trace, **members: object) -> Outcome:
    """Return the outcome of a case that failed in these conversations."""
    return Outcome(State.FAILED, "no token came", traces=traces, ended_at=3.0, **members)  # type: ignore[arg-type]


def judged(outcome: Outcome, *ids: str, **known: dict[str, str]) -> dict[str, Judgement]:
    """Return what is said of each requirement when a case that proves `ids` came out so."""
    cases = [CaseResult(Case("a::case", body, Claim(ids)), outcome)]
    judgements = judge(cases, frozenset(), True, **known)  # type: ignore[arg-type]
    return {judgement.requirement.id: judgement for judgement in judgements}


def test_a_failure_with_a_cause_is_not_held_against_what_the_case_proves() -> None:
    outcome = replace(watched(failed(talk(LOST)), CONTEXT), cause="CLOSE-2")

    verdicts = judged(outcome, "RUN-6", broken_throughout={"CLOSE-2": "7 of 24 broke off"})

    assert verdicts["CLOSE-2"].verdict is Verdict.FAIL
    assert verdicts["CLOSE-2"].reasons == ("7 of 24 broke off",)
    assert verdicts["RUN-6"].verdict is Verdict.NOT_EXERCISED
    assert verdicts["RUN-6"].reasons == ("blocked by CLOSE-2",)


def test_a_failure_without_its_signs_is_accused_beside() -> None:
    outcome = watched(failed(talk()), CONTEXT)

    verdicts = judged(outcome, "RUN-6", broken_throughout={"CLOSE-2": "7 of 24 broke off"})

    assert {name for name, one in verdicts.items() if one.verdict is Verdict.FAIL} == {"CLOSE-2", "RUN-6"}


def test_a_flooded_case_accuses_the_flood() -> None:
    token = said("server", 0.2, type="token", run_id=RUN, seq=1, data="x")
    outcome = watched(
        failed(talk(STARTED, token, flooded_at=FLOOD_RECORDS, endless_bytes=9, received_bytes=10)), CONTEXT
    )

    verdicts = judged(outcome, "RUN-6")

    (reason,) = verdicts["RUN-4"].reasons
    assert reason.startswith("a run sent events without end and no terminal: 10 bytes")
    assert verdicts["RUN-6"].verdict is Verdict.NOT_EXERCISED


def test_who_was_read_no_further_without_a_flood_of_its_own_was_crowded_out() -> None:
    assert starved_by_floods(failed(talk(STARTED, flooded_at=FEW_RECORDS)))
    assert not starved_by_floods(failed(talk(STARTED, flooded_at=FLOOD_RECORDS), flood=Flood("RUN-4", "")))
    assert not starved_by_floods(failed(talk(STARTED)))


def test_a_transcript_shows_where_something_was_found() -> None:
    tokens = [said("server", 0.2, type="token", run_id=RUN, seq=seq, data="x") for seq in range(1, 201)]
    trace = talk(*tokens)
    trace.marks[100] = "RUN-28"

    (marked,) = [line for line in transcript(trace).splitlines() if line.endswith("✕ RUN-28")]

    assert "'seq': 101" in marked
    assert [line.strip() for line in transcript(trace).splitlines() if "more" in line] == [
        "… 89 more …",
        "… 68 more …",
    ]
