"""Flaws of chapters 3, 4 and 7: numbers, what is the same body, and what is counted."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from typing import Any

from tests.proof.flaws.flaw import flaw, hears, says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, refusal

from .runs import is_start


def map_scalars(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with `change` made to everything in it that is no array or object."""
    if isinstance(value, dict):
        return {name: map_scalars(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [map_scalars(inner, change) for inner in value]
    return change(value)


def _in_free_values(name: str, requirement: str, change: Callable[[Any], Any], description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        free = {"tool_call": "input", "observation": "content"}.get(str(message.get("type")))
        if free is None or not isinstance(message.get(free), dict | list):
            yield message
        else:
            yield {**message, free: map_scalars(message[free], change)}

    server_message.__name__, server_message.__doc__ = name, description
    says(requirement)(server_message)


def _is_double(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < 1e30


def _is_large(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip("-").isdigit() and abs(int(value)) >= 2**53


_in_free_values(
    "numbers_of_single_precision",
    "MSG-34",
    lambda value: struct.unpack("f", struct.pack("f", value))[0] if _is_double(value) else value,
    "Numbers of tools are carried with single precision.",
)
_in_free_values(
    "numbers_rounded",
    "MSG-34",
    lambda value: round(value, 6) if _is_double(value) else value,
    "Numbers of tools are rounded to six places.",
)
_in_free_values(
    "large_integers_as_numbers",
    "MSG-35",
    lambda value: int(value) if _is_large(value) else value,
    "Integers beyond 2^53 are sent as they are.",
)
_in_free_values(
    "large_integers_with_exponents",
    "MSG-35",
    lambda value: f"{float(value):.15e}" if _is_large(value) else value,
    "Integers beyond 2^53 are sent as strings with an exponent.",
)


@hears("MSG-33")
def integers_written_otherwise_accepted(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cursor that is written with a fraction is read as the integer it equals."""
    after = message.get("after")
    yield {**message, "after": int(after)} if isinstance(after, float) and after.is_integer() else message


@hears("MSG-36")
def numbers_for_ids_repeated(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message whose id is a number is refused with that number, as a string."""
    identifier = message.get("id")
    if type(identifier) is int:
        yield Answer({**refusal("bad_request", {}), "re": str(identifier)})
    else:
        yield message


@flaw("MSG-11")
class WaitsForTheEndOfWhatIsTooLarge(Rewrite):
    """A message that is too large is refused only when its last frame has come."""

    holds_whole_messages = True

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield message


class ComparesMore(Rewrite):
    """Refuses as a conflict a `start` of a run that is known when something differs that does not count."""

    def compared(self, start: Message) -> object:
        """Return what is compared."""
        raise NotImplementedError

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        first = link.proxy.book.starts.get(str(message.get("run_id"))) if is_start(message) else None
        differs = first is not None and self.compared(first) != self.compared(message)
        yield Answer(refusal("conflict", message)) if differs else message


@flaw("RUN-37")
class AbsentInputsCompared(ComparesMore):
    """A start without inputs is another than one with empty inputs."""

    def compared(self, start: Message) -> object:
        return "inputs" in start


@flaw("RUN-37")
class InputsComparedAsWritten(ComparesMore):
    """The inputs of two starts are compared by their spelling."""

    def compared(self, start: Message) -> object:
        return json.dumps(start.get("inputs", {}))


@flaw("RUN-37")
class TracesCompared(ComparesMore):
    """Two starts with different traces are two bodies."""

    def compared(self, start: Message) -> object:
        return start.get("traceparent")


@hears("RESUME-27")
def finished_runs_take_places(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A connection that follows as many runs as it may is refused a finished run, too."""
    full = len(link.followed) >= flaw.limits["runs_per_connection"]
    further = message.get("type") == "resume" and message.get("run_id") not in link.followed
    yield Answer(refusal("busy", message, retryable=True)) if full and further else message
