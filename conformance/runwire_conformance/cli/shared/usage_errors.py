"""Usage errors: one line that names the place and the remedy, and exit code 2."""

import difflib
import fnmatch
import sys
from typing import NoReturn

import typer

from runwire_conformance.trace.printing import printable
from runwire_spec import Requirement, catalogue, registries


def fail(message: str) -> NoReturn:
    """Say what is wrong with the call, in one line, and end with exit code 2."""
    print(f"runwire: {printable(message)}", file=sys.stderr)
    raise typer.Exit(2)


def requirement_called(identifier: str) -> Requirement:
    """Return the requirement with an id; complain, with ids that look like it, when there is none."""
    try:
        return catalogue()[identifier.upper()]
    except KeyError:
        near = difflib.get_close_matches(identifier.upper(), catalogue(), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; see `runwire spec list`"
        fail(f"unknown requirement {identifier!r}{hint}")


def check_names(classes: str, requirements: str) -> None:
    """Complain about a class or a requirement, given by commas, that the specification does not know."""
    known = [row["class"] for row in registries()["classes"]]
    for name in filter(None, classes.split(",")):
        if name not in known:
            fail(f"unknown class {name!r}; the classes are: {', '.join(known)}")
    for identifier in filter(None, (name.strip() for name in requirements.split(","))):
        if "*" not in identifier:
            requirement_called(identifier)
        elif not fnmatch.filter(catalogue(), identifier.upper()):
            fail(f"no requirement matches {identifier!r}; see `runwire spec list`")
