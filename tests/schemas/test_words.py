"""What the functions of the schemas say: words, places, names and order, and which schema a message is held against."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema.exceptions import ValidationError

import runwire_schemas
from runwire_schemas import (
    CLIENT_TYPES,
    SERVER_TYPES,
    SchemaViolation,
    Vector,
    _accepts,
    _inlined,
    _sentence,
    _violation,
    client_message_violations,
    names,
    raw_texts,
    schema,
    server_message_violations,
    transcripts,
    validator,
    vectors,
    violations,
)

V1 = Path(runwire_schemas.__file__).parent / "v1"
VECTORS = V1 / "vectors"
TOKEN = {"type": "token", "data": "x"}
RESUME = {"type": "resume", "run_id": "r" * 21, "after": 1}
UNTIL = "2030-01-01T00:00:00Z"
REQUEST = {"type": "input_request", "request_id": "q", "kind": "approval", "prompt": "?", "expires_at": UNTIL}


def must(wanted: str, came: str) -> str:
    return f"must be of type {wanted}, not {came}"


@pytest.mark.parametrize(
    ("name", "instance", "expected"),
    [
        ("token", TOKEN, []),
        ("token", {"type": "token"}, ["/: 'data' is missing"]),
        ("resume", {"type": "resume"}, ["/: 'after' is missing", "/: 'run_id' is missing"]),
        ("start", {"prompt": 1, "inputs": "x"},
         [f"/inputs: {must('object', 'string')}", f"/prompt: {must('string', 'integer')}"]),
        ("token", True, [f"/: {must('object', 'boolean')}"]),
        ("token", 7, [f"/: {must('object', 'integer')}"]),
        ("token", 7.5, [f"/: {must('object', 'number')}"]),
        ("token", "x", [f"/: {must('object', 'string')}"]),
        ("token", [], [f"/: {must('object', 'array')}"]),
        ("token", None, [f"/: {must('object', 'null')}"]),
        ("token", {"type": "token", "data": {}}, [f"/data: {must('string', 'object')}"]),
        ("input_request", {**REQUEST, "schema": 7}, [f"/schema: {must('object or boolean', 'integer')}"]),
        ("token", {"type": "x", "data": ""}, ['/type: must be "token"']),
        ("start", {"prompt": "x", "on_disconnect": "no"},
         ['/on_disconnect: must be one of "grace", "cancel", "continue"']),
        ("cancel", {"type": "cancel", "run_id": "x"}, ["/run_id: must match ^[A-Za-z0-9_-]{21,64}$"]),
        ("resume", {**RESUME, "after": -1}, ["/after: breaks minimum 0"]),
        ("resume", {**RESUME, "after": 2**53}, ["/after: breaks maximum 9007199254740991"]),
        ("heartbeat", {"type": "heartbeat", "re": ""}, ["/re: breaks minLength 1"]),
        ("heartbeat", {"type": "heartbeat", "re": "x" * 65}, ["/re: breaks maxLength 64"]),
        ("input_request", {**REQUEST, "expires_at": "2030-13-01T00:00:00Z"},
         ["/expires_at: '2030-13-01T00:00:00Z' is not a 'date-time'"]),
        ("client-message", {}, ["/: {} is not valid under any of the given schemas"]),
        ("client-message", {"x": "y" * 200}, ["/: breaks anyOf"]),
    ],
)  # fmt: skip
def test_how_a_violation_is_told(name: str, instance: object, expected: list[str]) -> None:
    assert [str(one) for one in violations(name, instance)] == expected


@pytest.mark.parametrize(
    ("length", "sentence"), [(199, "x" * 199), (200, "breaks anyOf")], ids=["the longest", "too long"]
)
def test_a_sentence_of_the_validator_is_told_unless_it_is_long(length: int, sentence: str) -> None:
    assert _sentence(ValidationError("x" * length, validator="anyOf")) == sentence


def test_the_place_of_a_violation_is_a_json_pointer() -> None:
    error = ValidationError("x", validator="format", path=["a~b", "c/d", "~1", 0])

    assert _violation(error) == SchemaViolation("/a~0b/c~1d/~01/0", "format", "x")
    assert _violation(ValidationError("x", validator="not")) == SchemaViolation("", "not", "x")


def test_a_pattern_that_is_not_met_is_told_by_the_validator_too() -> None:
    told = [error.message for error in validator("cancel").iter_errors({"type": "cancel", "run_id": "x"})]

    assert told == ["'x' does not match '^[A-Za-z0-9_-]{21,64}$'"]
    assert validator("cancel").is_valid({"type": "cancel", "run_id": "r" * 21})
    assert not validator("cancel").is_valid({"type": "cancel", "run_id": "r" * 21 + "\n"})
    of_no_text = validator("cancel").iter_errors({"type": "cancel", "run_id": 7})
    assert [error.validator for error in of_no_text] == ["type"]


def test_the_accelerator_alone_says_yes_and_the_validator_alone_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fast = _accepts("token")

    assert fast is not None
    assert (fast(TOKEN), fast({"type": "token"})) == (True, False)
    with monkeypatch.context() as patch:
        patch.setattr(runwire_schemas, "validator", None)
        assert violations("token", TOKEN) == []
    monkeypatch.setattr(runwire_schemas, "_accepts", lambda _: None)
    assert violations("token", TOKEN) == []
    assert violations("token", {"type": "token"}) == [SchemaViolation("", "required", "'data' is missing")]


def test_what_stands_beside_a_reference_counts_and_what_it_refers_to_does_too() -> None:
    limits = dict.fromkeys(schema("discovery")["properties"]["limits"]["required"], 1)
    limits.pop("heartbeat_s")
    found = violations("discovery", {"limits": {**limits, "run_s": "x"}})

    assert [str(one) for one in found if one.pointer.startswith("/limits")] == [
        "/limits: 'heartbeat_s' is missing",
        f"/limits/run_s: {must('number', 'string')}",
    ]


def test_a_reference_is_replaced_by_what_it_refers_to() -> None:
    seq = schema("common")["$defs"]["seq"]

    assert _inlined([1, {"items": {"$ref": "common.json#/$defs/seq"}}]) == [1, {"items": seq}]
    assert _inlined({"$ref": "common.json#/$defs/seq", "title": "t"}) == {"allOf": [seq], "title": "t"}
    assert _inlined({"x": {"$ref": "cancel.json"}}) == {"x": _inlined(schema("cancel"))}
    assert "$ref" not in str(_inlined(schema("server-message")))


@pytest.mark.parametrize(
    ("message", "name"),
    [
        *(({"type": kind}, name) for kind, name in CLIENT_TYPES.items()),
        ({"prompt": "x"}, "start"),
        ({"type": "cancel", "prompt": "x"}, "cancel"),
        *((odd, "client-message") for odd in ({}, {"type": "acme:x"}, {"type": 7}, {"type": []}, 7, "prompt", None)),
    ],
)  # fmt: skip
def test_a_message_of_the_client_is_held_against_the_schema_of_its_type(
    message: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runwire_schemas, "violations", lambda *asked: asked)

    assert client_message_violations(message) == (name, message)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        *(({"type": kind}, kind) for kind in SERVER_TYPES),
        *((odd, "server-message") for odd in ({}, {"prompt": "x"}, {"type": "acme:x"}, {"type": 7}, 7, None)),
    ],
)  # fmt: skip
def test_a_message_of_the_server_is_held_against_the_schema_of_its_type(
    message: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runwire_schemas, "violations", lambda *asked: asked)

    assert server_message_violations(message) == (name, message)


def test_the_schemas_are_those_of_the_folder() -> None:
    assert names() == tuple(sorted(file.stem for file in V1.glob("*.json")))
    assert schema("token")["title"] == "token"
    with pytest.raises(KeyError) as problem:
        schema("nope")
    assert problem.value.args == (f"no schema is called 'nope'; there are: {', '.join(names())}",)


def test_the_vectors_are_those_of_the_files_in_order() -> None:
    expected = [
        Vector(
            file.stem,
            entry["valid"],
            entry["reason"],
            entry["text"] if "text" in entry else json.dumps(entry["message"], ensure_ascii=False),
        )
        for file in sorted(VECTORS.glob("*.json"), key=lambda file: file.name)
        if file.stem != "json-texts"
        for entry in json.loads(file.read_text(encoding="utf-8"))
    ]

    assert expected
    assert sorted(vectors(), key=str) == sorted(expected, key=str)
    assert [vector.schema for vector in vectors()] == sorted(vector.schema for vector in expected)


@pytest.mark.parametrize("answer", ["closes-4400", "refused", "accepted"])
def test_the_raw_texts_are_those_of_the_file_in_order(answer: str) -> None:
    entries = json.loads((VECTORS / "json-texts.json").read_text(encoding="utf-8"))
    expected = [(entry["reason"], entry["text"].encode()) for entry in entries if entry["answer"] == answer]

    assert expected
    assert list(raw_texts(answer)) == expected


@pytest.mark.parametrize("verdict", ["valid", "invalid"])
def test_the_transcripts_are_those_of_the_files_in_order(verdict: str) -> None:
    read = dict(transcripts(verdict))
    entries = [
        entry
        for file in sorted((V1 / "transcripts").iterdir(), key=lambda file: file.name)
        for entry in json.loads(file.read_text(encoding="utf-8"))
        if entry["valid"] == (verdict == "valid")
    ]

    assert list(read) == [entry["name"] for entry in entries]
    for entry in entries:
        header, *lines = read[entry["name"]]
        assert lines == entry["conversation"]
        assert header["transcript"] == entry["description"]
        assert header["breaks"] == entry.get("breaks", [])
        assert header.get("class") == entry.get("class")
        assert header.get("line", 1) == entry.get("step", 0) + 1
