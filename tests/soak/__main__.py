"""Runs the soak: what `make soak` and `make soak-quick` call."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.page import write_page
from tests.soak.soak import Soak, SoakOptions

DOCS = Path(__file__).parents[2] / "docs"


def main() -> int:
    """Soak; return 1 when something was lost, doubled, hung or has grown."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Have three nodes on Redis serve good, slow and hostile clients while nodes restart, and see "
        "that nothing is lost, doubled or hung and that what they hold returns to its start.",
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="how long it takes, settling included (30)"
    )
    parser.add_argument(
        "--rate", type=float, default=3.0, help="visits of clients that begin in a second (3)"
    )
    parser.add_argument("--seed", type=int, help="repeats what clients do and which nodes restart")
    parser.add_argument("--publish", action="store_true", help="write the figures into the documentation")
    arguments = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    options = SoakOptions(seconds=arguments.minutes * 60, rate=arguments.rate, seed=seed)
    print(f"Soaking for {arguments.minutes:g} minutes; --seed {seed} repeats what clients do.", flush=True)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # its clients tell of each peer that is gone
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(Soak(Path(folder), options).run())
    report["date"] = time.strftime("%Y-%m-%d")
    print(json.dumps({**report, "meanwhile": report["meanwhile"][-1:]}, indent=2))
    if arguments.publish:
        (DOCS / "soak.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        write_page(DOCS / "pages/performance.md", report)
    return bool(report["problems"])


if __name__ == "__main__":
    sys.exit(main())
