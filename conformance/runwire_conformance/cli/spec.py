"""`runwire spec` and `runwire explain`: look up the specification."""

from typing import Annotated

import typer

from runwire_conformance.cli.shared.usage_errors import check_names, requirement_called
from runwire_conformance.runner.lookup import lookup
from runwire_conformance.tools.check_client.scenario import scenarios_about
from runwire_spec import catalogue

spec_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look up the specification.",
)


@spec_app.command("list")
def spec_list(
    classes: Annotated[str, typer.Option("--class", help="only these classes, separated by commas")] = "",
) -> None:
    """List the requirements, one per line."""
    check_names(classes, "")
    for requirement in catalogue().values():
        if not classes or requirement.conformance_class in classes.split(","):
            print(f"{requirement.id:<12}{requirement.conformance_class:<14}{requirement.sentence}")


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="id of the requirement, such as CANCEL-4")],
) -> None:
    """Explain a requirement: sentence, reason, location, and how it is judged."""
    requirement = requirement_called(identifier)
    print(lookup(requirement, scenarios_about(requirement.id) if requirement.role == "client" else ()))


spec_app.command("show")(explain)
