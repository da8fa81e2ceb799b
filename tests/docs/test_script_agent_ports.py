"""The script agents that the site offers in three languages play the same scripts to the same events."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
PORTS = ROOT / "examples" / "script_agent"
DRIVERS = ROOT / "tests" / "docs" / "ports"

MALFORMED: list[Any] = [
    {"tokn": "x"},
    {"token": 7},
    {"token": "x", "thinking": "y"},
    {},
    "token",
    {"toString": "x"},
    {"wait_ms": -1},
    {"wait_ms": True},
    {"tool_call": {"call_id": "c1", "name": "search"}},
    {"tool_call": {"call_id": "c1", "name": "search", "input": 1, "more": 2}},
    {"tool_call": {"call_id": "c1", "name": "search", "input": 1, "toString": 2}},
    {"tool_delta": {"call_id": 1, "name": "search", "data": ""}},
    {"observation": {"call_id": "c1", "content": 1, "partial": True}},
    {"observation": {"call_id": "c1", "content": 1, "is_error": "no"}},
    {"input_request": {"request_id": "q1", "kind": "riddle"}},
    {"input_request": {"request_id": "q1", "kind": "form", "expires_in_ms": "soon"}},
    {"fail": {"code": "agent_error"}},
    {"repeat": 0, "steps": [{"token": "x"}]},
    {"repeat": 1.5, "steps": [{"token": "x"}]},
    {"repeat": 2, "steps": []},
    {"repeat": 2},
    {"repeat": True, "steps": [{"token": "x"}]},
    {"repeat": 2, "steps": [{"token": "x"}], "agent": "a"},
    {"observation": {"call_id": "c1", "content": 1}},
    {"report": "a-run-nobody-started-here"},
    {"echo_input": "never-opened"},
]


class Port:
    """A port of the script agent in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._runs = 0

    def play(self, script: list[Any] | str, **asked: Any) -> dict[str, Any]:
        """Return the events of a run, and how it ended."""
        self._runs += 1
        prompt = script if isinstance(script, str) else json.dumps({"runwire_script": script})
        line = json.dumps({"prompt": prompt, "run_id": f"run-{self._runs}"} | asked)
        assert self._process.stdin and self._process.stdout
        print(line, file=self._process.stdin, flush=True)
        played: dict[str, Any] = json.loads(self._process.stdout.readline())
        return played

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def command(language: str, folder: Path) -> list[str]:
    """Return what starts a driver; Go is compiled into `folder`."""
    if language == "Python":
        return [sys.executable, str(DRIVERS / "drive.py"), str(PORTS / "script_agent.py")]
    if language == "JavaScript":
        module = shutil.copy(PORTS / "script_agent.js", folder / "script_agent.mjs")
        return [require_program("node", apt="nodejs"), str(DRIVERS / "drive.mjs"), str(module)]
    go = require_program("go", apt="golang-go")
    (folder / "scriptagent").mkdir()
    (folder / "go.mod").write_text("module ports\n\ngo 1.19\n")
    shutil.copy(PORTS / "script_agent.go", folder / "scriptagent")
    shutil.copy(DRIVERS / "drive.go", folder / "main.go")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run(
        [go, "build", "-o", "drive", "."], cwd=folder, env=environment, check=True, timeout=patience(300)
    )
    return [str(folder / "drive")]


