"""The page of the documentation: what was found, between two marks; what stands around them is written by hand."""

from pathlib import Path

from benchmarks.targets import TARGETS, Found

BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"

#: What the figures of the other loads are, by the beginnings of their names.
UNITS = {
    "growth": "an event of a run of 100,000 events against one of 1,000",
    "readers of one run": "CPU for an event, µs: of a run with one reader; of each further one; of a send of the floor",
    "first event": "from the start to the first event, ms",
    "resume": "CPU for an event of a finished run, µs",
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
        "![What was found, beside targets and others](performance.svg)",
        "",
    ]
    lines += [
        "Figures without a unit are this server's, divided by that of what it is held against: less is better.",
        "",
    ]
    lines += ["| what | found | target | holds |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(target.row(found))} |" for target in TARGETS]
    costs = {
        name: found[name] for name in found if "runwire WS" in found[name] and "p50" not in str(found[name])
    }
    costs.pop("growth", None)
    costs.pop("idle", None)
    who = list(dict.fromkeys(name for figures in costs.values() for name in figures))
    lines += ["", "CPU of the server for an event, in microseconds:", ""]
    lines += [f"| load | {' | '.join(who)} |", "|---|" + "---|" * len(who)]
    for load, figures in costs.items():
        cells = (f"{figures[name]:.1f}" if name in figures else "" for name in who)
        lines.append(f"| {load} | {' | '.join(cells)} |")
    lines += ["", "Everything else:", "", "| load | what | figures |", "|---|---|---|"]
    for load, figures in found.items():
        if load not in costs:
            unit = next((words for name, words in UNITS.items() if load.startswith(name)), "")
            told = "; ".join(f"{name}: {number(value)}" for name, value in figures.items())
            lines.append(f"| {load} | {unit} | {told} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Return three digits that count, and no power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
