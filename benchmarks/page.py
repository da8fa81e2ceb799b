"""The page of the documentation: what was found, between two marks; what stands around them is written by hand."""

from pathlib import Path

from benchmarks.targets import TARGETS, Found

BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"


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
    lines += ["", "Everything else:", "", "| load | figures |", "|---|---|"]
    for load, figures in found.items():
        if load not in costs:
            lines.append(
                f"| {load} | {', '.join(f'{name}: {value:.3g}' for name, value in figures.items())} |"
            )
    return "\n".join(lines) + "\n"
