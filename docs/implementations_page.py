"""Publishes the list of implementations: a page made of the judge's reports in `docs/implementations/`."""

import json
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from runwire_conformance.report.matrix import Matrix, UnreadableReport, read_matrix
from runwire_conformance.report.words import PLAIN_SIGNS

REPORTS = Path(__file__).parent / "implementations"

INTRODUCTION = """# Implementations

Servers that were judged, and the verdicts. The page is made from the judge's own reports and recommends nothing: a
column says what was judged on one day, by one version of the judge, with the limits that the server advertised then.

To be listed, run `runwire check URL --json report.json`, then `python docs/implementations_page.py report.json NAME`,
which keeps the verdicts and leaves out the conversations, and propose the file in `docs/implementations/`. A server
names itself in its discovery document, as `server` with `name` and `version`. Reports hold no credential.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    try:
        matrix = read_matrix(sorted(REPORTS.glob("*.json")))
    except UnreadableReport as problem:
        raise PluginError(str(problem)) from None
    files.append(File.generated(config, "implementations.md", content=page(matrix)))
    return files


def page(matrix: Matrix) -> str:
    """Return the page in Markdown."""
    if not matrix.reports:
        return INTRODUCTION + "\nNo report was proposed yet.\n"
    head = ["| | " + " | ".join(map(_plain, matrix.names)) + " |", "|---|" + "---|" * len(matrix.names)]
    classes = [
        f"| {name} | " + " | ".join(f"{PLAIN_SIGNS[one]} {one}" if one else "" for one in row) + " |"
        for name, row in matrix.classes.items()
    ]
    judged = [
        "| judged | "
        + " | ".join(f"{one['began'][:10]}, judge {_plain(one['judge'])}" for one in matrix.reports)
        + " |",
        "| requirements | " + " | ".join(_counted(one) for one in matrix.reports) + " |",
    ]
    return "\n".join([INTRODUCTION, *head, *judged, *classes, ""])


def _counted(report: dict[str, Any]) -> str:
    verdicts = [entry["verdict"] for entry in report["requirements"]]
    return f"{verdicts.count('pass')} hold, {verdicts.count('fail')} broken"


def _plain(text: str) -> str:
    """Return a server's own words so that they mark nothing up."""
    return "".join(letter if letter.isalnum() or letter in " .-_/:" else " " for letter in text)


def slim(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what was said and how it was called: the list needs the verdicts alone."""
    kept = [{key: value for key, value in one.items() if key != "witness"} for one in report["requirements"]]
    requirements = [one | {"command": "", "cases": [], "sentence": "", "why": ""} for one in kept]
    return report | {"requirements": requirements, "command": "runwire check"}


def main() -> int:
    """Add reports to the list: `python docs/implementations_page.py REPORT NAME`."""
    if len(sys.argv) != 3:
        print("usage: python docs/implementations_page.py REPORT.json NAME", file=sys.stderr)
        return 2
    source, target = Path(sys.argv[1]), REPORTS / f"{sys.argv[2]}.json"
    try:
        (report,) = read_matrix([source]).reports
        REPORTS.mkdir(exist_ok=True)
        target.write_text(json.dumps(slim(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        read_matrix([target])
    except (UnreadableReport, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
