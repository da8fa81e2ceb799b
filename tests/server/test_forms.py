"""Forms of agents and answers to them: nothing is fetched, nothing freezes the server, and what fits is taken."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from runwire_reference_server.agents import forms
from runwire_reference_server.agents.forms import MAX_BYTES, MAX_DEPTH, BadForm, check_form, fits_form


def nested(depth: int) -> Any:
    """Return a schema of so many levels."""
    schema: Any = {}
    for _ in range(depth // 2 - 1):
        schema = {"properties": {"a": schema}}
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/schema"},
        {"properties": {"a": {"items": [{"$ref": "other.json#/x"}]}}},
        {"$dynamicRef": "https://example.org/x#y"},
        {"$ref": "urn:x:y"},
        nested(MAX_DEPTH + 4),
        {"description": "x" * MAX_BYTES},
        {"type": "strin"},
        {"properties": 5},
        {"description": "\ud800"},
        {"default": object()},
        None,
        7,
    ],
    ids=[
        "url",
        "file",
        "dynamic-url",
        "urn",
        "deep",
        "large",
        "unknown-type",
        "no-object",
        "surrogate",
        "no-json",
        "null",
        "number",
    ],
)
def test_a_form_that_asks_too_much_is_refused(schema: Any) -> None:
    with pytest.raises(BadForm):
        asyncio.run(check_form(schema))


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        nested(MAX_DEPTH - 2),
        {"$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n"}}},
        {"properties": {"$ref": {"type": "string"}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_form_within_its_bounds_is_taken(schema: Any) -> None:
    asyncio.run(check_form(schema))


def test_a_form_that_is_too_large_ends_its_run_as_such() -> None:
    with pytest.raises(BadForm) as refused:
        asyncio.run(check_form({"description": "x" * MAX_BYTES}))

    assert refused.value.code == "payload_too_large"


PLAIN = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number", "minimum": 1}}}
REFERS = {"$defs": {"n": {"type": "number"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}
PATTERN = {"properties": {"zip": {"pattern": "^[0-9]{5}$"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "answer", "fit"),
    [
        (PLAIN, {"n": 1}, True),
        (PLAIN, {"n": 0}, False),
        (PLAIN, {}, False),
        (True, {"a": 1}, True),
        (False, {}, False),
        (REFERS, {"n": 1.5}, True),
        (REFERS, {"n": "1"}, False),
        (PATTERN, {"zip": "01234"}, True),
        (PATTERN, {"zip": "0123"}, False),
        (PATTERN, {"zap": "01234"}, False),
        ({"pattern": "("}, {}, True),
        ({"properties": {"a": {"pattern": "("}}}, {"a": "x"}, False),
        ({"$ref": "#/nowhere"}, {}, False),
        ({"$ref": "#"}, {}, False),
    ],
)
def test_an_answer_fits_as_the_schema_says(schema: Any, answer: Any, fit: bool) -> None:
    assert asyncio.run(fits_form(schema, answer)) is fit


@asynccontextmanager
async def counted_turns() -> AsyncIterator[list[None]]:
    """Yield a list that grows as long as the event loop goes on."""
    turns: list[None] = []

    async def count() -> None:
        while True:
            await asyncio.sleep(0.01)
            turns.append(None)

    counting = asyncio.create_task(count())
    yield turns
    counting.cancel()


#: What keeps a validator busy for hours.
ENDLESS: list[tuple[Any, Any]] = [
    ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 40 + "!"}),
    ({"patternProperties": {"^(a+)+$": {}}}, {"a" * 40 + "!": 1}),
    (
        {"$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": False}}
        | {"$ref": "#/$defs/d0"},
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "answer"), ENDLESS, ids=["pattern", "names", "references"])
def test_a_check_without_end_is_given_up_while_the_loop_goes_on(schema: Any, answer: Any) -> None:
    async def play() -> int:
        await check_form(schema)
        async with counted_turns() as turns:
            assert not await fits_form(schema, answer)
        return len(turns)

    assert asyncio.run(play()) > 10


#: What is costly to compile, to look through, or to compare each with each.
COSTLY: list[Any] = [
    {"pattern": "(?i)" + "[!-\uffff]" * 9000},
    {"patternProperties": {"(?i)" + "[!-\uffff]" * 9000: True}},
    {"allOf": [{}] * 15_000},
    {"required": [0, "a"] * 7000},
]


@pytest.mark.parametrize("schema", COSTLY, ids=["pattern", "names", "wide", "mixed"])
def test_a_schema_that_is_costly_to_check_is_checked_while_the_loop_goes_on(schema: Any) -> None:
    async def play() -> int:
        async with counted_turns() as turns:
            with suppress(BadForm):
                await check_form(schema)
        return len(turns)

    assert asyncio.run(play()) > 10


def test_a_regular_expression_that_is_none_is_no_form() -> None:
    with pytest.raises(BadForm, match="no JSON Schema"):
        asyncio.run(check_form({"pattern": "("}))
    with pytest.raises(BadForm, match="no JSON Schema"):
        asyncio.run(check_form({"pattern": "(" * 30_000}))


def test_a_regular_expression_and_many_values_are_taken() -> None:
    asyncio.run(check_form({"pattern": "^[0-9]{5}$"}))
    asyncio.run(check_form({"enum": [f"{n}" for n in range(1000)]}))


def test_a_check_without_end_is_bounded_by_time_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "CHECK_S", 0.1)

    assert not asyncio.run(fits_form(*ENDLESS[0]))


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *place, **_: asked.append(place))

    assert not forms._is_valid({"$ref": "http://127.0.0.1:1/schema"}, {})
    assert asked == []


def test_what_is_checked_here_costs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(_: bytes) -> bool:
        raise AssertionError("a process")

    monkeypatch.setattr(forms, "_told_elsewhere", forbidden)

    assert asyncio.run(fits_form(PLAIN, {"n": 2}))
