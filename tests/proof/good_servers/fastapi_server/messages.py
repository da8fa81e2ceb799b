"""Reads what a client sends: first as JSON to the letter, then as one of the messages it knows."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .limits import Refusal

TRACEPARENT = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL
)
LARGEST = 2**53 - 1


class NoMessage(Exception):
    """The text is no JSON object, so that nothing sensible can follow on the connection."""


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace id of a valid `traceparent`, else nothing."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


def _traceparent(value: str) -> str:
    if trace_id_of(value) is None:
        raise ValueError("no traceparent of W3C Trace Context")
    return value


ChosenId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{21,64}$")]


class Message(BaseModel):
    """What all messages share. Unknown members are ignored; `null` never stands for an absent one."""

    model_config = ConfigDict(strict=True, extra="ignore")
    id: Annotated[str, Field(min_length=1, max_length=64)] = ""


class Start(Message):
    """Begins a run."""

    prompt: str
    run_id: ChosenId = ""
    session_id: ChosenId = ""
    inputs: dict[str, Any] = {}
    on_disconnect: Literal["grace", "cancel", "continue"] = "grace"
    traceparent: Annotated[str, AfterValidator(_traceparent)] = ""


class Resume(Message):
    """Reads a run from a cursor."""

    run_id: ChosenId
    after: Annotated[int, Field(ge=0, le=LARGEST)]
    epoch: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = ""


class Cancel(Message):
    """Ends a run, or every unfinished one of the connection."""

    run_id: ChosenId = ""


class Heartbeat(Message):
    """Asks for one heartbeat."""


class Input(Message):
    """Answers a question; not served here."""

    run_id: ChosenId
    request_id: Annotated[str, Field(min_length=1, max_length=256)]
    data: Any


class Unknown(Message):
    """A message of a type that this server does not know."""


MODELS: dict[str, type[Message]] = {
    "start": Start,
    "resume": Resume,
    "cancel": Cancel,
    "heartbeat": Heartbeat,
    "input": Input,
}


def parse(text: str) -> tuple[Any, bool]:
    """Return the JSON value of a text, and whether a member name was repeated.

    Raises `NoMessage` for what is no JSON text, `Refusal` for what is nested beyond all measure.
    """
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        found = dict(pairs)
        repeated = repeated or len(found) < len(pairs)
        return found

    def constant(name: str) -> None:
        raise NoMessage(f"{name} is no JSON")

    def integer(digits: str) -> int | float:
        return int(digits) if len(digits) < 400 else float(digits)

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=constant, parse_int=integer)
    except RecursionError:
        raise Refusal("bad_request", "nested too deep") from None
    except ValueError as error:
        raise NoMessage(str(error)) from None
    return value, repeated


def deeper_than(value: Any, depth: int) -> bool:
    """Say whether arrays and objects nest deeper than `depth`, the value itself being 1."""
    level = [value] if isinstance(value, dict | list) else []
    while level and depth:
        inside = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        level = [part for part in inside if isinstance(part, dict | list)]
        depth -= 1
    return bool(level)


def is_unicode(value: Any) -> bool:
    """Say whether no string in the value holds a lone surrogate."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read(text: str, json_depth: int) -> tuple[dict[str, Any], Refusal | None]:
    """Return the object that a text holds, and why it must be refused if it must.

    Raises `NoMessage` when the connection has to be closed with 4400.
    """
    try:
        value, repeated = parse(text)
    except Refusal as refusal:
        return {}, refusal
    if not isinstance(value, dict):
        raise NoMessage("a message is a JSON object")
    if deeper_than(value, json_depth):
        return value, Refusal("bad_request", f"nested deeper than {json_depth}")
    if not is_unicode(value):
        return value, Refusal("bad_request", "a string holds a lone surrogate")
    if repeated:
        return value, Refusal("bad_request", "a member name is repeated in one object")
    return value, None


def understand(value: dict[str, Any]) -> Message:
    """Return the message that an object is; raise `Refusal` when it breaks the schema of its type."""
    kind = value.get("type", "start" if "prompt" in value else None)
    if not isinstance(kind, str) or not kind:
        raise Refusal("bad_request", "a message has a type, or a prompt")
    return fit(MODELS.get(kind, Unknown), value)


def fit(model: type[Message], value: dict[str, Any]) -> Message:
    """Return the value as this message; raise `Refusal` that names the first wrong member."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refusal("bad_request", f"{place}: {first['msg']}") from None


def identity(value: dict[str, Any]) -> str | None:
    """Return the `id` of a message, also of one that is refused, when it can be repeated."""
    given = value.get("id")
    return given if isinstance(given, str) and 1 <= len(given) <= 64 and is_unicode(given) else None


def same(one: Any, other: Any) -> bool:
    """Say whether two values are equal as JSON, where `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return double(one) == double(other)
    return bool(one == other)


def double(number: float) -> float:
    """Return a number as a double holds it."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
