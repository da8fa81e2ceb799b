"""What the tests of AG-UI share: inputs, streams with their ids, and what the protocol's package says of an event."""

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ag_ui.core import Event
from pydantic import TypeAdapter

from runwire_conformance.tools.ag_ui.rules import StreamJudge
from tests.support.auth_stand import Answer, Header, Stand

EVENT: TypeAdapter[Any] = TypeAdapter(Event)

#: Options of a server whose runs are not ended by the short timings of tests.
UNHURRIED = ("--run-s=600", "--detach-grace-s=60")

ACCEPT = ("Accept", "text/event-stream")


def new_id() -> str:
    """Return an id as the stock client makes them."""
    return str(uuid.uuid4())


def script(*steps: dict[str, Any]) -> str:
    """Return the prompt that has the script agent play these steps."""
    return json.dumps({"runwire_script": list(steps)})


def run_input(
    prompt: str | None = "hello", *, thread: str | None = None, run: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return the input of a run as the stock client sends it."""
    messages = [] if prompt is None else [{"id": "u1", "role": "user", "content": prompt}]
    given = {"threadId": thread or new_id(), "runId": run or new_id(), "protocolVersion": "1.0"}
    return {
        **given,
        "messages": messages,
        "state": {},
        "tools": [],
        "context": [],
        "forwardedProps": {},
        **more,
    }


@dataclass(frozen=True, slots=True)
class Told:
    """A block of a stream."""

    id: str
    event: dict[str, Any]


def ask(stand: Stand, body: dict[str, Any], *headers: Header, last: str | None = None) -> Answer:
    """POST an input and read the answer to its end."""
    cursor = [("Last-Event-ID", last)] if last is not None else []
    return stand.ask("POST", "/ag-ui", ACCEPT, *cursor, *headers, body=json.dumps(body))


def told(answer: Answer) -> list[Told]:
    """Return the blocks of a stream, each looked at by the protocol's package, and their order by the judge."""
    assert answer.status == 200, answer.body
    found = []
    for block in answer.body.decode().split("\n\n"):
        if not block or block.startswith(":"):
            continue
        match = re.fullmatch(r"id: (\S+)\ndata: (.*)", block)
        assert match, block
        event = json.loads(match[2])
        EVENT.validate_python(event)
        found.append(Told(match[1], event))
    if found and found[0].event["type"] == "RUN_STARTED":
        assert faults([one.event for one in found]) == []
    return found


def faults(events: Iterable[dict[str, Any]]) -> list[str]:
    """Return what a whole stream breaks of the protocol's text."""
    judge = StreamJudge()
    return [fault for event in events for _, fault in judge.see(event)] + [fault for _, fault in judge.end()]


def types(events: Iterable[Told]) -> list[str]:
    """Return the types of the events of a stream."""
    return [one.event["type"] for one in events]


def text_of(events: Iterable[Told]) -> str:
    """Return the text of all messages."""
    return "".join(one.event["delta"] for one in events if one.event["type"] == "TEXT_MESSAGE_CONTENT")


def interrupts_of(events: list[Told]) -> list[dict[str, Any]]:
    """Return what a stream ended to ask."""
    outcome = events[-1].event["outcome"]
    assert outcome["type"] == "interrupt"
    interrupts: list[dict[str, Any]] = outcome["interrupts"]
    return interrupts


def resumed(asked: dict[str, Any], interrupt: str, status: str = "resolved", **more: Any) -> dict[str, Any]:
    """Return the input that answers an interrupt of a run."""
    entry = {"interruptId": interrupt, "status": status, **more}
    return {**asked, "runId": new_id(), "resume": [entry]}
