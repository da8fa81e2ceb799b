"""`runwire load`: bounded, judged, and for a server of one's own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from runwire_conformance.cli.load import is_loopback
from runwire_conformance.client.discovery.locate import locate
from runwire_conformance.client.target import Options
from runwire_conformance.tools.load import Load, LoadPlan, Times, load, report_text
from tests.support.commands import runwire

pytestmark = pytest.mark.whole

SCRIPT = json.dumps({"runwire_script": [{"token": "a"}, {"wait_ms": 50}, {"token": "b"}]})


def test_runs_are_counted_measured_cancelled_and_judged(server_url: str) -> None:
    async def play() -> Load:
        profile = await locate(server_url, Options())
        return await load(profile, Options(), LoadPlan(SCRIPT, runs=20, concurrency=4))

    result = asyncio.run(play())

    assert result.ended == Counter(completed=18, cancelled=2)
    assert (result.broken, result.failures) == (Counter(), Counter())
    assert (len(result.first_event), len(result.cancels)) == (20, 2)
    assert 0 < result.busy < 1.5
    assert result.exit_code == 0


def test_no_run_begins_after_its_time(server_url: str) -> None:
    async def play() -> Load:
        profile = await locate(server_url, Options())
        return await load(profile, Options(), LoadPlan(SCRIPT, runs=10_000, concurrency=2, seconds=0.5))

    assert 0 < sum(asyncio.run(play()).ended.values()) < 1000


def test_what_breaks_fails_the_load_and_is_told() -> None:
    result = Load(ended=Counter(completed=1), broken=Counter({"RUN-5": 3}), shown={"RUN-5": "token after"})

    assert result.exit_code == 1
    assert "3 × [RUN-5] token after" in report_text(result)
    assert Load().exit_code == 2


def test_percentiles_are_those_of_the_times() -> None:
    times = Times()
    assert str(times) == "none"
    for number in range(1, 101):
        times.add(number / 1000)

    assert len(times) == 100
    assert str(times) == "p50 50.0 ms · p90 90.0 ms · p99 99.0 ms · max 100.0 ms"


def test_a_generator_that_is_the_bottleneck_says_so() -> None:
    assert "is the bottleneck" in report_text(Load(ended=Counter(completed=1), busy=0.97))
    assert "97%" in report_text(Load(ended=Counter(completed=1), busy=0.97))
    assert "bottleneck" not in report_text(Load(ended=Counter(completed=1), busy=0.5))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://localhost:1", True),
        ("ws://[::1]:1/x", True),
        ("http://127.9.9.9", True),
        ("http://example.com", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
    ],
)
def test_only_this_machine_is_loaded_unasked(url: str, own: bool) -> None:
    assert is_loopback(url) is own


def test_another_machine_needs_the_user_s_word(tmp_path: Path) -> None:
    result = runwire(tmp_path, "load", "http://192.0.2.1:8080")

    assert result.returncode == 2
    assert "--yes-this-is-my-server" in result.stderr
