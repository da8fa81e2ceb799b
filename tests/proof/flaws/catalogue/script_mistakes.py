"""Flaws of chapters 5 and 16: scripts that ask for what cannot be."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_terminal

from .runs import is_start


def steps_of(prompt: object) -> list[Any]:
    """Return the steps of a prompt that is a script."""
    try:
        return list(json.loads(str(prompt))["runwire_script"])
    except (ValueError, TypeError, KeyError):
        return []


def _replaces_step(name: str, requirement: str, member: str, instead: Any, description: str) -> None:
    def client_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        steps = steps_of(message.get("prompt")) if is_start(message) else []
        vain = [
            step for step in steps if isinstance(step, dict) and refers_to_nothing(flaw, link, member, step)
        ]
        if vain:
            played = [instead if step in vain else step for step in steps]
            yield {**message, "prompt": json.dumps({"runwire_script": played})}
        else:
            yield message

    client_message.__name__, client_message.__doc__ = name, description
    hears(requirement)(client_message)


def refers_to_nothing(flaw: Rewrite, link: Link, member: str, step: Message) -> bool:
    """Tell whether a step names a run or a request that there is not."""
    if member not in step:
        return False
    return (member == "echo_input" and step[member] == "never-asked") or (
        member == "report" and step[member] not in link.proxy.book.finished
    )


_replaces_step(
    "vain_report_waits", "SCRIPT-13", "report", {"wait_ms": 30_000}, "A report of nobody waits for ever."
)
_replaces_step(
    "vain_report_says_null", "SCRIPT-13", "report", {"token": "null"}, "A report of nobody says null."
)
_replaces_step(
    "vain_echo_waits", "SCRIPT-14", "echo_input", {"wait_ms": 30_000}, "An echo of what was not asked waits."
)
_replaces_step(
    "vain_echo_says_null",
    "SCRIPT-14",
    "echo_input",
    {"token": "null"},
    "An echo of what was not asked says null.",
)


@says("SCRIPT-4")
def any_registered_code_fails_a_script(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A `fail` step with the code of a refusal ends the run with that code."""
    steps = steps_of(link.proxy.book.prompt(str(message.get("run_id")))) if is_terminal(message) else []
    codes = [step["fail"]["code"] for step in steps if isinstance(step, dict) and "fail" in step]
    refused = [code for code in codes if code in {"bad_request", "not_found", "busy"}]
    yield {**message, "code": refused[0]} if refused and message.get("code") == "agent_error" else message


@says("EVENT-27")
def large_questions_are_agent_errors(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A question that is too large ends its run as if the agent had crashed."""
    prompt = link.proxy.book.prompt(str(message.get("run_id")))
    asks = message.get("code") == "payload_too_large" and "input_request" in prompt
    yield {**message, "code": "agent_error"} if asks else message


@flaw("EVENT-27")
class LargeQuestionsAreCut(Inserting):
    """A question that is too large is asked in part, before the run ends."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        if event.get("code") != "payload_too_large":
            return [event]
        if "input_request" not in link.proxy.book.prompt(event["run_id"]):
            return [event]
        question = {
            "type": "input_request",
            "run_id": event["run_id"],
            "request_id": "q1",
            "kind": "approval",
        }
        return [{**question, "data": "x" * 99, "expires_at": "2036-01-01T00:00:00Z"}, event]


@flaw("INPUT-22", features=("robust", "resume", "sse", "poll", "input", "metrics"))
class FormsAskedUnoffered(Inserting):
    """A server that does not offer forms asks for one."""

    def grow(self, link: Link, event: Message) -> list[Message]:
        if event.get("code") != "agent_error" or '"form"' not in link.proxy.book.prompt(event["run_id"]):
            return [event]
        form = {"type": "input_request", "run_id": event["run_id"], "request_id": "q1", "kind": "form"}
        return [{**form, "schema": {}, "expires_at": "2036-01-01T00:00:00Z"}, event]
