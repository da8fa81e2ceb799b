"""Strict parser for the Prometheus text format, as a pure function.

It follows the exposition formats of Prometheus (text/plain, version 0.0.4) and of OpenMetrics as far as both agree; of
the latter's additions it knows the `# EOF`, units, exemplars and counters whose family is named without `_total`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_COMMENT = re.compile(rf"# (HELP|TYPE|UNIT) ({_NAME})(?: (.*))?")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*?)\}})? +(\S+)(?: +-?[0-9.eE+]+)?(?: # \{{.*)?", re.DOTALL)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)')
_NUMBER = re.compile(
    r"[+-]?(?:Inf|NaN|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)", re.IGNORECASE
)
_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset"})

#: What the names of a family's samples may end in, by its type.
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
    "counter": ("", "_total", "_created"),
}

_ENDINGS = tuple(dict.fromkeys(ending for endings in _SUFFIXES.values() for ending in endings))


class MalformedExposition(ValueError):
    """The text is not in the format; says which line and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: name, labels and value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Family:
    """A metric: its type and its samples."""

    name: str
    type: str
    samples: list[Sample] = field(default_factory=list)


def read_exposition(text: str) -> dict[str, Family]:
    """Return the metrics in a text by their names, a counter's with `_total`; raises MalformedExposition."""
    families: dict[str, Family] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    if text and not text.endswith("\n"):
        raise MalformedExposition("the last line does not end")
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.startswith("#"):
                _comment(line, families)
            elif line.strip():
                sample = _sample(line)
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key in seen:
                    raise MalformedExposition("the same sample stands twice")
                seen.add(key)
                _family_of(sample, families).samples.append(sample)
        except MalformedExposition as problem:
            raise MalformedExposition(f"line {number}: {problem}: {line[:120]}") from None
    for family in families.values():
        if family.type == "histogram":
            _check_histogram(family)
    return {_full_name(family): family for family in families.values()}


def _comment(line: str, families: dict[str, Family]) -> None:
    found = _COMMENT.fullmatch(line)
    if found is None or found[1] != "TYPE":
        return  # help, or any other comment
    name, kind = found[2], (found[3] or "").strip()
    if kind not in _TYPES:
        raise MalformedExposition(f"no type is called {kind!r}")
    if name in families:
        raise MalformedExposition(f"{name} has a second TYPE, or samples before its TYPE")
    families[name] = Family(name, kind)


def _sample(line: str) -> Sample:
    found = _SAMPLE.fullmatch(line.strip())
    if found is None or not _NUMBER.fullmatch(found[3]):
        raise MalformedExposition("no sample")
    labels: dict[str, str] = {}
    rest, place = (found[2] or "").strip(), 0
    while place < len(rest):
        label = _LABEL.match(rest, place)
        if label is None or label[1] in labels:
            raise MalformedExposition("the labels cannot be read")
        labels[label[1]] = label[2].replace(r"\n", "\n").replace(r"\"", '"').replace(r"\\", "\\")
        place = label.end()
        while place < len(rest) and rest[place] == " ":
            place += 1
    return Sample(found[1], labels, float(found[3]))


def _family_of(sample: Sample, families: dict[str, Family]) -> Family:
    # The names that a family may have, whose samples end so: looked up, as there may be thousands of families.
    for ending in _ENDINGS:
        family = families.get(sample.name.removesuffix(ending)) if sample.name.endswith(ending) else None
        if family is not None and ending in _SUFFIXES.get(family.type, ("",)):
            return family
    return families.setdefault(sample.name, Family(sample.name, "untyped"))


def _full_name(family: Family) -> str:
    counter = family.type == "counter" and not family.name.endswith("_total")
    return f"{family.name}_total" if counter else family.name


def _check_histogram(family: Family) -> None:
    """Raise Malformed unless the buckets of each series grow to `+Inf` and agree with its count."""
    series: dict[tuple[tuple[str, str], ...], dict[str, list[Sample]]] = {}
    for sample in family.samples:
        key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        ending = sample.name.removeprefix(family.name)
        series.setdefault(key, {}).setdefault(ending, []).append(sample)
    for samples in series.values():
        try:
            buckets = [(float(bucket.labels["le"]), bucket.value) for bucket in samples["_bucket"]]
            count = samples["_count"][0].value
        except (KeyError, ValueError):
            raise MalformedExposition(f"the histogram {family.name} lacks buckets, le or count") from None
        bounds, counts = [bound for bound, _ in buckets], [value for _, value in buckets]
        grows = bounds == sorted(bounds) and counts == sorted(counts)
        if not grows or bounds[-1] != float("inf") or counts[-1] != count or "_sum" not in samples:
            raise MalformedExposition(f"the buckets of {family.name} do not add up")
