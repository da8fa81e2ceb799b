"""The OpenAPI and AsyncAPI documents are valid, and hold the schemas of the package and no others."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, schema
from runwire_spec import registries
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
OPENAPI = ROOT / "schemas" / "runwire_schemas" / "openapi.yaml"
ASYNCAPI = ROOT / "schemas" / "runwire_schemas" / "asyncapi.yaml"

HTTP_SCHEMAS = {
    *("discovery", "run-request", "cancel-request", "input-request-body"),
    *("run-accepted", "run-status", "run-events", "run-outcome", "ticket", "problem"),
    *("common", "server-message"),
}

PARSER = "@asyncapi/parser@3.6.6"
PARSE = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
const file = process.argv[1];
const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"), { source: file });
console.log(JSON.stringify({
  problems: diagnostics.filter(({ severity }) => severity < 2).map(({ path, message }) => [path, message]),
  operations: document?.operations().all().map((operation) => ({
    action: operation.action(), messages: operation.messages().all().map((message) => message.name()),
  })),
  schemas: document?.allMessages().all().map((message) => message.payload()?.json().schema),
}));
"""

#: What draft-07 and 2020-12 both know and read alike, and `$defs`, which draft-07 ignores.
COMMON_KEYWORDS = {
    *("$schema", "$ref", "$defs", "title", "description", "examples"),
    *("type", "const", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("required", "properties", "items", "uniqueItems", "if", "then"),
}


def references(part: object) -> Iterator[str]:
    """Yield every `$ref` in a document."""
    if isinstance(part, dict):
        for keyword, value in part.items():
            if keyword == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def referenced_schemas(document: object) -> set[str]:
    files = {reference.partition("#")[0] for reference in references(document)} - {""}
    assert all(file.startswith("v1/") and file.endswith(".json") for file in files)
    return {file.removeprefix("v1/").removesuffix(".json") for file in files}


@pytest.fixture(scope="module")
def openapi() -> Any:
    return yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))


def test_the_openapi_document_is_valid_with_the_schemas_it_refers_to(openapi: Any) -> None:
    assert list(OpenAPIV31SpecValidator(openapi, base_uri=OPENAPI.as_uri()).iter_errors()) == []


def test_the_openapi_document_refers_to_the_schemas_of_http(openapi: Any) -> None:
    assert referenced_schemas(openapi) == HTTP_SCHEMAS


def test_the_openapi_document_describes_every_request_of_chapter_9(openapi: Any) -> None:
    described = {
        f"{method.upper()} {path}"
        for path, item in openapi["paths"].items()
        for method in item.keys() & {"get", "post"}
    }

    assert described == {
        "GET /.well-known/runwire",
        "GET /ws/generate",
        "POST /v1/runs",
        "GET /v1/runs/{run_id}",
        "GET /v1/runs/{run_id}/events",
        "POST /v1/runs/{run_id}/cancel",
        "POST /v1/runs/{run_id}/input",
        "POST /v1/tickets",
    }


def test_the_openapi_document_has_every_status_of_the_errors_registry(openapi: Any) -> None:
    described = {
        status
        for item in openapi["paths"].values()
        for method in item.keys() & {"get", "post"}
        for status in item[method]["responses"]
    }
    registered = {row["http_status"] for row in registries()["errors"]} - {""}

    assert registered - described == set()
    assert described - registered == {"101", "200", "202", "204", "405", "406", "426"}


@pytest.mark.parametrize("status", ["429", "503"])
def test_the_openapi_document_asks_for_retry_after(openapi: Any, status: str) -> None:
    named = {"429": "TooMany", "503": "Unavailable"}[status]

    # [LIMIT-10] with a status 429 or 503.
    assert "Retry-After" in openapi["components"]["responses"][named]["headers"]
    for item in openapi["paths"].values():
        for method in item.keys() & {"get", "post"}:
            assert item[method]["responses"][status] == {"$ref": f"#/components/responses/{named}"}


def test_every_stream_in_the_openapi_document_is_well_formed(openapi: Any) -> None:
    streams = [
        body["example"]
        for path in openapi["paths"].values()
        for method in path.keys() & {"get", "post"}
        for answer in path[method]["responses"].values()
        for kind, body in answer.get("content", {}).items()
        if kind == "text/event-stream"
    ]

    assert len(streams) == 2
    for stream in streams:
        assert stream.startswith("retry: 2000\nid: e1.")
        assert stream.endswith("}\n\n")
        assert all(len(block) < 3 for block in map(str.splitlines, stream.split("\n\n")))


def test_the_asyncapi_document_refers_to_the_schemas_of_messages() -> None:
    document = yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))

    assert referenced_schemas(document) == set(CLIENT_TYPES.values()) | set(SERVER_TYPES.values())


@pytest.mark.parametrize("name", sorted({*CLIENT_TYPES.values(), *SERVER_TYPES.values(), "common", "limits"}))
def test_the_schemas_of_messages_say_nothing_that_draft_07_reads_otherwise(name: str) -> None:
    def keywords(part: dict[str, Any]) -> Iterator[str]:
        yield from part
        for group in ("properties", "$defs"):
            for below in part.get(group, {}).values():
                yield from keywords(below)
        for keyword in {"items", "if", "then"} & part.keys():
            yield from keywords(part[keyword])

    assert set(keywords(schema(name))) - COMMON_KEYWORDS == set()


@pytest.fixture(scope="module")
def asyncapi() -> Any:
    """Return what the AsyncAPI parser makes of the document."""
    node = require_program("node", apt="nodejs")
    modules = installed(PARSER, apart="npm")
    parsed = subprocess.run(
        [node, "--input-type=module", "--eval", PARSE, str(ASYNCAPI)],
        cwd=modules.parent,
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )
    assert parsed.returncode == 0, parsed.stderr
    return json.loads(parsed.stdout)


@pytest.mark.whole
def test_the_asyncapi_document_is_valid(asyncapi: Any) -> None:
    assert asyncapi["problems"] == []


@pytest.mark.whole
def test_the_asyncapi_document_sends_each_message_in_its_direction(asyncapi: Any) -> None:
    names = {
        action: {
            name
            for operation in asyncapi["operations"]
            if operation["action"] == action
            for name in operation["messages"]
        }
        for action in ("receive", "send")
    }

    # `started` and `resumed` are only replies, which the parser does not count among an operation's messages.
    assert names == {"receive": set(CLIENT_TYPES), "send": set(SERVER_TYPES) - {"started", "resumed"}}


def test_the_asyncapi_document_holds_the_schemas_themselves(asyncapi: Any) -> None:
    def outline(part: Any) -> tuple[str, list[str]]:
        return part["title"], list(part["properties"])

    wanted = [schema(name) for name in (*CLIENT_TYPES.values(), *SERVER_TYPES.values())]

    assert sorted(map(outline, asyncapi["schemas"])) == sorted(map(outline, wanted))
