"""What an end, or too much to read, says of a server: of its own sentence, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runwire_conformance.case import Broken, NoServerFault, precondition
from runwire_conformance.client.conversations import conversation
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import Conversation
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.trace.transcript import transcript

LIMITS = Limits({"idle_s": 3})


def closed(
    code: int, at: float, *records: tuple[float, str, dict[str, Any]], not_reading: bool = False
) -> Client:
    """Return a connection that the server closed so many seconds after its opening."""
    client = Client.__new__(Client)
    client.trace = Trace("websocket", "one", began=100.0, not_reading=not_reading)
    client.limits, client.messages, client.close_code, client.ended_at = LIMITS, [], code, 100.0 + at
    client.patience_s, client.received_bytes, client._news = 0.0, 0, asyncio.Condition()
    client._peer = SimpleNamespace(unfinished=0)  # type: ignore[assignment]
    for moment, side, said in records:
        message = Message(said)
        message.at, message.index = 100.0 + moment, len(client.messages)
        client.trace.records.append(Record(message.at, side, "text", "{}", message))  # type: ignore[arg-type]
        if side == "server":
            client.messages.append(message)
    place = sum(record.at <= client.ended_at for record in client.trace.records)
    client.trace.records.insert(place, Record(client.ended_at, "server", "close", code=code))
    return client


BEAT: dict[str, Any] = {"type": "heartbeat", "id": "h"}
START: dict[str, Any] = {"type": "start", "prompt": "x"}
STARTED: dict[str, Any] = {"type": "started", "run_id": "r"}
DONE: dict[str, Any] = {"type": "done", "run_id": "r", "seq": 1}
ENDED = ((0.1, "client", START), (0.2, "server", STARTED), (0.3, "server", DONE))


@pytest.mark.parametrize(
    ("client", "is_idle"),
    [
        (lambda: closed(1000, 3.1), True),
        (lambda: closed(1000, 3.4, *ENDED), True),
        (lambda: closed(1000, 3.4, *ENDED, (5.0, "client", START)), True),
        (lambda: closed(1000, 3.4, *ENDED[:2], not_reading=True), True),
        (lambda: closed(1000, 3.4, *ENDED[:2]), False),
        (lambda: closed(1000, 3.4, *ENDED[:1]), False),
        (lambda: closed(1000, 3.1, (0.1, "client", BEAT)), False),
        (
            lambda: closed(
                1000, 3.1, (0.1, "client", BEAT), (0.2, "server", {"type": "heartbeat", "re": "h"})
            ),
            True,
        ),
        (lambda: closed(1000, 3.1, (2.9, "client", BEAT)), True),
        (lambda: closed(1000, 3.1, (0.1, "client", {"type": "heartbeat"})), True),
        (lambda: closed(1000, 1.0), False),
        (lambda: closed(1011, 3.1), False),
    ],
)
def test_a_close_for_idleness_is_no_fault(client: Callable[[], Client], is_idle: bool) -> None:
    with pytest.raises(Broken) as stays_open:
        client().expect_open()
    with pytest.raises(Broken) as waited:
        asyncio.run(client().wait_until(lambda: False, 1.0, "started"))

    for problem in (stays_open.value, waited.value):
        assert isinstance(problem, NoServerFault) is is_idle
        assert not is_idle or "idle_s (advertised 3) ended before the case; set" in str(problem)


@pytest.mark.parametrize(("size", "rests"), [(1000, False), (1000, True), (10, False)])
def test_what_the_judge_is_still_reading_is_not_missing(
    size: int, rests: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MUCH_BYTES", 500)
    reading = Conversation(Trace("sse", "one"), LIMITS, Clock().begun())

    async def read() -> None:
        waiting = asyncio.create_task(reading.wait_until(lambda: False, 0.1, "the run's terminal"))
        await asyncio.sleep(0)
        message = reading._received(f'{{"type":"token","data":"{"x" * size}"}}')
        assert message is not None
        if rests:
            message.at = now() - 10
        await waiting

    with pytest.raises(Broken) as missing:
        asyncio.run(read())

    assert isinstance(missing.value, NoServerFault) is (size == 1000 and not rests)


def test_the_end_of_a_long_conversation_is_shown_wherever_it_stands() -> None:
    trace = Trace("websocket", "one", began=0.0)
    trace.records = [Record(0.1, "server", "text", "{}") for _ in range(200)]
    trace.records[60] = Record(0.1, "server", "close", code=1000)

    assert "close 1000" in transcript(trace)
    trace.shorten(40)
    assert "close 1000" in transcript(trace)


def test_what_a_case_leans_on_is_held_against_its_owner() -> None:
    for problem in (Broken("expected a further event", ("EVENT-4",)), AssertionError("x")):
        with pytest.raises(AssertionError) as failed, precondition("RUN-2"):
            raise problem
        owners = ("EVENT-4",) if isinstance(problem, Broken) else ("RUN-2",)
        assert (failed.value.owners, failed.value.certain) == (owners, True)  # type: ignore[attr-defined]
