"""`runwire validate`: check messages and recorded conversations."""

from typing import Annotated

import typer

from runwire_conformance.cli.complaint import fail
from runwire_conformance.validate import Unreadable, validate_file


def validate(
    files: Annotated[
        list[str], typer.Argument(help="messages, JSON lines or recorded conversations; - for standard input")
    ],
) -> None:
    """Check messages and recorded conversations, without a server."""
    broken = False
    for name in files:
        try:
            problems = validate_file(name)
        except Unreadable as problem:
            fail(str(problem))
        for found in problems:
            print(found)
        broken = broken or bool(problems)
        if not problems:
            print(f"{name}: valid")
    raise typer.Exit(1 if broken else 0)
