"""Publishes the list of implementations: a page made of the judge's reports in `docs/implementations/`."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from runwire_conformance.report.matrix import Matrix, UnreadableReport, read_matrix
from runwire_conformance.report.words import SIGNS

REPORTS = Path(__file__).parent / "implementations"

INTRODUCTION = """# Implementations

Servers that were judged, and what came of it. The page is made of the judge's own reports and recommends nothing: a
row says what was exercised on a day, by a judge of a version, with the limits the server advertised then.

To be listed, run `runwire check URL --json my-server.json` and propose the file for `docs/implementations/`. A server
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
        f"| {name} | " + " | ".join(f"{SIGNS[one]} {one}" if one else "" for one in row) + " |"
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
