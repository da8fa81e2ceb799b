"""Steps of a client that comes back."""

from __future__ import annotations

from typing import Any

from tests.support.client_conversations import (
    READY,
    RUN,
    START,
    STARTED,
    Step,
    refused,
    token,
)

FOLLOWED: list[Step] = [
    (1, 0, "<", READY),
    (1, 10, ">", START),
    (1, 20, "<", STARTED),
    (1, 30, "<", token(1)),
]


def resumed(status: str = "running", next_seq: Any = 2, **members: Any) -> dict[str, Any]:
    return {
        "type": "resumed",
        "run_id": RUN,
        "epoch": "e1",
        "next_seq": next_seq,
        "status": status,
        **members,
    }


FAILED = refused("agent_error", retryable=True, run_id=RUN, seq=2)


BUSY = refused("busy", retryable=True)
