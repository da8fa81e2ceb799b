"""The metrics of one server, in the Prometheus text format (chapter 15 and its registry).

No label ever holds anything of a caller's: no prompt, credential, `run_id` or `session_id` ([OBS-8]).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runwire_reference_server.events import Event
from runwire_reference_server.runs import TRANSITIONS, Status, after_event

CONTENT_TYPE = CONTENT_TYPE_LATEST

_EVENTS = (
    "token", "replace", "thinking", "tool_delta", "tool_call", "observation",
    "input_request", "input_closed", "done", "error", "vendor",
)  # fmt: skip
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters that cost an addition each: every label is looked up once, here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._connections = Gauge(
            "runwire_connections", "Open connections and streams.", ["transport"], registry=self.registry
        )
        self.runs_active = Gauge(
            "runwire_runs_active", "Runs that this node works on.", registry=self.registry
        )
        runs = Counter("runwire_runs", "Runs that ended, by status.", ["status"], registry=self.registry)
        events = Counter("runwire_events", "Events appended.", ["type"], registry=self.registry)
        self._disconnects = Counter(
            "runwire_disconnects", "Connections that ended, by reason.", ["reason"], registry=self.registry
        )
        self._resumes = Counter(
            "runwire_resumes", "Attempts to resume, by outcome.", ["outcome"], registry=self.registry
        )
        self.slow_readers = Counter(
            "runwire_slow_readers", "Readers dropped because they took nothing.", registry=self.registry
        )
        self.refused_appends = Counter(
            "runwire_refused_appends", "Appends that came after another terminal.", registry=self.registry
        )
        self._auth_failures = Counter(
            "runwire_auth_failures", "Callers not admitted, by reason.", ["reason"], registry=self.registry
        )
        self.first_event = self._histogram("first_event", "From the acceptance of a run to its first event.")
        self.delivery = self._histogram("event_delivery", "From the append of an event to its socket.")
        self.cancel = self._histogram("cancel", "From the receipt of a cancel to the terminal.")
        self._runs = {status: runs.labels(status.value) for status in Status if not TRANSITIONS[status]}
        self._events = {kind: events.labels(kind) for kind in _EVENTS}
        for transport in ("websocket", "sse"):
            self._connections.labels(transport)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"runwire_{name}_seconds", text, buckets=_SECONDS, registry=self.registry)

    @contextmanager
    def connection(self, transport: str) -> Iterator[None]:
        """Count a connection (`websocket`) or stream (`sse`) while it is open."""
        gauge = self._connections.labels(transport)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def disconnected(self, reason: str) -> None:
        """Count the end of a connection."""
        self._disconnects.labels(reason).inc()

    def resumed(self, outcome: str) -> None:
        """Count a resume, `resumed` or the code it was refused with."""
        self._resumes.labels(outcome).inc()

    def not_admitted(self, reason: str) -> None:
        """Count a caller that was not admitted."""
        self._auth_failures.labels(reason).inc()

    def appended(self, event: Event) -> None:
        """Count an event, and with a terminal the run ([OBS-7])."""
        kind = event["type"]
        self._events["vendor" if ":" in kind else kind].inc()  # a label for each would have no bound
        if kind in {"done", "error"}:
            self._runs[after_event(Status.RUNNING, event)].inc()

    def text(self) -> bytes:
        """Return what is answered to `GET /metrics` ([OBS-6])."""
        return generate_latest(self.registry)
