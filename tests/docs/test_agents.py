"""The agents that the site shows: they are executed as they stand there."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwire_reference_server.agents import Answer as InputAnswer
from tests.support.agent_stand import events_of, events_so_far, task_of, texts
from tests.support.auth_stand import message_of, served
from tests.support.fake_upstream import Answer, fake_upstream, stream

PAGE = Path(__file__).parents[2] / "docs" / "pages" / "your-agent.md"

pytestmark = [pytest.mark.anyio, pytest.mark.whole]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the modules of the page, from which they can be imported."""
    names = []
    for name, code in re.findall(
        r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    ):
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        names.append(name)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert names == ["mymodule", "research", "weather", "acme"]
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


def test_the_ten_lines_serve(shown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shown)
    with served(shown, "--agent=mymodule:MyAgent") as stand, stand.connection() as socket:
        socket.send('{"prompt":"one two"}')
        said = [message_of(socket, "token")["data"] for _ in range(2)]
        ended = message_of(socket, "done", "error")

    assert (said, ended["status"]) == (["one ", "two "], "completed")


class Answering:
    """Stands for the questions of a run; each is answered alike."""

    def __init__(self, data: Any) -> None:
        self._data = data

    async def answer(self, request_id: str) -> InputAnswer:
        assert request_id == "q1"
        return InputAnswer("answered", self._data)


@pytest.mark.parametrize(("answer", "said"), [(True, "Four documents"), (False, "As you wish.")])
@pytest.mark.usefixtures("shown")
async def test_the_agent_that_says_everything(answer: bool, said: str) -> None:
    task = task_of("cats")
    task.input_requests = Answering(answer)  # type: ignore[assignment]

    events = await events_so_far(importlib.import_module("research").Research(), task)

    kinds = ["thinking", "tool_delta", "tool_call", "observation", "observation", "input_request", "token"]
    assert [event["type"] for event in events] == kinds + (["replace", "done"] if answer else [])
    assert texts(events) == said


@pytest.mark.usefixtures("shown")
async def test_the_agent_that_says_everything_fails_with_a_code() -> None:
    (failed,) = await events_so_far(importlib.import_module("research").Research(), task_of(" "))

    assert (failed["code"], failed["data"]) == ("agent_error", "Ask me something.")


@pytest.mark.usefixtures("shown")
async def test_the_tool_of_the_page_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def piece(finish: str, **delta: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "finish_reason": finish, "delta": delta}]}

    call = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    answers = [
        Answer(stream(piece("tool_calls", tool_calls=[call]))),
        Answer(stream(piece("stop", content="Go out!"))),
    ]
    with fake_upstream(lambda _: answers.pop(0)) as upstream:
        for name, value in (("MODEL_URL", upstream.url), ("MODEL", "m"), ("MODEL_KEY", "k")):
            monkeypatch.setenv(name, value)
        events = await events_of(
            importlib.import_module("weather").WeatherAgent(), task_of("Shall I go out?")
        )

    assert {"type": "observation", "call_id": "c1", "content": {"sky": "clear", "degrees": 21}} in events
    assert texts(events) == "Go out!"


STREAMED = [
    {"kind": "thought", "text": "hm"},
    {"kind": "call", "id": "x", "tool": "search", "arguments": {"q": 1}},
    {"kind": "result", "id": "x", "value": 3},
    {"kind": "call", "id": "y", "tool": "search", "arguments": {}},
    {"kind": "text", "text": "Three."},
    {"kind": "end"},
]


@pytest.mark.parametrize(
    ("messages", "end"),
    [
        (STREAMED, ("done", "completed")),
        (STREAMED[:-1], ("error", "upstream_error")),
        ([{"kind": "failed"}], ("error", "agent_error")),
    ],
)
@pytest.mark.usefixtures("shown")
async def test_the_adapter_of_a_page_reads_a_stream(
    monkeypatch: pytest.MonkeyPatch, messages: list[dict[str, Any]], end: tuple[str, str]
) -> None:
    with fake_upstream(lambda _: Answer(stream(*messages))) as upstream:
        monkeypatch.setenv("ACME_URL", upstream.url)
        monkeypatch.setenv("ACME_KEY", "k")
        events = await events_of(importlib.import_module("acme").AcmeAgent(), task_of("x"))

    assert (events[-1]["type"], events[-1].get("status") or events[-1]["code"]) == end
    if end[1] == "completed":
        kinds = ["thinking", "tool_call", "observation", "tool_call", "token", "observation", "done"]
        assert [event["type"] for event in events] == kinds
    (asked,) = upstream.asked
    assert (asked.body["prompt"], asked.authorization) == ("x", "Bearer k")
