"""Limits of the server under test: advertised values, registry defaults, and those that `init` advises for tests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runwire_spec import registries

#: The limits that may refuse the judge a connection, and those that may refuse it a run.
CONNECTIONS = ("connections_per_principal",)
RUNS = ("runs_per_principal", "kept_bytes_per_principal")

#: No limit is so large, whatever a server writes: neither infinite nor beyond a double.
BEYOND = 1e300


def default_limits() -> dict[str, float]:
    """Return the limits registry's defaults."""
    return {row["limit"]: float(row["default"]) for row in registries()["limits"]}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server: what it advertised, the registry's default where it did not."""

    advertised: Mapping[str, Any]

    def __getitem__(self, name: str) -> float:
        value = self.advertised.get(name)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < BEYOND
        return float(value) if usable else default_limits()[name]  # type: ignore[arg-type]

    @property
    def stream_s(self) -> float:
        """Seconds after which a stream or connection may be ended for its age ([LIMIT-13]); infinite when never."""
        value = self.advertised.get("stream_s")
        usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < BEYOND
        return float(value) if usable else math.inf  # type: ignore[arg-type]

    def seconds(self, name: str) -> float:
        """Return a limit in seconds, whichever unit its name ends in."""
        return self[name] / 1000 if name.endswith("_ms") else self[name]

    def whole(self, name: str) -> int:
        """Return a limit that is a whole number."""
        return int(self[name])

    def remedy(self, *names: str) -> str:
        """Return what to do about a server that says it is busy: the limits to raise, as they are advertised."""
        told = " or ".join(f"{name} (advertised {self[name]:.15g})" for name in names)
        return f"raise {told}, or wait until what others began has ended"

    @property
    def silence(self) -> float:
        """Seconds for which a server may be silent ([BEAT-1])."""
        return self["heartbeat_s"] + 2

    @property
    def gives_up_after(self) -> float:
        """Seconds within which a peer that answers no Ping is dropped ([BEAT-7])."""
        return self["heartbeat_s"] + 2 * self["pong_timeout_s"]


@dataclass(frozen=True, slots=True)
class Advice:
    """A value that a test server may advertise, in seconds or as a number, and the reason for it."""

    value: int
    why: str


#: Limits of the registry (chapter 18) that determine the waiting times of the suite or its parallelism.
SHORT_LIMITS: Mapping[str, Advice] = {
    "heartbeat_s": Advice(1, "the judge waits for several silences"),
    "pong_timeout_s": Advice(1, "the judge waits until a client that answers no Ping is dropped"),
    "detach_grace_s": Advice(1, "the judge waits until a run without a reader ends"),
    "idle_s": Advice(
        3, "the judge waits until an unused connection closes; below 3, cases would be cut short"
    ),
    "run_s": Advice(5, "the judge waits until an endless run is ended; below 5, cases would be cut short"),
    "input_s": Advice(5, "the judge waits until an unanswered question expires"),
    "resume_window_s": Advice(
        60,
        "the minimum; the judge reads a finished log after 19 s, with --patience 90 after 57 s",
    ),
    "worker_lost_s": Advice(2, "the judge waits until a killed node is noticed"),
    "drain_s": Advice(2, "the judge waits for a drain with an unfinished run"),
    "connections_per_principal": Advice(100, "parallel cases use 60 % of these"),
    "runs_per_principal": Advice(200, "parallel cases use 30 % of these"),
}
