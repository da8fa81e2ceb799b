"""What a conversation shows, which is what the requirements are counted by that it can speak for."""

from __future__ import annotations

import pytest

from runwire_conformance.rules import shown_by, shows
from runwire_conformance.trace.trace import Record
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES
from runwire_spec import registries
from tests.support.talks import BEAT, READY, STARTED, message, sign, talk

CLOSED = [(1000, {"close"}), (1001, {"close", "close 10"}), (4003, {"close", "close 40"})]


@pytest.mark.parametrize(
    ("transport", "kind"), [("websocket", "socket"), ("sse", "stream"), ("http", "exchange")]
)
def test_the_transport_is_seen_of_a_conversation_in_which_nothing_was_said(transport: str, kind: str) -> None:
    assert shows(talk(transport=transport)) == {kind}


def test_messages_of_the_server_are_seen_by_their_type() -> None:
    assert shows(talk(READY, message(BEAT))) == {"socket", "any", "ready", "heartbeat"}


def test_messages_of_the_client_are_what_is_said_and_one_without_type_is_a_start() -> None:
    asked = (message({"prompt": "x"}, side="client"), message({"type": "cancel"}, side="client"))

    assert shows(talk(*asked)) == {"socket", "said", "start", "cancel"}


def test_frames_that_hold_no_message_show_nothing() -> None:
    assert shows(talk(sign("ping"), sign("text", "no JSON"))) == {"socket"}


@pytest.mark.parametrize(("code", "kinds"), CLOSED)
def test_a_close_of_the_server_is_seen_and_its_hundred_but_for_a_normal_end(
    code: int, kinds: set[str]
) -> None:
    assert shows(talk(STARTED, sign("close", code=code))) == {"socket", "any", "started"} | kinds


@pytest.mark.parametrize(
    "ends",
    [
        (sign("close", side="client", code=1000), sign("close", code=1000)),
        (sign("lost"), sign("close", code=1001)),
        (sign("lost"),),
        (sign("close", side="client", code=1000),),
    ],
    ids=["answered", "lost before", "lost", "of the client"],
)
def test_a_close_that_answers_and_a_lost_connection_show_nothing_of_how_a_server_closes(
    ends: tuple[Record, ...],
) -> None:
    assert shows(talk(*ends)) == {"socket"}


def test_what_rules_have_to_see_are_kinds_that_a_conversation_can_show() -> None:
    places = {"socket", "stream", "exchange", "any", "said", "close"}
    closes = {f"close {row['code'][:2]}" for row in registries()["close_codes"]}

    assert (
        frozenset().union(*shown_by().values()) <= places | closes | CLIENT_TYPES.keys() | SERVER_TYPES.keys()
    )


def test_what_the_client_sent_by_itself_is_no_control_frame_and_no_end() -> None:
    asked = message({"prompt": "x"}, side="client")
    cut_off = sign("lost", "cut by the client", side="client")
    pong = sign("pong", "00", side="client")

    assert talk(READY, asked, sign("raw", "half a", side="client"), pong, cut_off).sent == [
        asked,
        sign("raw", "half a", side="client"),
    ]
