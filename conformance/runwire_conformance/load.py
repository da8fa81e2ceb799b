"""Many runs at once against a server of one's own: delays, cancels, and the same invariants as everywhere."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runwire_conformance.case import Broken, Moot
from runwire_conformance.client import Client
from runwire_conformance.clock import Clock, now
from runwire_conformance.conversation import Run
from runwire_conformance.invariants import Facts, findings
from runwire_conformance.printing import fit
from runwire_conformance.target import Options, Profile, Target
from runwire_conformance.wire.http import Unanswered, Unreachable

#: Every so many runs one is cancelled after its first event, so that the stop is measured under load too.
CANCEL_EVERY = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to ask of the server: runs in all, runs at once, and seconds after which no further run begins."""

    prompt: str
    runs: int = 100
    concurrency: int = 10
    seconds: float = 30.0


@dataclass(slots=True)
class Load:
    """What came of it; times are seconds."""

    ended: Counter[str] = field(default_factory=Counter)
    first_event: list[float] = field(default_factory=list)
    between_events: list[float] = field(default_factory=list)
    cancels: list[float] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    shown: dict[str, str] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    events: int = 0
    took: float = 0.0

    @property
    def exit_code(self) -> int:
        """Return 1 when a sentence was broken or a run did not come through, 2 when nothing ran, else 0."""
        if self.broken or self.failures:
            return 1
        return 0 if self.ended else 2


async def load(profile: Profile, options: Options, plan: Plan) -> Load:
    """Play the plan and return what came of it."""
    result, clock = Load(), Clock()
    clock.start()
    begun = now()
    numbers = iter(range(1, plan.runs + 1))

    async def worker() -> None:
        for number in numbers:
            if now() - begun > plan.seconds:
                return
            await _play(Target(profile, options, clock), plan.prompt, number % CANCEL_EVERY == 0, result)

    await asyncio.gather(*(worker() for _ in range(min(plan.concurrency, plan.runs))))
    clock.stop()
    result.took = now() - begun
    return result


async def _play(target: Target, prompt: str, cancels: bool, result: Load) -> None:
    try:
        client = await target.connect()
        run = await _measured(client, prompt, cancels, result)
        await client.leave()
        result.events += len(run.events)
        result.between_events += [
            later.at - earlier.at for earlier, later in zip(run.events, run.events[1:], strict=False)
        ]
    except (Broken, Moot, Unanswered, Unreachable) as problem:
        result.failures[str(problem).partition(";")[0][:120]] += 1
    finally:
        await target.end()
    facts = Facts(target.limits, target.clock.tolerance)
    for trace in target.traces:
        for finding in findings(trace, facts):
            result.broken[finding.requirement] += 1
            result.shown.setdefault(finding.requirement, finding.text)


async def _measured(client: Client, prompt: str, cancels: bool, result: Load) -> Run:
    asked = now()
    run = await client.start(prompt)
    first = await run.next_event(client.limits["run_s"])
    result.first_event.append(first.at - asked)
    if cancels and not first.is_terminal:
        handed = await client.cancel(run)
        terminal = await run.terminal(client.limits["run_s"])
        if terminal.get("status") == "cancelled":
            result.cancels.append(terminal.at - handed)
    else:
        terminal = await run.terminal(client.limits["run_s"])
    result.ended[str(terminal.get("status", terminal.get("code", terminal.type)))] += 1
    return run


def percentiles(times: Sequence[float]) -> str:
    """Return p50, p95, p99 and the longest of some times, in milliseconds."""
    if not times:
        return "none"
    ordered = sorted(times)
    found = {
        f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 95, 99)
    }
    found["longest"] = ordered[-1]
    return " · ".join(f"{name} {value * 1000:.1f} ms" for name, value in found.items())


def told(result: Load) -> str:
    """Return what a person reads."""
    runs = sum(result.ended.values())
    lines = [
        f"{runs} runs, {result.events} events in {result.took:.1f} s",
        f"  ended           {', '.join(f'{fit(status)} {count}' for status, count in result.ended.items()) or 'none'}",
        f"  first event     {percentiles(result.first_event)}",
        f"  between events  {percentiles(result.between_events)}",
        f"  cancel to end   {percentiles(result.cancels)}",
    ]
    lines += [
        f"  failed          {count} × {fit(reason)}" for reason, count in result.failures.most_common(5)
    ]
    lines += [
        f"  broken          {count} × [{name}] {result.shown[name]}" for name, count in result.broken.items()
    ]
    return "\n".join([*lines, f"exit {result.exit_code}"])
