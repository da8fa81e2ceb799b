"""Several judgings of one server: whether each came to the same verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runwire_conformance.verdict.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often it was judged, and the requirements whose verdict was not always the same, with how often each came."""

    times: int
    differing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def repeats_of(judgings: Sequence[Sequence[Judgement]]) -> Repeats:
    """Return how several judgings of one server compare."""
    verdicts: dict[str, Counter[str]] = {}
    for judgements in judgings:
        for judgement in judgements:
            verdicts.setdefault(judgement.requirement.id, Counter())[str(judgement.verdict)] += 1
    times = len(judgings)
    differing = {
        identifier: dict(counts)
        for identifier, counts in verdicts.items()
        if len(counts) > 1 or counts.total() < times
    }
    return Repeats(times, differing)
