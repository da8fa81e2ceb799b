"""The schemas are sound, open and documented, and reach whoever installs the package."""

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, names, schema, validator, vectors, violations
from runwire_spec import registries

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "schemas" / "runwire_schemas"
README = ROOT / "schemas" / "README.md"

VALID = [vector for vector in vectors() if vector.valid and isinstance(json.loads(vector.text), dict)]


def member_names(part: object) -> set[str]:
    """Return the names of all members that a schema speaks of."""
    if isinstance(part, list):
        return set().union(*map(member_names, part))
    if not isinstance(part, dict):
        return set()
    return set(part.get("properties", {})).union(*map(member_names, part.values()))


def formats_of(part: object) -> set[str]:
    """Return the formats that a schema asks for."""
    if isinstance(part, list):
        return set().union(*map(formats_of, part))
    if not isinstance(part, dict):
        return set()
    own = {part["format"]} if isinstance(part.get("format"), str) else set()
    return own.union(*map(formats_of, part.values()))


KNOWN = set().union(*(member_names(schema(name)) for name in names()))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=6,
)
unknown_members = st.dictionaries(
    st.text().filter(lambda name: name not in KNOWN), json_values, min_size=1, max_size=4
)


def with_members(value: Any, members: dict[str, Any]) -> Any:
    """Return the value with the members added to each object in it."""
    if isinstance(value, list):
        return [with_members(item, members) for item in value]
    if isinstance(value, dict):
        return members | {name: with_members(item, members) for name, item in value.items()}
    return value


@pytest.mark.parametrize("name", names())
def test_a_schema_is_a_schema_of_2020_12(name: str) -> None:
    assert schema(name)["$schema"] == Draft202012Validator.META_SCHEMA["$schema"]
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", names())
def test_a_schema_says_what_it_is_for(name: str) -> None:
    assert schema(name)["title"]
    assert schema(name)["description"].endswith(".")


@pytest.mark.parametrize("name", sorted(set(names()) - {"common"}))
def test_the_examples_of_a_schema_are_valid(name: str) -> None:
    examples = schema(name)["examples"]

    assert examples
    assert [violations(name, example) for example in examples] == [[]] * len(examples)


@pytest.mark.parametrize("name", names())
def test_every_reference_of_a_schema_leads_somewhere(name: str) -> None:
    text = (PACKAGE / "v1" / f"{name}.json").read_text(encoding="utf-8")

    for file, fragment in re.findall(r'"\$ref": "([a-z_-]+)\.json(?:#/\$defs/([a-z_]+))?"', text):
        assert file in names()
        assert not fragment or fragment in schema(file)["$defs"]
    assert len(re.findall(r'"\$ref"', text)) == len(re.findall(r'"\$ref": "[a-z_-]+\.json', text))


@pytest.mark.parametrize("name", names())
def test_a_schema_is_written_in_one_layout(name: str) -> None:
    text = (PACKAGE / "v1" / f"{name}.json").read_text(encoding="utf-8")

    assert text == json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def test_every_format_is_asserted() -> None:
    formats = {found for name in names() for found in formats_of(schema(name))}

    assert formats
    assert formats <= set(Draft202012Validator.FORMAT_CHECKER.checkers)


@pytest.mark.parametrize("name", names())
def test_a_pattern_means_the_same_to_python_and_to_ecmascript(name: str) -> None:
    text = (PACKAGE / "v1" / f"{name}.json").read_text(encoding="utf-8")

    # The validator reads every `$` as the end, so none may stand for itself; `\d` and the like differ.
    for pattern in map(json.loads, re.findall(r'"pattern": (".*")', text)):
        assert not re.search(r"\\[^+.]|\[[^\]]*\$", pattern)


def test_a_newline_at_the_end_does_not_pass_a_pattern() -> None:
    assert violations("cancel", {"type": "cancel", "run_id": "r" * 21}) == []
    assert [one.keyword for one in violations("cancel", {"type": "cancel", "run_id": "r" * 21 + "\n"})] == [
        "pattern"
    ]


def test_no_schema_forbids_members_it_does_not_know() -> None:
    closing = {"additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties"}

    for file in (PACKAGE / "v1").glob("*.json"):
        assert closing & set(re.findall(r'"(\w+)":', file.read_text(encoding="utf-8"))) == set(), file.name


@given(vector=st.sampled_from(VALID), members=unknown_members)
def test_unknown_members_are_always_accepted(vector: Any, members: dict[str, Any]) -> None:
    instance = with_members(json.loads(vector.text), members)

    assert validator(vector.schema).is_valid(instance)


@given(
    kind=st.text(min_size=1).filter(lambda kind: kind not in {*CLIENT_TYPES, *SERVER_TYPES}),
    members=unknown_members,
)
def test_unknown_types_are_always_accepted(kind: str, members: dict[str, Any]) -> None:
    assert validator("client-message").is_valid({**members, "type": kind})
    assert validator("server-message").is_valid({**members, "type": kind})


def test_the_limits_of_the_schema_are_those_of_the_registry() -> None:
    registered = [row["limit"] for row in registries()["limits"]]
    optional = [row["limit"] for row in registries()["optional_limits"]]

    assert list(schema("limits")["properties"]) == registered + optional
    assert sorted(schema("discovery")["properties"]["limits"]["required"]) == sorted(registered)


def test_the_examples_of_limits_are_the_registry_s_defaults() -> None:
    defaults = {row["limit"]: json.loads(row["default"]) for row in registries()["limits"]}

    assert schema("limits")["examples"] == [defaults]


def test_the_unions_hold_every_type() -> None:
    for union, types in (("client-message", CLIENT_TYPES), ("server-message", SERVER_TYPES)):
        branches = {
            rule["if"]["properties"]["type"]["const"]: rule["then"]["$ref"]
            for rule in schema(union)["allOf"]
            if "properties" in rule["if"]
        }

        assert branches == {kind: f"{name}.json" for kind, name in types.items()}


def test_the_table_in_the_readme_has_every_schema_once() -> None:
    rows = re.findall(
        r"^\| .* \| \[`([a-z_-]+)`\]\(runwire_schemas/v1/([a-z_-]+)\.json\) \|",
        README.read_text(encoding="utf-8"),
        re.MULTILINE,
    )

    assert sorted(name for name, _ in rows) == list(names())
    assert [name for name, _ in rows] == [file for _, file in rows]


def test_the_chapters_in_the_readme_exist() -> None:
    linked = re.findall(r"\[(\d+)\]\(\.\./spec/(\d\d)-([a-z-]+\.md)\)", README.read_text(encoding="utf-8"))

    assert linked
    for number, prefix, name in linked:
        assert int(number) == int(prefix)
        assert (ROOT / "spec" / f"{prefix}-{name}").is_file()


@pytest.mark.whole
def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("runwire-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name: archive.read(name) for name in archive.namelist() if name.startswith("runwire_schemas/")
        }
    with zipfile.ZipFile(io.BytesIO(packed.pop("runwire_schemas/v1.zip"))) as archive:
        packed |= {f"runwire_schemas/v1/{name}": archive.read(name) for name in archive.namelist()}

    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    held = {path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes() for path in files}
    assert sorted(packed) == sorted(held)
    assert [name for name in held if packed[name] != held[name]] == []
