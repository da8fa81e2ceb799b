"""What a recording shows of its client: each rule is seen to find its fault, and to leave its neighbour alone."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.invariants.client import client_findings
from runwire_conformance.recording import Line, read_recording

RUN, OTHER = "a" * 22, "b" * 22
READY = {"type": "ready", "protocol": "runwire", "version": 1, "limits": {"heartbeat_s": 1}}
STARTED = {"type": "started", "run_id": RUN, "epoch": "e1"}
START = {"type": "start", "prompt": "x", "run_id": RUN}
DONE = {"type": "done", "run_id": RUN, "seq": 2, "data": "x", "status": "completed"}
BEAT = {"type": "heartbeat"}


def token(seq: int) -> dict[str, Any]:
    return {"type": "token", "run_id": RUN, "seq": seq, "data": "x"}


def resume(after: int = 1, **members: Any) -> dict[str, Any]:
    return {"type": "resume", "run_id": RUN, "after": after, **members}


def refused(code: str, *, retryable: bool, **members: Any) -> dict[str, Any]:
    return {"type": "error", "code": code, "retryable": retryable, "data": "x", **members}


#: (connection, ms, who, message, close code or raw text): `>` is the client, `<` the server.
Step = tuple[int, float, str, Any]

FOLLOWED: list[Step] = [
    (1, 0, "<", READY),
    (1, 10, ">", START),
    (1, 20, "<", STARTED),
    (1, 30, "<", token(1)),
]


def closed(code: int) -> list[Step]:
    """Return a run whose connection the server closes."""
    return [*FOLLOWED, (1, 100, "<", code)]


def answered_beats(times: int) -> list[Step]:
    """Return a conversation in which so many heartbeats are answered."""
    return [step for n in range(times) for step in ((1, n * 900.0, "<", BEAT), (1, n * 900 + 5.0, ">", BEAT))]


def returns(code: int, gap_ms: float) -> list[Step]:
    """Return six connections, each closed by the server and opened again after a gap."""
    steps: list[Step] = []
    for number in range(1, 7):
        at = (number - 1) * (100 + gap_ms)
        steps += [(number, at, "<", READY), (number, at + 100, "<", code)]
    return steps


BROKEN: list[tuple[str, list[Step]]] = [
    ("MSG-21", [(1, 0, ">", {"prompt": "x", "session_id": None})]),
    ("MSG-21", [(1, 0, ">", '{"prompt":"x","prompt":"y"}')]),
    ("MSG-32", [(1, 0, ">", {**BEAT, "id": "1"}), (1, 900, ">", {**BEAT, "id": "1"})]),
    ("CONN-13", [(1, 0, "<", {**READY, "version": 2}), (1, 5, ">", START)]),
    ("CONN-14", [(1, 0, "<", {"type": "token", "data": "x"}), (1, 5, ">", resume())]),
    (
        "CONN-14",
        [(1, 0, ">", {"prompt": "x"}), (1, 1, "<", {"type": "token", "data": "x"}), (1, 5, ">", START)],
    ),
    ("BEAT-10", answered_beats(3)),
    ("BEAT-11", [(1, 0, "<", READY), (1, 6000, ">", START)]),
    ("ERR-6", [(1, 0, ">", START), (1, 5, "<", refused("conflict", retryable=False)), (1, 50, ">", START)]),
    ("CLOSE-4", [*closed(4000), (2, 9000, ">", {"prompt": "another"})]),
    ("CLOSE-6", [*closed(4400), (2, 300, "<", READY)]),
    ("CLOSE-7", returns(1012, 10)),
    ("CLOSE-8", [(1, 0, ">", START), (1, 5, "<", 1009), (2, 5000, ">", START)]),
    ("RESUME-21", [*FOLLOWED, (1, 40, "<", token(3)), (1, 9000, "<", token(4))]),
    ("RESUME-22", [*closed(4000), (2, 150, ">", resume())]),
    (
        "RESUME-22",
        [
            *((1, 0, ">", resume(epoch="e0")), (1, 5, "<", refused("not_found", retryable=False))),
            (2, 9000, ">", resume(epoch="e0")),
        ],
    ),
    (
        "ERR-8",
        [
            *FOLLOWED,
            (1, 40, "<", refused("agent_error", retryable=True, run_id=RUN, seq=2)),
            (1, 2000, ">", START),
        ],
    ),
    (
        "ERR-8",
        [
            *((1, 0, ">", START), (1, 5, "<", refused("busy", retryable=True))),
            (1, 300, ">", {**START, "run_id": OTHER}),
        ],
    ),
    ("RUN-12", [(1, 0, ">", {"prompt": "x"}), (1, 5, "<", 1006), (2, 100, ">", {"prompt": "x"})]),
]

KEPT: list[list[Step]] = [
    [(1, 0, ">", '{"prompt":"x","inputs":{"a":null}}')],
    [(1, 0, ">", {"type": "input", "run_id": RUN, "request_id": "q", "data": None})],
    [
        (1, 0, "<", READY),
        (1, 900, ">", BEAT),
        (1, 905, "<", BEAT),
        (1, 1800, ">", BEAT),
        (1, 1805, "<", BEAT),
    ],
    answered_beats(1),
    [(1, 0, "<", READY), (1, 3500, "<", BEAT), (1, 6000, ">", START)],
    [(1, 0, ">", START), (1, 5, "<", refused("conflict", retryable=False)), (1, 5000, ">", START)],
    [(1, 0, ">", START), (1, 5, "<", refused("busy", retryable=True)), (1, 300, ">", START)],
    [*closed(4000), (2, 120, ">", resume(epoch="e1")), (2, 9000, "<", token(2))],
    [*FOLLOWED, (1, 40, "<", DONE), (1, 100, "<", 4000), (2, 9000, ">", {"prompt": "another"})],
    [*closed(4400), (2, 60_000, "<", READY)],
    returns(1012, 400),
    returns(4000, 10),
    [*FOLLOWED, (1, 40, "<", token(3)), (1, 50, ">", resume(epoch="e1")), (1, 9000, "<", token(2))],
    [(1, 0, ">", resume(after=0)), (2, 50, ">", resume(after=0))],
]


def found(steps: list[Step]) -> set[str]:
    """Return the requirements that the client of a conversation breaks."""
    lines = []
    for number, (connection, ms, who, said) in enumerate(steps, start=1):
        kind = {dict: "message", int: "close", str: "text"}[type(said)]
        side = "client" if who == ">" else "server"
        value = {"at_ms": ms, "from": side, "transport": "websocket", "connection": connection, kind: said}
        lines.append(Line(f"r:{number}", value, ""))
    traces = [one.trace for one in read_recording(lines).connections]
    return {finding.requirement for _, finding in client_findings(traces)}


@pytest.mark.parametrize(("requirement", "steps"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_fault_of_the_client_is_found_and_no_other(requirement: str, steps: list[Step]) -> None:
    assert found(steps) == {requirement}


@pytest.mark.parametrize("steps", KEPT, ids=range(len(KEPT)))
def test_what_a_client_may_do_is_left_alone(steps: list[Step]) -> None:
    assert found(steps) == set()


def test_the_end_of_a_stream_without_a_terminal_is_to_be_resumed() -> None:
    def line(connection: int, ms: float, side: str, **said: Any) -> Line:
        value = {"at_ms": ms, "from": side, "transport": "sse", "connection": connection, **said}
        return Line("r", value, "")

    stream = [line(1, 0, "client", message=START), line(1, 5, "server", message=STARTED)]
    cut = [*stream, line(1, 20, "server", close=1000)]
    left = [*cut, line(2, 9000, "client", message={"prompt": "another"})]
    back = [*cut, line(2, 2000, "client", message=resume(after=1, epoch="e1")), *left[-1:]]

    for lines, expected in ((left, {"SSE-23"}), (back, set())):
        traces = [one.trace for one in read_recording(lines).connections]
        assert {finding.requirement for _, finding in client_findings(traces)} == expected
