"""Limits with which a test server is quick to judge, and why: advice for people, of which `init` writes a comment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """A value that a test server may advertise in seconds or as a number, and what it spares."""

    value: int
    why: str


#: The limits of the registry (chapter 18) that the suite waits for, or that keep it from playing cases together.
SHORT_LIMITS: Mapping[str, Advice] = {
    "heartbeat_s": Advice(1, "silences are waited for, several times each"),
    "pong_timeout_s": Advice(1, "a client that answers no Ping is waited out"),
    "detach_grace_s": Advice(1, "runs that nobody reads are waited out"),
    "idle_s": Advice(3, "a connection that follows nothing is waited out; below 3 cases would be cut short"),
    "run_s": Advice(5, "a run that does not end is waited out; below 5 cases would be cut short"),
    "input_s": Advice(5, "a question that nobody answers is waited out"),
    "resume_window_s": Advice(60, "the least there may be; with --patience 90 its end is judged too"),
    "worker_lost_s": Advice(2, "a node that was killed is waited out"),
    "drain_s": Advice(3, "a drain with a run that goes on is waited out"),
    "connections_per_principal": Advice(100, "cases play side by side on 60 % of these"),
    "runs_per_principal": Advice(200, "cases play side by side on 30 % of these"),
}
