"""Load test: many runs in parallel, with latencies, cancels, and the usual rules."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.target import Options, ServerProfile, Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable
from runwire_conformance.rules import RuleContext, findings
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.printing import printable

#: Every so many runs one is cancelled after its first event, so that the stop is measured under load too.
CANCEL_EVERY = 10

#: From which share of the time on that it computes the generator holds up what it measures.
BUSY = 0.8


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How much to ask of the server: runs in all, runs at once, and seconds after which no further run begins."""

    prompt: str
    runs: int = 100
    concurrency: int = 10
    seconds: float = 30.0


class Times:
    """Times in microseconds up to an hour, to three digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, 3_600_000_000, 3)

    def add(self, seconds: float) -> None:
        """Count a time."""
        self._histogram.record_value(max(1, round(seconds * 1e6)))

    def __len__(self) -> int:
        """Return how many were counted."""
        return int(self._histogram.get_total_count())

    def __str__(self) -> str:
        """Return p50, p90, p99 and the longest."""
        if not len(self):
            return "none"
        shares = {f"p{share}": self._histogram.get_value_at_percentile(share) for share in (50, 90, 99)}
        shares["max"] = self._histogram.get_max_value()
        return " · ".join(f"{name} {value / 1000:.1f} ms" for name, value in shares.items())


@dataclass(slots=True)
class Load:
    """What came of it; times are seconds."""

    ended: Counter[str] = field(default_factory=Counter)
    first_event: Times = field(default_factory=Times)
    between_events: Times = field(default_factory=Times)
    cancels: Times = field(default_factory=Times)
    broken: Counter[str] = field(default_factory=Counter)
    shown: dict[str, str] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    events: int = 0
    took: float = 0.0
    busy: float = 0.0
    """The share of the time for which the generator itself was computing, on one core."""

    @property
    def exit_code(self) -> int:
        """Return 1 when a sentence was broken or a run did not come through, 2 when nothing ran, else 0."""
        if self.broken or self.failures:
            return 1
        return 0 if self.ended else 2


async def load(profile: ServerProfile, options: Options, plan: LoadPlan) -> Load:
    """Play the plan and return what came of it."""
    result, clock = Load(), Clock()
    clock.start()
    begun, computed = now(), time.process_time()
    numbers = iter(range(1, plan.runs + 1))

    async def worker() -> None:
        for number in numbers:
            if now() - begun > plan.seconds:
                return
            await _play(Target(profile, options, clock), plan.prompt, number % CANCEL_EVERY == 0, result)

    await asyncio.gather(*(worker() for _ in range(min(plan.concurrency, plan.runs))))
    clock.stop()
    result.took = now() - begun
    result.busy = (time.process_time() - computed) / result.took
    return result


async def _play(target: Target, prompt: str, cancels: bool, result: Load) -> None:
    try:
        client = await target.connect()
        run = await _measured(client, prompt, cancels, result)
        await client.leave()
        result.events += len(run.events)
        for earlier, later in zip(run.events, run.events[1:], strict=False):
            result.between_events.add(later.at - earlier.at)
    except (Broken, Blocked, Unanswered, Unreachable) as problem:
        result.failures[str(problem).partition(";")[0][:120]] += 1
    finally:
        await target.end()
    context = RuleContext(target.limits, target.clock.tolerance)
    for trace in target.traces:
        for finding in findings(trace, context):
            result.broken[finding.requirement] += 1
            result.shown.setdefault(finding.requirement, finding.text)


async def _measured(client: Client, prompt: str, cancels: bool, result: Load) -> Run:
    asked = now()
    run = await client.start(prompt)
    first = await run.next_event(client.limits["run_s"])
    result.first_event.add(first.at - asked)
    if cancels and not first.is_terminal:
        handed = await client.cancel(run)
        terminal = await run.terminal(client.limits["run_s"])
        if terminal.get("status") == "cancelled":
            result.cancels.add(terminal.at - handed)
    else:
        terminal = await run.terminal(client.limits["run_s"])
    result.ended[str(terminal.get("status", terminal.get("code", terminal.type)))] += 1
    return run


def report_text(result: Load) -> str:
    """Return what a person reads."""
    runs = sum(result.ended.values())
    ended = ", ".join(f"{printable(status)} {count}" for status, count in result.ended.items())
    lines = [
        f"{runs} runs, {result.events} events in {result.took:.1f} s",
        f"  ended           {ended or 'none'}",
        f"  first event     {result.first_event}",
        f"  between events  {result.between_events}",
        f"  cancel to end   {result.cancels}",
    ]
    if result.busy > BUSY:
        lines.append(
            f"  generator       busy for {result.busy:.0%} of the time, so it is the bottleneck and the times are "
            "its own; use fewer parallel runs, or several generators"
        )
    lines += [
        f"  failed          {count} × {printable(reason)}" for reason, count in result.failures.most_common(5)
    ]
    lines += [
        f"  broken          {count} × [{name}] {result.shown[name]}" for name, count in result.broken.items()
    ]
    return "\n".join([*lines, f"exit {result.exit_code}"])