@pytest.fixture(scope="module", params=["Python", "JavaScript", "Go"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    """Each port in turn."""
    opened = Port(command(request.param, tmp_path_factory.mktemp("port")))
    yield opened
    opened.close()


def test_a_script_becomes_its_events_in_order(port: Port) -> None:
    call = {"call_id": "c1", "name": "search", "input": {"query": ["ü", 1.5, None]}}
    script = [
        {"token": "Hel"},
        {"token": ""},
        {"thinking": "so far", "agent": "helper"},
        {"replace": "", "agent": "helper"},
        {"thinking": ""},
        {"replace": "Hello", "agent": "helper"},
        {"tool_delta": {"call_id": "c1", "name": "search", "data": '{"qu'}},
        {"tool_call": call, "parent_call_id": "c0"},
        {"observation": {"call_id": "c1", "content": "half", "partial": True}},
        {"wait_ms": 1},
        {"block_ms": 1},
        {"observation": {"call_id": "c1", "content": {"found": 0}, "is_error": True}},
        {"repeat": 2, "steps": [{"token": "x"}, {"repeat": 2, "steps": [{"token": "y"}]}]},
    ]

    played = port.play(script)

    assert played == {
        "end": "completed",
        "events": [
            {"type": "token", "data": "Hel"},
            {"type": "thinking", "content": "so far", "agent": "helper"},
            {"type": "replace", "data": ""},
            {"type": "thinking", "content": ""},
            {"type": "replace", "data": "Hello"},
            {"type": "tool_delta", "call_id": "c1", "name": "search", "data": '{"qu'},
            {"type": "tool_call", "parent_call_id": "c0", **call},
            {"type": "observation", "call_id": "c1", "content": "half", "partial": True},
            {"type": "observation", "call_id": "c1", "content": {"found": 0}, "is_error": True},
            *({"type": "token", "data": letter} for letter in "xyyxyy"),
        ],
    }


@pytest.mark.parametrize(
    "prompt",
    [
        "What is AI?",
        '{"runwire_script":7}',
        '{"runwire_script":[],"more":1}',
        '[{"token":"x"}]',
        '{"runwire_script":[NaN]}',
        "null",
    ],
)
def test_another_prompt_is_for_the_other_agent(port: Port, prompt: str) -> None:
    assert port.play(prompt) == {"events": [], "end": "no script"}


@pytest.mark.parametrize("step", MALFORMED, ids=json.dumps)
def test_a_malformed_step_ends_the_run_with_agent_error(port: Port, step: Any) -> None:
    played = port.play([{"token": "before"}, step, {"token": "after"}])

    assert played["events"] == [{"type": "token", "data": "before"}]
    assert played["end"]["code"] == "agent_error"


def test_a_call_is_made_once_and_observed_while_it_is_open(port: Port) -> None:
    call = {"tool_call": {"call_id": "c1", "name": "search", "input": 1}}
    part = {"observation": {"call_id": "c1", "content": "half", "partial": True}}
    seen = {"observation": {"call_id": "c1", "content": "done"}}

    assert port.play([call, part, part, seen])["end"] == "completed"
    for steps in ([call, call], [call, seen, call], [call, seen, seen], [call, seen, part], [part]):
        played = port.play(steps)
        assert len(played["events"]) == len(steps) - 1
        assert played["end"]["code"] == "agent_error"


def test_a_number_of_times_may_have_a_fraction_of_nothing(port: Port) -> None:
    played = port.play('{"runwire_script":[{"repeat":2.0,"steps":[{"token":"x"}]}]}')

    assert (len(played["events"]), played["end"]) == (2, "completed")


def test_a_report_of_itself_is_malformed(port: Port) -> None:
    assert port.play([{"report": "itself"}], run_id="itself")["end"]["code"] == "agent_error"


def test_fail_ends_with_its_code_and_text(port: Port) -> None:
    failure = {"code": "vendor:quota", "data": "used up", "retryable": True}

    assert port.play([{"fail": failure}, {"token": "after"}]) == {"events": [], "end": failure}
    assert port.play([{"fail": {"code": "timeout", "data": "x"}}])["end"]["retryable"] is None


def test_a_longer_script_than_allowed_is_refused_and_the_longest_is_not(port: Port) -> None:
    longest = {"repeat": 1000, "steps": [{"repeat": 1000, "steps": [{"token": ""}]}]}

    assert port.play([longest])["end"] == "completed"
    assert port.play([longest, {"token": "one more"}])["end"]["code"] == "agent_error"


def test_questions_are_asked_waited_for_and_echoed(port: Port) -> None:
    question = {"request_id": "q1", "kind": "question", "data": "Which?", "expires_in_ms": 900}
    approval = {"request_id": "q2", "kind": "approval", "call_id": "c1"}
    script = [
        {"input_request": question},
        {"input_request": approval},
        {"echo_input": "q1"},
        {"echo_input": "q2"},
    ]

    played = port.play(script, answers={"q1": "the first, ü"})

    asked, approved, *echoed = played["events"]
    assert asked == {"type": "input_request", **question}
    assert approved == {"type": "input_request", **approval}
    assert [json.loads(event["data"]) for event in echoed] == ["the first, ü", None]


def test_a_wait_notices_a_cancellation_at_once_and_report_tells(port: Port) -> None:
    script = [{"token": "a"}, {"wait_ms": 60_000}, {"token": "b"}]

    played = port.play(script, run_id="waits", cancel_after_ms=100)
    told = json.loads(port.play([{"report": "waits"}])["events"][0]["data"])

    assert played == {"events": [{"type": "token", "data": "a"}], "end": "cancelled"}
    assert told["steps_after_cancel"] == 0
    assert told["stopped_after_ms"] < 2_000


def test_a_block_lasts_its_full_time_and_then_the_agent_stops(port: Port) -> None:
    script = [{"block_ms": 600}, {"token": "late"}]

    played = port.play(script, run_id="blocks", cancel_after_ms=100)
    told = json.loads(port.play([{"report": "blocks"}])["events"][0]["data"])

    assert played == {"events": [], "end": "cancelled"}
    assert told["steps_after_cancel"] == 0
    assert 400 <= told["stopped_after_ms"] < 2_500


def test_report_of_a_run_that_was_not_cancelled(port: Port) -> None:
    port.play([{"token": "a"}], run_id="ends")

    (told,) = port.play([{"report": "ends"}])["events"]

    assert told["type"] == "token"
    assert json.loads(told["data"]) == {"stopped_after_ms": None, "steps_after_cancel": 0}


def test_the_go_port_is_formatted() -> None:
    gofmt = require_program("gofmt", apt="golang-go")

    unformatted = subprocess.run(
        [gofmt, "-l", str(PORTS), str(DRIVERS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )

    assert unformatted.stdout == ""
