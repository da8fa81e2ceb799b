"""`runwire try`: a terminal client."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from runwire_conformance.cli.shared.connection import Cafile, Config, Header, Token, Url, named, reached
from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.client.target import Options
from runwire_conformance.tools.terminal.answers import InteractiveDisplay, followed
from runwire_conformance.tools.terminal.following import Display, GaveUp, Message, begun
from runwire_conformance.tools.terminal.screen import Plain, Screen

#: What a shell reads after Ctrl-C.
INTERRUPTED = 130


def try_(
    url: Url = "",
    prompt: Annotated[str, typer.Argument(help="prompt to send; - reads it from standard input")] = "",
    token: Token = "",
    header: Header = None,
    cafile: Cafile = "",
    config: Config = "",
) -> None:
    """Send a prompt to a server. Exit code 0: completed; 1: failed or incomplete; 2: no run; 130: cancelled."""
    url, prompt = named(url, prompt)
    if not prompt:
        fail("no prompt given: use runwire try URL PROMPT")
    url, given = reached("try", url, token, header, cafile, config)
    asked = sys.stdin.read() if prompt == "-" else prompt
    screen: Display = Screen(Console()) if sys.stdout.isatty() else Plain(sys.stdout, sys.stderr)
    try:
        terminal = asyncio.run(_run(url, asked, given, screen))
    except GaveUp as problem:
        fail(given.redaction.masked(str(problem)))
    except BrokenPipeError:
        raise typer.Exit(1) from None
    raise typer.Exit(_exit_code(terminal))


async def _run(url: str, prompt: str, given: Options, screen: Display) -> Message | None:
    asked = InteractiveDisplay(screen, given.redaction)
    return await followed(await begun(url, prompt, given, asked), asked)


def _exit_code(terminal: Message | None) -> int:
    if terminal is None or terminal.get("status") == "cancelled":
        return INTERRUPTED
    return 0 if terminal["type"] == "done" and terminal.get("status", "completed") == "completed" else 1
