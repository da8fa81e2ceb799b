"""The command `runwire`: one module a command, each registered here."""

import sys

import typer

from runwire_conformance.cli.beginning import init
from runwire_conformance.cli.check import check
from runwire_conformance.cli.comparing import matrix
from runwire_conformance.cli.loading import load
from runwire_conformance.cli.recording import record, replay
from runwire_conformance.cli.specification import explain, spec_app
from runwire_conformance.cli.trying import try_
from runwire_conformance.cli.validating import validate

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The judge of the Runwire protocol: tests servers, shows requirements, validates messages.",
)
app.command()(check)
app.command()(validate)
app.command("try")(try_)
app.command()(record)
app.command()(replay)
app.command()(load)
app.command()(init)
app.command()(explain)
app.command()(matrix)
app.add_typer(spec_app, name="spec")


def main() -> None:
    """Run the command. A wrong call is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as problem:
        said = " ".join(problem.format_message().split()).rstrip(".")
        context = getattr(problem, "ctx", None)
        path = context.command_path if context else "runwire"
        if said:  # nothing is left to say when a missing command was answered with the help
            print(f"runwire: {said}; see `{path} --help`", file=sys.stderr)
        code = 2
    except typer.Abort:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
