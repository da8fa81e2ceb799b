"""The demo agent: it answers in the language of the prompt, asks and delegates when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runwire_reference_server.agents import Answer, Task, demo
from runwire_reference_server.agents.demo_texts import CHINESE, ENGLISH, Texts
from runwire_reference_server.run_log.runs import ANYONE, RunKey
from runwire_schemas import server_message_violations


class Says:
    """A user who answers every question so."""

    def __init__(self, data: Any) -> None:
        self._data = data

    async def answer(self, request_id: str) -> Answer:
        assert request_id == "q1"
        return Answer("answered", self._data)

    async def none_open(self) -> None: ...

    async def withdraw(self, request_id: str) -> None: ...


def played(prompt: str, monkeypatch: pytest.MonkeyPatch, says: Any = None) -> list[dict[str, Any]]:
    """Return the events of a run."""
    monkeypatch.setattr(demo, "PACE_S", 0)
    task = Task(RunKey(ANYONE, "r" * 22), prompt, input_requests=Says(says))

    async def run() -> list[dict[str, Any]]:
        return [dict(event) async for event in demo.DemoAgent().run(task)]

    events = asyncio.run(run())
    for seq, event in enumerate(events, start=1):
        if event["type"] != "input_request":  # the writer completes it
            assert server_message_violations({**event, "run_id": task.key.run_id, "seq": seq}) == []
    return events


def answer_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "token")


@pytest.mark.parametrize(
    ("prompt", "begin", "end"),
    [
        ("What is AI? And what is a run?", ENGLISH.glossary[("ai",)], ENGLISH.closing),
        ("AI是什么？", CHINESE.glossary["ai", "人工智能"], CHINESE.closing),
        ("什么是智能体？", "智能体是", CHINESE.closing),
        ("Where is the aisle?", "The glossary of this demo has nothing", ENGLISH.closing),
        ("你好", "这个演示的词汇表里没有", CHINESE.closing),
    ],
)
def test_the_answer_is_in_the_language_of_the_prompt(
    prompt: str, begin: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = played(prompt, monkeypatch)

    answer = answer_of(events)
    assert answer.startswith(begin) and answer.endswith(end)
    assert sum(event["type"] == "token" for event in events) > 20


def test_it_asks_first_and_takes_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    yes, no = (played("先问我：什么是运行？", monkeypatch, says) for says in (True, False))

    assert [event["data"] for event in yes if event["type"] == "input_request"] == [CHINESE.question]
    assert "一次运行就是" in answer_of(yes)
    assert answer_of(no) == CHINESE.as_you_wish


def test_a_sub_agent_speaks_below_the_call_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = played("delegate: what is sse?", monkeypatch)

    below = [event for event in events if event.get("agent") == "librarian"]
    assert {event["parent_call_id"] for event in below} == {"c2"}
    pieces = [event["content"] for event in below if event.get("partial")]
    assert "".join(pieces) == ENGLISH.librarian_says
    assert "librarian" not in answer_of(events)


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_pieces_lose_nothing(texts: Texts) -> None:
    for text in (*texts.glossary.values(), texts.closing, texts.nothing, " a  b\n中文 x，y", ""):
        assert "".join(demo.pieces(text)) == text
