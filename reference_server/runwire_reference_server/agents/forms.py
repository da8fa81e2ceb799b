"""Forms: JSON Schemas of agents, which may be hostile, and answers of clients, which may be so, too.

A schema refers to itself alone, and its size and depth are bounded. What an answer can cost is bounded by the schema
where every keyword of it looks at each value once; any other schema is checked in a process of its own, within bounds
of processor time and of time: `"^(a+)+$"` and thirty letters keep a regular expression busy for hours.
"""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry

#: The bounds of a schema: bytes of its JSON text, and how deep it nests.
MAX_BYTES = 65_536
MAX_DEPTH = 32

#: The bounds of a check elsewhere: seconds of processor time, and seconds; how many there are at once.
CPU_S = 2
CHECK_S = 15.0
_AT_ONCE = asyncio.Semaphore(2)

#: Bytes of a schema times bytes of an answer that are checked here at most, some tens of milliseconds.
MOST_WORK = 2_000_000

_REFERENCES = ("$ref", "$dynamicRef")

#: Keywords that look at each value once and hold no schema; `properties`, `items` and `additionalProperties` hold some.
_PLAIN = {
    "type", "enum", "const", "required", "title", "description", "default", "examples", "format", "$schema", "$comment",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems",
    "maxItems", "minProperties", "maxProperties", "deprecated", "readOnly", "writeOnly",
}  # fmt: skip


class BadForm(ValueError):
    """A schema that no client is asked to answer; the message says why, `code` as what the run ends."""

    code = "agent_error"


class FormTooLarge(BadForm):
    """A schema of too many bytes."""

    code = "payload_too_large"


def check_form(schema: Any) -> None:
    """Raise BadForm unless `schema` is a JSON Schema (2020-12) within the bounds that refers to itself alone."""
    level = [schema]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                references = [value.get(name) for name in _REFERENCES]
                if any(isinstance(found, str) and not found.startswith("#") for found in references):
                    raise BadForm("its schema refers to another document")
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
    if level:
        raise BadForm(f"its schema nests deeper than {MAX_DEPTH}")
    try:
        if len(json.dumps(schema, ensure_ascii=False).encode()) > MAX_BYTES:
            raise FormTooLarge(f"its schema has more than {MAX_BYTES} bytes")
        Draft202012Validator.check_schema(schema)
    except (SchemaError, TypeError, UnicodeEncodeError):
        raise BadForm("its schema is no JSON Schema") from None


async def fits_form(schema: Any, answer: Any) -> bool:
    """Whether `answer` is valid against `schema`; False as well when that cannot be told within the bounds."""
    question = json.dumps([schema, answer]).encode()
    if _is_plain(schema) and len(json.dumps(schema)) * len(question) <= MOST_WORK:
        return _is_valid(schema, answer)
    async with _AT_ONCE:
        return await _is_valid_elsewhere(question)


def _is_plain(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    for keyword, value in schema.items():
        if keyword == "properties":
            if not all(map(_is_plain, value.values())):
                return False
        elif keyword in {"items", "additionalProperties"}:
            if not _is_plain(value):
                return False
        elif keyword not in _PLAIN:
            return False
    return True


def _is_valid(schema: Any, answer: Any) -> bool:
    try:
        return Draft202012Validator(schema, registry=Registry()).is_valid(answer)
    except Exception:  # a schema that points to what it does not have, or to itself without end
        return False


async def _is_valid_elsewhere(question: bytes) -> bool:
    checking = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CHECK_S):
            await checking.communicate(question)
    except TimeoutError:
        return False
    finally:
        if checking.returncode is None:
            with suppress(ProcessLookupError):
                checking.kill()
            await checking.wait()
    return checking.returncode == 0


def _main() -> None:
    """Read a schema and an answer; exit code 0 says that the answer is valid."""
    with suppress(ImportError, ValueError):  # without it the caller's patience is the bound
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    schema, answer = json.load(sys.stdin)
    sys.exit(0 if _is_valid(schema, answer) else 1)


if __name__ == "__main__":
    _main()
