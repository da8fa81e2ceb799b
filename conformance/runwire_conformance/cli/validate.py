"""`runwire validate`: check messages and recorded conversations."""

import gc
import sys
from typing import Annotated

import typer

from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.tools.formats.recording import Unreadable
from runwire_conformance.tools.validate import judged, read
from runwire_conformance.trace.printing import printable


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            help="messages, JSON lines, recorded conversations or HAR files; - for standard input"
        ),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="also fail on advice")] = False,
) -> None:
    """Check messages and recorded conversations, without a server. Exit code 1: something is broken; 2: unreadable."""
    gc.disable()  # hundreds of thousands of small objects are made, and none of them is waste before the end
    broken, unread = False, []
    for name in files:
        try:
            found = judged(read(name))
        except Unreadable as problem:
            unread.append(str(problem))
            continue
        for told in (*found.problems, *found.remarks):
            print(printable(told))
        broken = broken or any(strict or not problem.is_advice for problem in found.problems)
        if not found.problems:
            print(f"{printable(name)}: valid{', as far as it was judged' if found.remarks else ''}")
    if broken:
        for complaint in unread:
            print(printable(complaint))
    elif unread:
        *others, last = unread
        for complaint in others:
            print(f"runwire: {printable(complaint)}", file=sys.stderr)
        fail(last)
    raise typer.Exit(1 if broken else 0)
