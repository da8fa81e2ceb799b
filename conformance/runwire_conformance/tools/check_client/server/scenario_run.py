"""Run state of a scenario: the log, the position reached, the messages about it. Pure."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runwire_conformance.tools.check_client.scenario import Scenario, text_of
from runwire_spec import registries

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SESSION_ID = "s" * 22

#: What ends a run.
TERMINALS = {"done": "", "error": "failed"}

Message = dict[str, Any]


@dataclass(slots=True)
class ScenarioRun:
    """One run: its log is that of the scenario, and `said` is the `seq` up to which some reader was sent it."""

    scenario: Scenario
    run_id: str = ""
    epoch: str = "e1"
    said: int = 0
    features: Sequence[str] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what every server states."""
        defaults = {row["limit"]: float(row["default"]) for row in registries()["limits"]}
        numbers = {name: int(value) if value.is_integer() else value for name, value in defaults.items()}
        self.limits = {**numbers, "heartbeat_s": self.scenario.heartbeat_s}
        if self.scenario.given:
            self.begun(None)
            self.said = self.scenario.given

    @property
    def cursor(self) -> str:
        """The cursor up to which the run was read before the client is told of it ([SSE-14])."""
        return f"{self.epoch}.{self.scenario.given}" if self.scenario.given else ""

    def begun(self, run_id: str | None) -> None:
        """Take the name that a client gives the run, or choose one."""
        self.run_id = run_id or self.run_id or secrets.token_urlsafe(16)

    @property
    def last(self) -> int:
        """The `seq` of the last event of the log."""
        return len(self.scenario.log)

    @property
    def status(self) -> str:
        """The state of the run, as of what was said of it."""
        if self.said < self.last or self.scenario.log[-1]["type"] not in TERMINALS:
            return "running"
        return str(self.scenario.log[-1].get("status") or "failed")

    def event(self, seq: int) -> Message:
        """Return an event of the log."""
        kind, *rest = self.scenario.log[seq - 1].items()
        return dict([kind, ("run_id", self.run_id), *rest])

    def merged(self, first: int, last: int) -> Message:
        """Return several events of a kind as one ([RESUME-23])."""
        events = [self.event(seq) for seq in range(first, last + 1)]
        name = "data" if "data" in events[0] else "content"
        return {**events[-1], "first_seq": first, name: "".join(str(event[name]) for event in events)}

    def started(self, re: str | None) -> Message:
        """Return the answer to an accepted `start`."""
        said = {"type": "started", "run_id": self.run_id, "epoch": self.epoch, "session_id": SESSION_ID}
        said |= self.scenario.members
        return {**said, "trace_id": TRACE_ID, "status": "running", **({"re": re} if re else {})}

    def resumed(self, after: int, re: str | None) -> Message:
        """Return the answer to an accepted `resume`."""
        said = {"type": "resumed", "run_id": self.run_id, "epoch": self.epoch, "next_seq": after + 1}
        said |= {"last_seq": max(self.said, after), "trace_id": TRACE_ID, "status": self.status}
        return {**said, **self.scenario.members, **({"re": re} if re else {})}

    def ready(self, members: Mapping[str, Any]) -> Message:
        """Return the first message of a connection, with what the scenario has otherwise."""
        said = {
            "type": "ready",
            "protocol": "runwire",
            "version": 1,
            "connection_id": "c-" + secrets.token_hex(4),
        }
        said |= {"trace_id": TRACE_ID, "limits": dict(self.limits), "features": list(self.features)}
        return {**said, **members}

    def state(self) -> Message:
        """Return what `GET {runs}/{run_id}` answers ([HTTP-5])."""
        said = {"run_id": self.run_id, "epoch": self.epoch, "status": self.status, "seq": self.said}
        return {**said, "text": text_of(self.scenario.log[: self.said])}

    def page(self, after: int) -> Message:
        """Return what a poll answers ([POLL-1], [POLL-2])."""
        events = [self.event(seq) for seq in range(after + 1, self.said + 1)]
        said = {"run_id": self.run_id, "epoch": self.epoch, "status": self.status}
        return {**said, "next": f"{self.epoch}.{max(self.said, after)}", "events": events}


def refusal(told: Mapping[str, Any], re: str | None) -> Message:
    """Return an `error` that refuses a message."""
    said = {
        "type": "error",
        "data": f"refused: {told['code']}",
        "code": told["code"],
        "retryable": told["retryable"],
    }
    said |= {"retry_after_ms": told["retry_after_ms"]} if "retry_after_ms" in told else {}
    return {**said, **({"re": re} if re else {})}


def problem(told: Mapping[str, Any]) -> tuple[int, Message]:
    """Return status and body that refuse a request."""
    known = {row["code"]: row["http_status"] for row in registries()["errors"]}
    status = int(told.get("status") or known.get(told["code"]) or 500)
    body = {"type": "about:blank", "title": told["code"], "status": status, "code": told["code"]}
    body |= {"retryable": told["retryable"], "detail": f"refused: {told['code']}"}
    return status, body | ({"retry_after_ms": told["retry_after_ms"]} if "retry_after_ms" in told else {})


#: Refusals that the server of a scenario makes by itself.
NOT_FOUND = {"code": "not_found", "retryable": False}
UNAUTHORIZED = {"code": "unauthorized", "retryable": False}
BAD_REQUEST = {"code": "bad_request", "retryable": False}
