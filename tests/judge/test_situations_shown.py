"""A case passes only where the situation that its sentence speaks of came about."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from runwire_conformance.case import Broken, NotExercised, NotJudged, Violation, is_certain, owners_of
from runwire_conformance.cases import c12_limits
from runwire_conformance.client.situations import hostile_clients
from runwire_conformance.client.wire.http import Response
from runwire_conformance.trace.limits import Limits

#: Limits with which a slow reader is given 100 tokens.
FEW = Limits({"log_bytes": 167_000, "pong_timeout_s": 0.01})
WHOLE = "x" * 70_000


def slowed(body: dict[str, Any], unsteady: str = "") -> None:
    """Play the case of the slow reader, with `body` for the state of its run while nothing is read."""
    run = SimpleNamespace(id="one", text="")

    async def started(_: str) -> SimpleNamespace:
        return run

    async def ended(_: float) -> None:
        run.text = WHOLE

    async def told(*_: str) -> Response:
        return Response(200, (), json.dumps(body).encode())

    @asynccontextmanager
    async def slowly(_: float) -> Any:
        yield

    async def connected(**_: object) -> SimpleNamespace:
        return SimpleNamespace(
            start=started, stop_reading=lambda: None, read_slowly=lambda *_: None, while_read_slowly=slowly
        )

    run.terminal = ended
    target = SimpleNamespace(
        connect=connected,
        features={"sse"},
        http=told,
        run_url=lambda _: "/v1/runs/one",
        clock=SimpleNamespace(unsteady=unsteady),
    )
    asyncio.run(c12_limits.a_slow_but_steady_reader_gets_everything(target, FEW))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("produced", "unsteady", "shown"),
    [
        (WHOLE, "", nullcontext()),
        ("x" * 30_000, "", pytest.raises(NotExercised)),
        ("x" * 30_000, "it stalled", pytest.raises(NotJudged)),
    ],
    ids=["the server got ahead", "it did not", "it did not, as the machine stalled"],
)
def test_a_slow_reader_shows_something_only_where_the_server_got_ahead_of_it(
    produced: str, unsteady: str, shown: Any
) -> None:
    with shown:
        slowed({"text": produced}, unsteady)


def test_a_run_whose_state_cannot_be_read_is_held_against_the_sentence_on_that() -> None:
    with pytest.raises(Broken) as raised:
        slowed({"status": "running"})

    assert (owners_of(raised.value), is_certain(raised.value)) == (("HTTP-5",), True)


def test_who_is_served_by_a_connection_of_before_alone_serves_no_newcomer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hostile_clients, "ANSWERED_S", 0.01)
    monkeypatch.setattr(hostile_clients, "share_of_a_core", lambda: 1.0)

    async def stopped() -> None:
        await asyncio.sleep(60)

    clock = SimpleNamespace(tolerance_since=lambda _: 0.0)
    target = SimpleNamespace(clock=clock, connect=stopped)

    with pytest.raises(Violation) as raised:
        asyncio.run(hostile_clients.expect_another_served(target))  # type: ignore[arg-type]

    assert raised.value.requirement == "LIMIT-17"
