"""Publishes a page for each message, made of its schema, and an index of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import runwire_schemas
from runwire_spec import registries

SCHEMAS = Path(runwire_schemas.__file__).parent / "v1"

Schema = Mapping[str, Any]

#: What members are whose schema says only what values they have, or what all of their kind have in common.
MEANINGS = {
    "type": "Which message this is.",
    "run_id": "The run, by an identifier from a good random source.",
    "session_id": "The session that the run belongs to, by an identifier from a good random source.",
    "re": "The `id` of the client's message that this answers.",
    "version": "The protocol version that the connection speaks.",
    "connection_id": "Names the connection.",
    "protocol": "Always `runwire`.",
    "versions": "The protocol versions that the server speaks.",
    "endpoints": "Where the server listens, as URLs that may be relative to this document's.",
    "auth": "The ways to authenticate: `none`, `bearer`, `ticket`, `cookie`.",
    "script_agent": "Whether the [script agent](../spec/16-script-agent.md) is served.",
    "server": "The software that answers.",
    "ticket": "The credential.",
    "expires_in_s": "How long the ticket can be redeemed, in seconds.",
    "retryable": "Whether trying again can help.",
}
#: The same for bodies in which the name means something else.
OTHER_MEANINGS = {
    ("run-outcome", "seq"): "The last `seq` of the log; 0 when it is empty.",
    ("problem", "type"): "The kind of problem as a URI; `about:blank` when absent.",
    ("problem", "status"): "The status of the HTTP response.",
    ("problem", "instance"): "This occurrence of the problem, as a URI.",
}


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
        "<small>[All messages](index.md)</small>",
        "",
        schema["description"],
        "",
        "| member | value | meaning |",
        "|---|---|---|",
    ]
    for member, given in schema["properties"].items():
        value = kind(resolved(given)) + (", *required*" if member in required else "")
        lines.append(f"| `{member}` | {cell(value)} | {cell(meaning(name, member, given))} |")
    lines += ["", "Further members may come, and are ignored ([MSG-22], [MSG-25]).", "", "## Examples", ""]
    for example in schema["examples"]:
        lines += ["```json", json.dumps(example, ensure_ascii=False, indent=2), "```", ""]
    broken = list(invalid(name, schema))
    if broken:
        lines += ["## Not valid", "", "Faults that every validator has to find, some of many:", ""]
        lines += [f"- {title}" + (f": `{text}`" if text else "") for title, text in broken]
    return "\n".join([*lines, ""])


def meaning(name: str, member: str, given: Any) -> str:
    """Return what a member is: in the schema's words, the registry's, or else in those that stand here."""
    if name == "limits":
        for row in registries()["limits"]:
            if row["limit"].strip("`") == member:
                words = row["meaning"]
                return f"{words[:1].upper()}{words[1:]}; {row['default']} by default."
    own: str | None = (given.get("description") if isinstance(given, dict) else None) or OTHER_MEANINGS.get(
        (name, member)
    )
    value = resolved(given)
    words = own or MEANINGS.get(member) or value.get("description", "")
    if member == "limits":
        return f"{words} See [limits](limits.md)."
    within = ", ".join(f"`{one}`" for one in value.get("properties", {}))
    return f"{words} Members: {within}." if within else words


def invalid(name: str, schema: Schema, most: int = 4, longest: int = 160) -> Iterator[tuple[str, str]]:
    """Yield some faults of vectors that break the schema, each of another member, with the text that has it."""
    order = list(schema["properties"])
    broken = [one for one in runwire_schemas.vectors() if one.schema == name and not one.valid]
    broken.sort(key=lambda one: order.index(top) if (top := member_of(one.reason)) in order else len(order))
    members, faults = set[str](), set[str]()
    for one in broken:
        member, fault = member_of(one.reason), one.reason.partition("-")[2]
        text = faulty(one.text, one.reason)
        if (
            member in members
            or fault in faults
            or len(text) > longest
            or not text.isprintable()
            or "`" in text
        ):
            continue
        members.add(member)
        faults.add(fault)
        yield one.reason.replace("-", " "), text
        if len(members) == most:
            return


def member_of(reason: str) -> str:
    """Return the outermost member that a vector's reason names."""
    return reason.partition("-")[0].partition(".")[0]


def faulty(text: str, reason: str) -> str:
    """Return the member that a vector's reason names, as the vector has it: nothing if it is missing."""
    path, _, fault = reason.partition("-")
    value = json.loads(text)
    if path == "whole" or " in a " in fault:
        return " ".join(text.split())
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return "" if fault == "missing" else " ".join(text.split())
        value = value[part]
    return json.dumps({path.rpartition(".")[2]: value}, ensure_ascii=False)[1:-1]


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
    if words == "array" and (each := resolved(value.get("items")).get("type")):
        return f"array, each {each}"
    least, most = value.get("minimum"), value.get("maximum")
    if least is not None and most is not None and most < 2**53 - 1:
        return f"{words}, {least} to {most}"
    return f"{words}, at least {least}" if least is not None else words


def cell(words: str) -> str:
    """Return text that stays inside one cell of a table."""
    return " ".join(words.split()).replace("|", "\\|")
