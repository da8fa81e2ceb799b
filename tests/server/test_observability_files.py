"""The dashboard and the alert rules: they load, and name the metrics that the registry has."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwire_reference_server.observability.metrics import Metrics
from runwire_spec import registries
from tests.support.patience import patience
from tests.support.programs import require_program

FILES = Path(__file__).parents[2] / "reference_server/runwire_reference_server/observability"
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((FILES / "rules.yml").read_text())
NAME = re.compile(r"\brunwire_[a-z_]+")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool beside the files."""
    program = require_program("promtool", "prometheus")
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=FILES,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]


def families() -> set[str]:
    """Return the names in the registry, and what a histogram's series are called."""
    names = set()
    for row in registries()["metrics"]:
        names.add(row["metric"])
        if row["type"] == "histogram":
            names |= {f"{row['metric']}_{part}" for part in ("bucket", "sum", "count")}
    return names


def test_the_rules_are_sound_and_fire() -> None:
    for arguments in (("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")):
        result = promtool(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_an_expression_names_registered_metrics(title: str, expression: str) -> None:
    assert set(NAME.findall(expression)) <= families(), title


def test_the_dashboard_shows_every_metric() -> None:
    shown = {re.sub("_bucket$", "", name) for _, text in expressions() for name in NAME.findall(text)}

    assert shown == {row["metric"] for row in registries()["metrics"]}


def test_the_expressions_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{place}", "expr": text.replace("$__rate_interval", "5m")}
        for place, (_, text) in enumerate(expressions())
    ]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    result = promtool("check", "rules", tmp_path / "panels.yml")

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_server_has_the_metrics_of_the_registry_and_their_labels() -> None:
    found = {}
    for family in Metrics().registry.collect():
        if family.name.startswith("runwire_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = family.type

    assert found == {row["metric"]: row["type"] for row in registries()["metrics"]}
