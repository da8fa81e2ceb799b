"""Forms: untrusted JSON Schemas of agents, and untrusted answers of clients.

A schema refers to itself alone, and its size and depth are bounded. Whether it is a schema is told here when it is
small and has no regular expression: to compile `(?i)[!-\\uffff]` takes ten milliseconds. What an answer can cost is
bounded by the schema where every keyword of it looks at each value once. All else is checked in a process of its own,
within bounds of processor time and of time: `"^(a+)+$"` and thirty letters keep a regular expression busy for hours.
"""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from jsonschema import Draft202012Validator
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

#: Values of a schema that is looked at here at most; each costs up to half a millisecond.
MOST_VALUES = 150

_REFERENCES = ("$ref", "$dynamicRef")
_EXPRESSIONS = ("pattern", "patternProperties")

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


async def check_form(schema: Any) -> None:
    """Raise BadForm unless `schema` is a JSON Schema (2020-12) within the bounds that refers to itself alone.

    It is refused as well when that cannot be told within the bounds.
    """
    try:
        text = json.dumps([schema], ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise BadForm("its schema is no JSON Schema") from None
    values, expressions = _looked_through(schema)
    if len(text) - 2 > MAX_BYTES:
        raise FormTooLarge(f"its schema has more than {MAX_BYTES} bytes")
    if values <= MOST_VALUES and not expressions:
        found: bool | None = _is_schema(schema)
    else:
        found = await _told_elsewhere(text)
    if found is None:
        raise BadForm("its schema takes too long to check")
    if not found:
        raise BadForm("its schema is no JSON Schema")


def _looked_through(schema: Any) -> tuple[int, bool]:
    """Return the number of values of a schema, and whether it has regular expressions; raises BadForm."""
    values, expressions = 0, False
    level = [schema]
    for _ in range(MAX_DEPTH):
        values += len(level)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                references = [value.get(name) for name in _REFERENCES]
                if any(isinstance(found, str) and not found.startswith("#") for found in references):
                    raise BadForm("its schema refers to another document")
                expressions = expressions or any(name in value for name in _EXPRESSIONS)
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
    if level:
        raise BadForm(f"its schema nests deeper than {MAX_DEPTH}")
    return values, expressions


def _is_schema(schema: Any) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
    except Exception:  # what is wrong with it, or a regular expression that nests too deeply
        return False
    return True


async def fits_form(schema: Any, answer: Any) -> bool:
    """Whether `answer` is valid against `schema`; False as well when that cannot be told within the bounds."""
    question = json.dumps([schema, answer]).encode()
    if _is_plain(schema) and len(json.dumps(schema)) * len(question) <= MOST_WORK:
        return _is_valid(schema, answer)
    return await _told_elsewhere(question) is True


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


async def _told_elsewhere(question: bytes) -> bool | None:
    """Return what a process of its own says; None when it has not said it within the bounds."""
    async with _AT_ONCE:
        checking = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", __name__,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(CHECK_S):
                await checking.communicate(question)
        except TimeoutError:
            return None
        finally:
            if checking.returncode is None:
                with suppress(ProcessLookupError):
                    checking.kill()
                await checking.wait()
    code = checking.returncode
    return code == 0 if code in {0, 1} else None


def _main() -> None:
    """Read a schema, and an answer if there is one; exit code 0 says that it is valid, 1 that it is not."""
    with suppress(ImportError, ValueError):  # without it the caller's patience is the bound
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    schema, *answers = json.load(sys.stdin.buffer)
    valid = _is_valid(schema, answers[0]) if answers else _is_schema(schema)
    sys.exit(0 if valid else 1)


if __name__ == "__main__":
    _main()
