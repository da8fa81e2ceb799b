"""The page of the documentation: what was found, between two marks; what stands around them is written by hand."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.targets import TARGETS, Found

BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"

#: What the figures of other loads are.
UNITS = {
    "growth": "an event of a run of 100,000 events against one of 1,000",
    "readers of one run": "CPU for an event, µs: of a run with one reader; of each further one; of a send of the floor",
    "resume of 10,000 events": "CPU for an event of a finished run, µs",
    "cancel": "from the cancel to the terminal, with 500 active runs, ms",
    "idle": "memory of a connection, KiB",
    "stores": "CPU for an event of a run with one reader, by where its log is kept, µs",
}


def write_page(path: Path, machine: str, found: Found) -> None:
    """Put the tables onto the page; raises ValueError when the marks are not there."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} needs the marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{tables(machine, found)}\n{END}{after}", encoding="utf-8")


def tables(machine: str, found: Found) -> str:
    """Return targets and figures as Markdown."""
    lines = [
        f"Measured on {machine}.",
        "",
        '<figure class="picture narrow" markdown="span">'
        "![Results, targets and other servers](performance.svg)</figure>",
        "",
    ]
    lines += [
        "Figures without a unit are ratios of this server to the one it is compared with: less is better. "
        "The bars are logarithmic.",
        "",
    ]
    lines += ["| measure | result | target | met |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(target.row(found))} |" for target in TARGETS]
    costs = {
        name: found[name] for name in found if "runwire WS" in found[name] and name not in ("growth", "idle")
    }
    lines += ["", "CPU of the server for an event, in microseconds:", "", *beside(costs)]
    first = {name: percentiles(figures) for name, figures in found.items() if name.startswith("first event")}
    lines += [
        "",
        "From a start to the first event, in milliseconds, p50 and p99:",
        "",
        *beside(first),
    ]
    lines += ["", "Everything else:", "", "| load | measure | figures |", "|---|---|---|"]
    for load, figures in found.items():
        if load not in costs and load not in first:
            told = "; ".join(f"{name}: {number(value)}" for name, value in figures.items())
            lines.append(f"| {load} | {UNITS.get(load, '')} | {told} |")
    return "\n".join(lines) + "\n"


def beside(loads: Mapping[str, Mapping[str, float | str]]) -> list[str]:
    """Return a table with a row for each server and a column for each load."""
    who = list(dict.fromkeys(name for figures in loads.values() for name in figures))
    rows = [
        [
            f"{value:.1f}" if isinstance(value := figures.get(name, ""), float) else value
            for figures in loads.values()
        ]
        for name in who
    ]
    return [
        f"| | {' | '.join(loads)} |",
        "|---|" + "---|" * len(loads),
        *(f"| {name} | {' | '.join(row)} |" for name, row in zip(who, rows, strict=True)),
    ]


def percentiles(figures: Mapping[str, float]) -> dict[str, str]:
    """Return p50 and p99 of each server as one text."""
    who = dict.fromkeys(name.removesuffix(" p50").removesuffix(" p99") for name in figures)
    return {name: f"{number(figures[f'{name} p50'])}, {number(figures[f'{name} p99'])}" for name in who}


def number(value: float) -> str:
    """Return three digits that count, and no power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
