"""What a server may do is no fault: events merged across a cursor, and talk that leaves no silence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runwire_conformance.case import NotExercised
from runwire_conformance.client.conversation import Conversation, behind
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.trace import Message


def test_events_that_were_merged_across_a_cursor_cannot_be_compared() -> None:
    log = [Message({"seq": 3, "first_seq": 1}), Message({"seq": 4})]

    assert behind(log, 3) == log[1:]
    assert behind(log, 0) == log
    with pytest.raises(NotExercised):
        behind(log, 1)


@pytest.mark.parametrize(("every_s", "spoke"), [(0.5, True), (1.5, False)])
def test_only_talk_without_a_silence_stands_in_for_heartbeats(every_s: float, spoke: bool) -> None:
    since = now() - 6.0
    messages = [Message({"type": "acme:news"}) for _ in range(int(6 / every_s))]
    for number, message in enumerate(messages):
        message.at = since + number * every_s
    conversation = SimpleNamespace(messages=messages, limits={"heartbeat_s": 1.0})

    assert Conversation.spoke_throughout(conversation, since) is spoke  # type: ignore[arg-type]
