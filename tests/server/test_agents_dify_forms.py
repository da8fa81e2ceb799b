"""A Dify workflow that waits for a person asks the user of this protocol, and goes on with the answer."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runwire_reference_server.agents import Answer, Task
from runwire_reference_server.integrations.dify import DifyAgent
from runwire_reference_server.integrations.dify_forms import form_of
from runwire_reference_server.integrations.upstream import Upstream
from tests.support.agent_stand import but, events_of, task_of, texts, until
from tests.support.auth_stand import message_of, served
from tests.support.fake_dify import FORMS, KEY, TASK, fake_dify
from tests.support.fake_upstream import FakeUpstream

pytestmark = pytest.mark.anyio

GOOD = {"feedback": "Looks good", "priority": "high", "_action": "approve"}


@pytest.fixture
def dify() -> Iterator[FakeUpstream]:
    """A Dify with all applications."""
    with fake_dify() as upstream:
        yield upstream


class User:
    """Closes requests in turn as told."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def answer(self, request_id: str) -> Answer:
        """Close a request."""
        self.asked.append(request_id)
        return self._answers.pop(0)

    async def none_open(self) -> None:
        """Nothing is ever open."""

    async def withdraw(self, request_id: str) -> None:
        """Nothing is withdrawn."""
        raise AssertionError(request_id)


def answered(data: Any) -> Answer:
    """Return the close of a request that was answered."""
    return Answer("answered", data)


async def played(dify: FakeUpstream, prompt: str, *answers: Answer) -> list[dict[str, Any]]:
    """Return the events of a workflow whose user answers so."""
    task: Task = task_of(prompt)
    task.input_requests = User(*answers)
    return await events_of(DifyAgent(Upstream(dify.url, key=KEY), "workflow"), task)


def submitted(dify: FakeUpstream) -> list[dict[str, Any]]:
    """Return what forms were answered with."""
    return [asked.body for asked in dify.asked if "/form/" in asked.path and asked.method == "POST"]


def paths(dify: FakeUpstream) -> Sequence[str]:
    """Return the method and path of everything that was asked."""
    return [f"{asked.method} {asked.path.partition('?')[0]}" for asked in dify.asked]


async def test_a_pause_is_a_form_and_its_answer_goes_back(dify: FakeUpstream) -> None:
    events = await played(dify, "asks", answered(GOOD | {"source": "https://files.example/a.pdf"}))

    (question,) = [event for event in events if event["type"] == "input_request"]
    assert (question["kind"], question["data"]) == ("form", "Please review the draft.")
    assert texts(events) == "A draft. Done."
    assert texts(events, "thinking") == "They like it."
    assert events[-1]["status"] == "completed"
    assert paths(dify) == [
        "POST /v1/workflows/run",
        "GET /v1/form/human_input/review",
        "POST /v1/form/human_input/review",
        "GET /v1/workflow/w1/events",
    ]
    (body,) = submitted(dify)
    file = {"transfer_method": "remote_url", "url": "https://files.example/a.pdf"}
    assert body["inputs"] == {"feedback": "Looks good", "priority": "high", "tone": "kind", "source": file}
    assert body["action"] == "approve"
    assert dify.asked[-1].path.endswith(f"?user={body['user']}")
    assert body["user"] == dify.asked[0].body["user"]


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        (GOOD, True),
        (GOOD | {"tone": "stern", "action": ["https://files.example/a.pdf"]}, True),
        (GOOD | {"_action": "delete"}, False),
        (GOOD | {"priority": "urgent"}, False),
        (GOOD | {"feedback": 7}, False),
        (GOOD | {"unknown": "x"}, False),
        (GOOD | {"action": ["https://files.example/a.pdf"] * 6}, False),
        ({"feedback": "x", "priority": "low"}, False),
        ({"priority": "low", "_action": "approve"}, False),
    ],
)
def test_the_schema_of_a_form_allows_what_dify_takes(answer: dict[str, Any], fits: bool) -> None:
    schema = form_of(FORMS["review"]).schema

    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(answer) is fits


