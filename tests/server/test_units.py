"""The reference server's parts that decide without I/O."""

import json

import pytest

from runwire_reference_server.agents import AgentError
from runwire_reference_server.agents.script import checked, expanded, parse
from runwire_reference_server.run_log.event_sizes import Fitter, TooLarge
from runwire_reference_server.run_log.events import Entry, answer_text, draft, merged, place_of, placed, stamp
from runwire_reference_server.run_log.registry import ERRORS, LIMITS
from runwire_reference_server.run_log.runs import (
    TRANSITIONS,
    RunRequest,
    Status,
    after_event,
    equal_as_json,
)
from runwire_reference_server.service.settings import SettingError, Settings, checked_limits
from runwire_reference_server.transports.session import Cancel, Close, Input, Resume, Send, Session, Start
from runwire_reference_server.transports.wire.http_headers import (
    accepts_event_stream,
    names_event_stream,
    read_cursor,
    trace_id,
)
from runwire_reference_server.transports.wire.strict_json import BadMessage, NotJson, read_object
from runwire_schemas import raw_texts
from runwire_spec import registries

RUN_ID = "mZ0bV4cQ2Jt8uY6wK1xR3A"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def session(*followed: str) -> Session:
    """Return a session of the default settings that follows some runs."""
    return Session(Settings(), "c1", TRACE, followed=followed)


def test_the_error_codes_are_those_of_the_specification() -> None:
    registered = {
        row["code"]: (int(row["http_status"]) if row["http_status"] else None, row["retryable"] == "true")
        for row in registries()["errors"]
    }

    assert {code: (error.status, error.retryable) for code, error in ERRORS.items()} == registered


def test_the_limits_are_those_of_the_specification() -> None:
    registered = {
        row["limit"]: (float(row["default"]), float(row["min"]), float(row["max"]) if row["max"] else None)
        for row in registries()["limits"]
    }

    assert {name: (rule.default, rule.minimum, rule.maximum) for name, rule in LIMITS.items()} == registered


def test_the_states_are_those_of_the_specification() -> None:
    assert {status for status in Status if status.finished} == {
        "completed",
        "incomplete",
        "cancelled",
        "failed",
    }
    for status, steps in TRANSITIONS.items():
        assert status not in steps.values()


@pytest.mark.parametrize("status", [status for status in Status if status.finished])
def test_nothing_happens_to_a_finished_run(status: Status) -> None:
    for event in ({"type": "token"}, {"type": "done", "status": "completed"}, {"type": "error"}):
        with pytest.raises(ValueError, match="cannot happen"):
            after_event(status, event)


def test_a_queued_run_can_be_cancelled_but_not_speak() -> None:
    assert after_event(Status.QUEUED, {"type": "done", "status": "cancelled"}) is Status.CANCELLED
    with pytest.raises(ValueError, match="token cannot happen"):
        after_event(Status.QUEUED, {"type": "token"})


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"prompt":"x"}', Start(RunRequest("x"), None)),
        ('{"type":"start","id":"1","prompt":"x"}', Start(RunRequest("x"), "1")),
        ('{"type":"cancel"}', Cancel((), None)),
        (f'{{"type":"cancel","run_id":"{RUN_ID}"}}', Cancel((RUN_ID,), None)),
        (f'{{"type":"resume","id":"r","run_id":"{RUN_ID}","after":3}}', Resume(RUN_ID, 3, None, "r")),
        ('{"type":"heartbeat","id":"h"}', Send({"type": "heartbeat", "re": "h"})),
        (
            f'{{"type":"input","id":"i","run_id":"{RUN_ID}","request_id":"q","data":1}}',
            Input(RUN_ID, "q", 1, "i"),
        ),
        ("[]", Close(4400)),
        ("", Close(4400)),
        ("{} {}", Close(4400)),
    ],
)
def test_a_text_means_a_command(text: str, command: object) -> None:
    assert session().receive(text) == command


@pytest.mark.parametrize(
    ("text", "code", "re"),
    [
        ('{"type":"start","id":"1","prompt":7}', "bad_request", "1"),
        ('{"type":"start","id":7,"prompt":"x"}', "bad_request", None),
        ('{"id":"1"}', "bad_request", "1"),
        (f'{{"type":"resume","id":"1","run_id":"{RUN_ID}","after":-1}}', "bad_request", "1"),
        (f'{{"type":"input","id":"1","run_id":"{RUN_ID}","request_id":"q"}}', "bad_request", "1"),
    ],
)
def test_a_bad_message_is_refused_with_its_id(text: str, code: str, re: str | None) -> None:
    command = session().receive(text)

    assert isinstance(command, Send)
    assert (command.message["type"], command.message["code"], command.message.get("re")) == (
        "error",
        code,
        re,
    )


