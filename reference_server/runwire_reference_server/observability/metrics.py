"""Prometheus metrics of one server (chapter 15 and its registry).

No label ever holds anything of a caller's: no prompt, credential, `run_id` or `session_id` ([OBS-8]).
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from runwire_reference_server.observability.tally import SECONDS, Durations, Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Tallied(Collector):
    """What a store counts, read when it is asked for."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        tally = self._tally
        runs = CounterMetricFamily("runwire_runs", "Runs that ended, by status.", labels=["status"])
        for status, count in tally.runs.items():
            runs.add_metric([status], count)
        events = CounterMetricFamily("runwire_events", "Events appended.", labels=["type"])
        for kind, count in tally.events.items():
            events.add_metric([kind], count)
        yield runs
        yield events
        yield CounterMetricFamily(
            "runwire_refused_appends", "Appends that came after another terminal.", tally.refused_appends
        )
        yield _durations(
            "runwire_first_event_seconds",
            "From the acceptance of a run to its first event.",
            tally.first_event,
        )
        yield _durations(
            "runwire_event_delivery_seconds", "From the append of an event to its socket.", tally.delivery
        )


def _durations(name: str, text: str, durations: Durations) -> Metric:
    bounds = [*map(str, map(float, SECONDS)), "+Inf"]
    counted = list(zip(bounds, accumulate(durations.buckets), strict=True))
    return HistogramMetricFamily(name, text, buckets=counted, sum_value=durations.total)


class Metrics:
    """The metrics of one node; what is counted with each event stands in a tally."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Tallied(tally or Tally()))
        self._connections = Gauge(
            "runwire_connections", "Open connections and streams.", ["transport"], registry=self.registry
        )
        self.runs_active = Gauge(
            "runwire_runs_active", "Runs that this node works on.", registry=self.registry
        )
        self.kept_bytes = Gauge(
            "reference_server_kept_bytes",
            "Bytes of logs, prompts and sessions kept in this process.",
            registry=self.registry,
        )
        self._disconnects = Counter(
            "runwire_disconnects", "Connections that ended, by reason.", ["reason"], registry=self.registry
        )
        self._resumes = Counter(
            "runwire_resumes", "Attempts to resume, by outcome.", ["outcome"], registry=self.registry
        )
        self._slow_readers = Counter(
            "runwire_slow_readers", "Readers dropped because they took nothing.", registry=self.registry
        )
        self._auth_failures = Counter(
            "runwire_auth_failures", "Callers not admitted, by reason.", ["reason"], registry=self.registry
        )
        self.cancel = Histogram(
            "runwire_cancel_seconds",
            "From the receipt of a cancel to the terminal.",
            buckets=SECONDS,
            registry=self.registry,
        )
        for transport in ("websocket", "sse"):
            self._connections.labels(transport)

    def connected(self, transport: str) -> None:
        """Count a connection (`websocket`) or stream (`sse`) that is open."""
        self._connections.labels(transport).inc()

    def disconnected(self, transport: str, reason: str) -> None:
        """Count its end."""
        self._connections.labels(transport).dec()
        self._disconnects.labels(reason).inc()
        if reason == "slow":
            self._slow_readers.inc()

    def resumed(self, outcome: str) -> None:
        """Count a resume, `resumed` or the code it was refused with."""
        self._resumes.labels(outcome).inc()

    def not_admitted(self, reason: str) -> None:
        """Count a caller that was not admitted."""
        self._auth_failures.labels(reason).inc()

    def text(self) -> bytes:
        """Return what is answered to `GET /metrics` ([OBS-6])."""
        return generate_latest(self.registry)
