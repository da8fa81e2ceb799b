"""What `runwire check-client` writes and leaves out: JUnit XML, a time limit, an interruption, remarks."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from runwire_conformance.tools.check_client.client_under_test.profile import profile_of
from runwire_conformance.tools.check_client.expected.expectation_result import (
    ExpectationResult,
    ExpectationState,
)
from runwire_conformance.tools.check_client.judging import ClientUnderTest, Selection, report_of
from runwire_conformance.tools.check_client.junit import as_junit
from runwire_conformance.tools.check_client.play import PlayResult
from runwire_conformance.tools.check_client.scenario import scenarios
from runwire_conformance.tools.check_client.suite import Suite
from runwire_conformance.verdict.judgement import Verdict
from tests.proof.clients.careful import Client, Message
from tests.proof.clients.judging import played
from tests.proof.clients.launching import launcher
from tests.support.patience import patience

RUNWIRE = str(Path(sys.executable).parent / "runwire")
ALL = profile_of(["all"], [])


def play_of(name: str, transport: str, state: ExpectationState, reason: str = "", **more: Any) -> PlayResult:
    scenario = next(one for one in scenarios() if one.name == name)
    standings = tuple((one, ExpectationResult(state, reason)) for one in scenario.expectations)
    return PlayResult(scenario, transport, standings, (), (), 1.5, **more)


def test_junit_has_a_test_for_each_play() -> None:
    suite = Suite(ALL, launcher(Client))
    suite.plays = [
        play_of("a_replaced_answer", "sse", ExpectationState.HELD),
        play_of("a_replaced_answer", "websocket", ExpectationState.BROKEN, "it shows \x1b[1m\x00 <both>"),
        play_of("a_gathered_stream", "sse", ExpectationState.NOT_EXERCISED, "it never asked"),
        play_of("a_hole", "sse", ExpectationState.PENDING, error="Traceback\n  at fault"),
    ]
    report = report_of(suite, ClientUnderTest(("x",), ALL, Selection()), 4.0)

    found = ElementTree.fromstring(as_junit(suite.plays, report)).find("testsuite")

    assert found is not None
    counts = {name: found.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    cases = {case.get("name"): case for case in found.iter("testcase")}
    broken = cases["a_replaced_answer[websocket]"].find("failure")
    assert broken is not None and broken.get("message") == "[EVENT-6] it shows \ufffd[1m\ufffd <both>"
    assert [one.get("value") for one in cases["a_hole[sse]"].iter("property")] == ["RESUME-21"]
    assert cases["a_replaced_answer[sse]"].get("time") == "1.500"


def test_what_a_time_limit_leaves_over_is_not_judged() -> None:
    suite = Suite(ALL, launcher(Client), patience(10), time_limit_s=0.001)
    asyncio.run(suite.run())

    report = report_of(suite, ClientUnderTest(("x",), ALL, Selection()), 1.0)

    assert {one.verdict for one in report.judgements} == {Verdict.NOT_JUDGED}
    assert {reason for one in report.judgements for reason in one.reasons} == {
        "the time limit of 0.001 s expired"
    }
    assert (report.partial, report.exit_code()) == ("the time limit expired", 3)
    assert {one.standing for one in report.classes} == {"partial"}


def sleeping() -> list[str]:
    """A client that says that it was started, and does nothing."""
    script = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(600)"
    options = ["--quiet", "--patience=600", "--json", "r.json", "--junitxml", "r.xml"]
    return [RUNWIRE, "check-client", *options, "--", sys.executable, "-c", script]


def test_a_time_limit_ends_with_3_and_says_so_in_every_report(tmp_path: Path) -> None:
    words = sleeping()
    words.insert(2, "--time-limit=2")

    ended = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=patience(120), check=False
    )

    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    skipped = list(ElementTree.parse(tmp_path / "r.xml").iter("skipped"))
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert document["partial"] == "the time limit expired"
    assert "--time-limit 2" in document["command"]
    assert {one.get("message") for one in skipped} == {"the time limit of 2 s expired"}


def test_what_an_interruption_leaves_over_is_not_judged(tmp_path: Path) -> None:
    with subprocess.Popen(
        sleeping(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as judge:
        deadline = time.monotonic() + patience(60)
        while not (tmp_path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        judge.send_signal(signal.SIGINT)
        said, _ = judge.communicate(timeout=patience(60))

    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    verdicts = {entry["verdict"] for entry in document["requirements"]}
    assert judge.returncode == 130, said
    assert (document["partial"], verdicts - {"not offered"}) == ("interrupted", {"not judged"})
    assert "Traceback" not in said


class HurriesWhenItIsAskedToWait(Client):
    def asked_to_wait_s(self, _message: Message) -> float:
        return 0.0

    def wait_s(self, _again: object) -> float:
        return 0.1


def test_a_client_that_does_not_wait_as_long_as_it_is_asked_to_is_told_and_not_accused() -> None:
    told = {}
    for kind in (Client, HurriesWhenItIsAskedToWait):
        suite = asyncio.run(played(kind, patience(4), frozenset(["ERR-8"])))
        report = report_of(suite, ClientUnderTest(("x",), ALL, Selection(frozenset(["ERR-8"]))), 1.0)
        assert [one.verdict for one in report.judgements] == [Verdict.PASS]
        told[kind] = [
            remark for remark in report.remarks if remark.startswith("The client was asked to wait 2 s")
        ]

    assert (told[Client], len(told[HurriesWhenItIsAskedToWait])) == ([], 2)
