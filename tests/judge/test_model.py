"""The model of the judge: what it expects, what it draws, and that it finds what only a history brings about."""

from __future__ import annotations

import ast
import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import runwire_conformance
from runwire_conformance.client.options.search_options import Search
from runwire_conformance.fuzz.model import RunHistory, expected_log, judged, merged, reachable
from runwire_conformance.fuzz.plan import (
    BadPlan,
    Cancel,
    Drop,
    Plan,
    Read,
    Resume,
    Start,
    as_json,
    as_python,
    from_json,
    saved_plans,
)
from runwire_conformance.fuzz.strategies import MOST_RUNS, PlanScope, plans, valid_plan
from runwire_conformance.rules import RuleContext
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.trace import Trace
from tests.proof.flaws import catalogue
from tests.proof.flaws.flaw import FLAWS, Flaw
from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.stand import Stands
from tests.support.patience import examples, patience
from tests.support.plans import CUT, GOOD, RUN, SCRIPT, THOUGHT, done, reading, token

KIT = PlanScope(("w0", "s0"), 2, resumes=True, asks=True)
PLAN = Plan((Start("w0", SCRIPT), Read("w0", 0, 2), Drop("w0"), Resume("s0", 0, 1)))
assert catalogue.__all__


def blamed(*traces: Trace, told: RunHistory | None = None) -> str | None:
    """Return the requirement that the model blames."""
    verdict = judged([told or RunHistory(SCRIPT, RUN)], traces, RuleContext(Limits({})))
    return verdict.requirement if verdict else None


def test_the_log_of_a_script_is_known() -> None:
    steps = (
        {"repeat": 2, "steps": [{"token": "x"}]},
        {"wait_ms": 5},
        {"fail": {"code": "c", "data": "d"}},
        {"token": "y"},
    )

    assert [event["type"] for event in expected_log(steps)] == ["token", "token", "error"]
    assert reachable(({"token": "x"}, {"wait_ms": 4000}), answered=True) == 1


def test_only_like_events_merge() -> None:
    assert merged(expected_log(SCRIPT)[:2]) == {"type": "token", "data": "ab"}
    assert merged(expected_log(SCRIPT)[1:3]) is None


def test_what_the_script_says_is_good_also_merged_and_from_a_cursor() -> None:
    late = reading("resumed", token(2, "b"), THOUGHT, done(4), after=1)
    fast = reading("resumed", token(2, "ab", first_seq=1), THOUGHT, done(4), transport="websocket")

    assert blamed(GOOD, late, fast) is None


def test_a_cancel_may_cut_the_log_anywhere_but_for_all_readers_alike() -> None:
    cut = reading("started", token(1, "a"), CUT)
    told = RunHistory(SCRIPT, RUN, cancelled_at=1.0)

    assert blamed(cut, told=told) is None
    assert blamed(cut) == "SCRIPT-2"
    assert (
        blamed(cut, reading("resumed", token(1, "a"), token(2, "b"), THOUGHT, done(4)), told=told)
        == "RESUME-10"
    )


@pytest.mark.parametrize(
    ("policy", "unread_s", "blame"),
    [
        ("grace", 0.5, "RESUME-1"),
        ("grace", 31.0, None),
        ("cancel", 0.1, None),
        ("continue", 31.0, "RESUME-5"),
    ],
)
def test_who_leaves_ends_a_run_as_its_policy_says(policy: str, unread_s: float, blame: str | None) -> None:
    cut = reading("resumed", token(1, "a"), done(2, "cancelled", reason="disconnected"))
    told = RunHistory(SCRIPT, RUN, policy, was_unread=True, unread_s=unread_s)

    assert blamed(cut, told=told) == blame


@pytest.mark.parametrize(
    ("wrong", "blame"),
    [
        (reading("started", token(1, "A"), token(2, "b"), THOUGHT, done(4)), "RUN-30"),
        (reading("resumed", token(1, "A"), token(2, "b"), THOUGHT, done(4)), "RESUME-10"),
        (reading("resumed", token(2, "a"), THOUGHT, done(4), after=1), "RESUME-10"),
        (reading("resumed", token(1, "a"), token(2, "b"), THOUGHT), "RESUME-10"),
        (reading("started", token(1, "a"), token(3, "c"), done(4)), "RUN-28"),
    ],
)
def test_what_one_reader_alone_saw_is_blamed_on_how_it_reads(wrong: Trace, blame: str) -> None:
    assert blamed(wrong, GOOD) == blame


def test_what_every_reader_saw_is_blamed_on_the_run() -> None:
    assert blamed(reading("started", token(1, "A"), token(2, "b"), THOUGHT, done(4))) == "SCRIPT-1"
    assert blamed(reading("started", token(1, "a"), done(2))) == "SCRIPT-2"
    assert blamed(reading("started", token(1, "a"))) == "RUN-4"


