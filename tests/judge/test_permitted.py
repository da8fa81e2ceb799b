"""What a server may do is no fault: merging across a cursor, talking all the time, closing a connection it kept."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest

from runwire_conformance.case import Broken, NotExercised, NotJudged, Violation
from runwire_conformance.cases.c09_dialects import Speaker
from runwire_conformance.client.conversations.connection import OpenConnection
from runwire_conformance.client.conversations.conversation import Conversation
from runwire_conformance.client.conversations.run import behind
from runwire_conformance.client.situations import hostile_clients
from runwire_conformance.client.wire.dialects import DIALECTS
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace


def test_events_that_were_merged_across_a_cursor_cannot_be_compared() -> None:
    log = [Message({"seq": 3, "first_seq": 1}), Message({"seq": 4})]

    assert behind(log, 3) == log[1:]
    assert behind(log, 0) == log
    with pytest.raises(NotExercised):
        behind(log, 1)


@pytest.mark.parametrize(("every_s", "spoke"), [(0.5, True), (2.0, True), (4.0, False)])
def test_only_talk_without_a_silence_stands_in_for_heartbeats(every_s: float, spoke: bool) -> None:
    since = now() - 8.0
    messages = [Message({"type": "acme:news"}) for _ in range(int(8 / every_s))]
    for number, message in enumerate(messages):
        message.at = since + number * every_s
    conversation = SimpleNamespace(messages=messages, limits=SimpleNamespace(silence=3.0))

    assert Conversation.spoke_throughout(conversation, since) is spoke  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_kept_a_connection_may_close_it_when_the_next_request_is_on_its_way(method: str) -> None:
    """A client sends once more what is idempotent (RFC 9112 section 9.3.1); what is not, it must not."""

    async def answered_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    handlers: list[asyncio.Task[None] | None] = []

    async def asked() -> list[int]:
        server = await asyncio.start_server(answered_once, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        target = SimpleNamespace(
            options=SimpleNamespace(sent_headers=(), tls=None), noted=lambda *_: Trace("http", url)
        )
        speaker = Speaker(target, DIALECTS[0])  # type: ignore[arg-type]
        async with server:
            try:
                return [(await speaker.asked(how, url)).status for how in ("GET", method)]
            finally:
                speaker.end()
                await asyncio.gather(*filter(None, handlers))

    if method == "GET":
        assert asyncio.run(asked()) == [200, 200]
    else:
        with pytest.raises(Broken):
            asyncio.run(asked())


@pytest.mark.parametrize(
    ("answers", "slowest"),
    [
        ({0.0: 0.9, 4.0: 4.9}, 0.9),
        ({0.0: 0.9, 4.0: 6.1}, 2.1),
        ({0.0: 0.9, 4.0: None}, 6.0),
        ({0.0: 0.9, 9.5: None}, 0.9),
        ({}, None),
    ],
)
def test_how_long_the_way_to_a_slow_reader_is_answers_show(
    answers: dict[float, float | None], slowest: float | None
) -> None:
    """Behind megabytes that the network took, as a proxy does, a Ping is rightly overdue (BEAT-8)."""
    messages = []
    for asked_at, came in answers.items():
        if came is not None:
            messages.append(Message({"type": "heartbeat", "re": str(asked_at)}))
            messages[-1].at = came
    client = SimpleNamespace(messages=messages, ended_at=10.0)
    asked = {str(at): at for at in answers}

    assert OpenConnection._slowest(client, asked) == (slowest and pytest.approx(slowest))  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "verdict"), [(0.2, NotJudged), (0.9, Violation)])
def test_nobody_is_late_on_a_machine_that_leaves_no_time(
    share: float, verdict: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostile_clients, "share_of_a_core", lambda: share)
    monkeypatch.setattr(hostile_clients, "ANSWERED_S", 0.0)
    clock = SimpleNamespace(tolerance_since=lambda _: 0.0)

    with pytest.raises(verdict) as raised:
        asyncio.run(hostile_clients.timely(clock, asyncio.sleep(60), "LIMIT-17", "a heartbeat"))  # type: ignore[arg-type]

    assert verdict is Violation or raised.value.suspect  # type: ignore[attr-defined]


def test_an_answer_that_t_alone_keeps_from_being_late_shows_nobody_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hostile_clients, "ANSWERED_S", 0.0)
    clock = SimpleNamespace(tolerance_since=lambda _: 60.0)

    with pytest.raises(NotJudged, match="a heartbeat took"):
        asyncio.run(hostile_clients.timely(clock, asyncio.sleep(0.001), "LIMIT-17", "a heartbeat"))  # type: ignore[arg-type]


def test_who_stops_for_all_is_accused_of_that_and_not_of_what_the_harm_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hostile_clients, "ANSWERED_S", 0.01)
    monkeypatch.setattr(hostile_clients, "share_of_a_core", lambda: 1.0)

    async def stopped(*_: object) -> None:
        await asyncio.sleep(60)

    async def harm() -> None:
        raise Violation("LIMIT-18", "a text was not refused in time")

    clock = SimpleNamespace(tolerance=0.0, tolerance_since=lambda _: 0.0, unsteady="")
    target = SimpleNamespace(clock=clock, connect=stopped)

    with pytest.raises(Violation) as raised:
        asyncio.run(hostile_clients.while_others_are_served(target, harm()))  # type: ignore[arg-type]

    assert raised.value.requirement == "LIMIT-17"


@pytest.mark.parametrize("stalled_s", [1.0, 7.0])
def test_a_machine_that_stood_still_for_as_long_shows_nobody_served(stalled_s: float) -> None:
    """Whoever is late by less than T was not late, so a long T would hide every server that stops (LIMIT-17)."""

    async def answered(*_: object) -> SimpleNamespace:
        return SimpleNamespace(ended=False, ask=answered)

    clock = SimpleNamespace(tolerance=stalled_s, tolerance_since=lambda _: stalled_s, unsteady="it stalled")
    target = SimpleNamespace(clock=clock, connect=answered)
    shown = (
        pytest.raises(NotJudged, match="it stalled")
        if stalled_s > hostile_clients.ANSWERED_S
        else nullcontext()
    )

    with shown:
        asyncio.run(hostile_clients.while_others_are_served(target, asyncio.sleep(0)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("code", "accused"), [(1000, False), (1011, False), (1012, True)])
def test_who_owed_a_pong_or_was_idle_shows_nobody_stopped(code: int, accused: bool) -> None:
    """On a machine that stands still the judge's own Pong is late (BEAT-13), which another client does not cause."""

    async def lost(*_: object) -> None:
        raise Broken("expected an answer to heartbeat; the websocket connection ended")

    async def connected() -> SimpleNamespace:
        trace = Trace("websocket", "one")
        return SimpleNamespace(ended=False, ask=lost, close_code=code, trace=trace)

    clock = SimpleNamespace(tolerance=1.0, tolerance_since=lambda _: 1.0, unsteady="")
    target = SimpleNamespace(clock=clock, connect=connected, limits=Limits({}))
    shown = pytest.raises(Broken) if accused else nullcontext()

    with shown:
        asyncio.run(hostile_clients.while_others_are_served(target, asyncio.sleep(0)))  # type: ignore[arg-type]


def test_a_process_that_has_a_core_knows_it() -> None:
    assert 0.0 < hostile_clients.share_of_a_core() <= 1.01


@pytest.mark.parametrize(("idle_s", "verdict"), [(1.0, NotExercised), (3.0, Broken)])
def test_a_connection_that_was_idle_before_a_heartbeat_was_due_shows_none(
    idle_s: float, verdict: type[Exception]
) -> None:
    async def waited() -> None:
        trace = Trace("websocket", "one", began=now() - idle_s)
        limits = Limits({"idle_s": idle_s, "heartbeat_s": 1})
        trace.add("server", "close", "", code=1000)

        async def none(*_: object, **__: object) -> Message:
            raise Broken("expected a heartbeat; the websocket connection ended")

        conversation = SimpleNamespace(
            trace=trace, limits=limits, within=none, spoke_throughout=lambda _: False
        )
        await Conversation.heartbeat(conversation)  # type: ignore[arg-type]

    with pytest.raises(verdict):
        asyncio.run(waited())
