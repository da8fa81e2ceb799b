"""The command `runwire`: one module a command, each registered here."""

import typer

from runwire_conformance.cli.beginning import init
from runwire_conformance.cli.check import check
from runwire_conformance.cli.specification import spec_app
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
app.command()(init)
app.add_typer(spec_app, name="spec")


def main() -> None:
    """Run the command."""
    app()
