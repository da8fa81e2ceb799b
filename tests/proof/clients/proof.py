"""Measures the judge of clients and writes `docs/proof_clients.json`: flaws blamed, nobody else accused.

`.venv/bin/python -m tests.proof.clients.proof [--runs N] [--add] [NAME…]`; names choose flaws and good clients, `good`
and `libraries` all of these, and what is not chosen keeps what was measured before. Every second run of a good client
has every core kept busy. What was measured is written behind each run, so that nothing is lost when it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runwire_conformance.tools.check_client.client_under_test.profile import bound
from tests.proof.clients.benign import BENIGN
from tests.proof.clients.flaws import FLAWS, Flaw
from tests.proof.clients.good import GOOD_CLIENTS, LIBRARIES, GoodClient
from tests.proof.clients.judging import false_blame, guilty, judged
from tests.support.npm_stand import installed

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs/proof_clients.json"

#: Seconds that a flawed client is waited for, more than the 5 s of [FALL-3]; flaws that are tried at once, as each
#: mostly waits.
PATIENCE_S, AT_ONCE = 8.0, 2

#: Clients of one judging at once: most of them wait.
CLIENTS_AT_ONCE = 12


async def flaws_tried(flaws: Sequence[Flaw]) -> list[dict[str, Any]]:
    """Judge each flawed client by the scenarios of its requirement."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(flaw: Flaw) -> dict[str, Any]:
        async with slots:
            blamed = guilty(await judged(flaw.kind, PATIENCE_S, frozenset([flaw.breaks])))
        scenario, _, reason = blamed.get(flaw.breaks, "").partition(": ")
        outcome = "blamed" if scenario else "survived"
        outcome = "blamed wrongly" if false_blame(flaw, blamed) else outcome
        print(f"{outcome:<15}{flaw.name}", flush=True)
        tried = {"flaw": flaw.name, "requirement": flaw.breaks, "outcome": outcome}
        return {
            **tried,
            "scenario": scenario,
            "reason": reason,
            "also": sorted(blamed.keys() - {flaw.breaks}),
        }

    return list(await asyncio.gather(*map(one, flaws)))


async def benign_tried() -> list[dict[str, Any]]:
    """Judge the clients that do what nobody forbids by everything."""
    found = []
    for kind in BENIGN:
        accused = guilty(await judged(kind, PATIENCE_S))
        found.append(
            {"client": " ".join((kind.__doc__ or "").split()), "runs": 1, "accused": sorted(accused)}
        )
        print(f"{'accused' if accused else 'fine':<15}{kind.__name__} {accused or ''}", flush=True)
    return found


def good_tried(client: GoodClient, runs: int, before: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Judge a good client so many times, every second time while a process keeps each core busy.

    Yields behind each run what was measured of it so far, `before` included.
    """
    accused: dict[str, int] = dict(before.get("accused", {}))
    missing: set[str] = set(before.get("not_exercised", ()))
    seconds: dict[bool, float] = {False: before.get("seconds", 0.0), True: before.get("busy_seconds", 0.0)}
    done, busy_runs = before.get("runs", 0), before.get("busy_runs", 0)
    for run in range(done, done + runs):
        report = ROOT / f"build/client-{client.name}.json"
        report.parent.mkdir(exist_ok=True)
        report.unlink(missing_ok=True)  # a run that ends without a report is no run
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(os.cpu_count() or 1)
            if run % 2
        ]
        try:
            words = ["-m", "runwire_conformance.cli", "check-client"]
            command = [
                Path(sys.executable).parent / "runwire",
                *words[2:],
                "--quiet",
                f"--concurrency={CLIENTS_AT_ONCE}",
                "--json",
                report,
                *client.options,
            ]
            modules = {"RUNWIRE_MODULES": str(installed(client.package))} if client.package else {}
            subprocess.run(
                [*command, "--", *client.command()],
                cwd=ROOT,
                env={**os.environ, **modules},
                check=False,
                stdout=subprocess.DEVNULL,
            )
        finally:
            for process in busy:
                process.kill()
                process.wait()
        document = json.loads(report.read_text(encoding="utf-8"))
        for entry in document["requirements"]:
            if entry["verdict"] in {"fail", "advice"}:
                accused[entry["id"]] = accused.get(entry["id"], 0) + 1
            elif entry["verdict"] not in {"pass", "not offered"}:
                missing.add(entry["id"])
        how = f"{document['seconds']:.0f} s{', busy' if busy else ''}"
        print(
            f"{client.name} {run + 1} of {done + runs} ({how}): {document['counts']} {accused or ''}",
            flush=True,
        )
        busy_runs += bool(busy)
        seconds[bool(busy)] = round(max(seconds[bool(busy)], document["seconds"]), 1)
        yield {
            "client": client.name,
            "description": client.description,
            "runs": run + 1,
            "busy_runs": busy_runs,
            "seconds": seconds[False],
            "busy_seconds": seconds[True],
            "accused": accused,
            "not_exercised": sorted(missing),
            "classes": {entry["class"]: entry["standing"] for entry in document["classes"]},
        }


def merged(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return what was measured before, with what was measured now in its place."""
    known = {one[key]: one for one in before} | {one[key]: one for one in now}
    return [known[name] for name in sorted(known)]


def main() -> None:
    """Measure, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2, help="how often each good client is judged")
    parser.add_argument("--add", action="store_true", help="add runs to those of before")
    parser.add_argument("names", nargs="*", help="flaws and good clients; `benign`; all by default")
    options = parser.parse_args()
    chosen = lambda name: not options.names or name in options.names  # noqa: E731
    before = (
        json.loads(FILE.read_text(encoding="utf-8"))
        if FILE.exists()
        else {"flaws": [], "good": [], "benign": []}
    )
    flaws = asyncio.run(flaws_tried([flaw for flaw in FLAWS if chosen(flaw.name)]))
    known = {flaw.name for flaw in FLAWS}
    kept = [one for one in before["flaws"] if one["flaw"] in known]
    proof = {"observable": len(bound()), "flaws": merged(kept, flaws, "flaw")}
    benign = asyncio.run(benign_tried()) if chosen("benign") else before["benign"]
    proof |= {"benign": benign, "good": before["good"], "libraries": before.get("libraries", [])}
    write(proof)
    for group, clients, runs in (("good", GOOD_CLIENTS, options.runs), ("libraries", LIBRARIES, 1)):
        for client in clients:
            if not (chosen(client.name) or group in options.names) or not client.is_there():
                continue
            known = next((one for one in proof[group] if one["client"] == client.name), {})
            for measured in good_tried(client, runs, known if options.add and group == "good" else {}):
                proof[group] = merged(proof[group], [measured], "client")
                write(proof)


def write(proof: dict[str, Any]) -> None:
    """Publish what was measured."""
    FILE.write_text(json.dumps(proof, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
