"""The command `runwire`: a wrong call is one line and exit code 2, and never a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from jsonschema import Draft202012Validator

from runwire_conformance.cli import COMMANDS, Command, command_called
from runwire_conformance.client.exposition import read_exposition
from runwire_conformance.report.document import report_schema
from tests.support.check_reference_server import command, listening
from tests.support.commands import RUNWIRE, closed_port, runwire
from tests.support.patience import patience

pytestmark = pytest.mark.whole


def open_connections(url: str) -> float:
    """Return how many connections a server serves."""
    with urlopen(f"{url}/metrics") as answer:
        metrics = read_exposition(answer.read().decode())
    return sum(sample.value for sample in metrics["runwire_connections"].samples)


@pytest.mark.parametrize("selection", [["--requirement", "CONN-6"], ["--class", "basic"], ["-k", "ready"]])
def test_a_selection_shows_no_class_conformant(tmp_path: Path, server_url: str, selection: list[str]) -> None:
    result = runwire(tmp_path, "check", server_url, *selection, "--badge", "b.json", "--json", "r.json")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "; partial: " in result.stdout.rstrip().splitlines()[-1]
    assert json.loads((tmp_path / "b.json").read_text())["message"] == "partial"
    report = json.loads((tmp_path / "r.json").read_text())
    assert "conformant" not in {entry["standing"] for entry in report["classes"]}


@pytest.fixture
def own_url() -> Iterator[str]:
    """The URL of a reference server that nobody else uses, for what leaves runs behind."""
    with subprocess.Popen(command(), stdout=subprocess.PIPE, text=True) as server:
        yield listening(server)
        server.kill()


def test_after_ctrl_c_what_was_judged_is_told(tmp_path: Path, own_url: str) -> None:
    judge = subprocess.Popen(
        [RUNWIRE, "check", own_url, "--json", "r.json", "--badge", "b.json", "--junitxml", "r.xml"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while judge.poll() is None and open_connections(own_url) < 5:
        time.sleep(0.05)
    judge.send_signal(signal.SIGINT)
    said, complaint = judge.communicate(timeout=patience(90))

    assert judge.returncode == 130, said + complaint
    assert "Traceback" not in said + complaint
    assert "exit 130" in said and "; partial: " in said
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exit_code"] == 130
    assert json.loads((tmp_path / "b.json").read_text())["message"] in {"partial", "1 broken"}
    assert (tmp_path / "r.xml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["not a url"], ["'not a url'", "http://host:port"]),
        (["ftp://host"], ["ftp://host", "http://host:port"]),
        (["http://[::1"], ["http://[::1"]),
        (["http://host:99999"], ["http://host:99999"]),
        (["http://"], ["http://host:port"]),
        ([], ["--runwire-url"]),
        (["http://a", "--requirement", "RUN-999"], ["RUN-999", "did you mean RUN-"]),
        (["http://a", "--class", "cores"], ["'cores'", "core"]),
        (["http://a", "--header", "nonsense"], ["'Name: value'"]),
        (["http://a", "--cafile", "none.pem"], ["none.pem"]),
        (["http://a", "--config", "none.toml"], ["none.toml", "No such file"]),
        (["http://a", "-k", "no_such_case_at_all"], ["no case matches the selection"]),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    result = runwire(tmp_path, "check", *arguments)

    assert result.returncode == 2, result.stdout + result.stderr
    complaint = (result.stdout + result.stderr).strip()
    assert len(complaint.splitlines()) == 1, complaint
    assert "Traceback" not in complaint
    assert [word for word in words if word not in complaint] == []


LISTED = list(COMMANDS.items())


@pytest.mark.parametrize(("name", "command"), LISTED, ids=[name for name, _ in LISTED])
def test_a_command_says_in_the_list_what_it_says_of_itself(name: str, command: Command) -> None:
    told = " ".join(str(command_called(name).help).split())

    assert told.startswith(command.purpose)


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (
            ["--help"],
            [
                "pytest",
                "hypothesis",
                "jsonschema",
                "websockets",
                "jinja2",
                "runwire_conformance.client.target",
            ],
        ),
        (["spec", "list"], ["pytest", "jinja2"]),
        (["validate", "-"], ["pytest", "hypothesis", "websockets", "jinja2"]),
        (["try", "http://[::1", "x"], ["pytest", "hypothesis", "jinja2"]),
    ],
)
def test_a_command_imports_what_it_uses(tmp_path: Path, arguments: list[str], unused: list[str]) -> None:
    program = (
        "import sys, runwire_conformance.cli as c\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try: c.main()\n"
        "except SystemExit: print('IMPORTED', *sys.modules)\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], input="{}", cwd=tmp_path, capture_output=True, text=True, check=True
    )

    imported = result.stdout.rpartition("IMPORTED")[2].split()
    assert "typer" in imported
    assert [name for name in unused if name in imported] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chekc"], ["'chekc'", "'check'"]),
        (["spec", "shwo"], ["'shwo'", "runwire spec --help"]),
        (["check", "http://a", "http://b"], ["'http://b'"]),
        (["check", "http://a", "--tokne", "x"], ["--tokne", "--token"]),
        (["check", "http://a", "--patience", "long"], ["--patience"]),
        (["check", "http://a", "--repeat", "0"], ["--repeat"]),
        (["check", "http://a", "--", "--no-such-option"], ["--no-such-option"]),
        (["check", "http://a", "--update-baseline"], ["--baseline FILE"]),
        (["check", "http://a", "--baseline", "none.toml"], ["none.toml", "--update-baseline"]),
        (["check", "http://a", "--badge", "no/b.json"], ["cannot write no/b.json"]),
        (["check", "http://a", "--header", "X: é"], ["'Name: value'"]),
        (["matrix", "none.json"], ["none.json"]),
        (["matrix", "none.json", "-o", "m.pdf"], ["m.pdf", ".html"]),
        (["explain", "RUNN-4"], ["RUN-4"]),
        (["explain"], ["ID"]),
        (["init", "a", "b"], ["b"]),
        (["validate", "none.jsonl"], ["none.jsonl"]),
    ],
)
def test_a_mistyped_command_is_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    result = runwire(tmp_path, *arguments)

    complaint = (result.stdout + result.stderr).strip()
    assert result.returncode == 2, complaint
    assert len(complaint.splitlines()) == 1, complaint
    assert "Traceback" not in complaint
    assert [word for word in words if word not in complaint] == []


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = runwire(tmp_path, "check", f"http://127.0.0.1:{closed_port()}")

    assert result.returncode == 2
    assert len((result.stdout + result.stderr).strip().splitlines()) == 1


def test_a_wrong_file_is_named_with_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "runwire.toml").write_text('[target]\nurl = "http://127.0.0.1:1"\ntokn = "s3cret"\n')

    result = runwire(tmp_path, "check")

    complaint = (result.stdout + result.stderr).strip()
    assert result.returncode == 2
    assert "runwire.toml:3: [target] has no key tokn" in complaint
    assert len(complaint.splitlines()) == 1
    assert "s3cret" not in complaint


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path, server_url: str) -> None:
    result = runwire(
        tmp_path, "check", server_url, "--requirement", "CONN-6", "--json", "no/such/folder/report.json"
    )

    assert result.returncode == 2
    assert "cannot write no/such/folder/report.json" in result.stderr
    assert "played" not in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_terminal_json_junit_and_exit_code_agree(tmp_path: Path, server_url: str) -> None:
    asked = ("--requirement", "CONN-6", "--requirement", "RUN-6")

    result = runwire(tmp_path, "check", server_url, *asked, "--json", "r.json", "--junitxml", "r.xml")

    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert list(Draft202012Validator(report_schema()).iter_errors(report)) == []
    assert {entry["id"]: entry["verdict"] for entry in report["requirements"]} == {
        "CONN-6": "pass",
        "RUN-6": "pass",
    }
    suite = ElementTree.parse(tmp_path / "r.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    named = {p.get("value") for p in suite.iter("property") if p.get("name") == "requirement"}
    assert named >= {"CONN-6", "RUN-6"}
    assert max(float(case.get("time") or 0) for case in suite.iter("testcase")) > 0.005
    assert "exit 0" in result.stdout


def test_what_was_not_exercised_fails_under_strict_alone(tmp_path: Path, server_url: str) -> None:
    asked = ("check", server_url, "--requirement", "DRAIN-1,CONN-6")

    loose, strict = runwire(tmp_path, *asked), runwire(tmp_path, *asked, "--strict")

    assert (loose.returncode, strict.returncode) == (0, 1), loose.stdout + strict.stdout
    assert "DRAIN-1" in loose.stdout


def test_nothing_exercised_is_nothing_shown(tmp_path: Path, server_url: str) -> None:
    assert runwire(tmp_path, "check", server_url, "--requirement", "DRAIN-1").returncode == 2


def test_the_user_s_pytest_is_left_alone(tmp_path: Path, server_url: str) -> None:
    (tmp_path / "conftest.py").write_text("raise SystemExit('the conftest of the user was run')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")

    result = runwire(
        tmp_path, "check", server_url, "--requirement", "CONN-6", PYTEST_ADDOPTS="--another-unknown-option"
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_baseline_is_written_and_holds(tmp_path: Path, server_url: str) -> None:
    asked = ("check", server_url, "--requirement", "CONN-6,DRAIN-1", "--strict", "--baseline", "known.toml")

    runs = [runwire(tmp_path, *asked, *more) for more in ((), ("--update-baseline",), ())]

    assert [run.returncode for run in runs] == [2, 0, 0], [run.stdout + run.stderr for run in runs]
    assert 'requirement = "DRAIN-1"' in (tmp_path / "known.toml").read_text()


def test_a_first_file_is_not_overwritten(tmp_path: Path) -> None:
    first, second, forced = (runwire(tmp_path, "init", *more) for more in ((), (), ("ws://a", "--force")))

    assert (first.returncode, second.returncode, forced.returncode) == (0, 2, 0)
    assert "--force" in second.stderr
    assert 'url = "ws://a"' in (tmp_path / "runwire.toml").read_text().splitlines()


def test_a_repetition_says_whether_verdicts_differed(tmp_path: Path, server_url: str) -> None:
    asked = ("check", server_url, "--requirement", "CONN-6", "--repeat", "2", "--json", "r.json", "--lf")

    result = runwire(tmp_path, *asked, "--", "--maxfail=3", XDG_CACHE_HOME=str(tmp_path / "cache"))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "Judged 2 times, with the same verdicts each time" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["repeats"] == {
        "times": 2, "steady": True, "differing": {},
    }  # fmt: skip


def test_a_token_is_in_no_output(tmp_path: Path, server_url: str) -> None:
    asked = ("check", server_url, "--requirement", "CONN-6,RUN-6", "--report", "out", "--junitxml", "r.xml")

    result = runwire(tmp_path, *asked, RUNWIRE_TOKEN="a-very-s3cret-token")

    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 3
    assert [text for text in [result.stdout, result.stderr, *written] if "s3cret" in text] == []


def test_cases_play_together(tmp_path: Path, server_url: str) -> None:
    asked = ("check", server_url, "--requirement", "BEAT-1,BEAT-2,BEAT-3", "--json", "r.json")
    seconds = []
    for options in ((), ("--concurrency", "1")):
        assert runwire(tmp_path, *asked, *options).returncode == 0
        seconds.append(json.loads((tmp_path / "r.json").read_text())["seconds"])

    together, one_by_one = seconds

    assert together < 0.7 * one_by_one


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"type":"token","data":"x","run_id":"abcdefghijklmnopqrstuvw","seq":1}\n', 0, ["valid"]),
        ('{"type":"heartbeat"}\n{"type":"token","data":7}\n', 1, ["-:2:"]),
        ('{"type":\n', 2, ["-:1:"]),
        ("", 2, ["empty"]),
        ("[1]\n", 2, ["element 0", "no JSON object"]),
    ],
)
def test_validate_names_line_and_place(tmp_path: Path, text: str, code: int, words: list[str]) -> None:
    result = runwire(tmp_path, "validate", "-", said=text)

    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert [word for word in words if word not in result.stdout + result.stderr] == []


def test_a_requirement_is_shown_by_its_id(tmp_path: Path) -> None:
    shown, listed = runwire(tmp_path, "spec", "show", "RUN-4"), runwire(tmp_path, "spec", "list")

    assert (shown.returncode, listed.returncode) == (0, 0)
    assert "RUN-4" in shown.stdout
    assert len(listed.stdout.splitlines()) > 300
