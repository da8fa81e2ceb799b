"""Plain integer counters, read when metrics are scraped."""

import logging
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

#: Types of events as they are counted; a type of a vendor's counts as `vendor`, as a name for each would have no bound.
KINDS = (
    "token", "replace", "thinking", "tool_delta", "tool_call", "observation",
    "input_request", "input_closed", "done", "error", "vendor",
)  # fmt: skip

#: Upper bounds of the buckets of durations, in seconds; a last bucket has none.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Durations:
    """A histogram."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Tally:
    """The events and ends of runs that one node appended."""

    __slots__ = ("delivery", "events", "first_event", "refused_appends", "runs")

    def __init__(self) -> None:
        self.events = dict.fromkeys(KINDS, 0)
        self.runs = dict.fromkeys(("completed", "incomplete", "cancelled", "failed"), 0)
        self.refused_appends = 0
        self.first_event = Durations()
        self.delivery = Durations()

    def appended(self, kind: str) -> None:
        """Count an event."""
        self.events[kind if kind in self.events else "vendor"] += 1

    def ended(self, terminal: Mapping[str, Any], duration_s: float | None = None) -> None:
        """Count the end of a run, and log it ([OBS-7], [OBS-10]); `duration_s` is None for another node's run."""
        status = terminal.get("status", "failed")
        self.runs[status] += 1
        told = {"trace_id": terminal.get("trace_id"), "status": status}
        told["reason"] = terminal.get("reason", terminal.get("code"))
        log.info("a run ended", extra=told | {"duration_s": duration_s and round(duration_s, 3)})
