"""`runwire matrix`: comparison of several servers."""

from pathlib import Path
from typing import Annotated

import typer

from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.report.matrix import (
    UnreadableReport,
    matrix_as_html,
    matrix_as_markdown,
    read_matrix,
)

#: What the end of a file's name says it is to hold.
FORMS = {".md": matrix_as_markdown, ".html": matrix_as_html, ".htm": matrix_as_html}


def matrix(
    reports: Annotated[list[Path], typer.Argument(help="reports written by `runwire check --json FILE`")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="output file, .md or .html (default: print Markdown)"),
    ] = None,
) -> None:
    """Compare several servers side by side."""
    if output is not None and output.suffix not in FORMS:
        fail(f"{output} must end in {' or '.join(FORMS)}")
    try:
        found = read_matrix(reports)
    except UnreadableReport as problem:
        fail(str(problem))
    if output is None:
        print(matrix_as_markdown(found), end="")
        return
    try:
        output.write_text(FORMS[output.suffix](found), encoding="utf-8")
    except OSError as problem:
        fail(f"cannot write {output}: {problem.strerror}")
