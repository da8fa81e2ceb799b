"""The conditions of the proof are legal and whole, can be tried in parts, and what came of the parts adds up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runwire_spec import registries
from tests.proof.conditioned import Conditioned, came_of
from tests.proof.conditions import CONDITIONS, EVERY, Condition, largest, one_busy_core, smallest
from tests.proof.flaws.judge import Blame, Verdicts
from tests.proof.good_servers import GOOD_SERVERS
from tests.proof.proof import planned
from tests.proof.proof_data import Proof, read, written
from tests.support.proxy_stand import PROXIES

ONE = Condition("one", "As it is.", 2)


def verdicts(exit_code: int = 0, **by_requirement: str) -> Verdicts:
    told = {name.replace("_", "-"): verdict for name, verdict in by_requirement.items()}
    blames = tuple(Blame(name, verdict, (), ()) for name, verdict in told.items() if verdict == "fail")
    return Verdicts(exit_code, "", blames, told, {}, {}, {}, 1.0)


def test_every_good_server_is_met_and_every_proxy_is_known() -> None:
    assert set(EVERY) == {"reference", *(good.name for good in GOOD_SERVERS)}
    assert {condition.proxy for condition in CONDITIONS} - {""} <= set(PROXIES)
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS)


def test_the_limits_are_all_and_legal() -> None:
    rows = {row["limit"]: row for row in registries()["limits"]}

    assert set(smallest()) == set(largest()) == set(rows)
    for name, row in rows.items():
        assert smallest()[name] == float(row["min"])
        assert float(row["min"]) <= smallest()[name] < largest()[name]
        assert not row["max"] or largest()[name] <= float(row["max"])


def test_parts_are_chosen_by_name_and_by_server() -> None:
    every = list(planned(None, None, 0, False))
    some = list(planned(["behind-*", "quiet"], ["go", "node"], 7, False))
    quick = list(planned(None, None, 0, True))

    assert [condition for condition, _, _ in every] == list(CONDITIONS)
    assert {(condition.name, tuple(servers), runs) for condition, servers, runs in some} == {
        (name, ("node", "go"), 7) for name in ("quiet", "behind-nginx", "behind-haproxy", "behind-apache")
    }
    assert {runs for _, _, runs in quick} == {1}
    assert [(condition.name, servers) for condition, servers, _ in quick] == [
        (condition.name, list(condition.quick)) for condition in CONDITIONS if condition.quick
    ]


def test_what_came_of_runs_adds_up(tmp_path: Path) -> None:
    good = came_of(ONE, "go", verdicts(RUN_1="pass", RUN_2="pass"), 10.0)
    bad = came_of(ONE, "go", verdicts(1, RUN_1="fail", RUN_2="pass"), 12.0)
    slow = came_of(ONE, "go", verdicts(3, RUN_1="not judged", RUN_2="pass"), 11.0)
    file = tmp_path / "proof.json"

    proof = Proof()
    for one in (good, bad, slow):
        proof = proof.with_news(Proof(conditions=(one,)), ())
        file.write_text(written(proof), encoding="utf-8")
        proof = read(file)

    names = {"RUN-1": 1, "RUN-1 not judged": 1}
    assert proof.conditions == (Conditioned("go", "one", "As it is.", 3, 1, 1, 1, 12.0, names),)
    assert "1 of 3 runs under 1 conditions accused a good server, 1 left" in proof.totals()
    assert proof.without_conditions([("go", "one")]).conditions == ()


def test_one_core_is_shared_and_given_back() -> None:
    cores = os.sched_getaffinity(0)

    with one_busy_core():
        seen = subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"],
            capture_output=True,
            text=True,
            check=True,
        )

    assert seen.stdout.strip() == "1"
    assert os.sched_getaffinity(0) == cores


def test_a_judge_that_shows_nothing_did_not_spare_anybody() -> None:
    stuck = came_of(ONE, "go", verdicts(-1), 600.0)
    empty = came_of(ONE, "go", verdicts(0), 1.0)

    assert (stuck.accused, stuck.names) == (1, {"exit code -1": 1})
    assert (empty.accused, empty.passed) == (1, 0)
