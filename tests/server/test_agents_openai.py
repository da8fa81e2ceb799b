"""The agent on OpenAI-compatible endpoints, against a mock of OpenAI and what that mock cannot show."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runwire_reference_server.integrations.openai import MAX_ROUNDS, OpenAIAgent
from runwire_reference_server.integrations.tools import DEMO_TOOLS, Tool, ToolError
from runwire_reference_server.integrations.upstream import Upstream
from tests.support.agent_stand import but, cancelled_when, events_of, task_of, texts
from tests.support.auth_stand import message_of, served
from tests.support.fake_upstream import Answer, FakeUpstream, fake_upstream, stream
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

AIMOCK = "@copilotkit/aimock@1.43.0"
BUILD = Path(__file__).parents[2] / "build" / "aimock"
KEY = "planted-key-0123456789"


@pytest.fixture(scope="module")
def aimock() -> Iterator[str]:
    """The URL of a mock of OpenAI, which npm installs below build/ at the first time."""
    npm, node = require_program("npm", apt="npm"), require_program("node", apt="nodejs")
    package = BUILD / "node_modules" / "@copilotkit" / "aimock"
    wanted = AIMOCK.rpartition("@")[2]
    found = package / "package.json"
    if not found.exists() or json.loads(found.read_text(encoding="utf-8"))["version"] != wanted:
        BUILD.mkdir(parents=True, exist_ok=True)
        options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        result = subprocess.run(
            [npm, "install", *options, AIMOCK],
            cwd=BUILD,
            capture_output=True,
            text=True,
            timeout=patience(300),
        )
        assert result.returncode == 0, f"npm could not install {AIMOCK}: {result.stderr or result.stdout}"
    mock = subprocess.Popen(
        [node, package / "dist/cli.js", "-p0", "-f", Path(__file__).parent / "aimock_fixtures.json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AIMOCK_API_KEYS": KEY},
    )
    assert mock.stdout is not None
    with closing(mock.stdout):
        line = next((line for line in mock.stdout if "http://" in line), "")
        assert line, "aimock did not start"
        yield line[line.index("http://") :].strip() + "/v1"
        mock.kill()
        mock.wait(patience(10))


def agent(url: str, key: str = KEY, tools: tuple[Tool, ...] = DEMO_TOOLS) -> OpenAIAgent:
    """Return an agent on an endpoint."""
    return OpenAIAgent(Upstream(url, "some-model", key), tools)


async def test_a_model_thinks_calls_tools_and_answers(aimock: str) -> None:
    events = await events_of(agent(aimock), task_of("calculate 6 * 7"))

    assert texts(events, "thinking") == "A sum; there is a tool for that."
    assert texts(events) == "Let me see.It is 42."
    deltas = [event for event in events if event["type"] == "tool_delta" and event["call_id"] == "c1"]
    assert json.loads("".join(event["data"] for event in deltas)) == {"expression": "6 * 7"}
    assert but(events, "thinking", "token", "tool_delta") == [
        {"type": "tool_call", "call_id": "c1", "name": "calculate", "input": {"expression": "6 * 7"}},
        {"type": "observation", "call_id": "c1", "content": 42},
        {"type": "tool_call", "call_id": "c2", "name": "no_such_tool", "input": {}},
        {
            "type": "observation",
            "call_id": "c2",
            "content": "unknown tool no_such_tool; the tools are: current_time, calculate, search_glossary",
            "is_error": True,
        },
        {
            "type": "done",
            "data": "generation completed",
            "status": "completed",
            "usage": {"input_tokens": 40, "output_tokens": 25},
        },
    ]


async def test_a_model_that_calls_tools_for_ever_is_bounded(aimock: str) -> None:
    events = await events_of(agent(aimock), task_of("forever"))

    calls = [event["call_id"] for event in events if event["type"] == "tool_call"]
    assert calls == [f"c{place}" for place in range(1, MAX_ROUNDS + 1)]
    assert (events[-1]["status"], events[-1]["reason"]) == ("incomplete", "runwire-server:tool_rounds")


async def test_the_earlier_turns_of_the_session_are_told(aimock: str) -> None:
    events = await events_of(agent(aimock), task_of("what did I say?", ("hello", "Hello, this is a mock.")))

    assert texts(events) == "You said hello."


@pytest.mark.parametrize(("prompt", "reason"), [("long", "length"), ("rude", "content_filter")])
async def test_a_cut_answer_is_incomplete(aimock: str, prompt: str, reason: str) -> None:
    events = await events_of(agent(aimock), task_of(prompt))

    assert (events[-1]["type"], events[-1]["status"], events[-1]["reason"]) == ("done", "incomplete", reason)


@pytest.mark.parametrize(
    ("prompt", "code", "retryable"),
    [
        ("busy", "upstream_error", True),
        ("broke", "upstream_error", False),
        ("down", "upstream_error", True),
        ("impossible", "agent_error", False),
        ("forbidden", "content_filtered", False),
        ("truncated", "upstream_error", True),
        ("garbled", "upstream_error", True),
    ],
)
async def test_a_failure_has_its_code(aimock: str, prompt: str, code: str, retryable: bool) -> None:
    *_, last = await events_of(agent(aimock), task_of(prompt))

    assert (last["type"], last["code"], last["retryable"]) == ("error", code, retryable)
    assert "quoted prompt" not in last["data"]


async def test_a_wrong_key_is_no_fault_of_the_user(aimock: str) -> None:
    (last,) = await events_of(agent(aimock, key="wrong"), task_of("hello"))

    assert (last["code"], last["data"]) == ("agent_error", "the upstream refused the key of this agent")


async def test_an_endpoint_where_nobody_listens_is_an_upstream_error() -> None:
    (last,) = await events_of(agent("http://127.0.0.1:9/v1"), task_of("hello"))

    assert (last["code"], last["retryable"]) == ("upstream_error", True)


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


def called(name: str, arguments: str, call_id: str | None, index: int = 0) -> dict[str, Any]:
    """Return a piece of a tool call."""
    piece = {"index": index, "function": {"name": name, "arguments": arguments}}
    return piece | ({"id": call_id, "type": "function"} if call_id else {})


async def test_calls_are_told_apart_by_id_where_the_index_never_changes() -> None:
    first = chunk(tool_calls=[called("calculate", '{"expression":"1"}', "a"), called("calculate", "", "b")])
    rest = chunk("tool_calls", tool_calls=[called("", '{"expression":"2"}', None)])
    answers = [Answer(stream(first, rest, "data: [DONE]\n\n")), Answer(stream(chunk("stop", content="x")))]
    with fake_upstream(lambda _: answers.pop(0)) as upstream:
        events = await events_of(agent(upstream.url), task_of("x"))

    assert [event["content"] for event in events if event["type"] == "observation"] == [1, 2]
    results = [turn for turn in upstream.asked[1].body["messages"] if turn["role"] == "tool"]
    assert results == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]


async def test_parts_of_the_usage_are_told_where_the_endpoint_tells_them() -> None:
    counted = {"prompt_tokens": 1200, "completion_tokens": 340, "total_tokens": 1540}
    parts = {
        "prompt_tokens_details": {"cached_tokens": 1024},
        "completion_tokens_details": {"reasoning_tokens": 256},
    }
    call = chunk("tool_calls", tool_calls=[called("current_time", "", "a")]) | {"usage": {**counted, **parts}}
    last = chunk("stop", content="x") | {"usage": counted}
    answers = [Answer(stream(call)), Answer(stream(last))]
    with fake_upstream(lambda _: answers.pop(0)) as upstream:
        *_, ended = await events_of(agent(upstream.url), task_of("x"))

    assert ended["usage"] == {
        "input_tokens": 2400,
        "output_tokens": 680,
        "cached_input_tokens": 1024,
        "reasoning_tokens": 256,
    }


async def test_a_model_that_declines_is_incomplete() -> None:
    answer = Answer(stream(chunk(refusal="I will not."), chunk("stop")))
    with fake_upstream(lambda _: answer) as upstream:
        events = await events_of(agent(upstream.url), task_of("x"))

    assert texts(events) == "I will not."
    assert (events[-1]["status"], events[-1]["reason"]) == ("incomplete", "refusal")


async def test_reasoning_goes_back_to_the_endpoint_that_sent_it() -> None:
    first = stream(
        chunk(reasoning_content="hm"), chunk("tool_calls", tool_calls=[called("current_time", "", "a")])
    )
    answers = [Answer(first), Answer(stream(chunk("stop", content="x")))]
    with fake_upstream(lambda _: answers.pop(0)) as upstream:
        await events_of(agent(upstream.url), task_of("x"))

    (turn,) = [turn for turn in upstream.asked[1].body["messages"] if turn["role"] == "assistant"]
    assert turn["reasoning_content"] == "hm"


async def broken(_arguments: object) -> object:
    raise RuntimeError("a secret of the operator")


async def unwilling(_arguments: object) -> object:
    raise ToolError("not today")


@pytest.mark.parametrize(
    ("call", "arguments", "told"),
    [
        (broken, "{}", "the tool failed: RuntimeError"),
        (unwilling, "{}", "not today"),
        (unwilling, "[1]", "the arguments must be a JSON object"),
        (unwilling, '{"cut', "the arguments must be a JSON object"),
    ],
)
async def test_a_failing_tool_is_an_observation(call: Any, arguments: str, told: str) -> None:
    answers = [
        Answer(stream(chunk("tool_calls", tool_calls=[called("t", arguments, "a")]))),
        Answer(stream(chunk("stop", content="so be it"))),
    ]
    with fake_upstream(lambda _: answers.pop(0)) as upstream:
        events = await events_of(agent(upstream.url, tools=(Tool("t", "", {}, call),)), task_of("x"))

    (seen,) = [event for event in events if event["type"] == "observation"]
    assert (seen["content"], seen["is_error"]) == (told, True)
    assert events[-1]["status"] == "completed"


@pytest.mark.parametrize(
    ("pieces", "then", "code"),
    [
        (stream(chunk(content="a")), "end", "upstream_error"),
        (stream(chunk(content="a")), "cut", "upstream_error"),
        (stream(chunk(content="a"), {"error": {"message": "x", "code": 502}}), "end", "upstream_error"),
        (stream(chunk(content="a"), "data: {nonsense\n\n"), "end", "upstream_error"),
        (stream(chunk("error", content="a")), "end", "upstream_error"),
    ],
)
async def test_a_stream_that_breaks_off_is_an_upstream_error(
    pieces: tuple[bytes, ...], then: Any, code: str
) -> None:
    with fake_upstream(lambda _: Answer(pieces, then)) as upstream:
        events = await events_of(agent(upstream.url), task_of("x"))

    assert texts(events) == "a"
    assert (events[-1]["type"], events[-1]["code"], events[-1]["retryable"]) == ("error", code, True)


@pytest.mark.parametrize("said", [(), stream(chunk(content="a"))])
async def test_cancelling_closes_the_stream_of_the_model(said: tuple[bytes, ...]) -> None:
    with fake_upstream(lambda _: Answer(said, "hold")) as upstream:
        await cancelled_when(agent(upstream.url), task_of("x"), upstream.waits.is_set)

        assert upstream.hung_up.wait(patience(5))


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("calculate", {"expression": "(2 + 3) * -4 / 5"}, -4.0),
        ("search_glossary", {"word": "tokens"}, None),
        ("current_time", {"zone": "Europe/Paris"}, None),
    ],
)
async def test_a_demo_tool_works(name: str, arguments: dict[str, str], result: Any) -> None:
    (tool,) = [tool for tool in DEMO_TOOLS if tool.name == name]

    found = await tool.call(arguments)

    assert found == result if result is not None else found


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("calculate", {"expression": "1 / 0"}),
        ("calculate", {"expression": "2 ** 9999999"}),
        ("calculate", {"expression": "__import__('os')"}),
        ("calculate", {"expression": "1 +"}),
        ("calculate", {"expression": "1" * 201}),
        ("calculate", {}),
        ("current_time", {"zone": "../../etc/passwd"}),
        ("current_time", {"zone": 5}),
    ],
)
async def test_a_demo_tool_does_no_more_than_it_should(name: str, arguments: dict[str, Any]) -> None:
    (tool,) = [tool for tool in DEMO_TOOLS if tool.name == name]

    with pytest.raises(ToolError):
        await tool.call(arguments)


def hold(_asked: object) -> Answer:
    return Answer(stream(chunk(content="a")), "hold")


def test_the_command_serves_it_and_tells_nobody_the_key(aimock: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n", encoding="utf-8")
    options = (
        "--agent=openai",
        "--agent-model=m",
        f"--agent-url={aimock}",
        f"--agent-key-file={tmp_path}/key",
    )
    with served(tmp_path, *options) as stand:
        with stand.connection() as socket:
            socket.send(json.dumps({"prompt": "calculate planted-prompt"}))
            ended = message_of(socket, "done", "error")
            socket.send(json.dumps({"prompt": "busy planted-prompt"}))
            failed = message_of(socket, "done", "error")
        log = stand.log

    assert (ended["status"], ended["usage"]["output_tokens"]) == ("completed", 25)
    assert (failed["code"], failed["retryable"]) == ("upstream_error", True)
    assert "an upstream answered 429" in log
    assert failed["trace_id"] in log
    assert [secret for secret in (KEY, "planted-prompt", "quoted prompt") if secret in log] == []


def test_a_cancelled_run_lets_go_of_the_model(tmp_path: Path) -> None:
    with fake_upstream(hold) as upstream:
        env = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m"}
        with served(tmp_path, "--agent=openai", env=env) as stand, stand.connection() as socket:
            socket.send('{"prompt":"x"}')
            message_of(socket, "token")
            socket.send('{"type":"cancel"}')
            ended = message_of(socket, "done")

            assert upstream.hung_up.wait(patience(5))
    assert (ended["status"], ended["reason"]) == ("cancelled", "user")
    assert key_of(upstream) == f"Bearer {KEY}"


def key_of(upstream: FakeUpstream) -> str | None:
    (asked,) = upstream.asked
    return asked.authorization
