"""The vectors are right about the schemas, and there is one for everything a schema says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwire_schemas import (
    Vector,
    client_message_violations,
    names,
    raw_texts,
    schema,
    server_message_violations,
    vectors,
    violations,
)

CHAPTER_1 = Path(__file__).parents[2] / "spec" / "01-introduction.md"
SCHEMAS = Path(__file__).parents[2] / "schemas"

#: Schemas that are no message, body or document of their own.
WITHOUT_VECTORS = {"common", "http-body"}
UNIONS = {"client-message", "server-message"}

VECTORS = list(vectors())

#: The keyword that each word of a reason stands for; the same table stands in schemas/README.md.
KEYWORDS = {
    "missing": "required",
    "null": "type",
    "boolean": "type",
    "number": "type",
    "fraction": "type",
    "string": "type",
    "array": "type",
    "object": "type",
    "other": "const",
    "unknown": "enum",
    "malformed": "pattern",
    "misformatted": "format",
    "zero": "minimum",
    "negative": "minimum",
    "below": "minimum",
    "nonpositive": "exclusiveMinimum",
    "above": "maximum",
    "empty": "minLength",
    "long": "maxLength",
    "none": "minItems",
    "repeated": "uniqueItems",
    "lacking": "contains",
    "unnamed": "anyOf",
}

DEFAULT_JSON_DEPTH = 32


def expected_violation(reason: str) -> tuple[str, str]:
    """Return pointer and keyword that the reason of an invalid vector names."""
    place, word, *_ = reason.split("-")
    keyword = KEYWORDS[word]
    path = [] if place == "whole" else place.split(".")
    if keyword == "required":
        path = path[:-1]
    return "".join(f"/{part}" for part in path), keyword


def identify(vector: Vector) -> str:
    return f"{vector.schema}-{'valid' if vector.valid else 'invalid'}-{vector.reason}"


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.valid], ids=identify)
def test_a_valid_vector_breaks_nothing(vector: Vector) -> None:
    assert violations(vector.schema, json.loads(vector.text)) == []


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if not vector.valid], ids=identify)
def test_an_invalid_vector_breaks_what_its_name_says_and_nothing_else(vector: Vector) -> None:
    found = violations(vector.schema, json.loads(vector.text))

    assert [(one.pointer, one.keyword) for one in found] == [expected_violation(vector.reason)]


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.schema in UNIONS], ids=identify)
def test_the_functions_for_messages_agree_with_the_unions(vector: Vector) -> None:
    judge = client_message_violations if vector.schema == "client-message" else server_message_violations

    assert (judge(json.loads(vector.text)) == []) == vector.valid


@pytest.mark.parametrize("name", sorted(set(names()) - WITHOUT_VECTORS))
def test_every_schema_has_vectors_of_both_kinds(name: str) -> None:
    reasons = {vector.reason for vector in VECTORS if vector.schema == name and vector.valid}
    wanted = {"unknown-member"} if name in UNIONS else {"minimal", "full", "unknown-member"}

    assert wanted - reasons == set()
    assert any(vector.schema == name and not vector.valid for vector in VECTORS)


def test_no_file_of_vectors_is_without_a_schema() -> None:
    files = {file.stem for file in (SCHEMAS / "runwire_schemas" / "v1" / "vectors").iterdir()}

    assert files == set(names()) - WITHOUT_VECTORS | {"json-texts"}


@pytest.mark.parametrize(
    "file", sorted((SCHEMAS / "runwire_schemas" / "v1" / "vectors").iterdir()), ids=lambda file: file.stem
)
def test_a_vector_says_what_it_is_and_stands_once(file: Path) -> None:
    entries = json.loads(file.read_text(encoding="utf-8"))

    members = {"description", "valid", "reason"} | ({"answer"} if file.stem == "json-texts" else set())
    assert [entry for entry in entries if entry.keys() - {"message", "text"} != members] == []
    assert [entry for entry in entries if ("message" in entry) == ("text" in entry)] == []
    assert len({(entry["valid"], entry["reason"]) for entry in entries}) == len(entries)


def test_the_literal_shapes_of_chapter_1_are_vectors_byte_for_byte() -> None:
    blocks = re.findall(r"```json\n(.*?)```", CHAPTER_1.read_text(encoding="utf-8"), re.DOTALL)
    shapes = [line for block in blocks for line in block.splitlines()]
    literal = {vector.text for vector in VECTORS if vector.reason == "literal"}

    assert len(shapes) == 8
    assert literal == set(shapes)


@pytest.mark.parametrize("name", sorted(set(names()) - WITHOUT_VECTORS - UNIONS))
def test_everything_that_a_schema_says_is_broken_by_a_vector(name: str) -> None:
    broken = {
        expected_violation(vector.reason)
        for vector in VECTORS
        if vector.schema == name and not vector.valid and vector.reason.split("-")[1] != "missing"
    }
    missing = {
        vector.reason.split("-")[0]
        for vector in VECTORS
        if vector.schema == name and not vector.valid and vector.reason.split("-")[1] == "missing"
    }
    said = set(assertions(schema(name), ""))

    assert {pointer[1:].replace("/", ".") for pointer, keyword in said if keyword == "required"} <= missing
    assert {(pointer, keyword) for pointer, keyword in said if keyword in {"type", "const", "enum"}} <= broken


def assertions(part: dict[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
    """Yield pointer and keyword of what a schema asks of members; `required` under each member's pointer."""
    part = resolved(part)
    yield from ((pointer, keyword) for keyword in ("type", "const", "enum") if keyword in part)
    yield from ((f"{pointer}/{member}", "required") for member in part.get("required", []))
    if pointer == "/limits":
        return  # judged as the schema `limits`
    for member, below in part.get("properties", {}).items():
        yield from assertions(below, f"{pointer}/{member}")


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema with its references followed, its own keywords first."""
    for below in part.get("allOf", []):
        if "$ref" in below:
            part = {**resolved(below), **part}
    if "$ref" not in part:
        return part
    file, _, fragment = part["$ref"].partition("#")
    target = schema(file.removesuffix(".json"))
    for step in fragment.strip("/").split("/") if fragment else []:
        target = target[step]
    return {**resolved(target), **{keyword: value for keyword, value in part.items() if keyword != "$ref"}}


def test_the_table_of_reasons_in_the_readme_is_the_one_tested() -> None:
    readme = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z`, ]+`) \| `([A-Za-z]+)` \|", readme, re.MULTILINE)

    assert {word: keyword for words, keyword in rows for word in re.findall(r"[a-z]+", words)} == KEYWORDS


class RepeatedNameError(Exception):
    """A member name stands twice in one object."""


def strictly(text: str) -> object:
    """Parse as RFC 8259 asks; raises ValueError, or RepeatedNameError for a repeated member name."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise RepeatedNameError
        return dict(pairs)

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    return json.loads(text, object_pairs_hook=members, parse_constant=refuse)