@pytest.mark.property
@settings(max_examples=examples(60), database=None, suppress_health_check=list(HealthCheck))
@given(plans(KIT))
def test_plans_are_kept_and_mean_something(plan: Plan) -> None:
    starts = [action for action in plan.actions if isinstance(action, Start)]
    runs = [action.run for action in plan.actions if isinstance(action, Read | Resume)]

    assert from_json(as_json(plan)) == plan
    assert 1 <= len(starts) <= MOST_RUNS
    assert all(run < len(starts) for run in runs)
    assert valid_plan(plan.actions, KIT) == plan
    assert KIT.can_play(plan)
    ast.parse(as_python(plan, "RUN-4"))


def test_a_run_that_would_last_is_cancelled_in_the_end() -> None:
    plan = valid_plan([Start("w0", ({"token": "a"}, {"wait_ms": 4000}))], KIT)

    assert isinstance(plan.actions[-1], Cancel)


def test_the_model_decides_without_clock_and_socket() -> None:
    folder = Path(runwire_conformance.__file__).parent / "fuzz"

    for name in ("model", "plan", "strategies"):
        nodes = ast.walk(ast.parse((folder / f"{name}.py").read_text()))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"asyncio", "socket", "time", "threading"}, name


def test_saved_conversations_are_read_back(tmp_path: Path) -> None:
    file = Search(folder=tmp_path / "new").save(as_json(PLAN), "RUN-4")

    assert file is not None
    assert list(saved_plans(tmp_path / "new")) == [(file.name, as_json(PLAN))]
    (tmp_path / "new" / "a.json").write_text('{"runwire_plan":[{"do":"Fly"}]}')
    with pytest.raises(BadPlan, match=r"a\.json"):
        saved_plans(tmp_path / "new")


#: Flaws that only a history or chance brings about, and which the model is asked to find by itself.
FOUND = (
    "second_run_doubles_text",
    "replay_trims_text",
    "streams_of_a_cursor_trim_text",
    "streams_end_where_their_run_fails",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Verdicts, Path]]:
    """Have the model alone judge servers with each of the flaws."""
    stands, places = Stands(), asyncio.Semaphore(2)

    async def one(flaw: Flaw) -> tuple[Verdicts, Path]:
        folder = tmp_path_factory.mktemp(flaw.name)
        async with places, stands.behind(flaw.stand, flaw.make()) as (proxy, _):
            options = ["-k", "model", "--regressions", str(folder), "--seed", "3", "--examples", "120"]
            return await judge(proxy.url, options), folder

    async def every() -> list[tuple[Verdicts, Path]]:
        try:
            return await asyncio.gather(*(one(FLAWS[name]) for name in FOUND))
        finally:
            await stands.end()

    return dict(zip(FOUND, asyncio.run(every()), strict=True))


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.whole
def test_the_model_finds(name: str, found: dict[str, tuple[Verdicts, Path]]) -> None:
    verdicts, folder = found[name]

    assert FLAWS[name].requirement in verdicts.blamed, verdicts.output[-3000:]
    assert "as a case:" in verdicts.output
    assert any(file.name.startswith(FLAWS[name].requirement) for file in folder.iterdir())


@pytest.mark.whole
def test_a_saved_conversation_is_played_first_and_the_printed_case_runs(
    found: dict[str, tuple[Verdicts, Path]], tmp_path: Path
) -> None:
    name = "second_run_doubles_text"
    folder = found[name][1]
    every = [file for file in folder.iterdir() if file.name.startswith("RUN-30")]
    saved = every[0]
    case = tmp_path / "test_printed.py"
    case.write_text(as_python(from_json(saved.read_text()), "RUN-30"))

    async def both() -> tuple[Verdicts, str]:
        stands = Stands()
        try:
            async with stands.behind(FLAWS[name].stand, FLAWS[name].make()) as (proxy, _):
                again = await judge(
                    proxy.url, ["-k", "model", "--regressions", str(folder), "--examples", "1"]
                )
                command = [sys.executable, "-m", "pytest", "-q", str(case), f"--runwire-url={proxy.url}"]
                played = await asyncio.to_thread(
                    subprocess.run,
                    command,
                    capture_output=True,
                    text=True,
                    cwd=tmp_path,
                    timeout=patience(60),
                    check=False,
                )
                return again, played.stdout
        finally:
            await stands.end()

    again, output = asyncio.run(both())

    # Several cases may have saved one, and a report shows the shortest.
    assert any(f"as saved in {file.name}" in again.output for file in every), again.output[-3000:]
    assert "1 failed" in output
    assert "which another reader saw as it should be" in output


@pytest.mark.whole
def test_a_bad_regression_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("no plan")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        verdicts = asyncio.run(judge(f"http://127.0.0.1:{port}", ["--regressions", str(tmp_path)]))

    assert verdicts.exit_code == 2
    assert "bad.json: holds no plan of the model" in verdicts.output
    assert "Traceback" not in verdicts.output
