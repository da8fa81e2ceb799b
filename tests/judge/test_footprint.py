"""What the judge knows of the runs that it left unfinished, and how long it has to reckon with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runwire_conformance.client.footprint import Footprint, begins_unseen
from runwire_conformance.trace.clock import Interval
from runwire_conformance.trace.http_request import HttpRequest
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace

STARTED = Record(0.2, "server", "block", "data: {}", Message(type="started", run_id="r" * 22))


def answered(status: int) -> Record:
    return Record(0.1, "server", "response", str(status), code=status)


def stream(*records: Record, method: str = "POST") -> Trace:
    return Trace("sse", f"{method} /v1/runs", 0.0, list(records), request=HttpRequest(method, "runs"))


@pytest.mark.parametrize(
    ("trace", "unseen"),
    [
        (stream(answered(200)), True),
        (stream(Record(5.0, "client", "lost", "cut by the client")), True),
        (stream(answered(200), STARTED), False),
        (stream(answered(429)), False),
        (stream(answered(200), method="GET"), False),
        (Trace("http", "POST /v1/runs", 0.0, [answered(202)], request=HttpRequest("POST", "runs")), False),
    ],
)
def test_a_run_whose_start_nobody_saw_is_reckoned_with(trace: Trace, unseen: bool) -> None:
    assert begins_unseen(trace) is unseen


def test_it_is_over_when_its_time_its_grace_and_its_wait_are() -> None:
    class Caller:
        clock: Any = Interval
        limits = Limits({"run_s": 20.0, "detach_grace_s": 5.0, "input_s": 30.0})

        async def cancels(self, run_id: str) -> str | None:
            raise AssertionError(f"nobody knows the id of the run, let alone {run_id}")

    footprint, caller = Footprint(), Caller()
    assert (footprint.runs_left, footprint.seconds_left) == (0, 0.0)

    asyncio.run(footprint.cancel_left([(stream(answered(200)), caller)], caller))

    assert footprint.runs_left == 0  # nobody waits for it who counts nothing
    assert 50 < footprint.seconds_left <= 55
