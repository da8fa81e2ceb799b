"""`runwire validate`: check messages and recorded conversations."""

from typing import Annotated

import typer

from runwire_conformance.cli.complaint import fail
from runwire_conformance.recording import Unreadable
from runwire_conformance.validate import validate_file


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            help="messages, JSON lines, recorded conversations or HAR files; - for standard input"
        ),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="advice fails too")] = False,
) -> None:
    """Check messages and recorded conversations, without a server. Exit code 1: something is broken."""
    broken = False
    for name in files:
        try:
            problems = validate_file(name)
        except Unreadable as problem:
            fail(str(problem))
        for found in problems:
            print(found)
        broken = broken or any(strict or not found.is_advice for found in problems)
        if not problems:
            print(f"{name}: valid")
    raise typer.Exit(1 if broken else 0)