@pytest.mark.parametrize("definition", [[], {}, {"user_actions": [{}]}, {"inputs": [7], "user_actions": []}])
def test_what_is_no_form_is_no_form(definition: Any) -> None:
    with pytest.raises(ValueError, match="form"):
        form_of(definition)


async def test_an_answer_that_dify_rejects_is_asked_for_again(dify: FakeUpstream) -> None:
    nonsense = answered(GOOD | {"feedback": "nonsense"})

    events = await played(dify, "asks", nonsense, answered(GOOD))

    questions = [event for event in events if event["type"] == "input_request"]
    assert len({event["request_id"] for event in questions}) == 2
    assert questions[1]["data"] == "The last answer was not accepted.\n\nPlease review the draft."
    assert events[-1]["status"] == "completed"
    again = await played(dify, "asks", *[nonsense] * 5)
    assert (again[-1]["code"], again[-1]["retryable"]) == ("agent_error", False)


async def test_every_form_of_a_pause_is_asked_before_the_workflow_is_heard_again(
    dify: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMS["brief"], "expiration_time", 4_000_000_000)

    events = await played(dify, "asks twice", answered(GOOD), answered({"action": "go"}))

    assert [event["type"] for event in events] == ["input_request"] * 2 + ["thinking", "token", "done"]
    assert [body["action"] for body in submitted(dify)] == ["approve", "go"]


async def test_a_question_that_nobody_answers_fails_the_run_and_stops_the_workflow(
    dify: FakeUpstream,
) -> None:
    events = await played(dify, "asks", Answer("expired"))

    assert (events[-1]["type"], events[-1]["code"]) == ("error", "agent_error")
    assert paths(dify)[-1] == f"POST /v1/workflows/tasks/{TASK}/stop"


@pytest.mark.parametrize("prompt", ["asks briefly", "asks too late"])
async def test_a_form_that_is_over_lets_the_workflow_go_on(dify: FakeUpstream, prompt: str) -> None:
    events = await played(dify, prompt)

    assert but(events, "thinking", "done") == [{"type": "token", "data": "Done."}]
    assert submitted(dify) == []


def test_the_command_asks_and_goes_on(dify: FakeUpstream, tmp_path: Path) -> None:
    env = {"DIFY_API_KEY": KEY, "DIFY_BASE_URL": dify.url}
    with (
        served(tmp_path, "--agent=dify", "--dify-app=workflow", env=env) as stand,
        stand.connection() as socket,
    ):
        socket.send(json.dumps({"prompt": "asks"}))
        question = message_of(socket, "input_request", "error")
        reply = {"type": "input", "run_id": question["run_id"], "request_id": question["request_id"]}
        socket.send(json.dumps(reply | {"data": {"_action": "delete"}, "id": "bad"}))
        refused = message_of(socket, "error", "input_closed")
        socket.send(json.dumps(reply | {"data": GOOD}))
        closed = message_of(socket, "input_closed")
        ended = message_of(socket, "done", "error")
        log = stand.log

    assert (refused["re"], refused["code"]) == ("bad", "bad_request")
    assert (closed["outcome"], ended["status"]) == ("answered", "completed")
    assert "Looks good" not in log


def test_a_cancel_while_the_workflow_waits_stops_it(dify: FakeUpstream, tmp_path: Path) -> None:
    env = {"DIFY_API_KEY": KEY, "DIFY_BASE_URL": dify.url}
    with (
        served(tmp_path, "--agent=dify", "--dify-app=workflow", env=env) as stand,
        stand.connection() as socket,
    ):
        socket.send(json.dumps({"prompt": "asks"}))
        message_of(socket, "input_request", "error")
        socket.send('{"type":"cancel"}')
        ended = message_of(socket, "done", "error")
        stop = f"POST /v1/workflows/tasks/{TASK}/stop"
        asyncio.run(until(lambda: paths(dify)[-1] == stop))

    assert ended["status"] == "cancelled"
