"""Duration estimate of the suite, from the advertised limits. Pure."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from runwire_conformance.case import Claim
from runwire_conformance.trace.limits import Limits

Item = TypeVar("Item")

#: Seconds that a case takes which no limit makes wait, beside others on a quiet machine: for the forecast alone.
PLAIN_S = 0.5

#: Seconds that each case takes of the judge's own computing, which no slots make shorter: for the forecast alone.
COMPUTING_S = 0.03

#: Seconds of waiting above which `--quick` leaves a case out.
QUICK_S = 5.0

#: How many limits the forecast names as its reasons.
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """For how many seconds the server's limits make a case wait, and which limits these are."""

    seconds: float = 0.0
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Noted(Limits):
    """Limits that note which of them are read."""

    read: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        object.__setattr__(self, "read", (*self.read, name))
        return Limits.__getitem__(self, name)


def wait_of(claim: Claim, limits: Limits) -> Wait:
    """Return for how long the limits of a server make a case wait."""
    if claim.waits is None:
        return Wait()
    noted = _Noted(limits.advertised)
    seconds = claim.waits(noted)
    return Wait(seconds, tuple(dict.fromkeys(noted.read)))


@dataclass(frozen=True, slots=True)
class Forecast:
    """About how many seconds the suite takes, and the limits that cost the most of them with their values."""

    seconds: float
    because: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        """Say it in words."""
        reasons = " and ".join(f"`{name}` is {value:.15g}" for name, value in self.because)
        return f"about {in_words(self.seconds)}" + (f", because {reasons}" if reasons else "")


def in_words(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `2 min 40 s`."""
    whole = max(1, round(seconds) if seconds < 10 else round(seconds / 10) * 10)
    minutes, rest = divmod(whole, 60)
    return " ".join([*([f"{minutes} min"] if minutes else []), *([f"{rest} s"] if rest else [])])


def forecast(
    concurrent: Sequence[Claim], alone: Iterable[Claim], limits: Limits, slots: int, searching_s: float = 0.0
) -> Forecast:
    """Return how long cases take of which the `concurrent` ones share so many slots and those `alone` play one by one.

    `searching_s` is what the random conversations of one case take.
    """
    costs: Counter[str] = Counter()  # in whole milliseconds

    def seconds(claim: Claim) -> float:
        wait = wait_of(claim, limits)
        for name in wait.settings:
            costs[name] += round(wait.seconds * 1000)
        return PLAIN_S + wait.seconds + (searching_s if claim.searches else 0.0)

    free: list[float] = [0.0] * max(1, slots)
    for claim in interleaved(
        concurrent, lambda claim: wait_of(claim, limits).seconds, lambda claim: claim.deadline_s
    ):
        begins = heapq.heappop(free)
        ends = begins + seconds(claim)
        heapq.heappush(free, ends)
    together = max(max(free), COMPUTING_S * len(concurrent))
    total = together + sum(map(seconds, alone))
    named = [name for name, cost in costs.most_common(MOST_NAMED) if cost > total * 100]
    long = total > 2 * QUICK_S
    return Forecast(total, tuple((name, limits[name]) for name in named) if long else ())


def interleaved(
    items: Iterable[Item], seconds: Callable[[Item], float], work: Callable[[Item], float]
) -> list[Item]:
    """Return items in the order to begin them: those that wait, the longest first, in turn with those that do not.

    Of these the ones with the most `work` come first.

    The whole takes as long as the last to end, and people want to see something meanwhile.
    """
    every = list(items)
    long = sorted((item for item in every if seconds(item) > 0), key=seconds, reverse=True)
    quick = sorted((item for item in every if seconds(item) <= 0), key=work, reverse=True)
    pairs = zip_longest(long, quick)
    return [item for pair in pairs for item in pair if item is not None]
