"""The agent behind an endpoint of AG-UI, against streams that the protocol's own package encodes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import events as ag_ui
from ag_ui.encoder import EventEncoder

from runwire_reference_server.agents import Answer as InputAnswer
from runwire_reference_server.agents import Task
from runwire_reference_server.integrations.ag_ui.agent import AgUiAgent
from runwire_reference_server.integrations.ag_ui.questions import question_of
from runwire_reference_server.integrations.upstream import Upstream
from runwire_reference_server.run_log.events import Event
from tests.support.agent_stand import but, cancelled_when, events_of, events_so_far, task_of, texts
from tests.support.auth_stand import message_of, served
from tests.support.fake_upstream import Answer, Asked, FakeUpstream, fake_upstream
from tests.support.patience import patience

pytestmark = pytest.mark.anyio

THREAD, RUN = "s" * 22, "r" * 22


def sent(*events: ag_ui.BaseEvent | dict[str, Any], ids: int | None = None) -> tuple[bytes, ...]:
    """Return events as the package writes them; with `ids` as blocks with an id, from that one on."""
    lines = []
    for place, event in enumerate(events):
        text = f"data: {json.dumps(event)}\n\n" if isinstance(event, dict) else EventEncoder().encode(event)
        lines.append((f"id: {ids + place}\n" if ids is not None else "") + text)
    return tuple(line.encode() for line in lines)


def begun(run: str = RUN) -> ag_ui.RunStartedEvent:
    return ag_ui.RunStartedEvent(thread_id=THREAD, run_id=run)


def ended(**more: Any) -> ag_ui.RunFinishedEvent:
    return ag_ui.RunFinishedEvent(thread_id=THREAD, run_id=RUN, **more)


def said(*words: str, message: str = "m1", **start: Any) -> list[ag_ui.BaseEvent]:
    """Return a streamed message."""
    owner = {"subagent_run_id": start["subagent_run_id"]} if "subagent_run_id" in start else {}
    return [
        ag_ui.TextMessageStartEvent(message_id=message, **start),
        *(ag_ui.TextMessageContentEvent(message_id=message, delta=word, **owner) for word in words),
        ag_ui.TextMessageEndEvent(message_id=message, **owner),
    ]


def called(name: str, *pieces: str, call: str = "t1") -> list[ag_ui.BaseEvent]:
    """Return a streamed call."""
    return [
        ag_ui.ToolCallStartEvent(tool_call_id=call, tool_call_name=name),
        *(ag_ui.ToolCallArgsEvent(tool_call_id=call, delta=piece) for piece in pieces),
        ag_ui.ToolCallEndEvent(tool_call_id=call),
    ]


def result(content: str, call: str = "t1") -> ag_ui.ToolCallResultEvent:
    return ag_ui.ToolCallResultEvent(message_id=f"r-{call}", tool_call_id=call, content=content)


@contextmanager
def endpoint(*answers: Answer) -> Iterator[FakeUpstream]:
    """Serve these answers in turn."""
    waiting = list(answers)
    with fake_upstream(lambda _: waiting.pop(0)) as upstream:
        yield upstream


async def run_of(*events: ag_ui.BaseEvent | dict[str, Any], **task: Any) -> list[dict[str, Any]]:
    """Return what one stream makes of a run."""
    with endpoint(Answer(sent(*events))) as upstream:
        return await events_of(AgUiAgent(Upstream(upstream.url)), task_of("hello", **task))


DONE = {"type": "done", "data": "generation completed", "status": "completed"}


async def test_text_reasoning_tools_and_usage() -> None:
    usage = [
        ag_ui.TokenUsage(model="a", input_tokens=10, output_tokens=5, cached_input_tokens=4),
        ag_ui.TokenUsage(model="b", input_tokens=20, output_tokens=2, reasoning_tokens=1),
    ]
    events = await run_of(
        begun(),
        ag_ui.ReasoningStartEvent(message_id="x"),
        ag_ui.ReasoningMessageStartEvent(message_id="x"),
        ag_ui.ReasoningMessageContentEvent(message_id="x", delta="hm"),
        ag_ui.ReasoningMessageEndEvent(message_id="x"),
        ag_ui.ReasoningEndEvent(message_id="x"),
        *called("search", '{"q":', ' "x"}'),
        result("3 found"),
        *said("Hel", "", "lo"),
        ended(usage=usage),
    )

    assert events == [
        {"type": "thinking", "content": "hm"},
        {"type": "tool_delta", "call_id": "c1", "name": "search", "data": '{"q":'},
        {"type": "tool_delta", "call_id": "c1", "name": "search", "data": ' "x"}'},
        {"type": "tool_call", "call_id": "c1", "name": "search", "input": {"q": "x"}},
        {"type": "observation", "call_id": "c1", "content": "3 found"},
        {"type": "token", "data": "Hel"},
        {"type": "token", "data": "lo"},
        DONE
        | {
            "usage": {
                "input_tokens": 30,
                "output_tokens": 7,
                "cached_input_tokens": 4,
                "reasoning_tokens": 1,
            }
        },
    ]


async def test_chunks_are_messages_and_calls() -> None:
    events = await run_of(
        begun(),
        ag_ui.TextMessageChunkEvent(message_id="m", delta="a"),
        ag_ui.TextMessageChunkEvent(delta="b"),
        ag_ui.ToolCallChunkEvent(tool_call_id="t", tool_call_name="one", delta='{"x"'),
        ag_ui.ToolCallChunkEvent(delta=":1}"),
        ag_ui.ToolCallChunkEvent(tool_call_id="u", tool_call_name="two"),
        result("first", "t"),
        result("second", "u"),
        ag_ui.ReasoningMessageChunkEvent(message_id="x", delta="so"),
        ended(),
    )

    assert but(events, "tool_delta") == [
        {"type": "token", "data": "a"},
        {"type": "token", "data": "b"},
        {"type": "tool_call", "call_id": "c1", "name": "one", "input": {"x": 1}},
        {"type": "tool_call", "call_id": "c2", "name": "two", "input": {}},
        {"type": "observation", "call_id": "c1", "content": "first"},
        {"type": "observation", "call_id": "c2", "content": "second"},
        {"type": "thinking", "content": "so"},
        DONE,
    ]


async def test_what_sub_agents_say_is_no_answer() -> None:
    events = await run_of(
        begun(),
        ag_ui.SubagentStartedEvent(subagent_run_id="s1", name="researcher"),
        *said("looking", message="sub", subagent_run_id="s1"),
        ag_ui.SubagentFinishedEvent(subagent_run_id="s1"),
        *said("from the system", message="sys", role="system"),
        *said("Found."),
        ended(),
    )

    assert [event["type"] for event in events] == [
        "ag-ui:subagent_started",
        "thinking",
        "ag-ui:subagent_finished",
        "thinking",
        "token",
        "done",
    ]
    assert [event["agent"] for event in events if event["type"] == "thinking"] == ["researcher", "system"]
    assert texts(events) == "Found."


async def test_what_has_no_name_here_is_a_vendors_event() -> None:
    events = await run_of(
        begun(),
        ag_ui.StepStartedEvent(step_name="plan"),
        ag_ui.StateSnapshotEvent(snapshot={"a": None}),
        ag_ui.StateDeltaEvent(delta=[{"op": "add", "path": "/b", "value": 1}]),
        ag_ui.ActivitySnapshotEvent(message_id="p", activity_type="PLAN", content={"steps": []}),
        ag_ui.CustomEvent(name="weather", value={"sky": "clear"}, raw_event={"left": "out"}),
        ag_ui.RawEvent(event={"x": 1}, source="graph"),
        ag_ui.StepFinishedEvent(step_name="plan"),
        ended(result={"answer": 42}),
    )

    assert events == [
        {"type": "ag-ui:step_started", "stepName": "plan"},
        {"type": "ag-ui:state_snapshot", "snapshot": {"a": None}},
        {"type": "ag-ui:state_delta", "delta": [{"op": "add", "path": "/b", "value": 1}]},
        {
            "type": "ag-ui:activity_snapshot",
            "messageId": "p",
            "activityType": "PLAN",
            "content": {"steps": []},
        },
        {"type": "ag-ui:custom", "name": "weather", "value": {"sky": "clear"}},
        {"type": "ag-ui:raw", "event": {"x": 1}, "source": "graph"},
        {"type": "ag-ui:step_finished", "stepName": "plan"},
        {"type": "ag-ui:result", "result": {"answer": 42}},
        DONE,
    ]


async def test_a_snapshot_of_a_long_conversation_is_read_and_what_is_wrong_in_it_is_not_sent_back() -> None:
    messages = [
        {"id": "0", "role": "user", "content": "x" * 2_000_000},
        {"id": "1", "role": "oracle", "content": "?"},
        {"id": "2", "role": "assistant", "content": "Yes."},
    ]
    first = Answer(sent(begun(), {"type": "MESSAGES_SNAPSHOT", "messages": messages}, ended()))
    with endpoint(first, Answer(sent(begun(), *said("y"), ended()))) as upstream:
        agent = AgUiAgent(Upstream(upstream.url))
        events = await events_so_far(agent, task_of("a"))
        await events_of(agent, task_of("b", ("a", "Yes.")))

    assert (texts(events), events[-1]) == ("Yes.", DONE)
    assert [message["id"] for message in upstream.asked[1].body["messages"]] == ["0", "2", RUN]


async def test_what_is_too_large_for_a_log_does_not_end_the_run() -> None:
    large = ag_ui.StateSnapshotEvent(snapshot="x" * 300_000)
    raw = [ag_ui.RawEvent(event="x" * 150_000) for _ in range(9)]
    events = await run_of(begun(), large, *raw, *said("x"), ended())

    assert [event["type"] for event in events] == [*["ag-ui:raw"] * 6, "token", "done"]


async def test_an_answer_that_stands_in_a_snapshot_alone_is_told() -> None:
    messages = [
        {"id": "0", "role": "assistant", "content": "Before."},
        {"id": RUN, "role": "user", "content": "hello"},
        {"id": "1", "role": "assistant", "content": "From a node that does not stream."},
    ]
    events = await run_of(begun(), {"type": "MESSAGES_SNAPSHOT", "messages": messages}, ended())

    assert texts(events) == "From a node that does not stream."


@pytest.mark.parametrize(
    ("events", "last"),
    [
        ([begun(), *said("x")], ("error", "upstream_error", True)),
        ([begun(), *said("x"), {"type": "TEXT"}], ("error", "upstream_error", True)),
        ([], ("error", "upstream_error", True)),
        ([ag_ui.RunErrorEvent(message="no")], ("error", "agent_error", False)),
        ([begun(), ag_ui.RunErrorEvent(message="no", code="BUDGET")], ("error", "ag-ui:BUDGET", False)),
        ([begun(), ag_ui.RunErrorEvent(message="no", code="timeout")], ("error", "timeout", True)),
        ([begun(), ended(), ag_ui.RunErrorEvent(message="late")], ("error", "agent_error", False)),
        ([begun(), ended(outcome={"type": "cancelled"})], ("done", "incomplete", "ag-ui:cancelled")),
        (
            [
                begun(),
                *called("pick_a_colour"),
                ended(outcome={"type": "success", "pendingToolCallIds": ["t1"]}),
            ],
            ("done", "incomplete", "ag-ui:pending_tool_calls"),
        ),
        ([begun(), *called("pick_a_colour"), ended()], ("done", "incomplete", "ag-ui:pending_tool_calls")),
    ],
)
async def test_how_a_run_ends(events: list[Any], last: tuple[object, ...]) -> None:
    *_, end = await run_of(*events)

    told = (end["code"], end["retryable"]) if end["type"] == "error" else (end["status"], end["reason"])
    assert (end["type"], *told) == last


async def test_a_stream_that_is_cut_in_a_word_fails() -> None:
    (*pieces, last) = sent(begun(), *said("Transferring $50,000"))
    with endpoint(Answer((*pieces, last[:10]), "cut")) as upstream:
        events = await events_of(AgUiAgent(Upstream(upstream.url)), task_of("x"))

    assert texts(events) == "Transferring $50,000"
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "upstream_error")


async def test_a_broken_stream_with_ids_is_returned_to() -> None:
    events = [begun(), *said(*"abcdef"), ended()]
    answers = [
        Answer(sent(*events[:4], ids=1), "cut"),
        Answer(sent(*events[4:6], ids=5), "end"),
        Answer((), "cut"),
        Answer(sent(*events[6:], ids=7)),
    ]
    with endpoint(*answers) as upstream:
        made = await events_of(AgUiAgent(Upstream(upstream.url)), task_of("x"))

    assert (texts(made), made[-1]) == ("abcdef", DONE)
    assert [asked.last_event_id for asked in upstream.asked] == [None, "4", "6", "6"]
    assert len({json.dumps(asked.body) for asked in upstream.asked}) == 1


class Answering:
    """Stands for the questions of a run: they are answered in turn."""

    def __init__(self, *answers: InputAnswer) -> None:
        self._answers = list(answers)

    async def answer(self, _request_id: str) -> InputAnswer:
        return self._answers.pop(0)


def asking(task: Task, *answers: InputAnswer) -> Task:
    task.input_requests = Answering(*answers)  # type: ignore[assignment]
    return task


def interrupted(*interrupts: dict[str, Any]) -> ag_ui.RunFinishedEvent:
    return ended(outcome={"type": "interrupt", "interrupts": list(interrupts)})


async def test_an_interrupt_is_asked_and_its_answer_continues_the_run() -> None:
    schema = {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]}
    interrupt = {
        "id": "i1",
        "reason": "tool_call",
        "message": "Send?",
        "toolCallId": "t1",
        "responseSchema": schema,
    }
    first = Answer(sent(begun(), *said("One "), *called("send"), interrupted(interrupt)))
    # The framework tells of the call again, and names another message.
    second = Answer(
        sent(begun("other"), *called("send"), result("sent"), *said("two.", message="m2"), ended())
    )
    task = asking(task_of("x"), InputAnswer("answered", data=True))
    with endpoint(first, second) as upstream:
        events = await events_of(AgUiAgent(Upstream(upstream.url)), task)

    assert events == [
        {"type": "token", "data": "One "},
        {"type": "tool_call", "call_id": "c1", "name": "send", "input": {}},
        {"type": "input_request", "request_id": "q1", "kind": "approval", "data": "Send?", "call_id": "c1"},
        {"type": "observation", "call_id": "c1", "content": "sent"},
        {"type": "token", "data": "two."},
        DONE,
    ]
    asked, continued = (one.body for one in upstream.asked)
    assert continued["resume"] == [{"interruptId": "i1", "status": "resolved", "payload": {"approved": True}}]
    assert (asked["threadId"], asked["runId"]) == (THREAD, RUN)
    assert continued["threadId"] == THREAD
    assert continued["runId"] != RUN
    assert [message["role"] for message in continued["messages"]] == ["user", "assistant", "assistant"]


async def test_a_question_that_nobody_answers_is_abandoned() -> None:
    answers = (
        Answer(sent(begun(), interrupted({"id": "i", "reason": "input_required"}))),
        Answer(sent(begun(), ended())),
    )
    with endpoint(*answers) as upstream:
        await events_of(AgUiAgent(Upstream(upstream.url)), asking(task_of("x"), InputAnswer("expired")))

    assert upstream.asked[1].body["resume"] == [{"interruptId": "i", "status": "cancelled"}]


async def test_several_questions_are_open_at_once() -> None:
    two = interrupted({"id": "a", "reason": "x"}, {"id": "b", "reason": "confirmation"})
    task = asking(task_of("x"), InputAnswer("answered", "red"), InputAnswer("answered", data=False))
    with endpoint(Answer(sent(begun(), two)), Answer(sent(begun(), ended()))) as upstream:
        events = await events_of(AgUiAgent(Upstream(upstream.url)), task)

    assert [(event["request_id"], event["kind"]) for event in events[:2]] == [
        ("q1", "question"),
        ("q2", "approval"),
    ]
    assert [entry["payload"] for entry in upstream.asked[1].body["resume"]] == ["red", {"approved": False}]


async def test_what_langgraph_asks_by_a_custom_event_is_asked() -> None:
    custom = ag_ui.CustomEvent(name="on_interrupt", value=json.dumps({"question": "Which colour?"}))
    task = asking(task_of("x"), InputAnswer("answered", "red"))
    with endpoint(Answer(sent(begun(), custom, ended())), Answer(sent(begun(), ended()))) as upstream:
        events = await events_of(AgUiAgent(Upstream(upstream.url)), task)

    assert (events[0]["kind"], events[0]["data"]) == ("question", "Which colour?")
    assert upstream.asked[1].body["forwardedProps"] == {"command": {"resume": "red"}}


@pytest.mark.parametrize(
    ("schema", "kind", "answer", "payload"),
    [
        ({"type": "boolean"}, "approval", True, True),
        ({"type": "string"}, "question", "x", "x"),
        ({"type": "object", "properties": {"go": {"type": "boolean"}}}, "approval", False, {"go": False}),
        (
            {"type": "object", "properties": {"city": {"type": "string"}}},
            "question",
            "Rome",
            {"city": "Rome"},
        ),
        (
            {"type": "object", "properties": {"c": {"type": "string", "enum": ["a"]}}},
            "form",
            {"c": "a"},
            {"c": "a"},
        ),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, "form", {"a": 1}, {"a": 1}),
        ({"type": "array"}, "form", [], []),
    ],
)
def test_the_schema_of_an_interrupt_says_how_it_is_asked(
    schema: Any, kind: str, answer: Any, payload: Any
) -> None:
    question = question_of({"id": "i", "reason": "x", "responseSchema": schema}, "q1", None)

    assert question.event["kind"] == kind
    assert question.event.get("schema") == (schema if kind == "form" else None)
    assert question.payload(answer) == payload


async def test_the_session_is_told_as_the_agent_named_its_messages() -> None:
    streams = [
        Answer(sent(begun(), *called("look"), result("found"), *said("One.", message="a-1"), ended())),
        Answer(sent(begun(), *said("Two."), ended())),
        Answer(sent(begun(), *said("Three."), ended())),
    ]
    with endpoint(*streams) as upstream:
        agent = AgUiAgent(Upstream(upstream.url))
        await events_so_far(agent, task_of("first"))
        await events_so_far(agent, task_of("second", ("first", "One.")))
        await events_of(agent, task_of("third", ("from", "elsewhere"), session="t" * 22))

    _, second, third = (asked.body["messages"] for asked in upstream.asked)
    assert [(m["role"], m.get("content")) for m in second] == [
        ("user", "first"),
        ("assistant", None),
        ("tool", "found"),
        ("assistant", "One."),
        ("user", "second"),
    ]
    assert second[1]["toolCalls"][0]["function"] == {"name": "look", "arguments": ""}
    assert (second[3]["id"], second[4]["id"]) == ("a-1", RUN)
    assert [(m["role"], m["content"]) for m in third] == [
        ("user", "from"),
        ("assistant", "elsewhere"),
        ("user", "third"),
    ]


async def test_inputs_are_those_of_the_agent() -> None:
    inputs = {
        "state": {"a": 1},
        "context": [{"description": "d", "value": "v"}],
        "forwardedProps": {"p": 1},
        "more": 2,
    }
    with endpoint(Answer(sent(begun(), ended()))) as upstream:
        await events_of(AgUiAgent(Upstream(upstream.url, key="k")), task_of("x", inputs=inputs))

    (asked,) = upstream.asked
    assert asked.body["state"] == {"a": 1}
    assert asked.body["context"] == inputs["context"]
    assert asked.body["forwardedProps"] == {"more": 2, "p": 1}
    assert asked.authorization == "Bearer k"


async def test_inputs_that_are_none_of_an_agents_are_refused_in_words() -> None:
    with endpoint() as upstream:
        (last,) = await events_of(AgUiAgent(Upstream(upstream.url)), task_of("x", inputs={"context": "no"}))

    assert (last["code"], last["data"]) == (
        "agent_error",
        "the inputs of the start are not those of an AG-UI agent",
    )


@pytest.mark.parametrize(
    ("status", "code"), [(401, "agent_error"), (404, "agent_error"), (503, "upstream_error")]
)
async def test_a_refusal_has_its_code(status: int, code: str) -> None:
    with endpoint(Answer(status=status)) as upstream:
        (last,) = await events_of(AgUiAgent(Upstream(upstream.url)), task_of("x"))

    assert (last["type"], last["code"]) == ("error", code)


async def test_a_cancel_closes_the_stream() -> None:
    with endpoint(Answer(sent(begun(), *said("x")), "hold")) as upstream:
        await cancelled_when(AgUiAgent(Upstream(upstream.url)), task_of("x"), upstream.waits.is_set)

        assert upstream.hung_up.wait(patience(5))


async def test_a_cancel_stops_an_agent_that_goes_on_without_its_reader() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/cancel"):
            return Answer((b"{}",), type="application/json")
        return Answer(sent(begun(), *said("x"), ids=1), "hold", headers={"Location": "runs/abc/events"})

    heard: list[Event] = []
    with fake_upstream(answer) as upstream:
        agent = AgUiAgent(Upstream(f"{upstream.url}/ag-ui"))
        await cancelled_when(agent, task_of("x"), lambda: bool(heard), heard)

    assert [asked.path for asked in upstream.asked] == ["/v1/ag-ui", "/v1/runs/abc/cancel"]


def test_it_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="needs the URL"):
        AgUiAgent(Upstream())


def test_the_command_serves_it(tmp_path: Path) -> None:
    with fake_upstream(lambda _: Answer(sent(begun(), *said("Hello."), ended()))) as upstream:
        options = ("--agent=ag-ui", f"--agent-url={upstream.url}")
        with served(tmp_path, *options) as stand, stand.connection() as socket:
            socket.send('{"prompt":"hello"}')
            token, last = message_of(socket, "token"), message_of(socket, "done", "error")

    assert (token["data"], last["status"]) == ("Hello.", "completed")
