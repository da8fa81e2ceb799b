"""The conditions under which the judge may accuse no good server, and leave nothing unjudged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from runwire_spec import registries
from tests.support.check_reference_server import CHECK_LIMITS

BUSY_PROCESSES = 4

PATIENCE_S = 30
"""What the judge waits for at most unless it is told otherwise."""

EVERY: tuple[str, ...] = ("reference", "fastapi", "node", "go", "smallest")


@dataclass(frozen=True, slots=True)
class Condition:
    """How good servers are started and judged. `limits` are given to the server, and no others."""

    name: str
    description: str
    runs: int
    limits: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    proxy: str = ""
    """The proxy of the documentation that stands before the server."""

    way_s: float = 0.0
    """Seconds that everything is under way between judge and server, either way."""

    one_core: bool = False
    """Whether server and judge have one core, and share it with BUSY_PROCESSES others."""

    at_once: int = 1
    """How many servers may be judged side by side, as most of a run is waiting."""

    quick: tuple[str, ...] = ()
    """The servers that a quick proof judges once."""

    deadline_s: float = 600.0
    """A safety net: a judge that runs for longer is held to be stuck."""


def _limit(row: Mapping[str, str], name: str) -> float | None:
    return float(row[name]) if row[name] else None


def smallest() -> dict[str, float]:
    """Return every limit of the registry at its smallest legal value."""
    return {row["limit"]: float(row["min"]) for row in registries()["limits"]}


#: Limits without a largest legal value, at one that is large and that the judge need not wait for.
LARGE = {
    "max_message_bytes": 2 << 20,
    "max_event_bytes": 512 << 10,
    "json_depth": 256,
    "connections_per_principal": 200,
    "runs_per_connection": 16,
    "runs_per_principal": 400,
    "resume_window_s": 86_400,
    "send_buffer_bytes": 2 << 20,
    "log_bytes": 32 << 20,
    "kept_bytes_per_principal": 512 << 20,
}


def largest() -> dict[str, float]:
    """Return every limit at its largest legal value, those without one at what the judge's patience allows."""
    return {
        row["limit"]: LARGE.get(row["limit"])
        or min(_limit(row, "max") or PATIENCE_S * 1000.0, _patient(row["limit"]))
        for row in registries()["limits"]
    }


def _patient(limit: str) -> float:
    return (PATIENCE_S - 5) * (1000.0 if limit.endswith("_ms") else 1.0)


def _check(**limits: float) -> dict[str, float]:
    """Return the limits of a check with others in their place."""
    return {**CHECK_LIMITS, **limits}


def _alone(which: str, limit: str, value: float) -> Condition:
    """Return the condition that one limit is at its smallest or largest, and the others are those of a check."""
    said = f"Check limits, but `{limit}` at its {which}."
    return Condition(f"{which}-{limit}", said, 1, _check(**{limit: value}), at_once=2)


CONDITIONS = (
    Condition("quiet", "Check limits, a quiet machine.", 20, _check(), at_once=2),
    Condition(
        "busy",
        f"Check limits; server, judge and {BUSY_PROCESSES} busy processes share one core.",
        10,
        _check(),
        one_core=True,
        quick=("smallest",),
    ),
    Condition("distant", "Check limits, 80 ms between judge and server either way.", 2, _check(), way_s=0.08),
    Condition("defaults", "The registry's default limits.", 2, at_once=5),
    Condition(
        "defaults-100",
        "The registry's default limits, with 100 connections.",
        2,
        {"connections_per_principal": 100},
        at_once=5,
    ),
    Condition("smallest", "Every limit at its smallest legal value.", 1, smallest(), at_once=2, quick=("reference",)),
    Condition("largest", "Every limit at its largest within patience.", 1, largest(), at_once=5),
    *(
        Condition(
            f"behind-{name}", f"Check limits, behind {said} as documented.", 2, _check(), name, quick=("reference",)
        )
        for name, said in (("nginx", "nginx"), ("haproxy", "HAProxy"), ("apache", "Apache"))
    ),
    *(_alone("smallest", name, value) for name, value in smallest().items()),
    *(_alone("largest", name, value) for name, value in largest().items()),
)  # fmt: skip


@contextmanager
def one_busy_core() -> Iterator[None]:
    """Have whatever is started meanwhile share one core with BUSY_PROCESSES that never rest."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_PROCESSES)]
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for process in burning:
            process.kill()
            process.wait()
