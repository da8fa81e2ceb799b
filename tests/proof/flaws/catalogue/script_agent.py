"""Flaws of chapter 16: the script agent."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_terminal, less

from .cancel import Reports
from .runs import is_start

Steps = list[dict[str, Any]]
KNOWN = {
    "token", "replace", "thinking", "tool_delta", "tool_call", "observation", "input_request", "echo_input",
    "wait_ms", "block_ms", "repeat", "report", "fail",
}  # fmt: skip


def script_of(message: Message) -> Steps | None:
    """Return the script in the prompt of a start, if it is one."""
    try:
        prompt = json.loads(message.get("prompt", "")) if is_start(message) else None
    except (ValueError, TypeError):
        return None
    steps = prompt.get("runwire_script") if isinstance(prompt, dict) and len(prompt) == 1 else None
    return steps if isinstance(steps, list) and all(isinstance(step, dict) for step in steps) else None


class PlaysOtherwise(Rewrite):
    """Plays another script than it is given."""

    def played(self, steps: Steps) -> Steps:
        """Return the script that is played."""
        raise NotImplementedError

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        steps = script_of(message)
        if steps is None:
            yield message
        else:
            yield {**message, "prompt": json.dumps({"runwire_script": self.played(steps)})}


@flaw("SCRIPT-1")
class StepsSwapped(PlaysOtherwise):
    """The first two steps of a script are played in the wrong order."""

    def played(self, steps: Steps) -> Steps:
        return [*steps[1::-1], *steps[2:]] if len(steps) > 1 else steps


@flaw("SCRIPT-1")
class OneRepetitionFewer(PlaysOtherwise):
    """A repeat plays its steps once less than it says."""

    def played(self, steps: Steps) -> Steps:
        return [
            {**step, "repeat": step["repeat"] - 1}
            if isinstance(step.get("repeat"), int) and step["repeat"]
            else step
            for step in steps
        ]


@flaw("SCRIPT-1")
class EmptyReplacesSkipped(PlaysOtherwise):
    """A replace step with an empty text is skipped."""

    def played(self, steps: Steps) -> Steps:
        return [step for step in steps if step.get("replace") != ""]


@flaw("SCRIPT-1")
class ThoughtsSkipped(PlaysOtherwise):
    """The thinking steps of a script are skipped."""

    def played(self, steps: Steps) -> Steps:
        return [step for step in steps if "thinking" not in step]


@says("SCRIPT-2")
def scripts_end_incomplete(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A script that was played to its end ends as incomplete."""
    completed = is_terminal(message) and message.get("status") == "completed"
    yield {**message, "status": "incomplete", "reason": "length"} if completed else message


@says("SCRIPT-2")
def scripts_end_with_an_error(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A script that was played to its end ends with an error."""
    if is_terminal(message) and message.get("status") == "completed":
        yield {**less(message, "status"), "type": "error", "code": "internal", "retryable": True}
    else:
        yield message


@says("SCRIPT-3")
def scripted_failures_lose_their_code(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Every `fail` ends with agent_error."""
    failed = is_terminal(message) and message["type"] == "error"
    yield {**message, "code": "agent_error", "retryable": False} if failed else message


@says("SCRIPT-3")
def scripted_failures_lose_their_text(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Every `fail` ends with the same text."""
    failed = is_terminal(message) and message["type"] == "error"
    yield {**message, "data": "the agent failed"} if failed else message


@flaw("SCRIPT-4")
class UnknownStepsSkipped(PlaysOtherwise):
    """Unknown steps of a script are skipped."""

    def played(self, steps: Steps) -> Steps:
        return [step for step in steps if KNOWN & step.keys()]


@flaw("SCRIPT-4")
class MalformedStepsSkipped(PlaysOtherwise):
    """Steps whose value has the wrong type are skipped."""

    def played(self, steps: Steps) -> Steps:
        texts = ("token", "replace", "thinking")
        return [step for step in steps if all(isinstance(step.get(name, ""), str) for name in texts)]


@says("SCRIPT-4")
def bad_scripts_are_internal_errors(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A script with an unknown step ends with another code."""
    failed = is_terminal(message) and message.get("code") == "agent_error"
    yield {**message, "code": "internal", "retryable": True} if failed else message


@flaw("SCRIPT-5")
class WaitsToTheEnd(PlaysOtherwise):
    """A wait_ms lasts its full time also when the run is cancelled."""

    def played(self, steps: Steps) -> Steps:
        return [{"block_ms": step["wait_ms"]} if "wait_ms" in step else step for step in steps]


@flaw("SCRIPT-9")
class ReportsWithoutSteps(Reports):
    """A report leaves out steps_after_cancel."""

    def reported(self, report: Message) -> Message:
        return less(report, "steps_after_cancel")


@flaw("SCRIPT-9")
class ReportsAsText(Reports):
    """A report gives the time as a string."""

    def reported(self, report: Message) -> Message:
        return {**report, "stopped_after_ms": str(report["stopped_after_ms"])}


@flaw("SCRIPT-9")
class ReportsStopsBeforeTheCancel(Reports):
    """A report gives a negative time for an agent that was blocked."""

    def reported(self, report: Message) -> Message:
        return {**report, "stopped_after_ms": 0}


@flaw("SCRIPT-10")
class LongScriptsCut(PlaysOtherwise):
    """A script of more than a million steps is played up to its millionth."""

    def played(self, steps: Steps) -> Steps:
        return (
            [
                {**step, "repeat": min(step["repeat"], 10)} if isinstance(step.get("repeat"), int) else step
                for step in steps
            ]
            if _expanded(steps) > 1_000_000
            else steps
        )


def _expanded(steps: Steps) -> int:
    return sum(
        step["repeat"] * _expanded(step.get("steps", [])) if isinstance(step.get("repeat"), int) else 1
        for step in steps
    )


@flaw("SCRIPT-10")
class LongScriptsRefused(PlaysOtherwise):
    """A script of more than a hundred thousand steps is refused."""

    def played(self, steps: Steps) -> Steps:
        return [{"vendor:unknown": 1}] if _expanded(steps) > 100_000 else steps


@hears("SCRIPT-11")
def scripts_with_other_members_played(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A prompt that holds a script among other members is played."""
    try:
        prompt = json.loads(message.get("prompt", ""))
    except (ValueError, TypeError):
        prompt = None
    several = isinstance(prompt, dict) and len(prompt) > 1 and "runwire_script" in prompt
    script = json.dumps({"runwire_script": prompt["runwire_script"]}) if several else ""
    yield {**message, "prompt": script} if several else message


@hears("SCRIPT-11")
def other_prompts_fail(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A prompt that is no script fails."""
    plain = is_start(message) and isinstance(message.get("prompt"), str) and script_of(message) is None
    broken = json.dumps({"runwire_script": [{"vendor:unknown": 1}]})
    yield {**message, "prompt": broken} if plain else message


def _drops_member(member: str, *kinds: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, member) if message.get("type") in kinds else message

    server_message.__name__ = f"scripted_{kinds[0]}_loses_{member}"
    server_message.__doc__ = f"A `{kinds[0]}` step loses its {member}."
    says("SCRIPT-12")(server_message)


_drops_member("agent", "tool_call", "observation", "tool_delta")
_drops_member("parent_call_id", "observation", "tool_call", "tool_delta")
_drops_member("is_error", "observation")
