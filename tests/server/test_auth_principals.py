"""Principals: nobody reaches what is another's, and nobody takes another's room."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mint_token
from tests.support.auth_stand import (
    ALICE,
    BOB,
    Stand,
    bearer,
    close_code,
    is_problem,
    message_of,
    minted,
    served,
    token_options,
)
from tests.support.check_reference_server import CREDENTIAL_OPTIONS, credentials

LONG = json.dumps({"runwire_script": [{"token": "secret of alice"}, {"wait_ms": 4000}, {"token": "end"}]})
ENDLESS = json.dumps({"runwire_script": [{"repeat": 10000, "steps": [{"token": "x"}, {"wait_ms": 1}]}]})


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("principals")
    with served(folder, *token_options(folder)) as running:
        yield running


def start(stand: Stand, token: str, run_id: str, prompt: str = LONG, **members: Any) -> dict[str, Any]:
    """Start a run that nobody reads and return the answer's body."""
    body = json.dumps({"prompt": prompt, "run_id": run_id, "on_disconnect": "continue", **members})
    answer = stand.ask("POST", "/v1/runs", bearer(token), body=body)
    assert answer.status == 202
    return answer.json


def test_the_run_of_another_is_unknown_over_http(stand: Stand) -> None:
    run_id = "over-http-" + "a" * 12
    epoch = start(stand, ALICE, run_id)["epoch"]
    nowhere = "nowhere-" + "a" * 14
    input_body = json.dumps({"request_id": "q", "data": True})

    for method, suffix, body in (
        ("GET", "", None),
        ("GET", "/events", None),
        ("GET", f"/events?after={epoch}.0", None),
        ("POST", "/cancel", "{}"),
        ("POST", "/input", input_body),
    ):
        of_alice = stand.ask(method, f"/v1/runs/{run_id}{suffix}", bearer(BOB), body=body)
        of_nobody = stand.ask(method, f"/v1/runs/{nowhere}{suffix}", bearer(BOB), body=body)
        assert is_problem(of_alice, 404, "not_found")
        assert of_alice.body == of_nobody.body, "another's run and no run must look the same"

    assert stand.ask("GET", f"/v1/runs/{run_id}", bearer(ALICE)).json["status"] == "running"


def test_the_run_of_another_is_unknown_on_a_websocket(stand: Stand) -> None:
    run_id = "on-a-websocket-" + "a" * 10
    epoch = start(stand, ALICE, run_id)["epoch"]

    with stand.connection(bearer(BOB)) as socket:
        for asked in ({}, {"epoch": epoch}):
            socket.send(json.dumps({"type": "resume", "run_id": run_id, "after": 0, **asked}))
            assert message_of(socket, "error", "resumed")["code"] == "not_found"
        socket.send(json.dumps({"type": "cancel", "run_id": run_id}))
        assert message_of(socket, "notice")["code"] == "not_active"
        socket.send(json.dumps({"type": "cancel"}))
        assert message_of(socket, "notice")["code"] == "not_active"
        socket.send(json.dumps({"type": "input", "run_id": run_id, "request_id": "q", "data": 1}))
        assert message_of(socket, "error")["code"] == "not_found"

    assert stand.ask("GET", f"/v1/runs/{run_id}", bearer(ALICE)).json["status"] == "running"


def test_the_same_name_is_another_run_for_another_principal(stand: Stand) -> None:
    run_id = "the-same-name-" + "a" * 10

    ours = start(stand, ALICE, run_id, "of alice", session_id="s" * 22)
    theirs = start(stand, BOB, run_id, "of bob", session_id="s" * 22)

    assert ours["epoch"] != theirs["epoch"]


def test_a_session_of_the_same_name_neither_waits_nor_remembers(stand: Stand) -> None:
    session_id = "one-session-" + "a" * 12
    start(stand, ALICE, "first-of-session-" + "a" * 8, session_id=session_id)

    theirs = start(stand, BOB, "first-of-session-" + "b" * 8, LONG, session_id=session_id)
    ours = start(stand, ALICE, "second-of-session-" + "a" * 8, LONG, session_id=session_id)

    assert (theirs["status"], ours["status"]) == ("running", "queued")


def test_a_renewed_token_is_the_same_principal_and_another_issuer_is_not(stand: Stand) -> None:
    run_id = "renewed-" + "a" * 14
    start(stand, minted(sub="dora"), run_id)

    assert stand.ask("GET", f"/v1/runs/{run_id}", bearer(minted(sub="dora", jti="another"))).status == 200
    others = [
        minted(sub="dora", iss="other"),
        minted(sub="dora", iss=None),
        minted(sub="Dora"),
        minted(sub=""),
    ]
    for token in others:
        assert is_problem(stand.ask("GET", f"/v1/runs/{run_id}", bearer(token)), 404, "not_found")


def test_a_token_cannot_name_a_principal_of_the_list(stand: Stand) -> None:
    run_id = "of-the-list-" + "a" * 12
    start(stand, ALICE, run_id)

    for issuer in (None, "", "static", "alice"):
        token = minted(sub="alice", iss=issuer)
        assert is_problem(stand.ask("GET", f"/v1/runs/{run_id}", bearer(token)), 404, "not_found")


