"""The soak's section of the documentation: what was found, between two marks; all around it is written by hand."""

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- begin: make soak -->", "<!-- end: make soak -->"

MEASURED = {
    "memory": "memory of the node that ran all the time",
    "tasks": "its tasks",
    "files": "its file descriptors",
    "objects": "its objects",
    "redis_memory": "memory of Redis",
    "redis_keys": "keys in Redis",
}

DONE = {
    "play": "runs with two readers that disconnect and resume, a fifth of the runs cancelled",
    "connections of readers": "connections and streams that these readers made",
    "answer": "runs with a question to the user",
    "lag": "readers that read little or nothing",
    "harm": "hostile connections, of the kinds below",
    "nodes killed": "nodes killed",
    "nodes drained": "nodes drained",
}


def write_page(path: Path, report: dict[str, Any]) -> None:
    """Put the figures onto the page; raises ValueError when the marks are not there."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} needs the marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{tables(report)}\n{END}{after}", encoding="utf-8")


def tables(report: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    looks = report["meanwhile"]
    minutes = report["seconds"] / 60
    lines = [f"{minutes:.0f} minutes on {report['machine']}, {report['date']}.", ""]
    lines += ["| resource | at the start | at most | at the end |", "|---|---|---|---|"]
    for name, words in MEASURED.items():
        most = max((look[name] for look in looks), default=report["end"][name])
        shown = (size(name, value) for value in (report["start"][name], most, report["end"][name]))
        lines.append(f"| {words} | {' | '.join(shown)} |")
    lines += ["", "| activity | count |", "|---|---|"]
    lines += [f"| {words} | {report['visits'].get(name, 0):,} |" for name, words in DONE.items()]
    ends = ", ".join(f"{name} {count:,}" for name, count in report["ends"].items())
    kinds = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in report["attacks"].items())
    lines += ["", f"How runs ended: {ends}.", "", f"Attacks by hostile clients: {kinds}.", ""]
    problems = len(report["problems"])
    lines.append(f"Lost or duplicated text, hung clients, growth: {problems or 'none'}.")
    return "\n".join(lines) + "\n"


def size(name: str, value: float) -> str:
    """Return a figure in words."""
    return f"{value / 2**20:.1f} MB" if "memory" in name else f"{value:,}"
