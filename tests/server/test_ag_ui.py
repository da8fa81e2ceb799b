"""The endpoint for clients of AG-UI: what they are told, how they come back, answer and stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.ag_ui_stand import (
    UNHURRIED,
    ask,
    interrupts_of,
    new_id,
    resumed,
    run_input,
    script,
    text_of,
    told,
    types,
)
from tests.support.auth_stand import ALICE, BOB, Stand, message_of, served, token_options
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience, tries


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with served(tmp_path_factory.mktemp("server"), "--ag-ui", *UNHURRIED) as stand:
        yield stand


@contextmanager
def reading(stand: Stand, asked: dict[str, Any]) -> Iterator[socket.socket]:
    """POST an input and give the line on which the answer comes, which is lost at the end."""
    body = json.dumps(asked)
    head = f"POST /ag-ui HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\nContent-Type: application/json\r\n"
    with stand.dial() as line:
        line.settimeout(patience(20))
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        yield line


def until(line: socket.socket, what: bytes) -> bytes:
    """Return what comes up to and with something."""
    seen = b""
    while what not in seen:
        piece = line.recv(65536)
        assert piece, seen
        seen += piece
    return seen


EVERYTHING = (
    {"thinking": "hm"},
    {"thinking": "so", "agent": "helper"},
    {"token": "Hel"},
    {"token": "lo"},
    {"tool_delta": {"call_id": "c1", "name": "search", "data": '{"q'}},
    {"tool_call": {"call_id": "c1", "name": "search", "input": {"q": "ä"}}},
    {"observation": {"call_id": "c1", "content": "some", "partial": True}},
    {"observation": {"call_id": "c1", "content": {"found": 3}, "is_error": True}},
    {"token": " world"},
    {"replace": "Bye"},
    {"token": "!"},
)


def test_everything_a_run_tells_has_its_event(stand: Stand) -> None:
    asked = run_input(script(*EVERYTHING))
    run = asked["runId"]

    events = [one.event for one in told(ask(stand, asked))]

    assert events == [
        {"type": "RUN_STARTED", "threadId": asked["threadId"], "runId": run, "protocolVersion": "1.0"},
        {"type": "REASONING_START", "messageId": f"{run}.1"},
        {"type": "REASONING_MESSAGE_START", "messageId": f"{run}.1", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": f"{run}.1", "delta": "hm"},
        {"type": "REASONING_MESSAGE_END", "messageId": f"{run}.1"},
        {"type": "REASONING_END", "messageId": f"{run}.1"},
        *(
            {"messageId": f"{run}.2", "subagentRunId": "helper", **event}
            for event in (
                {"type": "REASONING_START"},
                {"type": "REASONING_MESSAGE_START", "role": "reasoning"},
                {"type": "REASONING_MESSAGE_CONTENT", "delta": "so"},
                {"type": "REASONING_MESSAGE_END"},
                {"type": "REASONING_END"},
            )
        ),
        {"type": "TEXT_MESSAGE_START", "messageId": f"{run}.3", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"{run}.3", "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"{run}.3", "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": f"{run}.3"},
        {"type": "TOOL_CALL_START", "toolCallId": f"{run}.c1", "toolCallName": "search"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": f"{run}.c1", "delta": '{"q": "ä"}'},
        {"type": "TOOL_CALL_END", "toolCallId": f"{run}.c1"},
        {
            "type": "CUSTOM",
            "name": "runwire:observation",
            "value": {"toolCallId": f"{run}.c1", "content": "some", "partial": True},
        },
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"{run}.8",
            "toolCallId": f"{run}.c1",
            "role": "tool",
            "content": '{"found": 3}',
            "metadata": {"runwire": {"is_error": True}},
        },
        {"type": "TEXT_MESSAGE_START", "messageId": f"{run}.9", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"{run}.9", "delta": " world"},
        {"type": "TEXT_MESSAGE_END", "messageId": f"{run}.9"},
        {"type": "CUSTOM", "name": "runwire:replace", "value": {"messageIds": [f"{run}.3", f"{run}.9"]}},
        {"type": "TEXT_MESSAGE_START", "messageId": f"{run}.10", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"{run}.10", "delta": "Bye"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"{run}.10", "delta": "!"},
        {"type": "TEXT_MESSAGE_END", "messageId": f"{run}.10"},
        {
            "type": "RUN_FINISHED",
            "threadId": asked["threadId"],
            "runId": run,
            "outcome": {"type": "success"},
        },
    ]


def test_whoever_comes_back_to_any_block_gets_exactly_the_others(stand: Stand) -> None:
    asked = run_input(script(*EVERYTHING))
    whole = told(ask(stand, asked))

    assert len({one.id for one in whole}) == len(whole)
    for place, one in enumerate(whole[:-1], 1):
        assert told(ask(stand, asked, last=one.id)) == whole[place:], one.id
    assert ask(stand, asked, last=whole[-1].id).status == 204


def test_merged_text_is_the_same_text(stand: Stand) -> None:
    words = [f"w{place} " for place in range(200)]
    asked = run_input(script(*({"token": word} for word in words)))
    first = told(ask(stand, asked))

    for one in (first[0], first[1], first[len(first) // 2]):
        place = first.index(one) + 1
        rest = told(ask(stand, asked, last=one.id))
        assert text_of(first[:place]) + text_of(rest) == "".join(words)


def test_a_known_run_is_joined_and_no_other_prompt_is(stand: Stand) -> None:
    asked = run_input(script({"token": "x"}))
    first = told(ask(stand, asked))

    assert told(ask(stand, asked)) == first
    assert told(ask(stand, {**asked, "messages": []})) == first
    other = {**asked, "messages": [{"id": "u", "role": "user", "content": "else"}]}
    assert (ask(stand, other).status, ask(stand, other).json["code"]) == (409, "conflict")
    assert ask(stand, run_input(None)).json["code"] == "not_found"


def test_the_log_is_that_of_the_other_transports(stand: Stand) -> None:
    asked = run_input(script({"token": "x"}, {"token": "y"}))
    ask(stand, asked)

    with stand.connection() as socket:
        socket.send(json.dumps({"type": "resume", "run_id": asked["runId"], "after": 0}))
        assert [message_of(socket, "token")["data"] for _ in range(2)] == ["x", "y"]


def test_a_session_remembers(stand: Stand) -> None:
    thread = new_id()
    ask(stand, run_input("My name is Ada.", thread=thread))

    second = run_input("And now?", thread=thread)

    assert told(ask(stand, second))[-1].event["outcome"] == {"type": "success"}


ASKING = (
    {"token": "a"},
    {"input_request": {"request_id": "q.1", "kind": "approval", "data": "Go?"}},
    {"echo_input": "q.1"},
)


@pytest.mark.parametrize("payload", [True, {"approved": True}])
def test_an_interrupt_is_answered_by_the_run_that_continues(stand: Stand, payload: Any) -> None:
    asked = run_input(script(*ASKING))
    first = told(ask(stand, asked))
    (interrupt,) = interrupts_of(first)
    answer = resumed(asked, interrupt["id"], payload=payload)

    second = told(ask(stand, answer))

    assert types(first) == [
        "RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED",
    ]  # fmt: skip
    assert interrupt["id"] == f"{asked['runId']}.2.q.1"
    assert (interrupt["reason"], interrupt["message"]) == ("confirmation", "Go?")
    assert second[0].event["runId"] == answer["runId"]
    assert (text_of(second), types(second)[-1]) == ("true", "RUN_FINISHED")
    # Sent again, as after a loss, it is the same; from any block on it goes on there.
    assert told(ask(stand, answer)) == second
    for place, one in enumerate(second[:-1], 1):
        assert told(ask(stand, answer, last=one.id)) == second[place:], one.id
    # A page that was loaded anew sees the whole of it, as nothing is left to answer.
    assert text_of(told(ask(stand, asked))) == "atrue"


def test_an_interrupt_is_still_there_after_a_reload(stand: Stand) -> None:
    asked = run_input(script(*ASKING))
    first = told(ask(stand, asked))

    assert told(ask(stand, {**asked, "messages": []})) == first


def test_what_was_answered_otherwise_or_is_over_is_refused(stand: Stand) -> None:
    wait = {"wait_ms": 600_000}
    asked = run_input(script(*ASKING, wait))
    (interrupt,) = interrupts_of(told(ask(stand, asked)))
    with stand.connection() as socket:
        where = {"run_id": asked["runId"], "request_id": "q.1"}
        socket.send(json.dumps({"type": "resume", "run_id": asked["runId"], "after": 2}))
        socket.send(json.dumps({"type": "input", **where, "data": False}))
        message_of(socket, "input_closed")

    otherwise = ask(stand, resumed(asked, interrupt["id"], payload=True))
    assert (otherwise.status, otherwise.json["code"]) == (409, "conflict")
    stand.ask("POST", f"/ag-ui/{asked['runId']}/cancel", body="{}")
    late = ask(stand, resumed(asked, interrupt["id"], payload=True))
    assert (late.status, late.json["code"]) == (410, "input_expired")
    # Who gives up the question sees how it went on.
    rest = told(ask(stand, resumed(asked, interrupt["id"], "cancelled")))
    assert (text_of(rest), rest[-1].event["outcome"]) == ("false", {"type": "cancelled"})


@pytest.mark.parametrize(
    ("kind", "text", "outcome"), [("approval", "false", "success"), ("question", "", "cancelled")]
)
def test_a_question_is_given_up(stand: Stand, kind: str, text: str, outcome: str) -> None:
    asking = {"input_request": {"request_id": "q", "kind": kind}}
    asked = run_input(script(asking, {"echo_input": "q"}))
    (interrupt,) = interrupts_of(told(ask(stand, asked)))

    rest = told(ask(stand, resumed(asked, interrupt["id"], "cancelled")))

    assert (text_of(rest), rest[-1].event["outcome"]["type"]) == (text, outcome)


def test_questions_that_are_open_at_once_are_asked_in_turn(stand: Stand) -> None:
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = run_input(
        script(
            {"input_request": {"request_id": "a", "kind": "question"}},
            {"input_request": {"request_id": "b", "kind": "form", "schema": form}},
            {"echo_input": "a"},
            {"echo_input": "b"},
        )
    )
    (first,) = interrupts_of(told(ask(stand, asked)))
    (second,) = interrupts_of(told(ask(stand, resumed(asked, first["id"], payload="red"))))
    wrong = ask(stand, resumed(asked, second["id"], payload={"n": "x"}))
    last = told(ask(stand, resumed(asked, second["id"], payload={"n": 7})))

    assert (first["responseSchema"], second["responseSchema"]) == ({"type": "string"}, form)
    assert (wrong.status, wrong.json["code"]) == (400, "bad_request")
    assert text_of(last) == '"red"{"n":7}'


def test_a_stop_ends_the_run_and_a_lost_line_does_not(stand: Stand) -> None:
    asked = run_input(script({"token": "x"}, {"wait_ms": 600_000}))
    with reading(stand, asked) as line:
        seen = until(line, b"TEXT_MESSAGE_CONTENT")
    (where,) = [line.split(b": ")[1] for line in seen.split(b"\r\n") if line.lower().startswith(b"location")]
    path = "/" + where.decode()
    for _ in tries(10, 0.1):
        if 'runwire_connections{transport="ag_ui"} 0.0' in stand.ask("GET", "/metrics").body.decode():
            break
        time.sleep(0.1)
    status = stand.ask("GET", path.removesuffix("/events")).json["status"]
    stopped = stand.ask("POST", path.replace("/events", "/cancel"), body="{}")
    stopped_again = stand.ask("POST", f"/ag-ui/{asked['runId']}/cancel", body="{}")

    rest = told(ask(stand, asked))

    assert (status, stopped.status, stopped_again.json["status"]) == ("running", 200, "cancelled")
    assert rest[-2].event == {
        "type": "CUSTOM",
        "name": "runwire:done",
        "value": {"data": "cancelled", "status": "cancelled", "reason": "user"},
    }
    assert rest[-1].event["outcome"] == {"type": "cancelled"}


def test_a_failure_is_an_error(stand: Stand) -> None:
    asked = run_input(script({"token": "x"}, {"fail": {"code": "upstream_error", "data": "it is down"}}))

    events = told(ask(stand, asked))

    assert events[-1].event == {
        "type": "RUN_ERROR",
        "message": "it is down",
        "code": "upstream_error",
        "metadata": {"runwire": {"retryable": True}},
    }
    assert told(ask(stand, asked, last=events[-2].id)) == events[-1:]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"threadId": "short"}, "/threadId"),
        ({"runId": "with a space in it, and long enough"}, "/runId"),
        ({"runId": 7}, "/runId"),
        ({"messages": "none"}, "/messages"),
        ({"messages": [{"id": "1", "role": "user", "content": 7}]}, "/messages/0"),
        ({"messages": [{"id": "1", "role": "tool", "toolCallId": "t", "content": "x"}]}, "page's own tools"),
        ({"resume": [{"interruptId": "x", "status": "resolved"}]}, "/resume"),
        ({"resume": [{"interruptId": "x.y.z", "status": "resolved"}]}, "/resume"),
        ({"resume": [{"interruptId": "x"}]}, "/resume/0/status"),
    ],
)
def test_an_input_that_is_none_is_refused_by_its_place(
    stand: Stand, change: dict[str, Any], place: str
) -> None:
    answer = ask(stand, {**run_input(), **change})

    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    assert place in answer.json["detail"]


@pytest.mark.parametrize("cursor", ["x", "1", "e.1.2.3", "e.x"])
def test_a_cursor_that_is_none_is_refused(stand: Stand, cursor: str) -> None:
    assert ask(stand, run_input(), last=cursor).json["code"] == "bad_request"


def test_a_cursor_of_another_log_is_refused(stand: Stand) -> None:
    asked = run_input(script({"token": "x"}))
    ask(stand, asked)

    assert ask(stand, asked, last="another.1").json["code"] == "not_found"
    assert (
        ask(stand, asked, last=f"{told(ask(stand, asked))[0].id.split('.')[0]}.99").json["code"]
        == "bad_request"
    )


def test_an_image_is_passed_over(stand: Stand) -> None:
    parts = [
        {"type": "text", "text": script({"token": "x"})},
        {"type": "image", "source": {"type": "url", "value": "http://127.0.0.1/x.png"}},
    ]
    asked = run_input(messages=[{"id": "u", "role": "user", "content": parts}])

    assert text_of(told(ask(stand, asked))) == "x"


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("PUT", 405)])
def test_it_takes_a_post_alone(stand: Stand, method: str, status: int) -> None:
    assert stand.ask(method, "/ag-ui").status == status


def test_it_answers_what_an_event_stream_is_asked_of(stand: Stand) -> None:
    answer = stand.ask("POST", "/ag-ui", ("Accept", "application/json"), body=json.dumps(run_input()))

    assert (answer.status, answer.json["code"]) == (406, "unsupported")


def test_it_is_counted(stand: Stand) -> None:
    ask(stand, run_input(script({"token": "x"})))

    metrics = stand.ask("GET", "/metrics").body.decode()

    assert 'runwire_connections{transport="ag_ui"} 0.0' in metrics
    assert '"transport": "ag_ui"' in stand.log


def test_it_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path) as stand:
        assert ask(stand, run_input()).status == 404


def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    with served(tmp_path, "--ag-ui", "--heartbeat-s=0.2") as stand:
        answer = ask(stand, run_input(script({"wait_ms": 1000}, {"token": "x"})))

    assert answer.body.decode().count(": heartbeat\n\n") >= 2
    assert text_of(told(answer)) == "x"


def test_a_credential_is_asked_for_and_tells_runs_apart(tmp_path: Path) -> None:
    alice, bob = (("Authorization", f"Bearer {token}") for token in (ALICE, BOB))
    asked = run_input(script(*ASKING))
    with served(tmp_path, "--ag-ui", *token_options(tmp_path)) as stand:
        nobody = ask(stand, asked)
        (interrupt,) = interrupts_of(told(ask(stand, asked, alice)))
        foreign = ask(stand, resumed(asked, interrupt["id"], payload=True), bob)
        joined = ask(stand, {**asked, "messages": []}, bob)

    assert (nobody.status, nobody.json["code"]) == (401, "unauthorized")
    assert [(one.status, one.json["code"]) for one in (foreign, joined)] == [(404, "not_found")] * 2


def test_it_has_the_limits_of_the_others(tmp_path: Path) -> None:
    with served(tmp_path, "--ag-ui", "--runs-per-principal=1", "--max-message-bytes=65536") as stand:
        ask(stand, run_input(script(*ASKING)))  # it waits
        busy = ask(stand, run_input(script({"token": "x"})))
        large = ask(stand, run_input("x" * 70_000))
        form = stand.ask("POST", "/ag-ui", ("Content-Type", "text/plain"), body="{}")

    assert (busy.status, busy.json["code"]) == (429, "busy")
    assert (large.status, form.status) == (413, 415)


def test_a_server_that_drains_starts_nothing_and_lets_runs_end(tmp_path: Path) -> None:
    asked = run_input(script({"token": "begun "}, {"wait_ms": 1500}, {"token": "ended"}))
    server = subprocess.Popen(
        [*command(), "--ag-ui", "--drain-s=60", *UNHURRIED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        stand = Stand(listening(server), tmp_path / "none")
        with reading(stand, asked) as line:
            seen = until(line, b"begun ")
            server.send_signal(signal.SIGTERM)
            for _ in tries(10, 0.1):
                refused = ask(stand, run_input("hello"))
                if refused.status == 503:
                    break
            seen += until(line, b"RUN_FINISHED")
    finally:
        server.kill()
        server.communicate(timeout=patience(20))

    assert (refused.status, refused.json["code"], "retry-after" in refused.headers) == (
        503,
        "unavailable",
        True,
    )
    assert b'"delta":"ended"' in seen


def test_it_needs_what_it_stands_on() -> None:
    result = subprocess.run(
        [*command(), "--ag-ui", "--without=sse"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )

    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--ag-ui needs the feature sse" in result.stderr
