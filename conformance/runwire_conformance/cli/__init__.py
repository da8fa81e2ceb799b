"""The command `runwire`: one module per sub-command, imported on demand."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from runwire_conformance import __version__
from runwire_conformance.cli.shared.port_check import connection_refused
from runwire_conformance.trace.printing import printable

#: What asks for help, of every command.
HELP = {"help_option_names": ["-h", "--help"]}

#: The version of the protocol that this judge judges.
PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is: a module beside this one, a function or an application in it; and what it is for."""

    module: str
    name: str
    purpose: str


#: The commands in the order of the help, which names them without importing what they need.
COMMANDS: Mapping[str, Command] = {
    "check": Command("check", "check", "Judge a server."),
    "check-client": Command("check_client", "check_client", "Judge a client."),
    "validate": Command(
        "validate", "validate", "Check messages and recorded conversations, without a server."
    ),
    "try": Command("try_", "try_", "Send a prompt to a server."),
    "record": Command(
        "record",
        "record",
        "Record a conversation for one prompt, or with --listen between your own client and a server.",
    ),
    "replay": Command(
        "record",
        "replay",
        "Judge a recording: a verdict for every requirement that it shows.",
    ),
    "load": Command("load", "load", "Play many runs in parallel and judge each."),
    "init": Command("init", "init", "Write a commented runwire.toml into the working directory."),
    "explain": Command(
        "spec",
        "explain",
        "Explain a requirement: sentence, reason, location, and how it is judged.",
    ),
    "matrix": Command("matrix", "matrix", "Compare several servers side by side."),
    "spec": Command("spec", "spec_app", "Look up the specification."),
}


class Commands(TyperGroup):
    """The commands, of which each is known by its purpose until it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and further arguments of a call; the command is imported now."""
        name, _, further = super().resolve_command(ctx, args)
        if name == "check" and (said := connection_refused(further)) is not None:
            print(f"runwire: {said}", file=sys.stderr)
            raise typer.Exit(2)
        return name, command_called(name or ""), further


def command_called(name: str) -> Any:
    """Return a command with its options; raises KeyError when there is none of that name."""
    place = COMMANDS[name]
    found: typer.Typer | Callable[..., None] = getattr(
        import_module(f"{__name__}.{place.module}"), place.name
    )
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    settings = getattr(found, "context_settings", {})
    alone.command(name, context_settings={**HELP, **settings})(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    context_settings=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Judge servers and clients of the Runwire protocol, look up requirements, validate messages.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"runwire {__version__} · protocol {PROTOCOL} · Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="versions of judge, protocol and Python"
        ),
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="no colours; the variable NO_COLOR does the same")
    ] = False,
) -> None:
    pass  # both are obeyed before a command is looked for


def _register(name: str, purpose: str) -> None:
    @app.command(name, help=purpose)
    def announced() -> None:
        raise AssertionError(f"{name} has to be imported when it is called")


for _name, _command in COMMANDS.items():
    _register(_name, _command.purpose)


def main() -> None:
    """Run the command. A wrong call is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what its encoding lacks is written as an escape
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    own = words[: words.index("--")] if "--" in words else words  # what follows is for pytest
    if "--no-color" in own:
        os.environ["NO_COLOR"] = "1"
        sys.argv[1:] = [word for word in own if word != "--no-color"] + words[len(own) :]
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as problem:
        said = printable(" ".join(problem.format_message().split())).rstrip(".")
        context = getattr(problem, "ctx", None)
        path = context.command_path if context else "runwire"
        if said:  # nothing is left to say when a missing command was answered with the help
            print(f"runwire: {said}; see `{path} --help`", file=sys.stderr)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