def test_a_second_prompt_may_be_busy_and_several_runs_are_opt_in() -> None:
    followed = session("a" * 22)

    assert followed.may_be_full(None)
    assert not followed.may_be_full(RUN_ID)
    assert not session().may_be_full(None)


def test_a_full_connection_takes_no_further_run_but_one_it_follows() -> None:
    full = session(*(letter * 22 for letter in "abcd"))

    assert full.may_be_full(RUN_ID)
    assert not full.may_be_full("a" * 22)


@pytest.mark.parametrize(("reason", "data"), list(raw_texts("closes-4400")))
def test_what_is_no_object_closes(reason: str, data: bytes) -> None:
    with pytest.raises((NotJson, UnicodeDecodeError)):
        assert not read_object(data.decode(), 32), reason


@pytest.mark.parametrize(("reason", "data"), list(raw_texts("accepted")))
def test_what_is_accepted_is_read(reason: str, data: bytes) -> None:
    assert read_object(data.decode(), 32), reason


def test_a_bomb_of_brackets_is_refused_and_not_followed() -> None:
    with pytest.raises(BadMessage, match="deeper than 32"):
        read_object('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 32)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ({"a": [1, None]}, {"a": [1.0, None]}, True),
        (2**53, 2**53 + 1, True),
        (10**400, 1, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_equality_is_that_of_json(left: object, right: object, equal: bool) -> None:
    assert equal_as_json(left, right) is equal


def test_a_number_that_no_double_holds_makes_a_body_too() -> None:
    first, second = (RunRequest("x", inputs={"n": sign * 10**400}).body() for sign in (1, -1))

    assert first != second


def log(*events: dict[str, object]) -> list[Entry]:
    """Return entries numbered from 1."""
    place = place_of(RUN_ID)
    return [placed(draft(event), place, seq, stamp(0)) for seq, event in enumerate(events, start=1)]


def test_merging_joins_adjacent_text_and_nothing_else() -> None:
    entries = log(
        {"type": "token", "data": "a"},
        {"type": "token", "data": "b"},
        {"type": "replace", "data": "r"},
        {"type": "replace", "data": "r"},
        {"type": "thinking", "content": "c"},
        {"type": "thinking", "content": "d", "agent": "x"},
        {"type": "observation", "call_id": "1", "content": "e", "partial": True},
        {"type": "observation", "call_id": "1", "content": "f", "partial": True},
        {"type": "observation", "call_id": "1", "content": "g"},
        {"type": "tool_delta", "call_id": "1", "name": "n", "data": "h"},
        {"type": "tool_delta", "call_id": "2", "name": "n", "data": "i"},
    )

    joined = [(item.event.get("first_seq"), item.seq) for item in merged(entries, 10_000)]

    assert joined == [
        (1, 2),
        (None, 3),
        (None, 4),
        (None, 5),
        (None, 6),
        (7, 8),
        (None, 9),
        (None, 10),
        (None, 11),
    ]


def test_merging_stays_within_the_size_of_an_event() -> None:
    entries = log(*({"type": "token", "data": "x" * 100} for _ in range(50)))

    pieces = list(merged(entries, 1024))

    assert max(len(item.data) for item in pieces) <= 1024
    assert "".join(item.event["data"] for item in pieces) == "x" * 5000


def test_the_answer_is_the_last_replace_and_the_tokens_after_it() -> None:
    entries = log(
        {"type": "token", "data": "draft"}, {"type": "replace", "data": "a"}, {"type": "token", "data": "b"}
    )

    assert answer_text(entries) == "ab"


def fitted(*events: dict[str, object], size: int = 2048) -> list[dict[str, object]]:
    """Return what a fitter makes of events."""
    fitter = Fitter(size, 8)
    return [
        json.loads(b"%b%b}" % (draft.head, draft.text))
        for event in events
        for draft in fitter.fit(dict(event))
    ]


def test_a_divided_surrogate_pair_is_joined() -> None:
    pieces = fitted({"type": "token", "data": "a\ud83d"}, {"type": "token", "data": "\ude80b"})

    assert [piece["data"] for piece in pieces] == ["a", "🚀b"]


def test_what_is_not_valid_unicode_or_finite_is_mended() -> None:
    (piece,) = fitted(
        {"type": "observation", "call_id": "1", "content": {"\ud800": [float("nan"), 2**70, "\udc00"]}}
    )

    assert json.loads(json.dumps(piece["content"], allow_nan=False)) == {
        "\ufffd": ["nan", str(2**70), "\ufffd"]
    }


@pytest.mark.parametrize("kind", ["token", "thinking", "tool_delta", "replace"])
def test_long_text_is_divided(kind: str) -> None:
    member = "content" if kind == "thinking" else "data"
    event = {"type": kind, member: "ü" * 5000, "call_id": "1", "name": "n"}

    pieces = fitted(event)

    assert max(len(json.dumps(piece, ensure_ascii=False).encode()) for piece in pieces) <= 2048
    assert "".join(str(piece.get("data", piece.get("content"))) for piece in pieces) == "ü" * 5000


def test_a_large_observation_is_cut_and_a_large_call_is_an_error() -> None:
    (cut,) = fitted({"type": "observation", "call_id": "1", "content": {"a": "x" * 5000}})

    assert cut["truncated"] is True
    assert str(cut["content"]).startswith('{"a":"xxx')
    with pytest.raises(TooLarge):
        fitted({"type": "tool_call", "call_id": "1", "name": "n", "input": "x" * 5000})


def test_a_large_result_that_is_a_string_begins_with_its_quotation_mark() -> None:
    (cut,) = fitted({"type": "observation", "call_id": "1", "content": 'a"' * 2500})

    assert str(cut["content"]).startswith('"a\\"a')


@pytest.mark.parametrize(
    "event",
    [
        {"type": "tool_delta", "call_id": "1", "data": "x"},
        {"type": "observation", "call_id": "1", "content": "x", "vendor:note": "y"},
        {"type": "thinking", "content": "x", "vendor:note": "y"},
    ],
)
@pytest.mark.parametrize("beside", [1600, 1702, 1705, 5000])
def test_what_stands_beside_a_text_is_not_cut(event: dict[str, str], beside: int) -> None:
    member = "name" if event["type"] == "tool_delta" else "vendor:note"
    text = "data" if event["type"] == "tool_delta" else "content"
    event = {**event, member: "n" * beside, text: "\x01" * 2000}
    try:
        pieces = fitted(event)
    except TooLarge:
        assert beside > 1600
        return

    assert max(len(json.dumps(piece, ensure_ascii=False).encode()) for piece in pieces) <= 2048


@pytest.mark.parametrize(
    ("header", "accepts", "names"),
    [
        (None, True, False),
        ("*/*", True, False),
        ("text/event-stream", True, True),
        ("application/json, text/event-stream;q=0.5", True, True),
        ("application/json", False, False),
        ("text/event-stream;q=0", False, False),
        ("text/*", True, False),
        ("text/event-stream;q=0, */*", False, False),
        ("*/*;q=0, text/event-stream; q=0.2", True, True),
    ],
)
def test_accept_is_read_as_http_has_it(header: str | None, accepts: bool, names: bool) -> None:
    assert (accepts_event_stream(header), names_event_stream(header)) == (accepts, names)


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("5", (None, 5)),
        ("e-1.5", ("e-1", 5)),
        ("", (None, 0)),
        ("e.", None),
        (".5", None),
        ("-1", None),
        ("5\n", None),
        ("05", None),
        ("e-1.00", None),
        ("0", (None, 0)),
    ],
)
def test_a_cursor_is_epoch_and_seq(text: str, cursor: object) -> None:
    assert (
        read_cursor([text], [])
        == read_cursor([], [text])
        == read_cursor([text], ["9"] if text else [])
        == cursor
    )
    assert read_cursor([text, text], []) == ((None, 0) if not text else None)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"cc-{TRACE}-b7ad6b7169203331-01-later", TRACE),
        (f"00-{TRACE}-b7ad6b7169203331-01-extra", None),
        (f"ff-{TRACE}-b7ad6b7169203331-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        ("", None),
    ],
)
def test_a_trace_id_comes_from_a_valid_traceparent_only(header: str, found: str | None) -> None:
    assert trace_id([header]) == found
    assert trace_id([header, header]) is None
    assert trace_id([]) is None


@pytest.mark.parametrize("values", [{"heartbeat_s": 26}, {"max_message_bytes": 1}, {"nonsense": 1}])
def test_a_limit_out_of_bounds_is_named(values: dict[str, float]) -> None:
    (name,) = values

    with pytest.raises(SettingError, match=name):
        checked_limits(values)


def test_scripts_are_recognised_and_expanded() -> None:
    assert parse("What is AI?") is None
    assert parse('{"runwire_script":[],"more":1}') is None
    steps = parse(
        '{"runwire_script":[{"repeat":2,"steps":[{"token":"a"},{"repeat":2,"steps":[{"token":"b"}]}]}]}'
    )
    assert steps is not None
    assert [step["token"] for step in expanded(steps)] == ["a", "b", "b", "a", "b", "b"]


@pytest.mark.parametrize(
    "step", [{}, {"dance": 1}, {"token": 1}, {"wait_ms": -1}, {"tool_call": {}}, [], "token"]
)
def test_a_bad_step_is_an_agent_error(step: object) -> None:
    with pytest.raises(AgentError):
        checked(step)
