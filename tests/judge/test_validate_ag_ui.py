"""Recorded streams of AG-UI before `runwire validate`: sound ones, and one for each thing that can be wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import events as ag_ui
from ag_ui.encoder import EventEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from runwire_conformance.tools.ag_ui.rules import REQUIRED, StreamJudge
from runwire_conformance.tools.validate import judged, read
from tests.support.patience import examples

Event = dict[str, Any]

BEGUN: Event = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
ENDED: Event = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


def of(kind: str, **members: Any) -> Event:
    return {"type": kind, **members}


def text(step: str, message: str = "m", **more: Any) -> Event:
    return of(
        f"TEXT_MESSAGE_{step}", messageId=message, **({"delta": "x"} if step == "CONTENT" else {}), **more
    )


def call(step: str, name: str = "c", **more: Any) -> Event:
    beside = {"START": {"toolCallName": "search"}, "ARGS": {"delta": "{}"}}.get(step, {})
    return of(f"TOOL_CALL_{step}", toolCallId=name, **beside, **more)


def chunk(kind: str, **members: Any) -> Event:
    return of(f"{kind}_CHUNK", **members)


def ended(**outcome: Any) -> Event:
    return {**ENDED, "outcome": outcome}


CALL = [call("START"), call("ARGS"), call("END")]
MESSAGE = [text("START"), text("CONTENT"), text("END")]
RESULT = of("TOOL_CALL_RESULT", messageId="x", toolCallId="c", content="3")
HELPER = of("SUBAGENT_STARTED", subagentRunId="s", name="helper")
HELPED = of("SUBAGENT_FINISHED", subagentRunId="s")

SOUND: dict[str, list[Event]] = {
    "everything": [BEGUN, *MESSAGE, *CALL, RESULT, of("STATE_SNAPSHOT", snapshot=None), ENDED],
    "a message that is opened again": [BEGUN, *MESSAGE, *MESSAGE, ENDED],
    "messages within each other": [
        BEGUN,
        text("START"),
        *[{**e, "messageId": "n"} for e in MESSAGE],
        text("END"),
        ENDED,
    ],
    "chunks": [
        BEGUN,
        chunk("TEXT_MESSAGE", messageId="m", delta="x"),
        chunk("TEXT_MESSAGE", delta="y"),
        chunk("TOOL_CALL", toolCallId="c", toolCallName="t", delta="{"),
        of("RAW", event=1),
        chunk("TOOL_CALL", delta="}"),
        RESULT,
        ENDED,
    ],
    "a failure, also at once, and late": [
        BEGUN,
        text("START"),
        of("RUN_ERROR", message="no"),
        BEGUN,
        ENDED,
        of("RUN_ERROR", message="no"),
    ],
    "no more than a failure": [of("RUN_ERROR", message="no")],
    "a subagent": [
        BEGUN,
        HELPER,
        text("START", subagentRunId="s"),
        text("CONTENT"),
        text("END", subagentRunId="s"),
        HELPED,
        ENDED,
    ],
    "attribution alone": [BEGUN, text("START", subagentRunId="s"), text("END"), ENDED],
    "steps of one name": [
        BEGUN,
        of("STEP_STARTED", stepName="a"),
        of("STEP_STARTED", stepName="a", subagentRunId="s"),
        of("STEP_FINISHED", stepName="a"),
        of("STEP_FINISHED", stepName="a", subagentRunId="s"),
        ENDED,
    ],
    "a span and its message of one id": [
        BEGUN,
        of("REASONING_START", messageId="m"),
        of("REASONING_MESSAGE_START", messageId="m"),
        of("REASONING_MESSAGE_CONTENT", messageId="m", delta="x"),
        of("REASONING_MESSAGE_END", messageId="m"),
        of("REASONING_END", messageId="m"),
        ENDED,
    ],
    "outcomes": [
        BEGUN,
        ended(type="success"),
        BEGUN,
        ended(type="cancelled"),
        BEGUN,
        ended(type="interrupt", interrupts=[{"id": "i", "reason": "x"}]),
        BEGUN,
        *CALL,
        ended(type="success", pendingToolCallIds=["c"]),
    ],
    "usage": [
        BEGUN,
        {**ENDED, "usage": [{"inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "cachedInputTokens": 3}]},
    ],
    "what is not known": [BEGUN, of("LATER_EVENT", what=1), ENDED],
}

BROKEN: dict[str, tuple[list[Event | str], str]] = {
    "begins with text": (
        [*MESSAGE, ENDED],
        "[AG-UI Runs and Steps] the stream begins with TEXT_MESSAGE_START",
    ),
    "breaks off": ([BEGUN, text("START"), text("CONTENT")], "[AG-UI Truncation]"),
    "begins twice": ([BEGUN, BEGUN, ENDED], "RUN_STARTED while a run is active"),
    "goes on": ([BEGUN, ENDED, of("CUSTOM", name="x", value=1)], "CUSTOM after RUN_FINISHED"),
    "goes on after a failure": ([BEGUN, of("RUN_ERROR", message="x"), ENDED], "RUN_FINISHED after RUN_ERROR"),
    "another run ends": (
        [BEGUN, {**ENDED, "runId": "q"}],
        "[AG-UI Run Input] RUN_FINISHED and RUN_STARTED of a run differ in runId",
    ),
    "a message stays open": (
        [BEGUN, text("START"), ENDED],
        "[AG-UI Streaming Messages] RUN_FINISHED while the message 'm' is open",
    ),
    "a call stays open": ([BEGUN, call("START"), ENDED], "while the call 'c' is open"),
    "opened twice": ([BEGUN, text("START"), text("START"), text("END"), ENDED], "which is open already"),
    "content of nothing": (
        [BEGUN, text("CONTENT"), ENDED],
        "[AG-UI Streaming Messages] TEXT_MESSAGE_CONTENT",
    ),
    "an end of nothing": ([BEGUN, call("END"), ENDED], "which is not open"),
    "reasoning of nothing": ([BEGUN, of("REASONING_END", messageId="m"), ENDED], "[AG-UI Reasoning]"),
    "a chunk of nothing": ([BEGUN, chunk("TEXT_MESSAGE", delta="x"), ENDED], "has no messageId"),
    "a call in chunks without a name": (
        [BEGUN, chunk("TOOL_CALL", toolCallId="c"), ENDED],
        "has no toolCallName",
    ),
    "a chunk after what closes it": (
        [
            BEGUN,
            chunk("TEXT_MESSAGE", messageId="m"),
            of("CUSTOM", name="x", value=1),
            chunk("TEXT_MESSAGE", delta="x"),
            ENDED,
        ],
        "has no messageId",
    ),
    "both spellings": (
        [BEGUN, text("START"), chunk("TEXT_MESSAGE", messageId="m", delta="x"), text("END"), ENDED],
        "which a START opened",
    ),
    "a step twice": (
        [BEGUN, *[of("STEP_STARTED", stepName="a")] * 2, of("STEP_FINISHED", stepName="a"), ENDED],
        "is open already",
    ),
    "a step of nobody": ([BEGUN, of("STEP_FINISHED", stepName="a"), ENDED], "was not started"),
    "a step stays open": (
        [BEGUN, of("STEP_STARTED", stepName="a"), ENDED],
        "[AG-UI Runs and Steps] RUN_FINISHED while the step 'a' is open",
    ),
    "another's message": (
        [BEGUN, text("START"), text("CONTENT", subagentRunId="s"), text("END"), ENDED],
        "[AG-UI Subagents] the message 'm' belongs to 'the run', not to 's'",
    ),
    "null for nobody": ([BEGUN, text("START", subagentRunId=None), ENDED], "subagentRunId is no string"),
    "an invocation again": ([BEGUN, HELPER, HELPED, HELPER, HELPED, ENDED], "names a second invocation"),
    "an invocation stays": ([BEGUN, HELPER, ENDED], "while the subagent 's' is active"),
    "an invocation of nobody": ([BEGUN, HELPED, ENDED], "which is not active"),
    "an unknown parent": (
        [BEGUN, {**HELPER, "parentSubagentRunId": "p"}, HELPED, ENDED],
        "was not announced",
    ),
    "asks nothing": ([BEGUN, ended(type="interrupt", interrupts=[])], "[AG-UI Interrupts and Resume]"),
    "asks twice by one name": (
        [BEGUN, ended(type="interrupt", interrupts=[{"id": "i"}, {"id": "i"}])],
        "the same id",
    ),
    "an outcome of its own": ([BEGUN, ended(type="timeout")], "neither success nor interrupt nor cancelled"),
    "other pending calls": (
        [BEGUN, *CALL, RESULT, ended(type="success", pendingToolCallIds=["c"])],
        "[AG-UI Tool Calls]",
    ),
    "parts beside their total": (
        [BEGUN, {**ENDED, "usage": [{"inputTokens": 1, "cachedInputTokens": 2}]}],
        "[AG-UI Token usage]",
    ),
    "another total": (
        [BEGUN, {**ENDED, "usage": [{"inputTokens": 1, "outputTokens": 1, "totalTokens": 3}]}],
        "totalTokens is not",
    ),
    "no id": ([BEGUN, of("TEXT_MESSAGE_START"), ENDED], "[AG-UI Schema] TEXT_MESSAGE_START has no messageId"),
    "no event": ([BEGUN, "[DONE]", ENDED], "[AG-UI HTTP + Server-Sent Events]"),
}


def body(events: list[Event | str] | list[Event]) -> str:
    return "".join(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in events)


def found(path: Path, content: str) -> list[str]:
    path.write_text(content, encoding="utf-8")
    return [str(problem) for problem in judged(read(str(path))).problems]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_stream_is_valid(name: str, tmp_path: Path) -> None:
    assert found(tmp_path / "stream", body(SOUND[name])) == []
    assert found(tmp_path / "stream", ": hello\n\nretry: 1\n\nid: 1\n" + body(SOUND[name])) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_told_once_with_place_and_chapter(name: str, tmp_path: Path) -> None:
    events, told = BROKEN[name]

    (problem,) = found(tmp_path / "stream", body(events))

    assert told in problem
    assert f"{tmp_path / 'stream'}: event " in problem


def test_the_protocols_own_package_writes_what_is_valid(tmp_path: Path) -> None:
    events: list[ag_ui.BaseEvent] = [
        ag_ui.RunStartedEvent(thread_id="t", run_id="r"),
        ag_ui.TextMessageStartEvent(message_id="m"),
        ag_ui.TextMessageContentEvent(message_id="m", delta="\u2028"),
        ag_ui.TextMessageEndEvent(message_id="m"),
        ag_ui.RunFinishedEvent(thread_id="t", run_id="r"),
    ]

    assert found(tmp_path / "stream", "".join(map(EventEncoder().encode, events))) == []


@pytest.mark.parametrize("encoded", [False, True])
def test_a_har_file_is_read(tmp_path: Path, *, encoded: bool) -> None:
    bad, _ = BROKEN["breaks off"]
    contents = [
        {"mimeType": "text/event-stream", "text": body(events)} for events in (SOUND["everything"], bad)
    ]
    if encoded:
        contents = [
            {**one, "encoding": "base64", "text": base64.b64encode(one["text"].encode()).decode()}
            for one in contents
        ]
    entries = [
        {
            "request": {"method": "POST", "url": "http://127.0.0.1/ag-ui"},
            "response": {"status": 200, "content": one},
        }
        for one in contents
    ]

    (problem,) = found(tmp_path / "x.har", json.dumps({"log": {"entries": entries}}))

    assert "log.entries[1]: event 3: [AG-UI Truncation]" in problem


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "type", "interrupts"]), inner, max_size=2)
    ),
    max_leaves=4,
)
NAMES = sorted(
    {name for names in REQUIRED.values() for name in names}
    | {"subagentRunId", "outcome", "usage", "parentSubagentRunId"}
)


@pytest.mark.property
@settings(max_examples=examples(200))
@given(
    st.lists(
        st.builds(
            lambda kind, members: {**members, "type": kind},
            st.sampled_from(sorted(REQUIRED)) | ANY,
            st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["a", "b"]) | ANY, max_size=6),
        ),
        max_size=8,
    )
)
def test_nothing_that_a_stream_holds_stops_the_judge(events: list[Event]) -> None:
    judge = StreamJudge()

    for event in events:
        assert all(chapter and fault for chapter, fault in judge.see(event))
    assert all(chapter and fault for chapter, fault in judge.end())
