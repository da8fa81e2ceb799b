"""Publishes a page for each message, made of its schema, and an index of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import runwire_schemas

SCHEMAS = Path(runwire_schemas.__file__).parent / "v1"

Schema = Mapping[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMAS.glob("*.json"))
    }
    messages = {
        name: schema for name, schema in found.items() if "examples" in schema and "properties" in schema
    }
    files.append(File.generated(config, "messages/index.md", content=index(messages)))
    for name, schema in messages.items():
        files.append(File.generated(config, f"messages/{name}.md", content=page(name, schema)))
    return files


def index(messages: Mapping[str, Schema]) -> str:
    """Return the list of messages."""
    rows = [f"| [`{name}`]({name}.md) | {cell(schema['description'])} |" for name, schema in messages.items()]
    return "\n".join(
        ["# Messages", "", "Every message and body, as its JSON Schema says. What each means stands in the",
         "[specification](../spec/03-messages.md).", "", "| message | what it is |", "|---|---|", *rows, ""]
    )  # fmt: skip


def page(name: str, schema: Schema) -> str:
    """Return the page of one message."""
    required = set(schema.get("required", []))
    lines = [
        f"# {name}",
        "",
        schema["description"],
        "",
        "| member | | value | meaning |",
        "|---|---|---|---|",
    ]
    for member, given in schema["properties"].items():
        value = resolved(given)
        must = "required" if member in required else ""
        lines.append(f"| `{member}` | {must} | {cell(kind(value))} | {cell(value.get('description', ''))} |")
    lines += ["", "Further members may come, and are ignored ([MSG-22], [MSG-25]).", "", "## Examples", ""]
    for example in schema["examples"]:
        lines += ["```json", json.dumps(example, ensure_ascii=False, indent=2), "```", ""]
    broken = list(invalid(name))
    if broken:
        lines += ["## Not valid", "", "Vectors that every validator has to refuse, some of many:", ""]
        for title, text in broken:
            lines += [f"- {title}: `{text}`"]
    return "\n".join([*lines, ""])


def invalid(name: str, most: int = 4, longest: int = 160) -> Iterator[tuple[str, str]]:
    """Yield some vectors that break the schema, each with what is wrong."""
    broken = [one for one in runwire_schemas.vectors() if one.schema == name and not one.valid]
    short = [(one.reason.replace("-", " "), one.text.strip()) for one in broken]
    fitting = [(title, " ".join(text.split())) for title, text in short if len(text) <= longest]
    yield from [(title, text) for title, text in fitting if text.isprintable() and "`" not in text][:most]


def resolved(given: Any) -> dict[str, Any]:
    """Return a member's schema with what it refers to."""
    if not isinstance(given, dict):
        return {}
    reference = given.get("$ref")
    if reference is None:
        return given
    file, _, pointer = reference.partition("#/")
    target: Any = json.loads((SCHEMAS / file).read_text(encoding="utf-8")) if file else {}
    for part in filter(None, pointer.split("/")):
        target = target.get(part, {})
    return {**target, **{key: value for key, value in given.items() if key != "$ref"}}


def kind(value: Schema) -> str:
    """Return in a few words what a member may be."""
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    named = value.get("type", "any value")
    words = " or ".join(named) if isinstance(named, list) else named
    least, most = value.get("minimum"), value.get("maximum")
    if least is not None and most is not None and most < 2**53 - 1:
        return f"{words}, {least} to {most}"
    return f"{words}, at least {least}" if least is not None else words


def cell(words: str) -> str:
    """Return text that stays inside one cell of a table."""
    return " ".join(words.split()).replace("|", "\\|")
