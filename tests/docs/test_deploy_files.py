"""Container, compose, CI and release files: their commands, paths, options and schemas hold."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwire_conformance.cli import command_called
from runwire_reference_server.cli import parser
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_every_option_of_the_nodes_is_understood() -> None:
    for name in ("node-a", "node-b"):
        options = parser().parse_args(COMPOSE["services"][name]["command"])
        assert options.script_agent and options.behind_proxy and options.redis
    said = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert said is not None and parser().parse_args(yaml.safe_load(said[1])).log_format == "json"


def test_the_image_is_built_of_named_parts_and_runs_as_nobody_special() -> None:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    steps = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]
    known = {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    stages = [rest.rpartition(" AS ")[2] for word, rest in steps if word == "FROM" and " AS " in rest]
    bases = [rest.split()[0] for word, rest in steps if word == "FROM"]

    assert {word for word, _ in steps} <= known and steps[0][0] == "FROM"
    assert all(":" in base and not base.endswith(":latest") for base in bases)
    assert all(
        name in stages for word, rest in steps if word == "COPY" for name in re.findall(r"--from=(\S+)", rest)
    )
    assert [rest for word, rest in steps if word == "USER"][-1] not in {"root", "0"}
    assert all(
        isinstance(yaml.safe_load(rest), list) for word, rest in steps if word in {"ENTRYPOINT", "CMD"}
    )


def test_what_is_mounted_and_copied_is_there_and_published_on_loopback_alone() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), volume
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    promtool = require_program("promtool", "prometheus")
    rules = ROOT / "reference_server/runwire_reference_server/observability/rules.yml"
    for path in (DEPLOY / "prometheus.yml", rules):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    result = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-workflows", ".github/workflows/release.yml"),
        ("vendor.gitlab-ci", "docs/pages/gitlab-ci.yml"),
        ("vendor.compose-spec", "deploy/compose.yaml"),
    ],
)
def test_a_file_is_valid_by_its_schema(schema: str, path: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        cwd=ROOT, capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_judge_has_every_option_that_gitlab_uses() -> None:
    script = yaml.safe_load((ROOT / "docs/pages/gitlab-ci.yml").read_text(encoding="utf-8"))[".runwire"][
        "script"
    ]
    words = next(shlex.split(line) for line in script if "runwire check" in line)
    known = {name for parameter in command_called("check").params for name in parameter.opts}

    assert {word for word in words if word.startswith("--")} <= known


def test_the_hook_validates_what_it_is_for() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *words = shlex.split(hook["entry"])

    assert program == "runwire" and command_called(words[0]) is not None
    assert re.search(hook["files"], "talks/cancel.runwire.jsonl") and not re.search(
        hook["files"], "package.json"
    )
