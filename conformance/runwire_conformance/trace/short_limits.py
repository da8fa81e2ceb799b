"""Recommended limits for a test server, with reasons; `init` writes them as a comment."""

from collections.abc import Mapping
from dataclasses import dataclass


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
