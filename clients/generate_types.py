"""`python clients/generate_types.py`: writes the types of all messages from their schemas, in two languages."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, names, schema

HERE = Path(__file__).parent
PYTHON = HERE / "python/runwire_client/messages.py"
TYPESCRIPT = HERE / "javascript/types/messages.d.ts"

#: Schemas that choose between others; here they are unions.
CHOICES = frozenset({"client-message", "server-message"})
MESSAGES = frozenset({*CLIENT_TYPES.values(), *SERVER_TYPES.values()})

_PYTHON = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
_TYPESCRIPT = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}

Schema = Mapping[str, Any]
Objects = dict[str, Schema]


def type_name(schema_name: str) -> str:
    """Return the name of a schema's type: `tool_call` is ToolCallMessage, `run-status` RunStatus."""
    words = "".join(word.capitalize() for word in schema_name.replace("-", "_").split("_"))
    return words + ("Message" if schema_name in MESSAGES else "")


def objects() -> Objects:
    """Return every schema of an object by the name of its type, what it refers to resolved."""
    found: Objects = {}
    for name in names():
        if "properties" in schema(name) and name not in CHOICES:
            found |= _objects(type_name(name), schema(name))
    return found


def _objects(name: str, given: Schema) -> Objects:
    inner: Objects = {}
    members = {member: _resolved(value) for member, value in given["properties"].items()}
    for member, value in members.items():
        if "properties" in value:
            own_name = name + member.title().replace("_", "")
            inner |= _objects(own_name, value)
            value["type_name"] = own_name
    return {**inner, name: {**given, "properties": members}}


def _resolved(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        return {}
    reference = given.get("$ref")
    if reference is None:
        if isinstance(items := given.get("items"), dict):
            return {**given, "items": _resolved(items)}
        return dict(given)
    file, _, pointer = reference.partition("#/")
    target: Any = schema(file.removesuffix(".json"))
    if not pointer:
        return {"type_name": type_name(file.removesuffix(".json")), **_described(target), **_described(given)}
    for part in pointer.split("/"):
        target = target[part]
    return {**_resolved(target), **{key: value for key, value in given.items() if key != "$ref"}}


def _described(given: Schema) -> dict[str, Any]:
    return {"description": given["description"]} if "description" in given else {}


def unions() -> dict[str, list[str]]:
    """Return the unions by name: what a client sends, what a server sends, and the events of a run."""
    events = [name for name in SERVER_TYPES.values() if "seq" in schema(name)["properties"]]
    chosen = {
        "ClientMessage": CLIENT_TYPES.values(),
        "ServerMessage": SERVER_TYPES.values(),
        "RunEvent": events,
    }
    return {union: [type_name(name) for name in parts] for union, parts in chosen.items()}


def python() -> str:
    """Return the module of TypedDicts."""
    lines = [
        '"""The messages and documents of Runwire, as types. Generated from the schemas by `make generate`."""',
        "# ruff: noqa: E501",
        "# fmt: off",
        "",
        "from __future__ import annotations",
        "",
        "from typing import Any, Literal, NotRequired, TypeAlias, TypedDict",
    ]
    for name, given in objects().items():
        lines += ["", "", f"class {name}(TypedDict):"]
        lines += [*_docstring(given["description"], "    "), ""] if "description" in given else []
        for member, value in given["properties"].items():
            kind = _python(value)
            kind = kind if member in given.get("required", []) else f"NotRequired[{kind}]"
            lines += [f"    {member}: {kind}", *_docstring(value.get("description", ""), "    ")]
    lines.append("")
    for union, parts in unions().items():
        lines += ["", f"{union}: TypeAlias = (", *_joined(parts), ")"]
    return "\n".join([*lines, ""])


def _docstring(text: str, indent: str) -> list[str]:
    return [f'{indent}"""{text}"""'] if text else []


def _joined(parts: list[str]) -> Iterator[str]:
    yield f"    {parts[0]}"
    yield from (f"    | {part}" for part in parts[1:])


def _python(value: Schema) -> str:
    if "type_name" in value:
        return str(value["type_name"])
    if "const" in value or "enum" in value:
        return f"Literal[{', '.join(json.dumps(one) for one in value.get('enum', [value.get('const')]))}]"
    match value.get("type"):
        case "array":
            return f"list[{_python(value.get('items', {}))}]"
        case "object":
            return "dict[str, Any]"
        case list() as several:
            return " | ".join(_python({"type": one}) for one in several)
        case None:
            return "Any"
        case other:
            return _PYTHON[other]


def typescript() -> str:
    """Return the module of interfaces."""
    lines = [
        "// The messages and documents of Runwire, as types. Generated from the schemas by `make generate`."
    ]
    for name, given in objects().items():
        lines += ["", *_comment(given.get("description", ""), ""), f"export interface {name} {{"]
        for member, value in given["properties"].items():
            mark = "" if member in given.get("required", []) else "?"
            lines += [
                *_comment(value.get("description", ""), "  "),
                f"  {member}{mark}: {_typescript(value)};",
            ]
        lines.append("}")
    for union, parts in unions().items():
        lines += ["", f"export type {union} =", *(f"  | {part}" for part in parts)]
        lines[-1] += ";"
    return "\n".join([*lines, ""])


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}/** {text.replace('*/', '* /')} */"] if text else []


def _typescript(value: Schema) -> str:
    if "type_name" in value:
        return str(value["type_name"])
    if "const" in value or "enum" in value:
        return " | ".join(json.dumps(one) for one in value.get("enum", [value.get("const")]))
    match value.get("type"):
        case "array":
            inner = _typescript(value.get("items", {}))
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case "object":
            return "Record<string, unknown>"
        case list() as several:
            return " | ".join(_typescript({"type": one}) for one in several)
        case None:
            return "unknown"
        case other:
            return _TYPESCRIPT[other]


def generated() -> dict[Path, str]:
    """Return what the generated files have to hold."""
    return {PYTHON: python(), TYPESCRIPT: typescript()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
