"""The linter of the specification: each rule is seen to fire, and says where and what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runwire_spec import catalogue, registries
from runwire_spec.__main__ import HERE, generated, read_chapters
from runwire_spec.extract import extract
from tests.support.patience import patience

GOOD = """# 4 Runs

Class: `core`

**[RUN-1]** A server MUST end every run once.

> Why: nobody waits for ever.

Lower-case may and must are ordinary words, `MUST` in code is, too.

```text
A server MUST not be read here.
```

**[RUN-2]** A client SHOULD wait. *(Class `basic`.)* *(Not observable: it is
patience.)*

**[RUN-3]** *(Withdrawn: it said [RUN-1] again.)*

See [RUN-1] and [the chapter](04-runs.md#RUN-2).

Registry: `classes`

| class | what |
|---|---|
| `basic` | little |
| `core` | all |
"""


def problems(text: str, name: str = "04-runs.md", **others: str) -> list[str]:
    """Return what the linter says of one chapter."""
    return [str(problem) for problem in extract({name: text, **others}).problems]


def test_a_good_chapter_is_read_as_it_stands() -> None:
    found = extract({"04-runs.md": GOOD})

    assert found.problems == []
    first, second = found.requirements
    assert (first.id, first.keyword, first.role, first.conformance_class) == (
        "RUN-1",
        "MUST",
        "server",
        "core",
    )
    assert first.sentence == "A server MUST end every run once."
    assert first.why == "nobody waits for ever."
    assert (second.conformance_class, second.not_observable_because) == ("basic", "it is patience")
    assert found.withdrawn == {"RUN-3"}
    assert found.registries["classes"] == [
        {"class": "basic", "what": "little"},
        {"class": "core", "what": "all"},
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "See [RUN-1]",
            "It MUST be. See [RUN-1]",
            "04-runs.md:20: MUST stands outside an identified sentence",
        ),
        ("SHOULD wait", "SHOULD and MAY wait", "[RUN-2] must hold exactly one keyword, not SHOULD and MAY"),
        ("SHOULD wait", "waits", "[RUN-2] must hold exactly one keyword, not none"),
        ("SHOULD wait", "SHALL wait", "[RUN-2] must hold exactly one keyword, not SHALL"),
        ("**[RUN-2]**", "**[RUN-1]**", "[RUN-1] is used twice; ids are never used again"),
        ("**[RUN-2]**", "**[RUN-3]**", "[RUN-3] is used twice; ids are never used again"),
        ("**[RUN-2]**", "**[RUN-4]**", "RUN-2 missing: withdraw a requirement, do not delete it"),
        ("A client SHOULD", "Clients SHOULD", "[RUN-2] must begin with its role, 'A server' or 'A client'"),
        ("SHOULD wait.", "SHOULD wait. Or not.", "[RUN-2] must be one sentence that ends with a full stop"),
        ("SHOULD wait.", "SHOULD wait", "[RUN-2] must be one sentence that ends with a full stop"),
        ("Class: `core`\n", "", "[RUN-1] belongs to no class; write Class: under the heading"),
        ("Class: `core`", "Class: `other`", "[RUN-1] names the class other, which is not registered"),
        ("See [RUN-1]", "See [RUN-9]", "[RUN-9] refers to no requirement"),
        ("#RUN-2)", "#RUN-9)", "the link 04-runs.md#RUN-9 refers to no requirement"),
        ("](04-runs.md", "](05-gone.md", "the link 05-gone.md#RUN-2 leads to no chapter"),
        ("| `core` |", "| `basic` |", "registry `classes` holds basic twice"),
        ("| `core` | all |", "| `core` |", "registry `classes`: 1 cells, not 2"),
        ("|---|---|\n", "", "registry `classes` must be followed by a table with at least one row"),
        ("See [RUN-1]", "Class: `core`\n\nSee [RUN-1]", "a Class: line must stand directly under a heading"),
        (
            "| `core` | all |\n",
            "| `core` | all |\n\nRegistry: `classes`\n\n| class |\n|---|\n| `core` |\n",
            "registry `classes` is defined twice",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, said: str) -> None:
    assert GOOD.count(old) >= 1

    found = problems(GOOD.replace(old, new, 1))

    assert any(said in problem for problem in found), found


def test_requirements_stand_in_numbered_chapters() -> None:
    assert any(
        "[RUN-1] must stand in a numbered chapter" in said
        for said in problems(GOOD.replace("04-runs.md", "primer.md"), "primer.md")
    )


def test_a_prefix_belongs_to_one_chapter() -> None:
    other = "# 5\n\nClass: `core`\n\n**[RUN-4]** A server MUST go on.\n"

    found = problems(GOOD, **{"05-more.md": other})

    assert found == ["05-more.md:1: [RUN-4]: the prefix RUN belongs to 04-runs.md"]


def lint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "runwire_spec", *arguments],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )


def test_the_command_tells_stale_files_and_makes_them_anew(tmp_path: Path) -> None:
    (tmp_path / "04-runs.md").write_text(GOOD, encoding="utf-8")
    places = ("--spec-dir", str(tmp_path), "--out-dir", str(tmp_path))

    stale = lint("check", *places)
    made = lint("generate", *places)
    fresh = lint("check", *places)

    assert (stale.returncode, made.returncode, fresh.returncode) == (1, 0, 0)
    assert stale.stderr == "requirements.json is not what the text says; run: make generate\n"
    assert fresh.stdout == "2 requirements, 1 registries\n"
    assert [entry["id"] for entry in json.loads((tmp_path / "requirements.json").read_text())] == [
        "RUN-1",
        "RUN-2",
    ]


def test_a_published_requirement_cannot_vanish(tmp_path: Path) -> None:
    (tmp_path / "04-runs.md").write_text(GOOD, encoding="utf-8")
    places = ("--spec-dir", str(tmp_path), "--out-dir", str(tmp_path))
    lint("generate", *places)
    (tmp_path / "04-runs.md").write_text(
        "\n\n".join(part for part in GOOD.split("\n\n") if "RUN-2" not in part and "RUN-3" not in part),
        encoding="utf-8",
    )

    found = lint("generate", *places)

    assert found.returncode == 1
    assert found.stderr == "spec:1: [RUN-2] is gone from the text: withdraw it, do not delete it\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: command"),
        (["lint"], "invalid choice: 'lint'"),
        (["check", "--spec-dir", "no-such-folder"], "no chapters (*.md) in no-such-folder"),
    ],
)
def test_a_wrong_call_ends_with_2(arguments: list[str], said: str) -> None:
    result = lint(*arguments)

    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_the_generated_files_are_what_the_chapters_say() -> None:
    result = extract(read_chapters(HERE.parent))

    assert result.problems == []
    for name, content in generated(result).items():
        assert (HERE / name).read_text(encoding="utf-8") == content
    assert list(catalogue()) == [requirement.id for requirement in result.requirements]
    assert registries() == result.registries