def depth(text: str) -> int:
    """Return how deep the brackets of a JSON text nest, those in strings not counted."""
    deepest = level = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        deepest = max(deepest, level)
    return deepest


def has_lone_surrogate(value: object) -> bool:
    """Whether some string of the value, names included, is not valid Unicode."""
    text = json.dumps(value, ensure_ascii=False)
    return any("\ud800" <= character <= "\udfff" for character in text)


def what_is_wrong(octets: bytes) -> str | None:
    """Return which edge of chapter 3 a text goes over, in the words that begin a reason; None for none."""
    text = octets.decode("utf-8")
    if depth(text) > DEFAULT_JSON_DEPTH:
        return "depth"
    try:
        message = strictly(text)
    except RepeatedNameError:
        return "repeated"
    except ValueError:
        return "syntax"
    if not isinstance(message, dict):
        return "kind"
    if has_lone_surrogate(message):
        return "surrogate"
    broken = [(one.pointer, one.keyword) for one in client_message_violations(message)]
    if broken == [("", "anyOf")]:
        return "unnamed"
    return "integer" if broken and all(pointer == "/after" for pointer, _ in broken) else None


def reasons(verdict: str) -> list[Any]:
    return [pytest.param(reason, octets, id=reason) for reason, octets in raw_texts(verdict)]


@pytest.mark.parametrize(("reason", "octets"), reasons("closes-4400"))
def test_a_text_that_closes_the_connection_is_no_object_of_rfc_8259(reason: str, octets: bytes) -> None:
    assert what_is_wrong(octets) == reason.split("-")[0]
    assert reason.split("-")[0] in {"syntax", "kind"}


@pytest.mark.parametrize(("reason", "octets"), reasons("refused"))
def test_a_text_that_is_refused_goes_over_the_edge_it_is_named_by(reason: str, octets: bytes) -> None:
    assert what_is_wrong(octets) == reason.split("-")[0]
    assert reason.split("-")[0] in {"depth", "repeated", "surrogate", "integer", "unnamed"}


@pytest.mark.parametrize(("reason", "octets"), reasons("accepted"))
def test_a_text_that_is_accepted_is_a_valid_message(reason: str, octets: bytes) -> None:
    assert what_is_wrong(octets) is None, reason
    assert client_message_violations(strictly(octets.decode("utf-8"))) == []


@pytest.mark.parametrize("member", ["run_id", "session_id"])
def test_a_pattern_behind_a_reference_ends_where_the_text_ends(member: str) -> None:
    body = {"prompt": "x", member: "x" * 21}

    assert violations("run-request", body) == []
    assert [found.pointer for found in violations("run-request", {**body, member: "x" * 21 + "\n"})] == [
        f"/{member}"
    ]
