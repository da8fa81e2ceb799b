"""The services of the compose file, started from Debian's packages with the same commands and provisioned files.

Grafana is no package of Debian: its dashboard's queries are put to Prometheus.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwire_client import Run
from tests.support.check_reference_server import listening
from tests.support.patience import patience
from tests.support.programs import require_program
from tests.support.redis_stand import RedisStand

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "reference_server/runwire_reference_server/observability"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
SERVER = str(Path(sys.executable).parent / "runwire-server")


@contextmanager
def running(words: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and stop it."""
    process = subprocess.Popen(words, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=patience(40))


def node(service: str, redis: str) -> list[str]:
    """Return the command of a node, on a free port of this machine alone."""
    here = {
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=8080": "--port=0",
        "--redis=redis://redis:6379/0": f"--redis={redis}",
    }
    command = COMPOSE["services"][service]["command"]
    assert set(here) <= set(command)
    return [SERVER, *(here.get(word, word) for word in command)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URLs of the two nodes, on one Redis."""
    redis = RedisStand(tmp_path_factory.mktemp("redis"))
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running(node(name, redis.url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            )
            for name in ("node-a", "node-b")
        ]
        yield [listening(one) for one in started]
    redis.kill()


class Prometheus:
    """A Prometheus with the provisioned files, whose targets are the nodes."""

    def __init__(self, folder: Path, nodes: list[str]) -> None:
        (folder / "rules.yml").write_bytes((OBSERVABILITY / "rules.yml").read_bytes())
        text = (ROOT / "deploy/prometheus.yml").read_text(encoding="utf-8")
        for name, url in zip(("node-a", "node-b"), nodes, strict=True):
            assert f'"{name}:8080"' in text
            text = text.replace(f'"{name}:8080"', f'"{urllib.parse.urlsplit(url).netloc}"')
        (folder / "prometheus.yml").write_text(text, encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self.command = [
            require_program("prometheus", "prometheus"), f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self._address}", "--log.level=error",
        ]  # fmt: skip

    def asked(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its API; None while it does not listen."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=patience(5)) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def awaited(self, query: str, least: float) -> float:
        """Wait until a query has a value of at least `least`."""
        given_up_at = time.monotonic() + patience(60)
        while time.monotonic() < given_up_at:
            found = (self.asked("query", query=query) or {"result": []})["result"]
            if found and float(found[0]["value"][1]) >= least:
                return float(found[0]["value"][1])
            time.sleep(0.3)
        raise AssertionError(f"{query} never came to {least}: {found}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, nodes: list[str]) -> Iterator[Prometheus]:
    """Prometheus, with both nodes as its targets."""
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), nodes)
    with running(made.command):
        made.awaited('sum(up{job="runwire"})', 2)
        yield made


def test_a_run_is_seen_by_the_other_node_and_counted(nodes: list[str], prometheus: Prometheus) -> None:
    async def ask() -> tuple[Run, Run]:
        first = await Run("What is AI?", discovery=nodes[0]).finished
        return first, await Run(None, discovery=nodes[1], run_id=first.id).finished

    first, second = asyncio.run(ask())

    assert first.ended is not None and first.ended["status"] == "completed", first.failure
    assert first.text == second.text != ""
    assert prometheus.awaited('sum(runwire_runs_total{status="completed"})', 1) == 1


def test_the_alert_rules_are_loaded(prometheus: Prometheus) -> None:
    given = yaml.safe_load((OBSERVABILITY / "rules.yml").read_text(encoding="utf-8"))
    loaded = prometheus.asked("rules")["groups"]

    assert [rule["name"] for group in loaded for rule in group["rules"]] == [
        rule.get("alert", rule.get("record")) for group in given["groups"] for rule in group["rules"]
    ]
    assert {rule["health"] for group in loaded for rule in group["rules"]} <= {"ok", "unknown"}


def test_every_query_of_the_dashboard_is_answered(prometheus: Prometheus) -> None:
    text = (OBSERVABILITY / "dashboard.json").read_text(encoding="utf-8")
    queries = [json.loads(f'"{found}"') for found in re.findall(r'"expr":\s*"((?:[^"\\]|\\.)*)"', text)]

    assert len(queries) > 5
    for query in queries:
        plain = query.replace("$__rate_interval", "1m").replace("$__range", "1h")
        assert prometheus.asked("query", query=plain) is not None, query


def test_the_provisioned_files_name_what_is_mounted() -> None:
    mounts = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    folder = ROOT / "deploy/grafana/provisioning"
    boards = yaml.safe_load((folder / "dashboards/runwire.yaml").read_text(encoding="utf-8"))
    source = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text(encoding="utf-8"))
    board = json.loads((OBSERVABILITY / "dashboard.json").read_text(encoding="utf-8"))

    assert any(mount.startswith(boards["providers"][0]["options"]["path"]) for mount in mounts)
    assert (
        COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounts
    )
    assert urllib.parse.urlsplit(source["datasources"][0]["url"]).hostname in COMPOSE["services"]
    assert board["uid"] and board["panels"]
