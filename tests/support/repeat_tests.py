"""Runs `make test` again and again while other processes keep the cores busy: what `make test-often` runs."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Where the whole output of each run that failed is kept.
LOGS = ROOT / "build" / "test-often"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have so many processes that never rest run meanwhile."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def main() -> int:
    """Run the tests so many times; return 1 when any run failed."""
    parser = argparse.ArgumentParser(description="Run `make test` again and again beside busy processes.")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--busy", type=int, default=4, help="how many other processes never rest")
    arguments = parser.parse_args()
    failed = 0
    with busy(arguments.busy):
        for number in range(1, arguments.times + 1):
            begun = time.monotonic()
            run = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
            failed += bool(run.returncode)
            if run.returncode:
                LOGS.mkdir(parents=True, exist_ok=True)
                (LOGS / f"{number}.txt").write_text(run.stdout + run.stderr, encoding="utf-8")
            last = run.stdout.strip().splitlines()[-1:] or [run.stderr[-300:]]
            print(f"{number} of {arguments.times}: {time.monotonic() - begun:.0f} s, {last[0]}", flush=True)
            for line in run.stdout.splitlines():
                if line.startswith(("FAILED", "ERROR")):
                    print(f"  {line}", flush=True)
    print(f"{arguments.times - failed} of {arguments.times} runs passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
