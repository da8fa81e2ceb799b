"""What a whole recording shows of its server: each rule finds its breach, and leaves its neighbour alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.patience import examples
from tests.support.transcripts import INVALID, VALID, found

RUN, OTHER = "a" * 22, "b" * 22
LIMITS = {
    "heartbeat_s": 15,
    "cancel_deadline_ms": 1000,
    "idle_s": 10,
    "runs_per_connection": 1,
    "resume_window_s": 60,
}
READY = {
    "type": "ready",
    "protocol": "runwire",
    "version": 1,
    "connection_id": "c1",
    "trace_id": "1" * 32,
    "limits": LIMITS,
    "features": ["resume"],
}
START = {"type": "start", "id": "1", "prompt": "x", "run_id": RUN}
TOKEN = {"type": "token", "run_id": RUN, "seq": 1, "data": "x"}
BEAT = {"type": "heartbeat"}

#: (connection, ms, who, message or close code): `>` is the client, `<` the server.
Step = tuple[int, float, str, Any]


def started(run_id: str = RUN, **members: Any) -> dict[str, Any]:
    plain = {"type": "started", "run_id": run_id, "epoch": "e1", "status": "running", "trace_id": "1" * 32}
    return {**plain, "session_id": "s" * 22, **members}


def resumed(next_seq: int, **members: Any) -> dict[str, Any]:
    plain = {"type": "resumed", "run_id": RUN, "epoch": "e1", "next_seq": next_seq, "status": "running"}
    return {**plain, "trace_id": "1" * 32, **members}


def done(seq: int, run_id: str = RUN, **members: Any) -> dict[str, Any]:
    plain = {"type": "done", "run_id": run_id, "seq": seq, "data": "x", "status": "completed"}
    return {**plain, "trace_id": "1" * 32, **members}


def resume(after: int, **members: Any) -> dict[str, Any]:
    return {"type": "resume", "id": "r", "run_id": RUN, "after": after, "epoch": "e1", **members}


CANCELLED = {"status": "cancelled", "reason": "user"}
FOLLOWED: list[Step] = [(1, 0, "<", READY), (1, 10, ">", START), (1, 20, "<", started(re="1"))]
ENDED: list[Step] = [*FOLLOWED, (1, 30, "<", TOKEN), (1, 40, "<", done(2))]
SECOND: Step = (2, 50, "<", {**READY, "connection_id": "c2"})
PLAIN: list[Step] = [*FOLLOWED, (1, 30, ">", {"prompt": "y"}), (1, 40, "<", started(OTHER))]
REFUSAL = {"type": "error", "re": "2", "code": "bad_request", "retryable": False, "data": "x"}
REFUSED: list[Step] = [
    *ENDED,
    (1, 100, ">", {"type": "start", "id": "2", "prompt": 7}),
    (1, 110, "<", REFUSAL),
]

BROKEN: dict[str, tuple[str, list[Step]]] = {
    "two runs of which one has no name": ("RUN-7", [*PLAIN, (1, 900, "<", TOKEN), (1, 990, "<", done(2))]),
    "more runs than the limit": (
        "RUN-24",
        [
            *FOLLOWED,
            (1, 30, ">", {**START, "id": "2", "run_id": OTHER}),
            (1, 40, "<", started(OTHER, re="2")),
            (1, 900, "<", TOKEN),
        ],
    ),
    "another reason": (
        "CANCEL-1",
        [
            *FOLLOWED,
            (1, 30, ">", {"type": "cancel"}),
            (1, 40, "<", done(1, status="cancelled", reason="length")),
        ],
    ),
    "a late end": (
        "CANCEL-2",
        [*FOLLOWED, (1, 30, ">", {"type": "cancel"}), (1, 1900, "<", done(1, **CANCELLED))],
    ),
    "no end": ("CANCEL-2", [*FOLLOWED, (1, 30, ">", {"type": "cancel"}), (1, 14000, "<", BEAT)]),
    "closed after a cancel": (
        "CANCEL-13",
        [*FOLLOWED, (1, 30, ">", {"type": "cancel"}), (1, 40, "<", done(1, **CANCELLED)), (1, 50, "<", 1000)],
    ),
    "closed after a refusal": ("ERR-3", [*REFUSED, (1, 120, "<", 1008)]),
    "one name for two": ("CONN-18", [*ENDED, (2, 50, "<", READY)]),
    "other limits": ("CONN-17", [*ENDED, (2, 50, "<", {**READY, "connection_id": "c2", "limits": {}})]),
    "other features": ("CONN-17", [*ENDED, (2, 50, "<", {**READY, "connection_id": "c2", "features": []})]),
    "another log for the same start": (
        "RUN-19",
        [*ENDED, (1, 50, ">", {**START, "id": "2"}), (1, 60, "<", started(re="2", epoch="e2"))],
    ),
    "another body on another connection": (
        "RUN-20",
        [*ENDED, SECOND, (2, 60, ">", {**START, "prompt": "y"}), (2, 70, "<", started(re="1"))],
    ),
    "a cursor beyond the end": (
        "RESUME-13",
        [*ENDED, SECOND, (2, 60, ">", resume(3)), (2, 70, "<", resumed(4, re="r"))],
    ),
    "another text for another reader": (
        "RUN-30",
        [
            *ENDED,
            SECOND,
            (2, 60, ">", resume(0)),
            (2, 70, "<", resumed(1, re="r")),
            (2, 80, "<", {**TOKEN, "data": "z"}),
        ],
    ),
    "a merged text that its parts are not": (
        "RUN-30",
        [
            *FOLLOWED,
            (1, 30, "<", TOKEN),
            (1, 31, "<", {**TOKEN, "seq": 2}),
            SECOND,
            (2, 60, ">", resume(0)),
            (2, 70, "<", resumed(1, re="r")),
            (2, 80, "<", {**TOKEN, "seq": 2, "first_seq": 1, "data": "xz"}),
        ],
    ),
}

#: What a good server can be seen to do, beside what it would be accused of.
KEPT: dict[str, list[Step]] = {
    "the end of the run before was under way": [*PLAIN, (1, 45, "<", TOKEN), (1, 50, "<", done(2))],
    "the end of the run before was under way for long": [
        *PLAIN,
        *((1, 45 + 100.0 * n, "<", {**TOKEN, "seq": n}) for n in range(1, 20)),
        (1, 2000, "<", done(20)),
    ],
    "the run before had ended": [*ENDED, (1, 50, ">", {"prompt": "y"}), (1, 60, "<", started(OTHER))],
    "the same run again is no further one": [
        *FOLLOWED,
        (1, 30, ">", {**START, "id": "2"}),
        (1, 40, "<", started(re="2")),
        (1, 41, "<", resumed(1)),
        (1, 900, "<", TOKEN),
    ],
    "it ended before the cancel arrived": [*FOLLOWED, (1, 30, ">", {"type": "cancel"}), (1, 40, "<", done(1))],
    "it had ended for want of a reader": [
        *((1, 0, "<", READY), (1, 10, ">", resume(0)), (1, 20, "<", resumed(1, re="r", status="cancelled"))),
        (1, 30, ">", {"type": "cancel", "run_id": RUN}),
        (1, 40, "<", done(1, status="cancelled", reason="disconnected")),
    ],
    "a cancel that was refused": [
        *FOLLOWED,
        (1, 30, ">", {"type": "cancel", "id": "2", "run_id": 7}),
        (1, 40, "<", REFUSAL),
        (1, 14000, "<", BEAT),
    ],
    "a connection that was idle": [
        *ENDED,
        (1, 10_000, ">", {"type": "start", "id": "2", "prompt": 7}),
        (1, 10_010, "<", REFUSAL),
        (1, 10_050, "<", 1000),
    ],
    "a server that is restarted": [*REFUSED, (1, 120, "<", 1012)],
    "messages on the way when the first is refused": [
        *FOLLOWED,
        *((1, 30 + n, ">", {"type": "resume", "id": f"b{n}", "run_id": n, "after": 0}) for n in range(3)),
        *((1, 40 + n, "<", {**REFUSAL, "re": f"b{n}"}) for n in range(3)),
    ],
    "a caller that is throttled": [
        *ENDED,
        (1, 100, ">", {"type": "start", "id": "2", "prompt": "y"}),
        (1, 110, "<", {**REFUSAL, "code": "rate_limited", "retryable": True}),
        (1, 120, "<", 4429),
    ],
    "another deployment": [*ENDED, (1, 45, ">", 1000), (2, 50, "<", {**READY, "connection_id": "c2", "limits": {}})],
    "the name is free again": [*ENDED, (1, 9_000, "<", BEAT), (1, 20_000, "<", BEAT), (1, 33_000, "<", BEAT),
                               (1, 48_000, "<", BEAT), (1, 62_000, "<", BEAT),
                               (1, 62_010, ">", {**START, "id": "2", "prompt": "y"}),
                               (1, 62_020, "<", started(re="2"))],
    "a lost log": [*ENDED, SECOND, (2, 60, ">", START), (2, 70, "<", started(re="1", epoch="e2")),
                   (2, 80, "<", {**TOKEN, "data": "z"})],
    "the defaults of a body written out": [
        *ENDED, SECOND, (2, 60, ">", {**START, "inputs": {}, "on_disconnect": "grace"}), (2, 70, "<", started(re="1")),
        (2, 71, "<", resumed(1, status="completed")),
    ],
    "merged for another reader": [
        *FOLLOWED, (1, 30, "<", TOKEN), (1, 31, "<", {**TOKEN, "seq": 2, "data": "y"}), SECOND, (2, 60, ">", resume(0)),
        (2, 70, "<", resumed(1, re="r")), (2, 80, "<", {**TOKEN, "seq": 2, "first_seq": 1, "data": "xy"}),
    ],
}  # fmt: skip


def broken(steps: list[Step]) -> set[str]:
    """Return the requirements that a recording breaks."""
    lines: list[dict[str, object]] = []
    for connection, ms, who, said in sorted(steps, key=lambda step: step[1]):
        side = "client" if who == ">" else "server"
        kind = "close" if isinstance(said, int) else "message"
        lines.append(
            {"at_ms": ms, "from": side, "transport": "websocket", "connection": connection, kind: said}
        )
    return {requirement for requirement, _ in found(lines)}


@pytest.mark.parametrize("name", BROKEN)
def test_a_breach_is_found_in_a_whole_recording_and_no_other(name: str) -> None:
    requirement, steps = BROKEN[name]

    assert broken(steps) == {requirement}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_good_server_may_be_seen_to_do_is_left_alone(name: str) -> None:
    assert broken(KEPT[name]) == set()


def test_every_breach_of_a_whole_recording_has_a_transcript_too() -> None:
    shown = {identifier for header, *_ in INVALID.values() for identifier in header["breaks"]}

    assert {requirement for requirement, _ in BROKEN.values()} <= shown


#: Members of messages that rules look at.
MEMBERS = [
    *(
        "type",
        "id",
        "re",
        "run_id",
        "session_id",
        "epoch",
        "status",
        "reason",
        "code",
        "seq",
        "first_seq",
        "after",
    ),
    *(
        "next_seq",
        "features",
        "limits",
        "connection_id",
        "trace_id",
        "call_id",
        "request_id",
        "data",
        "retryable",
    ),
]

#: What no schema allows where a word or a number belongs, and some rules would use as a key.
STRANGE: list[Any] = [[], {}, [{}], None, True, -1, 0.5, 2**70, "", "\ud800", {"a": []}]


@pytest.mark.property
@settings(max_examples=examples(300))
@given(data=st.data())
def test_no_message_however_strange_keeps_a_recording_from_being_judged(data: st.DataObject) -> None:
    lines = copy.deepcopy(data.draw(st.sampled_from([*VALID.values(), *INVALID.values()])))
    said = [line["message"] for line in lines if "message" in line]
    for message in data.draw(st.lists(st.sampled_from(said), min_size=1, max_size=6)):
        member = data.draw(st.sampled_from([*message, *MEMBERS]))
        message[member] = data.draw(st.sampled_from(STRANGE))

    found(lines)
