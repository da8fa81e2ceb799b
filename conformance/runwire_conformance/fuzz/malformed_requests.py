"""Malformed HTTP requests derived from the OpenAPI document, chosen by a seed. Pure."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from runwire_conformance.fuzz.malformed_messages import EDGES
from runwire_schemas import schema, violations

#: Methods that an endpoint may know or not.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

#: Media types that are not `application/json`; None sends no `Content-Type` at all.
MEDIA_TYPES = ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", None)

#: Values that no cursor has.
CURSORS = (
    "x",
    "-1",
    "+1",
    "e1.",
    ".1",
    "e1.x",
    "1e3",
    "0x1",
    "99999999999999999",
    "1%20",
    "%00",
    "é".encode().hex() + ".",
)

#: Identifiers in a path that name no run.
NO_RUNS = ("short", "x" * 65, "nobody-started-this-run", "%00", "a%20b", "..%2f..%2fetc")

#: How many bodies are drawn for each endpoint.
BODIES = 25


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A request below the origin, what it should be answered with, and the sentence that says so."""

    requirement: str
    reason: str
    method: str
    path: str
    status: int
    code: str
    media_type: str | None = None
    body: bytes | None = None


@cache
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document."""
    text = files("runwire_schemas").joinpath("openapi.yaml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.safe_load(text)
    return loaded


def malformed_requests(run_id: str, features: frozenset[str], seed: int) -> Iterator[MalformedRequest]:
    """Yield requests to every endpoint below `/v1/runs`, about a run that exists, each with one thing wrong."""
    for path, operations in document()["paths"].items():
        if not path.startswith("/v1/runs") or (path.endswith("/input") and "input" not in features):
            continue
        place = path.replace("{run_id}", run_id)
        yield from _methods(place, operations)
        if "post" in operations:
            yield from _media_types(place)
            yield from _bodies(place, operations["post"], random.Random(seed))
        for parameter in operations.get("get", {}).get("parameters", ()):
            if parameter.get("in") == "query" and parameter["schema"].get("$ref", "").endswith("/Cursor"):
                for value in CURSORS:
                    what = f"{parameter['name']} is {value}"
                    yield MalformedRequest(
                        "SSE-16", what, "GET", f"{place}?{parameter['name']}={value}", 400, "bad_request"
                    )
        if "{run_id}" in path:
            method = "GET" if "get" in operations else "POST"
            media_type, body = (
                (None, None) if method == "GET" else ("application/json", b'{"request_id":"q","data":""}')
            )
            for unknown in NO_RUNS:
                at = path.replace("{run_id}", unknown)
                yield MalformedRequest(
                    "HTTP-7", f"an unknown run {unknown}", method, at, 404, "not_found", media_type, body
                )


def _methods(place: str, operations: Mapping[str, Any]) -> Iterator[MalformedRequest]:
    for method in METHODS:
        if method.lower() not in operations:
            yield MalformedRequest(
                "HTTP-14", f"the method {method}", method, place, 405, "unsupported", "application/json"
            )


def _media_types(place: str) -> Iterator[MalformedRequest]:
    for media_type in MEDIA_TYPES:
        yield MalformedRequest(
            "HTTP-9", f"the type {media_type}", "POST", place, 415, "unsupported", media_type, b"{}"
        )


def _bodies(place: str, operation: Mapping[str, Any], chance: random.Random) -> Iterator[MalformedRequest]:
    """Yield bodies that are no JSON, no object, or break the schema that the document refers to."""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
    name = name.removesuffix(".json")
    bodies: dict[str, bytes] = {
        "no JSON": b"{", "no UTF-8": b'{"prompt":"\xff"}', "NaN": b'{"prompt":"x","n":NaN}', "two values": b"{} {}",
        "an array": b"[]", "a string": b'"x"', "null": b"null", "a lone surrogate": b'{"prompt":"\\ud800"}',
    }  # fmt: skip
    described = schema(name)
    parts = [part["$ref"].removesuffix(".json") for part in described.get("allOf", ())]
    members = {
        key: value for part in (name, *parts) for key, value in schema(part).get("properties", {}).items()
    }
    good = described["examples"][-1]
    wrong = {
        f"{member} is {str(value)[:20]!r}": {**good, member: value}
        for member in sorted(members)
        if member not in {"type", "id"}
        for value in EDGES
    }
    broken = {what: json.dumps(body).encode() for what, body in wrong.items() if violations(name, body)}
    drawn = chance.sample(sorted(broken), min(BODIES, len(broken)))
    for what, body in {**bodies, **{what: broken[what] for what in drawn}}.items():
        yield MalformedRequest("HTTP-11", what, "POST", place, 400, "bad_request", "application/json", body)
