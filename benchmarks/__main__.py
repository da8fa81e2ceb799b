"""Measures this server beside others, and writes what was found: `make bench`, `make bench-quick`.

    python -m benchmarks [--quick] [--rounds N] [--only LOAD]

CPU time is that of the server's process. Servers are asked by turns, so that what disturbs the machine disturbs all
of them; medians count. With `--quick` a few ratios are held against the published ones, and nothing is written.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.loads import (
    cancel,
    events_of,
    first_event,
    further_readers,
    growth,
    idle,
    resume,
    stores,
)
from benchmarks.page import write_page
from benchmarks.plot import write_plot
from benchmarks.targets import QUICK, TARGETS

HERE = Path(__file__).parent.parent
PUBLISHED = HERE / "docs" / "performance.json"

STREAMS = (
    "floor WS",
    "floor SSE",
    "websockets",
    "FastAPI WS",
    "AG-UI SSE",
    "MCP",
    "A2A",
    "runwire WS",
    "runwire SSE",
)
NEAR = ("floor WS", "FastAPI WS", "AG-UI SSE", "runwire WS", "runwire SSE")
FIRST = ("FastAPI WS", "AG-UI SSE", "runwire WS", "runwire SSE")

#: Libraries that need so long for an event that fewer say as much.
SLOW = {"MCP": 1000, "A2A": 300}

#: By how much a ratio may exceed the published one, and how often it is measured before it counts as worse.
WORSE = 4 / 3
ATTEMPTS = 6


def main() -> int:
    """Measure; return 1 when a ratio has become worse by a third."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="a few ratios, against the published ones")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often (default: %(default)d)")
    parser.add_argument(
        "--idle", type=int, default=10_000, metavar="N", help="idle connections (default: %(default)d)"
    )
    parser.add_argument("--only", metavar="LOAD", help="play only the loads whose names begin so")
    options = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})  # the servers have core 0
    if options.quick:
        return quick()
    known = json.loads(PUBLISHED.read_text(encoding="utf-8"))["loads"] if options.only else {}
    found = known | everything(options.rounds, options.idle, options.only or "")
    for target in TARGETS:
        print("  ".join(target.row(found)))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    PUBLISHED.write_text(json.dumps({"machine": machine, "loads": found}, indent=2) + "\n", encoding="utf-8")
    pages = HERE / "docs" / "pages"
    write_page(pages / "performance.md", machine, found)
    write_plot(pages / "performance.svg", found)
    return 0


def everything(rounds: int, connections: int, only: str) -> dict[str, Mapping[str, float]]:
    """Play every load."""
    few = {name: count // 10 for name, count in SLOW.items()}
    loads = {
        "one reader": lambda: events_of(STREAMS, rounds, 1, 10_000, "turn", SLOW),
        "100 runs": lambda: events_of(STREAMS[:-3] + STREAMS[-2:], rounds, 100, 300, "turn", few),
        "100 runs, an event every 20 ms": lambda: events_of(NEAR, rounds, 100, 50, "20"),
        "ready at once": lambda: events_of(NEAR, rounds, 1, 10_000, "ready"),
        "growth": lambda: growth(rounds, 1000, 100_000),
        "readers of one run": lambda: further_readers(rounds, 1000),
        "first event, alone": lambda: first_event(FIRST, rounds * 4, 1),
        "first event, 200 at once": lambda: first_event(FIRST, rounds, 200),
        "first event, 2,000 at once": lambda: first_event(FIRST, 1, 2000),
        "resume of 10,000 events": lambda: resume(rounds, 10_000),
        "cancel": lambda: cancel(500),
        "idle": lambda: idle(connections),
        "stores": lambda: stores(rounds, 2000),
    }
    found: dict[str, Mapping[str, float]] = {}
    for name, play in loads.items():
        if name.startswith(only):
            found[name] = play()
            shown = "  ".join(f"{who} {figure:.3g}" for who, figure in found[name].items())
            print(f"{name}: {shown}", flush=True)
    return found


def quick() -> int:
    """Hold a few ratios against the published ones."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))["loads"]
    for attempt in range(1, ATTEMPTS + 1):
        found = {"one reader": events_of(NEAR, 5, 1, 3000, "turn")}
        worse = [
            f"{target.name}: {target.of(found):.3g}, published {target.of(published):.3g}"
            for target in QUICK
            if target.of(found) > WORSE * target.of(published)
        ]
        if not worse:
            print(
                "no more than a third above what is published: "
                + ", ".join(f"{target.of(found):.3g}" for target in QUICK)
            )
            return 0
        print(f"attempt {attempt} of {ATTEMPTS}:", *worse, sep="\n  ", file=sys.stderr)
    print(
        "an event costs a third more than published: find out why, or publish with make bench",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
