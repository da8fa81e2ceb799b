"""Applications of Dify, as its API reference describes their streams; the prompt says which one answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.fake_upstream import Answer, Asked, FakeUpstream, fake_upstream, stream

KEY = "app-planted-key"
TASK = "900bbd43-dc0b-4383-a372-aa6e6c414227"
CONVERSATION = "45701982-8118-4bc5-8e9b-64562b4555f2"
PING = "event: ping\n\n"


def chat(event: str, **members: Any) -> dict[str, Any]:
    """Return a message of `chat-messages`."""
    ids = {"task_id": TASK, "message_id": "m1", "conversation_id": CONVERSATION, "created_at": 1705398420}
    return {"event": event, **ids, **members}


def flow(event: str, **data: Any) -> dict[str, Any]:
    """Return a message of a workflow."""
    return {"event": event, "task_id": TASK, "workflow_run_id": "w1", "data": data}


def node(event: str, place: str, kind: str, title: str, **data: Any) -> dict[str, Any]:
    """Return a node event."""
    return flow(event, id=place, node_id=f"n{place}", node_type=kind, title=title, index=1, **data)


def thought(**members: Any) -> dict[str, Any]:
    """Return a state of the only thought of an agent."""
    empty = {"thought": "", "observation": "", "tool": "", "tool_input": "", "message_files": []}
    return chat("agent_thought", id="t1", position=1, **(empty | members))


END = chat("message_end", id="m1", metadata={"usage": {"prompt_tokens": 12, "completion_tokens": 3}})
STARTED = flow("workflow_started", id="w1", workflow_id="f", inputs={})
PAUSED = flow("workflow_paused", status="paused", paused_nodes=["n"], reasons=[])


def asks(token: str) -> dict[str, Any]:
    """Return what announces a form."""
    return flow("human_input_required", form_id="f", form_token=token, form_content="…", node_id="n")


#: Forms by their tokens; `brief` has little time left, and `gone` is not there any more.
FORMS: dict[str, dict[str, Any]] = {
    "review": {
        "form_content": "Please review the draft.",
        "inputs": [
            {"type": "paragraph", "output_variable_name": "feedback", "default": {"type": "constant"}},
            {"type": "paragraph", "output_variable_name": "tone"},
            {
                "type": "select",
                "output_variable_name": "priority",
                "option_source": {"type": "constant", "selector": [], "value": ["low", "high"]},
            },
            {"type": "file", "output_variable_name": "source"},
            {"type": "file-list", "output_variable_name": "action", "number_limits": 5},
        ],
        "resolved_default_values": {"tone": "kind", "feedback": ""},
        "user_actions": [
            {"id": "approve", "title": "Approve", "button_style": "primary"},
            {"id": "reject", "title": "Request changes", "button_style": "default"},
        ],
        "expiration_time": 4_000_000_000,
    },
    "brief": {
        "form_content": "Quick!",
        "inputs": [],
        "user_actions": [{"id": "go", "title": "Go"}],
        "expiration_time": 0,
    },
    "strange": {"form_content": "Nothing to choose from.", "inputs": [], "user_actions": []},
}
FILLED = flow("human_input_form_filled", node_id="n", action_id="approve")
AFTER = (
    FILLED,
    flow("reasoning_chunk", reasoning="They like it.", node_id="n", is_final=False),
    flow("text_chunk", text="Done."),
    flow("workflow_finished", status="succeeded", outputs={"text": "Done."}),
)
INPUT = '{"search": {"q": "cats"}, "count": {"n": 2}}'

STREAMS: dict[str, tuple[object, ...]] = {
    "chat": (PING, chat("message", answer="He"), PING, chat("message", answer="llo\u2028!"), END),
    "agent": (
        chat("agent_message", answer="Let me look."),
        thought(),
        thought(thought="Let me look."),
        thought(thought="Let me look.", tool="search;count", tool_input=INPUT),
        thought(tool="search;count", tool_input=INPUT, observation='{"search": "3 cats", "count": [2]}'),
        thought(thought="Nobody heard this.", tool="search;count", observation='{"search": "3 cats"}'),
        chat(
            "message_file", id="f1", type="image", belongs_to="assistant", url="https://dify.example/f1.png"
        ),
        chat("agent_message", answer="Three cats."),
        chat("tts_message", audio="AAAA"),
        END,
    ),
    "moderated": (chat("message", answer="Something bad"), chat("message_replace", answer="No."), END),
    "chatflow": (
        STARTED,
        node("node_started", "1", "start", "Begin"),
        node("node_finished", "1", "start", "Begin", status="succeeded", outputs={}),
        node("node_started", "2", "knowledge-retrieval", "Look it up", inputs={"query": "x"}),
        node("node_finished", "2", "knowledge-retrieval", "Look it up", status="succeeded", outputs={"n": 1}),
        node("node_started", "3", "http-request", "Fetch"),
        node("node_finished", "3", "http-request", "Fetch", status="failed", error="no route"),
        node("node_started", "4", "code", "Compute"),
        node("node_started", "5", "llm", "Write"),
        chat("message", answer="Found."),
        node("node_finished", "5", "llm", "Write", status="succeeded", outputs={"text": "Found."}),
        flow("workflow_finished", id="w1", status="succeeded", total_tokens=9, outputs={"answer": "Found."}),
        END,
    ),
    "no message_end": (
        STARTED,
        chat("message", answer="x"),
        flow("workflow_finished", status="succeeded", outputs={}),
    ),
    "workflow": (
        STARTED,
        flow("text_chunk", text="Bon", from_variable_selector=["1", "text"]),
        flow("text_replace", text="Bonjour"),
        flow("workflow_finished", status="succeeded", outputs={"text": "Bonjour"}),
    ),
    "one output": (
        STARTED,
        flow("workflow_finished", status="succeeded", outputs={"text": "only at the end"}),
    ),
    "outputs": (STARTED, flow("workflow_finished", status="succeeded", outputs={"a": 1, "b": "é"})),
    "no outputs": (STARTED, flow("workflow_finished", status="succeeded", outputs=None)),
    "stopped": (STARTED, flow("workflow_finished", status="stopped", outputs={})),
    "failed": (STARTED, flow("workflow_finished", status="failed", error="a secret of the operator")),
    "asks by e-mail": (STARTED, flow("human_input_required", form_id="f", form_token=None), PAUSED),
    "asks": (STARTED, flow("text_chunk", text="A draft. "), asks("review"), PAUSED),
    "asks twice": (STARTED, asks("review"), asks("brief"), PAUSED),
    "asks briefly": (STARTED, asks("brief"), PAUSED),
    "asks too late": (STARTED, asks("gone"), PAUSED),
    "asks strangely": (STARTED, asks("strange"), PAUSED),
    "asks nothing": (STARTED, PAUSED),
    "error 400": (chat("error", status=400, code="invalid_param", message="quoted prompt"),),
    "error 500": (
        chat("message", answer="a"),
        chat("error", status=500, code="internal_server_error", message="x"),
    ),
    "quota": (chat("error", status=400, code="provider_quota_exceeded", message="x"),),
    "nothing": (),
    "breaks off": (chat("message", answer="a"),),
    "garbled": (chat("message", answer="a"), "data: {nonsense\n\n"),
    "hold": (PING, chat("message", answer="a")),
    "slow to begin": (),
}
CUT = {"cut": "breaks off"}
HELD = frozenset({"hold", "slow to begin"})
REFUSALS = {"refused 404": 404, "refused 429": 429, "refused 503": 503}


def answer(asked: Asked) -> Answer:
    """Answer as the application that the prompt names."""
    if asked.authorization != f"Bearer {KEY}":
        return refusal(401, "unauthorized")
    if asked.path.endswith("/stop"):
        return Answer((b'{"result": "success"}',), type="application/json")
    if asked.path.startswith("/v1/form/human_input/"):
        return form(asked)
    if asked.path.startswith("/v1/workflow/"):
        return Answer(stream(*AFTER))
    name = asked.body.get("query") or asked.body["inputs"]["query"]
    if name in REFUSALS:
        return refusal(REFUSALS[name], "some_code")
    pieces = stream(*STREAMS.get(CUT.get(name, name), STREAMS["chat"]))
    return Answer(pieces, "cut" if name in CUT else "hold" if name in HELD else "end")


def form(asked: Asked) -> Answer:
    """Describe a form, or take its answer, unless that says `nonsense`."""
    known = FORMS.get(asked.path.rsplit("/", 1)[1])
    if known is None:
        return refusal(404, "human_input_form_not_found")
    if asked.method == "POST" and asked.body["inputs"].get("feedback") == "nonsense":
        return refusal(400, "invalid_form_data")
    told = known if asked.method == "GET" else {}
    return Answer((json.dumps(told).encode(),), type="application/json")


def refusal(status: int, code: str) -> Answer:
    """Return an HTTP answer that refuses."""
    text = f'{{"status": {status}, "code": "{code}", "message": "quoted prompt"}}'
    return Answer((text.encode(),), status=status, type="application/json")


@contextmanager
def fake_dify() -> Iterator[FakeUpstream]:
    """Serve all of it."""
    with fake_upstream(answer) as upstream:
        yield upstream
