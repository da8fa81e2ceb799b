"""Prompts for the script agent (chapter 16), and the logs they must produce."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]

#: How every script begins, and how many cases in a row have prompts of their own.
OPENING = '{"runwire_script"'
MARKS = 97


def script(*steps: Step) -> str:
    """Return the prompt that makes the script agent play `steps`."""
    return json.dumps({"runwire_script": list(steps)})


def marked(prompt: str, number: int) -> str:
    """Return a script with white space behind it that says the same and makes it a prompt of its own.

    A server that takes runs of one prompt for one would otherwise mix up cases that have nothing to do with each other.
    """
    if not prompt.startswith(OPENING) or prompt[-1].isspace():
        return prompt
    return prompt + " " * (number % MARKS)


def token(text: str) -> Step:
    """Emit a token."""
    return {"token": text}


def tokens(*texts: str) -> list[Step]:
    """Emit several tokens."""
    return [{"token": text} for text in texts]


def wait(ms: float) -> Step:
    """Wait, interruptibly."""
    return {"wait_ms": ms}


def block(ms: float) -> Step:
    """Wait, like a tool that cannot be interrupted."""
    return {"block_ms": ms}


def thinking(text: str, **beside: Any) -> Step:
    """Emit reasoning."""
    return {"thinking": text, **beside}


def call(call_id: str, name: str = "search", arguments: Any = None, **beside: Any) -> Step:
    """Emit a tool_call."""
    return {
        "tool_call": {"call_id": call_id, "name": name, "input": {} if arguments is None else arguments},
        **beside,
    }


def observe(call_id: str, content: Any = "ok", **members: Any) -> Step:
    """Emit an observation."""
    return {"observation": {"call_id": call_id, "content": content, **members}}


def delta(call_id: str, data: str, name: str = "search") -> Step:
    """Emit a tool_delta."""
    return {"tool_delta": {"call_id": call_id, "name": name, "data": data}}


def asking(request_id: str, kind: str = "approval", **members: Any) -> Step:
    """Ask the user."""
    return {"input_request": {"request_id": request_id, "kind": kind, "data": "May I?", **members}}


def echo(request_id: str) -> Step:
    """Wait for the answer and emit it as JSON text."""
    return {"echo_input": request_id}


def fail(code: str = "agent_error", data: str = "on purpose", **members: Any) -> Step:
    """End with an error."""
    return {"fail": {"code": code, "data": data, **members}}


def repeat(times: int, *steps: Step) -> Step:
    """Play steps several times."""
    return {"repeat": times, "steps": list(steps)}


def report(run_id: str) -> Step:
    """Tell when an earlier run's agent stopped."""
    return {"report": run_id}


THREE_TOKENS = script(*tokens("Hel", "lo ", "world"))
#: What an agent usually does, in a fifth of a second.
SHORT = script(
    thinking("Let me see."),
    wait(20),
    call("s1"),
    wait(40),
    observe("s1", {"found": 1}),
    repeat(10, wait(15), token("word ")),
)
#: A token at once, then one every 50 ms for about a minute.
ENDLESS = script(token("first "), repeat(1200, wait(50), token("x")))
#: A token at once, then nothing for half a minute.
QUIET = script(token("first "), wait(30_000), token("last"))
#: Says nothing at all for half a minute.
SILENT = script(wait(30_000))
#: A token, then a tool that cannot be interrupted.
BLOCKED = script(token("first "), block(4_000), token("late"))
#: One of everything that core knows.
EVERYTHING = script(
    thinking("Let me\n"),
    thinking("see."),
    delta("c1", '{"que'),
    delta("c1", 'ry":"x"}'),
    call("c1", arguments={"query": "x"}),
    observe("c1", "half ", partial=True),
    observe("c1", "done", partial=True),
    observe("c1", {"documents": 3}),
    call("c2", "fetch", "a text"),
    thinking("a part works", agent="helper", parent_call_id="c2"),
    observe("c2", "not there", is_error=True),
    token("A\ndraft."),
    {"replace": "The "},
    *tokens("answ", "er – ", "ünïcödé 🚀", "\non\r\nfour\u2028lines"),
)
EVERYTHING_TEXT = "The answer – ünïcödé 🚀\non\r\nfour\u2028lines"


def answer_text(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the answer text of a log: the last `replace`, if any, and every `token` after it."""
    parts: list[str] = []
    for event in events:
        if event.get("type") == "replace":
            parts = [str(event.get("data"))]
        elif event.get("type") == "token":
            parts.append(str(event.get("data")))
    return "".join(parts)