def test_the_tokens_of_make_check_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    env = credentials()

    def printed(*arguments: str) -> str:
        return subprocess.check_output(
            [sys.executable, str(Path(mint_token.__file__)), *arguments], env=env, text=True
        ).strip()

    with served(tmp_path, *CREDENTIAL_OPTIONS, env=env) as stand:
        good = [env["RUNWIRE_CHECK_TOKEN"], env["RUNWIRE_CHECK_OTHER_TOKEN"], printed("carol", "60")]
        assert [stand.shake(bearer(token)).status for token in good] == [101] * 3
        for token in (env["RUNWIRE_CHECK_FORBIDDEN_TOKEN"], printed("carol", "60", "nothing")):
            assert is_problem(stand.shake(bearer(token)), 403, "forbidden")
            assert is_problem(stand.ask("GET", "/.well-known/runwire", bearer(token)), 403, "forbidden")
        assert is_problem(stand.shake(bearer(printed("carol", "-1"))), 401, "unauthorized")


def test_connections_are_counted_for_each_principal(tmp_path: Path) -> None:
    options = [*token_options(tmp_path), "--connections-per-principal=2", "--runs-per-principal=1"]
    with served(tmp_path, *options) as stand, contextlib.ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(stand.connection(bearer(ALICE)))
        body = json.dumps({"prompt": LONG})

        assert is_problem(stand.shake(bearer(ALICE)), 429, "busy")
        assert is_problem(stand.ask("GET", "/.well-known/runwire", bearer(ALICE)), 429, "busy")
        stream = stand.ask("POST", "/v1/runs", bearer(ALICE), ("Accept", "text/event-stream"), body=body)
        assert is_problem(stream, 429, "busy")
        assert stand.ask("GET", "/.well-known/runwire", bearer(BOB)).status == 200
        assert stand.ask("GET", "/.well-known/runwire").status == 200
        opened.enter_context(stand.connection(bearer(BOB)))

        assert stand.ask("POST", "/v1/runs", bearer(ALICE), body=body).status == 202
        assert is_problem(stand.ask("POST", "/v1/runs", bearer(ALICE), body=body), 429, "busy")
        assert stand.ask("POST", "/v1/runs", bearer(BOB), body=body).status == 202


def test_who_may_not_come_in_takes_no_place(tmp_path: Path) -> None:
    with served(tmp_path, *token_options(tmp_path), "--connections-per-principal=1") as stand:
        for _ in range(5):
            assert stand.shake(bearer("bad-token-0123456789")).status == 401
            assert stand.shake(bearer(ALICE), ("Origin", "https://attacker.example")).status == 403

        with stand.connection(bearer(ALICE)):
            assert is_problem(stand.shake(bearer(ALICE)), 429, "busy")


def test_an_expired_credential_closes_the_connection_and_leaves_the_run(stand: Stand) -> None:
    expires_at, run_id = int(time.time()) + 2, "outlives-" + "e" * 14
    with stand.connection(bearer(minted(sub="eve", exp=expires_at))) as socket:
        socket.send(json.dumps({"type": "start", "prompt": ENDLESS, "run_id": run_id}))
        assert close_code(socket) == 4101, "even while events are waiting to be sent"
    assert time.time() >= expires_at

    with stand.connection(bearer(minted(sub="eve"))) as socket:
        socket.send(json.dumps({"type": "resume", "run_id": run_id, "after": 0}))
        resumed = message_of(socket, "resumed", "error")
        socket.send(json.dumps({"type": "cancel", "run_id": run_id}))
        terminal = message_of(socket, "done")

    assert resumed["status"] == "running"
    assert (terminal["status"], terminal["reason"]) == ("cancelled", "user")


def test_an_expired_credential_ends_the_stream_and_leaves_the_run(stand: Stand) -> None:
    expires_at, run_id = int(time.time()) + 2, "outlives-" + "s" * 14
    body = json.dumps({"prompt": ENDLESS, "run_id": run_id, "on_disconnect": "cancel"})
    token = minted(sub="eve", exp=expires_at)

    answer = stand.ask("POST", "/v1/runs", bearer(token), ("Accept", "text/event-stream"), body=body)

    assert time.time() >= expires_at
    assert answer.status == 200
    assert b'"type":"done"' not in answer.body
    assert stand.ask("GET", f"/v1/runs/{run_id}", bearer(token)).status == 401
    again = stand.ask("GET", f"/v1/runs/{run_id}", bearer(minted(sub="eve")))
    assert again.json["status"] == "running", "the server closed the reader, so the policy gives it time"


def test_a_quiet_stream_ends_with_its_credential_too(stand: Stand) -> None:
    expires_at = int(time.time()) + 2
    token = minted(sub="quiet", exp=expires_at)

    answer = stand.ask(
        "POST",
        "/v1/runs",
        bearer(token),
        ("Accept", "text/event-stream"),
        body=json.dumps({"prompt": LONG}),
    )

    assert expires_at <= time.time() < expires_at + 1.9
    assert b"end" not in answer.body
