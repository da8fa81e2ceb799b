"""What one connection of a recording shows of its client: the last that is good, and the first that is not."""

from __future__ import annotations

import pytest

from runwire_conformance.rules import Finding, IndexedFinding
from runwire_conformance.rules.client import body_of
from tests.support.client_conversations import (
    ANOTHER,
    BEAT,
    DONE,
    PING,
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


def beats(*pairs: tuple[float, float]) -> list[Step]:
    """Return a conversation in which heartbeats of the server, at these times, are followed by the client's."""
    return [step for asked, at in pairs for step in ((1, asked, "<", BEAT), (1, at, ">", BEAT))]


ANSWERED = "3 heartbeats of the server were answered"
AGAIN = "resent at once a message that was refused as not retryable"
TWICE = "a member name is repeated"
FURTHER = "a further start beside a run on a server that sent no ready"
NO_READY = "a resume on a server that sent no ready"
CONFLICT = refused("conflict", retryable=False)
QUICK = ((1000, 1005), (2000, 2005))

ROWS: list[Row] = [
    # One meaning.
    ("a name twice", [(1, 0, ">", '{"prompt":"x","prompt":"y"}')], shown("MSG-21", TWICE)),
    ("a name twice, deep down", [(1, 0, ">", '{"prompt":"x","inputs":{"a":1,"a":1}}')], shown("MSG-21", TWICE)),
    ("a number that is none", [(1, 0, ">", '{"prompt":"x","inputs":{"a":NaN}}')], []),
    ("a number that is none, and a name twice", [(1, 0, ">", '{"prompt":"x","a":NaN,"a":1}')],
     shown("MSG-21", TWICE)),
    ("a text that is no JSON, and then a null", [(1, 0, ">", "{"), (1, 1, ">", {**PROMPT, "id": None})],
     shown("MSG-21", "id of start is null", 1)),
    ("null in an answer", [(1, 0, ">", {"type": "input", "run_id": RUN, "request_id": "q", "data": None})], []),
    ("null where something is required", [(1, 0, ">", {"type": "resume", "run_id": None, "after": None})], []),
    ("no prompt", [(1, 0, ">", {"prompt": None})], []),
    ("null deep down", [(1, 0, ">", {**PROMPT, "inputs": {"a": None}})], []),
    ("null in a member of nobody's", [(1, 0, ">", {**PROMPT, "acme:x": None})], []),
    ("null in a message of nobody's, and then in a known one",
     [(1, 0, ">", {"type": "acme:x", "id": None}), (1, 1, ">", {**BEAT, "id": None})],
     shown("MSG-21", "id of heartbeat is null", 1)),
    ("null from the server", [(1, 0, "<", {**BEAT, "id": None})], []),
    ("the same fault twice, and on another connection",
     [(1, 0, ">", {**PROMPT, "id": None}), (1, 1, ">", {**BEAT, "id": None}), (2, 9000, ">", {**BEAT, "id": None})],
     [*shown("MSG-21", "id of start is null"), *shown("MSG-21", "id of heartbeat is null", 0, on=1)]),
    # An id.
    ("an id twice", [(1, n, ">", {**BEAT, "id": "1"}) for n in (0, 900, 1800)],
     shown("MSG-32", "the id '1' a second time", 1)),
    ("an id on two connections", [(n, n, ">", {**BEAT, "id": "1"}) for n in (1, 2)], []),
    ("two ids", [(1, n, ">", {**BEAT, "id": str(n)}) for n in (0, 900)], []),
    ("an id that is none", [(1, n, ">", {**BEAT, "id": 7}) for n in (0, 900)], []),
    ("an id of the server's", [(1, n, "<", {**BEAT, "id": "1"}) for n in (0, 900)], []),
    # Another protocol.
    ("another version", [(1, 0, "<", {**READY, "version": 2}), (1, 1, "<", SAID), (1, 1500, ">", PROMPT)],
     shown("CONN-13", "a start after a ready of runwire 2", 2)),
    ("another protocol", [(1, 0, "<", {**READY, "protocol": "other"}), (1, 1500, ">", BEAT)],
     shown("CONN-13", "a heartbeat after a ready of other 1", 1)),
    ("another version, as the client would have it",
     [(1, 0, "<", {**READY, "version": 2}), (1, 1500, ">", READY)],
     shown("CONN-13", "a ready after a ready of runwire 2", 1)),
    ("another version that the first message crosses",
     [(1, 0, "<", {**READY, "version": 2}), (1, 900, ">", PROMPT), (1, 910, ">", 1000)], []),
    ("another version, and the goodbye", [(1, 0, "<", {**READY, "version": 2}), (1, 5, ">", 1000)], []),
    ("another version that nobody answers", [(1, 0, ">", START), (1, 5, "<", {**READY, "version": 2})], []),
    ("another version, taken back", [(1, 0, "<", {**READY, "version": 2}), (1, 1, "<", READY), (1, 5, ">", START)],
     []),
    # A basic server.
    ("a resume on a basic server", [(1, 0, "<", SAID), (1, 5, ">", resume())], shown("CONN-14", NO_READY, 1)),
    ("a resume before a word", [(1, 0, ">", resume()), (1, 5, "<", SAID)], []),
    ("a resume after a late ready", [(1, 0, "<", SAID), (1, 1, "<", READY), (1, 5, ">", resume())], []),
    ("a resume in a stream", [("sse 1", 0, "<", SAID), ("sse 1", 5, ">", resume())], []),
    ("a second run on a basic server", [(1, 0, ">", PROMPT), (1, 1, "<", SAID), (1, 5, ">", START)],
     shown("CONN-14", FURTHER, 2)),
    ("a second run without a type", [(1, 0, ">", START), (1, 1, "<", SAID), (1, 5, ">", PROMPT)],
     shown("CONN-14", FURTHER, 2)),
    ("a run after a run", [(1, 0, ">", PROMPT), (1, 1, "<", DONE), (1, 5, ">", PROMPT)], []),
    ("a run after a run that failed",
     [(1, 0, ">", PROMPT), (1, 1, "<", {"type": "error", "data": "x"}), (1, 5, ">", PROMPT)], []),
    ("a run after a run, and one beside it",
     [(1, 0, ">", PROMPT), (1, 1, "<", DONE), (1, 5, ">", PROMPT), (1, 6, ">", ANOTHER)],
     shown("CONN-14", FURTHER, 3)),
    ("the first run after a word", [(1, 0, "<", SAID), (1, 5, ">", PROMPT)], []),
    ("two runs before a word", [(1, 0, ">", PROMPT), (1, 1, ">", START), (1, 5, "<", SAID)], []),
    ("a cancel on a basic server", [(1, 0, ">", PROMPT), (1, 1, "<", SAID), (1, 5, ">", {"type": "cancel"})], []),
    # Heartbeats.
    ("two answers", beats(*QUICK), []),
    ("three answers", beats(*QUICK, (3000, 3250)), shown("BEAT-10", ANSWERED, 5)),
    ("two answers, and one that took its time", beats(*QUICK, (3000, 3251)), []),
    ("four answers", beats(*QUICK, (3000, 3005), (4000, 4005)), shown("BEAT-10", ANSWERED, 5)),
    ("a heartbeat of its own at first", [(1, 0, ">", BEAT), *beats(*QUICK, (3000, 3005))],
     shown("BEAT-10", ANSWERED, 6)),
    ("a heartbeat of its own between", [*beats(*QUICK), (1, 2900, ">", BEAT), *beats((3000, 3005))], []),
    ("a start between", [*beats(*QUICK), (1, 2900, ">", START), *beats((3000, 3005))], []),
    ("a message of the server between", [*beats(*QUICK), (1, 3000, "<", BEAT), (1, 3001, "<", SAID),
                                         (1, 3005, ">", BEAT)], []),
    ("heartbeats that are answers",
     [step for n in (1000.0, 2000.0, 3000.0)
      for step in ((1, n, "<", {**BEAT, "re": "1"}), (1, n + 5, ">", BEAT))], []),
    ("other messages behind heartbeats",
     [step for n in (1000.0, 2000.0, 3000.0) for step in ((1, n, "<", BEAT), (1, n + 5, ">", {"type": "cancel"}))],
     []),
    ("other messages before a heartbeat's",
     [step for n in (1000.0, 2000.0, 3000.0) for step in ((1, n, "<", SAID), (1, n + 5, ">", BEAT))], []),
    # Silence: three heartbeats and the slack make five seconds.
    ("silence at its bound", [(1, 0, "<", READY), (1, 5000, ">", START)], []),
    ("silence beyond its bound", [(1, 0, "<", READY), (1, 5001, ">", START), (1, 9000, ">", BEAT)],
     shown("BEAT-11", "a message on a connection that was silent for 5 s", 1)),
    ("silence but for a Ping", [(1, 0, "<", READY), (1, 3000, "<", PING), (1, 6000, ">", START)], []),
    ("silence of the client", [(1, 0, "<", READY), (1, 3000, ">", START), (1, 6000, ">", BEAT)],
     shown("BEAT-11", "a message on a connection that was silent for 6 s", 2)),
    ("a Ping into the silence", [(1, 0, "<", READY), (1, 6000, ">", PING)], []),
    ("silence from the begin", [(1, 1000, ">", START), (1, 6001, ">", BEAT), (1, 6500, "<", READY)],
     shown("BEAT-11", "a message on a connection that was silent for 5 s", 1)),
    ("silence from the begin, at its bound", [(1, 1000, ">", START), (1, 6000, ">", BEAT), (1, 6500, "<", READY)],
     []),
    ("silence in a stream", [("sse 1", 0, "<", READY), ("sse 1", 60_000, ">", START)], []),
    ("silence without a ready", [(1, 0, "<", SAID), (1, 60_000, ">", START)], []),
    ("silence without limits", [(1, 0, "<", {**READY, "limits": 7}), (1, 60_000, ">", START)], []),
    ("the usual silence at its bound", [(1, 0, "<", {**READY, "limits": {}}), (1, 47_000, ">", START)], []),
    ("the usual silence beyond its bound",
     [(1, 0, "<", {**READY, "limits": {}}), (1, 1000, "<", READY), (1, 48_001, ">", START)],
     shown("BEAT-11", "a message on a connection that was silent for 47 s", 2)),
    # What is not to be tried again.
    ("again within the second", [(1, 0, ">", START), (1, 125, "<", CONFLICT), (1, 1125, ">", START)],
     shown("ERR-6", AGAIN, 2)),
    ("again after the second", [(1, 0, ">", START), (1, 125, "<", CONFLICT), (1, 1126, ">", START)], []),
    ("again without its type",
     [(1, 0, ">", START), (1, 5, "<", CONFLICT), (1, 50, ">", {"run_id": RUN, "prompt": "x"})],
     shown("ERR-6", AGAIN, 2)),
    ("again with another id", [(1, 0, ">", {**START, "id": "1"}), (1, 5, "<", {**CONFLICT, "re": "1"}),
                               (1, 50, ">", {**START, "id": "2"})], shown("ERR-6", AGAIN, 2)),
    ("again after something else", [(1, 0, ">", START), (1, 5, "<", CONFLICT), (1, 40, ">", BEAT), (1, 50, ">", START)],
     shown("ERR-6", AGAIN, 3)),
    ("the first of two again", [(1, 0, ">", START), (1, 5, "<", CONFLICT), (1, 6, ">", ANOTHER), (1, 9, "<", CONFLICT),
                                (1, 50, ">", START)], shown("ERR-6", AGAIN, 4)),
    ("something else", [(1, 0, ">", START), (1, 5, "<", CONFLICT), (1, 50, ">", ANOTHER)], []),
    ("again what another answer refused", [(1, 0, ">", {**START, "id": "1"}), (1, 1, ">", {**ANOTHER, "id": "2"}),
                                           (1, 5, "<", {**CONFLICT, "re": "1"}), (1, 50, ">", ANOTHER)], []),
    ("again an input", [(1, n * 20, ">", {"type": "input", "id": str(n), "data": 1}) if n != 1
                        else (1, 20, "<", {**CONFLICT, "re": "0"}) for n in range(3)], shown("ERR-6", AGAIN, 2)),
    ("again, as all the time before",
     [*((1, n, ">", {**START, "id": str(n)}) for n in range(2)), (1, 5, "<", {**CONFLICT, "re": "1"}),
      (1, 50, ">", {**START, "id": "2"})], []),
    ("again as it may", [(1, 0, ">", START), (1, 5, "<", refused("busy", retryable=True)), (1, 50, ">", START)], []),
    ("again as nobody forbade", [(1, 0, ">", START), (1, 5, "<", {"type": "error", "data": "x"}), (1, 50, ">", START)],
     []),
    ("again what was no refusal", [(1, 0, ">", {"type": "acme:x", "id": "1"}),
                                   (1, 5, "<", {**SAID, "re": "1", "retryable": False}),
                                   (1, 50, ">", {"type": "acme:x", "id": "2"})], []),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_edge_of_what_a_client_may_say(steps: list[Step], expected: list[IndexedFinding]) -> None:
    assert found(steps) == expected


@pytest.mark.parametrize(("steps", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_ping_is_no_message_and_changes_nothing(steps: list[Step], expected: list[IndexedFinding]) -> None:
    behind = [(on, Finding(one.requirement, one.text, one.record + 2)) for on, one in expected]

    assert found(with_pings(steps)) == behind


@pytest.mark.parametrize(
    ("kind", "members"),
    [("start", "type id run_id session_id inputs on_disconnect traceparent"), ("cancel", "id run_id"),
     ("resume", "id epoch"), ("input", "id"), ("heartbeat", "id")],
)  # fmt: skip
def test_no_optional_member_is_null(kind: str, members: str) -> None:
    for name in members.split():
        assert found([(1, 0, ">", {"type": kind, name: None})]) == shown(
            "MSG-21", f"{name} of {kind} is null"
        )


def test_messages_are_equal_whatever_their_id_and_the_order_of_their_members() -> None:
    assert body_of({"type": "start", "id": "1", "prompt": "x", "run_id": "r"}) == body_of(
        {"run_id": "r", "prompt": "x"}
    )
    assert body_of({"type": "cancel", "id": "1"}) == body_of({"type": "cancel"}) != body_of({})
    assert body_of(START) != body_of(ANOTHER)
