"""The generated types: what the schemas say, and what compilers make of them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

import pytest

import runwire_schemas
from runwire_client import messages
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("generate_types", ROOT / "clients/generate_types.py")
assert spec is not None and spec.loader is not None
generator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generator)


@pytest.mark.parametrize("path", generator.generated(), ids=lambda path: path.name)
def test_what_is_committed_is_what_the_schemas_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generator.generated()[path], "run: make generate"


def test_every_schema_of_an_object_has_a_type_with_its_members() -> None:
    for name in generator.MESSAGES | {"discovery", "limits", "problem", "run-status", "ticket"}:
        schema = runwire_schemas.schema(name)
        hints = get_type_hints(getattr(messages, generator.type_name(name)), include_extras=True)
        required = {member for member, kind in hints.items() if get_origin(kind) is not NotRequired}

        assert set(hints) == set(schema["properties"])
        assert required == set(schema.get("required", []))


def test_the_events_of_a_run_are_those_with_a_place_in_its_log() -> None:
    types = {get_args(get_type_hints(one)["type"])[0] for one in get_args(messages.RunEvent)}

    assert types == {
        *("token", "replace", "thinking", "tool_delta", "tool_call", "observation"),
        *("input_request", "input_closed", "done", "error"),
    }


def values(name: str) -> Iterator[dict[str, Any]]:
    """Yield the valid vectors of a message, without members that its schema does not name."""
    known = runwire_schemas.schema(name)["properties"]
    for vector in runwire_schemas.vectors():
        if vector.schema == name and vector.valid:
            message = json.loads(vector.text, parse_float=lambda text: int(float(text)))
            yield {member: value for member, value in message.items() if member in known}


def broken(name: str) -> Iterator[dict[str, Any]]:
    """Yield messages that no compiler may take: one without each required member, and one with a number for a type."""
    good = next(values(name))
    for member in runwire_schemas.schema(name)["required"]:
        yield {key: value for key, value in good.items() if key != member}
    yield {**good, "type": 7}


@pytest.mark.whole
def test_typescript_takes_what_is_valid_and_nothing_else(tmp_path: Path) -> None:
    node = require_program("node", apt="nodejs")
    compiler = installed("typescript@5") / "typescript/bin/tsc"
    lines = ['import type * as m from "./messages.js";']
    for name in sorted(generator.MESSAGES):
        kind = f"m.{generator.type_name(name)}"
        lines += [f"({json.dumps(one)}) satisfies {kind};" for one in values(name)]
        for one in broken(name):
            lines += ["// @ts-expect-error it breaks its schema", f"({json.dumps(one)}) satisfies {kind};"]
    (tmp_path / "messages.d.ts").write_bytes(generator.TYPESCRIPT.read_bytes())
    (tmp_path / "use.ts").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    result = subprocess.run(
        [node, compiler, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "use.ts"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(300), check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout[-3000:]
    assert len(lines) > 200


@pytest.mark.whole
def test_mypy_takes_what_is_valid_and_nothing_else(tmp_path: Path) -> None:
    lines = ["from runwire_client import messages as m"]
    for name in sorted(generator.MESSAGES):
        kind = f"m.{generator.type_name(name)}"
        number = len(lines)
        lines += [f"v{number + at}: {kind} = {one!r}" for at, one in enumerate(values(name))]
        for at, one in enumerate(broken(name)):
            lines.append(f"b{number}_{at}: {kind} = {one!r}  # type: ignore[typeddict-item]")
    lines += [
        "def told(event: m.RunEvent) -> str:",
        "    if event['type'] == 'observation':",
        "        reveal_type(event['content'])",
        "        return str(event['data'])  # type: ignore[typeddict-item]",
        "    return event['data'] if event['type'] == 'token' else ''",
    ]
    (tmp_path / "use.py").write_text("\n".join(lines), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "use.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(300), check=False,
    )  # fmt: skip

    errors = [line for line in result.stdout.splitlines() if "error:" in line]
    assert errors == [] and result.returncode == 0, result.stdout[-3000:] + result.stderr
    assert 'Revealed type is "Any"' in result.stdout
