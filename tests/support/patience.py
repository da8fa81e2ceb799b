"""How long a test waits for what ought to happen: a safety net, never an assertion about speed.

One factor stretches all of them: `RUNWIRE_TEST_PATIENCE=10 make test` on a machine that is very slow.
"""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("RUNWIRE_TEST_PATIENCE", "3"))


def patience(seconds: float) -> float:
    """Return for how many seconds to wait for what takes less than `seconds` on a machine with nothing else to do."""
    return seconds * FACTOR


def tries(seconds: float, every_s: float) -> range:
    """Return how often to look, every so many seconds, for what takes less than `seconds` on such a machine."""
    return range(int(patience(seconds) / every_s))


def examples(number: int) -> int:
    """Return how many examples a property is tried with: so many in `make test-all`, and a quarter in `make test`."""
    return number if os.environ.get("RUNWIRE_TESTS") == "all" else number // 4
