"""JSON Schema 2020-12 for every message, HTTP body and document of Runwire, with vectors.

The schema files lie in `v1/`, in an installed package in `v1.zip`; the functions here are for Python.
Everything is built once and immutable.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from runwire_schemas.fast import accelerator

__all__ = [
    "CLIENT_TYPES",
    "SERVER_TYPES",
    "SchemaViolation",
    "Vector",
    "client_message_violations",
    "names",
    "raw_texts",
    "schema",
    "server_message_violations",
    "transcripts",
    "validator",
    "vectors",
    "violations",
]

#: Types of messages that a client sends, with the name of their schema.
CLIENT_TYPES: Mapping[str, str] = {
    "start": "start",
    "cancel": "cancel",
    "resume": "resume",
    "input": "input",
    "heartbeat": "client-heartbeat",
}

#: Types of messages that a server sends, with the name of their schema.
SERVER_TYPES: Mapping[str, str] = {
    name: name
    for name in (
        *("ready", "started", "resumed", "notice", "heartbeat"),
        *("token", "replace", "thinking", "tool_delta", "tool_call", "observation"),
        *("input_request", "input_closed", "done", "error"),
    )
}


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """One way in which an instance breaks its schema.

    `pointer` is a JSON Pointer (RFC 6901) to the place, `keyword` the schema keyword that was broken.
    """

    pointer: str
    keyword: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


@dataclass(frozen=True, slots=True)
class Vector:
    """A message that must be accepted or refused by the schema `schema`, named by its reason."""

    schema: str
    valid: bool
    reason: str
    text: str


@cache
def names() -> tuple[str, ...]:
    """Return the names of all schemas, sorted; `common` holds definitions only."""
    return tuple(
        sorted(entry.name.removesuffix(".json") for entry in _v1().iterdir() if entry.name.endswith(".json"))
    )


@cache
def schema(name: str) -> Any:
    """Return the schema called `name`; raises KeyError when there is none."""
    if name not in names():
        raise KeyError(f"no schema is called {name!r}; there are: {', '.join(names())}")
    return json.loads(_v1().joinpath(f"{name}.json").read_text(encoding="utf-8"))


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of the schema called `name`, with formats asserted."""
    return _Validator(
        _inlined(schema(name)),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def violations(name: str, instance: object) -> list[SchemaViolation]:
    """Return how `instance` breaks the schema called `name`; empty when it is valid."""
    accepts = _accepts(name)
    if accepts is not None and accepts(instance):
        return []
    found = [_violation(error) for error in validator(name).iter_errors(instance)]
    return sorted(set(found), key=lambda violation: (violation.pointer, violation.message))


@cache
def _accepts(name: str) -> Callable[[object], bool] | None:
    """Return the accelerated test of the schema called `name`, where there is an accelerator."""
    made = accelerator()
    return made(_inlined(schema(name))) if made is not None else None


def client_message_violations(message: object) -> list[SchemaViolation]:
    """Return how a message of the client breaks the schema of its type; an unknown type breaks none."""
    if isinstance(message, dict) and "type" not in message and "prompt" in message:
        return violations("start", message)
    return _dispatch(message, CLIENT_TYPES, "client-message")


def server_message_violations(message: object) -> list[SchemaViolation]:
    """Return how a message of the server breaks the schema of its type; an unknown type breaks none."""
    return _dispatch(message, SERVER_TYPES, "server-message")


def vectors() -> Iterator[Vector]:
    """Yield every vector of `v1/vectors`: for each schema, in the order of their names, those of its file."""
    for name in names():
        file = _v1().joinpath("vectors").joinpath(f"{name}.json")
        for entry in _entries(file) if file.is_file() else []:
            text = entry["text"] if "text" in entry else json.dumps(entry["message"], ensure_ascii=False)
            yield Vector(name, entry["valid"], entry["reason"], text)


def raw_texts(answer: str) -> Iterator[tuple[str, bytes]]:
    """Yield reason and bytes of the texts at the edges of JSON that a server receives.

    `answer` is `closes-4400`, `refused` or `accepted`; chapter 3 of the specification says why.
    """
    for entry in _entries(_v1().joinpath("vectors").joinpath("json-texts.json")):
        if entry["answer"] == answer:
            yield entry["reason"], entry["text"].encode()


def transcripts(verdict: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield name and lines of each transcript, the header first; `verdict` is `valid` or `invalid`."""
    for file in sorted(_v1().joinpath("transcripts").iterdir(), key=lambda entry: entry.name):
        for entry in _entries(file):
            if entry["valid"] == (verdict == "valid"):
                header = {"transcript": entry["description"], "breaks": entry.get("breaks", [])}
                header |= {"class": entry["class"]} if "class" in entry else {}
                header |= {"line": entry["step"] + 1} if "step" in entry else {}
                yield entry["name"], [header, *entry["conversation"]]


def _entries(file: Traversable) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return entries


def _check_pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _ecmascript(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@cache
def _ecmascript(pattern: str) -> re.Pattern[str]:
    # JSON Schema means the `$` of ECMAScript; Python's also matches before a newline at the end.
    return re.compile(pattern.replace("$", r"\Z"))


_Validator: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _check_pattern}
)


def _dispatch(message: object, known: Mapping[str, str], union: str) -> list[SchemaViolation]:
    kind = message.get("type") if isinstance(message, dict) else None
    return violations(known.get(kind, union) if isinstance(kind, str) else union, message)


def _violation(error: ValidationError) -> SchemaViolation:
    pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.absolute_path)
    return SchemaViolation(pointer, str(error.validator), _sentence(error))


def _sentence(error: ValidationError) -> str:
    expected: Any = error.validator_value
    if error.validator == "required":
        return f"{error.message.split()[0]} is missing"
    if error.validator == "type":
        wanted = expected if isinstance(expected, str) else " or ".join(expected)
        return f"must be of type {wanted}, not {_type_of(error.instance)}"
    if error.validator == "const":
        return f"must be {json.dumps(expected)}"
    if error.validator == "enum":
        return f"must be one of {', '.join(json.dumps(value) for value in expected)}"
    if error.validator == "pattern":
        return f"must match {expected}"
    if error.validator in {"minimum", "maximum", "minLength", "maxLength"}:
        return f"breaks {error.validator} {expected}"
    return error.message if len(error.message) < 200 else f"breaks {error.validator}"


def _type_of(value: object) -> str:
    types = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return types.get(type(value), "null")


def _inlined(part: Any) -> Any:
    """Return a part of a schema with what it refers to in its place, which validates twice as fast.

    A reference names its file, and nothing that is data holds one.
    """
    if isinstance(part, list):
        return [_inlined(item) for item in part]
    if not isinstance(part, dict):
        return part
    # A `$schema` inside would have jsonschema go on with its stock validator, whose `$` is Python's.
    inlined = {key: _inlined(value) for key, value in part.items() if key not in {"$ref", "$schema"}}
    if "$ref" not in part:
        return inlined
    file, _, pointer = part["$ref"].partition("#")
    found = schema(file.removesuffix(".json"))
    for step in filter(None, pointer.split("/")):
        found = found[step]
    return {"allOf": [_inlined(found)], **inlined} if inlined else _inlined(found)


@cache
def _v1() -> Traversable:
    packed = files(__package__).joinpath("v1.zip")
    if packed.is_file():  # `hatch_build.py` made it for a wheel
        return zipfile.Path(BytesIO(packed.read_bytes()))
    return files(__package__).joinpath("v1")
